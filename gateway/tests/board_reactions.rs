//! Votes that are no commands: reactions on a card, as the bot submits them.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking; clippy knows this of functions marked as tests only, not of what they call"
)]

mod board_table;
mod work_desk;

use board_table::{board, closed, paused, propose, record, show, vote};
use fleet_protocol::api::LeaseGrant;
use fleet_protocol::envelope::{Outcome, Submitted};
use fleet_protocol::record::{Export, Extension};
use fleet_protocol::reply::ProposalView;
use fleet_protocol::verbs::board::Verdict;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use work_desk::Desk;

/// A bot with the board's room, in which the card of `p1` has been sent as `$card`.
async fn bot(desk: &Desk) -> LeaseGrant {
    let mut rows = desk.register_rows().await;
    sqlx::query("INSERT INTO fleet.tokens (tenant_id, id, sha256, name, scopes, created_at) VALUES ('acme', gen_random_uuid(), $1, 'bot', '{bot}', now())")
        .bind(Sha256::digest("secret").as_slice())
        .execute(&mut rows)
        .await
        .expect("a token");
    sqlx::query("UPDATE fleet.rooms SET room_id = '!board:test', mark_event_id = '$0', read_up_to = '2026-11-23T12:00:00Z' WHERE key = 'board'")
        .execute(&mut rows)
        .await
        .expect("a room");
    sqlx::query("UPDATE fleet.outbox o SET state = 'sent', event_id = '$card', settled_at = now() FROM fleet.proposals p WHERE p.card = o.id")
        .execute(&mut rows)
        .await
        .expect("a card");
    let asked = json!({ "account": "@bot:test", "holder": uuid::Uuid::nil() });
    call(desk, "/v1/bot/lease", asked).await
}

async fn call<T: serde::de::DeserializeOwned>(desk: &Desk, path: &str, body: Value) -> T {
    let response = desk
        .client
        .post(format!("{}{path}", desk.base))
        .bearer_auth("secret")
        .json(&body)
        .send()
        .await;
    let response = response.expect("the gateway answers");
    let (status, text) = (response.status(), response.text().await.expect("a body"));
    assert!(status.is_success(), "{path}: {status} {text}");
    serde_json::from_str(&text).expect("the answer")
}

/// Submits a ballot that points at an event, sent at an instant, and moves the mark to `read`.
async fn react(
    desk: &Desk,
    lease: &LeaseGrant,
    who: &str,
    target: &str,
    key: (&str, &str),
    read: (&str, &str),
) -> Outcome {
    let body = json!({ "ballot": { "target": target, "verdict": "approve", "via": "reaction" } });
    let submitted = submit(desk, lease, who, body, key, read).await;
    submitted.receipts.first().expect("a receipt").outcome
}

async fn submit(
    desk: &Desk,
    lease: &LeaseGrant,
    who: &str,
    body: Value,
    key: (&str, &str),
    read: (&str, &str),
) -> Submitted {
    let envelope = json!({
        "key": key.0, "sender": work_desk::user_id(who), "joined": true, "power_level": 0,
        "origin_ts": key.1, "provenance": "live", "digest": key.0, "body": body,
    });
    let submit = json!({
        "lease": lease.lease, "device": "DEV", "room_id": "!board:test", "expected_mark": read.0,
        "envelopes": [envelope], "mark": { "event_id": key.0, "read_up_to": read.1 },
    });
    call(desk, "/v1/submit", submit).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reaction_on_the_card_is_a_ballot_and_elsewhere_it_is_nothing() {
    let desk = board().await;
    propose(&desk, json!({ "closes_at": "+1h" })).await;
    let lease = bot(&desk).await;
    let now = "2026-11-23T12:00:00Z";
    assert_eq!(
        react(&desk, &lease, "ana", "$other", ("$1", now), ("$0", now)).await,
        Outcome::Skipped
    );
    assert_eq!(show(&desk, "p1").await.tally.cast, 0);
    assert_eq!(
        react(&desk, &lease, "ana", "$card", ("$2", now), ("$1", now)).await,
        Outcome::Done
    );
    assert_eq!(
        react(&desk, &lease, "vic", "$card", ("$3", now), ("$2", now)).await,
        Outcome::Refused
    );
    assert_eq!(show(&desk, "p1").await.tally.cast, 1);
}

const NOW: &str = "2026-11-23T12:00:00Z";

/// A room in which events come one after the other, all at one instant.
struct Hall {
    desk: Desk,
    lease: LeaseGrant,
    events: u32,
}

impl Hall {
    async fn with(desk: Desk) -> Self {
        let lease = bot(&desk).await;
        Self {
            desk,
            lease,
            events: 0,
        }
    }

    /// The next event of somebody: its receipt's outcome, and the rows as text.
    async fn hears(&mut self, who: &str, body: Value) -> (Outcome, String) {
        let (before, key) = (format!("${}", self.events), format!("${}", self.events + 1));
        self.events += 1;
        let said = submit(
            &self.desk,
            &self.lease,
            who,
            body,
            (&key, NOW),
            (&before, NOW),
        )
        .await;
        let outcome = said.receipts.first().expect("a receipt").outcome;
        (outcome, serde_json::to_string(&said.outbox).expect("rows"))
    }

    async fn reacts(&mut self, who: &str, target: &str, verdict: &str) -> Outcome {
        let body = json!({ "ballot": { "target": target, "verdict": verdict, "via": "reaction" } });
        self.hears(who, body).await.0
    }

    async fn redacts(&mut self, who: &str, target: &str) -> (Outcome, String) {
        self.hears(who, json!({ "redaction": { "target": target } }))
            .await
    }

    /// The verdicts of the four seats.
    async fn verdicts(&self) -> Vec<Option<Verdict>> {
        show(&self.desk, "p1")
            .await
            .seats
            .iter()
            .map(|s| s.verdict)
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn removing_a_reaction_leaves_the_seats_latest_that_remains() {
    let desk = board().await;
    propose(&desk, json!({})).await;
    let mut hall = Hall::with(desk).await;
    // Two devices of one voter, two reactions: $1 for it, $2 against it.
    assert_eq!(hall.reacts("ana", "$card", "approve").await, Outcome::Done);
    assert_eq!(hall.reacts("ana", "$card", "reject").await, Outcome::Done);
    assert_eq!(hall.verdicts().await[0], Some(Verdict::Reject));
    let (outcome, said) = hall.redacts("ana", "$2").await;
    assert_eq!(outcome, Outcome::Done);
    assert_eq!(hall.verdicts().await[0], Some(Verdict::Approve));
    assert!(
        said.contains("votes"),
        "what counts now is acknowledged: {said}"
    );
    let (_, said) = hall.redacts("ana", "$1").await;
    assert_eq!(hall.verdicts().await[0], None);
    assert!(said.contains("has no ballot any more"), "{said}");
    assert_eq!(record(&hall.desk, "p1").await.entries.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moderators_redaction_of_a_ballot_is_told_and_ignored() {
    let desk = board().await;
    propose(&desk, json!({})).await;
    let mut hall = Hall::with(desk).await;
    hall.reacts("mia", "$card", "approve").await;
    let (outcome, said) = hall.redacts("ben", "$1").await;
    assert_eq!(outcome, Outcome::Skipped);
    assert!(said.contains("only its voter can take it back"), "{said}");
    assert_eq!(hall.verdicts().await[2], Some(Verdict::Approve));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_end_a_redaction_takes_the_words_and_not_the_ballot() {
    let desk = board().await;
    propose(&desk, json!({})).await;
    let mut hall = Hall::with(desk).await;
    let body = json!({ "ballot": { "target": "$card", "verdict": "approve", "reason": "a secret", "via": "reply" } });
    hall.hears("ana", body).await;
    hall.desk
        .ok("ben", "board.close", json!({ "proposal": "p1" }))
        .await;
    let words = |export: Export| {
        serde_json::to_string(&export)
            .expect("JSON")
            .contains("a secret")
    };
    assert!(words(record(&hall.desk, "p1").await));
    let (outcome, said) = hall.redacts("ana", "$1").await;
    assert_eq!(outcome, Outcome::Skipped);
    assert!(said.contains("the ballot of ceo stands"), "{said}");
    assert_eq!(hall.verdicts().await[0], Some(Verdict::Approve));
    assert!(!words(record(&hall.desk, "p1").await), "its hash stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redacted_card_is_posted_again_and_the_vote_goes_on() {
    let desk = board().await;
    propose(&desk, json!({})).await;
    let mut hall = Hall::with(desk).await;
    hall.reacts("ana", "$card", "approve").await;
    let (_, rows) = hall.redacts("ben", "$card").await;
    assert!(rows.contains("p1 · Shall we?"), "{rows}");
    sqlx::query("UPDATE fleet.outbox o SET state = 'sent', event_id = '$again', settled_at = now() FROM fleet.proposals p WHERE p.card = o.id")
        .execute(&mut hall.desk.register_rows().await)
        .await
        .expect("the new card");
    assert_eq!(hall.reacts("ben", "$again", "approve").await, Outcome::Done);
    assert_eq!(
        hall.reacts("mia", "$card", "approve").await,
        Outcome::Skipped
    );
    let cast = [Some(Verdict::Approve), Some(Verdict::Approve), None, None];
    assert_eq!(hall.verdicts().await, cast);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_seat_is_told_once() {
    let desk = board().await;
    propose(&desk, json!({})).await;
    let mut hall = Hall::with(desk).await;
    for (who, outcomes) in [
        ("vic", [Outcome::Refused, Outcome::Skipped]),
        ("out", [Outcome::Refused, Outcome::Skipped]),
    ] {
        for outcome in outcomes {
            assert_eq!(hall.reacts(who, "$card", "approve").await, outcome, "{who}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_votes_by_its_event_and_not_by_what_its_model_prints() {
    let desk = board().await;
    propose(&desk, json!({})).await;
    let mut hall = Hall::with(desk).await;
    let (outcome, said) = hall
        .hears(
            "a1",
            json!({ "ballot": { "target": "$card", "verdict": "approve", "via": "reply" } }),
        )
        .await;
    assert_eq!(outcome, Outcome::Refused);
    assert!(said.contains("event.agent_chat"), "{said}");
    let agent =
        |incarnation: u64| json!({ "name": "code-1", "host": "h1", "incarnation": incarnation });
    let event = |id: &str, incarnation: u64| json!({ "event": { "id": id, "request": { "board.vote": { "proposal": "p1", "verdict": "approve" } }, "agent": agent(incarnation) } });
    let (stale, _) = hall.hears("a1", event("v1", 9)).await;
    assert_eq!(stale, Outcome::Refused, "a stale incarnation cannot vote");
    let (voted, _) = hall.hears("a1", event("v2", 1)).await;
    assert_eq!(voted, Outcome::Done);
    hall.desk.register("a1", "code-1", "code").await;
    assert_eq!(
        hall.verdicts().await[3],
        Some(Verdict::Approve),
        "a cast ballot survives a restart"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_outage_over_the_end_extends_the_vote() {
    let desk = board().await;
    propose(
        &desk,
        json!({ "closes_at": "+1h", "effect": { "pause": {} } }),
    )
    .await;
    let lease = bot(&desk).await;
    // Nobody reads the room: at the end, and for ten minutes more.
    desk.clock.advance(3_600 + 600);
    let extended = until(&desk, |p| p.extended == Some(Extension::RoomUnread)).await;
    assert_eq!(extended.state, "open");
    assert_eq!(
        desk.said("board", "could not be read up to its end").await,
        1,
        "told once"
    );
    let asked =
        json!({ "account": "@bot:test", "holder": uuid::Uuid::nil(), "epoch": lease.lease.epoch });
    let lease = LeaseGrant {
        lease: call::<LeaseGrant>(&desk, "/v1/bot/lease", asked)
            .await
            .lease,
        ..lease
    };
    let (sent, later) = ("2026-11-23T12:30:00Z", "2026-11-23T13:25:00Z");
    for (n, who) in ["ana", "ben", "mia"].into_iter().enumerate() {
        let (key, before) = (format!("${}", n + 1), format!("${n}"));
        let outcome = react(&desk, &lease, who, "$card", (&key, sent), (&before, sent)).await;
        assert_eq!(outcome, Outcome::Done, "{who}");
    }
    desk.clock.advance(600);
    let moved = json!({ "lease": lease.lease, "device": "DEV", "room_id": "!board:test", "expected_mark": "$3",
        "envelopes": [], "mark": { "event_id": "$4", "read_up_to": later } });
    call::<Submitted>(&desk, "/v1/submit", moved).await;
    let p = closed(&desk, "p1").await;
    assert_eq!((p.state.as_str(), p.tally.approve), ("approved", 3));
    assert!(paused(&desk).await);
}

/// Looks at `p1` until it is as wanted: the sweep does it within a second or two.
async fn until(desk: &Desk, wanted: impl Fn(&ProposalView) -> bool) -> ProposalView {
    let looking = async {
        loop {
            let view = show(desk, "p1").await;
            if wanted(&view) {
                return view;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), looking)
        .await
        .expect("the sweep reaches the proposal")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ballot_sent_in_time_counts_though_it_arrives_late() {
    let desk = board().await;
    propose(&desk, json!({ "closes_at": "+1h", "quorum": 25 })).await;
    vote(&desk, "ben", "p1", "approve").await;
    let lease = bot(&desk).await;
    desk.clock.advance(3_601);
    let lease = LeaseGrant { lease: call::<LeaseGrant>(&desk, "/v1/bot/lease", json!({ "account": "@bot:test", "holder": uuid::Uuid::nil(), "epoch": lease.lease.epoch })).await.lease, ..lease };
    let (in_time, at_the_end) = ("2026-11-23T12:59:59.999Z", "2026-11-23T13:00:00Z");
    assert_eq!(
        react(
            &desk,
            &lease,
            "ana",
            "$card",
            ("$1", in_time),
            ("$0", in_time)
        )
        .await,
        Outcome::Done
    );
    assert_eq!(
        show(&desk, "p1").await.state,
        "open",
        "the room is not read up to the end"
    );
    assert_eq!(
        react(
            &desk,
            &lease,
            "mia",
            "$card",
            ("$2", at_the_end),
            ("$1", at_the_end)
        )
        .await,
        Outcome::Refused
    );
    let p = closed(&desk, "p1").await;
    assert_eq!((p.state.as_str(), p.tally.approve), ("approved", 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_tap_on_an_alert_asks_the_board_once() {
    let desk = board().await;
    let limit = json!({ "provider": "claude", "limit": 1_000, "unit": "tokens", "every": "7d" });
    desk.ok("ana", "budget.set", limit).await;
    let paid = json!({ "provider": "claude", "projected_tokens": 990 });
    let task = desk.add("Paid work", paid).await;
    desk.claim("ana", Some(&task)).await;
    desk.ok(
        "ana",
        "spend.report",
        json!({ "task": task, "input_tokens": 990 }),
    )
    .await;
    sqlx::query("UPDATE fleet.outbox o SET state = 'sent', event_id = '$alert', settled_at = now() FROM fleet.incidents i WHERE i.message = o.id")
        .execute(&mut desk.register_rows().await)
        .await
        .expect("an alert");
    let mut hall = Hall::with(desk).await;
    let ask = |target: &str| json!({ "ask": { "target": target } });
    for (who, target, outcome) in [
        ("mia", "$other", Outcome::Skipped),
        ("vic", "$alert", Outcome::Refused),
        ("mia", "$alert", Outcome::Done),
        ("ben", "$alert", Outcome::Done),
    ] {
        assert_eq!(
            hall.hears(who, ask(target)).await.0,
            outcome,
            "{who} {target}"
        );
    }
    let p = show(&hall.desk, "p1").await;
    let effect = p.effect_text.expect("an effect");
    assert!(
        effect.contains("claude") && effect.contains("1,500 tokens"),
        "{effect}"
    );
    assert!(
        p.text
            .expect("a text")
            .contains("990 of 1,000 tokens are spent")
    );
    let proposals: i64 = sqlx::query_scalar("SELECT count(*) FROM fleet.proposals")
        .fetch_one(&mut hall.desk.register_rows().await)
        .await
        .expect("a count");
    assert_eq!(proposals, 1);
}
