//! Votes on a real PostgreSQL, through the gateway's door: by command, by reply and by reaction.

mod work_desk;

use fleet_protocol::Reply;
use fleet_protocol::api::LeaseGrant;
use fleet_protocol::envelope::{Outcome, Submitted};
use fleet_protocol::problem::Code;
use fleet_protocol::reply::ProposalView;
use fleet_protocol::verbs::board::Verdict;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use work_desk::Desk;

/// Four seats: three people and an agent.
fn seats() -> Value {
    let user = |title: &str, who: &str| json!({ "title": title, "holder": { "user": work_desk::user_id(who) }, "weight": 1 });
    let agent = json!({ "title": "coo", "holder": { "agent": "code-1" }, "weight": 1 });
    json!([user("ceo", "ana"), user("cto", "ben"), user("cfo", "mia"), agent])
}

async fn board() -> Desk {
    let desk = Desk::open().await;
    desk.register("a1", "code-1", "code").await;
    desk
}

async fn propose(desk: &Desk, more: Value) -> ProposalView {
    let mut args = json!({ "title": "Shall we?", "seats": seats() });
    for (key, value) in more.as_object().into_iter().flatten() {
        args[key] = value.clone();
    }
    proposal(desk.ok("mia", "board.propose", args).await)
}

fn proposal(reply: Reply) -> ProposalView {
    match reply {
        Reply::Proposal(changed) => changed.now,
        other => panic!("not a proposal: {other:?}"),
    }
}

async fn vote(desk: &Desk, who: &str, id: &str, verdict: &str) -> Option<Verdict> {
    let args = json!({ "proposal": id, "verdict": verdict, "reason": ["because", "so"] });
    match desk.ok(who, "board.vote", args).await {
        Reply::Ballot(ballot) => ballot.replaces,
        other => panic!("not a ballot: {other:?}"),
    }
}

async fn show(desk: &Desk, id: &str) -> ProposalView {
    proposal(desk.ask("vic", "board.show", json!({ "proposal": id })).await.expect("the proposal"))
}

async fn paused(desk: &Desk) -> bool {
    match desk.ask("vic", "status", json!({})).await.expect("the status") {
        Reply::Status(status) => status.pause.paused,
        other => panic!("not a status: {other:?}"),
    }
}

/// Looks at a proposal until the sweep has closed it.
async fn closed(desk: &Desk, id: &str) -> ProposalView {
    let looking = async {
        loop {
            let view = show(desk, id).await;
            if view.state != "open" {
                return view;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), looking).await.expect("the sweep reaches the proposal")
}

#[tokio::test(flavor = "multi_thread")]
async fn four_seats_vote_one_changes_its_mind_and_the_effect_runs_once() {
    let desk = board().await;
    let p = propose(&desk, json!({ "effect": { "pause": { "reason": "audit" } } })).await;
    assert_eq!((p.id.as_str(), p.effect_text.as_deref()), ("p1", Some("Pauses the fleet: no new claim or dispatch (audit).")));
    assert_eq!(desk.said("board", "p1 · Shall we?").await, 1, "the card");
    assert_eq!(vote(&desk, "ana", "p1", "approve").await, None);
    assert_eq!(vote(&desk, "ben", "p1", "reject").await, None);
    assert_eq!(vote(&desk, "ben", "p1", "approve").await, Some(Verdict::Reject));
    assert_eq!(show(&desk, "p1").await.tally.cast, 2);
    assert!(!paused(&desk).await);
    let args = json!({ "proposal": "p1", "verdict": "approve" });
    desk.ok("a1", "board.vote", args).await;
    let p = show(&desk, "p1").await;
    assert_eq!((p.state.as_str(), p.effect_outcome.as_deref()), ("approved", Some("done")), "nothing can change it");
    assert!(paused(&desk).await);
    assert_eq!(desk.refused("mia", "board.vote", json!({ "proposal": "p1", "verdict": "reject" })).await, Code::Closed);
    let again = desk.ok("ana", "board.close", json!({ "proposal": "p1" })).await;
    assert!(matches!(again, Reply::Proposal(p) if p.already));
    assert_eq!(desk.said("board", "p1 approved").await, 1, "one decision");
    assert_eq!(desk.said("board", &p.hash).await > 0, p.chain_head.is_some());
    let (ballots, decisions): (i64, i64) = sqlx::query_as("SELECT (SELECT count(*) FROM fleet.ballots), (SELECT count(*) FROM fleet.decisions)")
        .fetch_one(&mut desk.register_rows().await)
        .await
        .expect("counts");
    assert_eq!((ballots, decisions), (4, 1), "every version is kept");

    // While paused the board still votes, and may let work go on.
    propose(&desk, json!({ "effect": { "resume": {} } })).await;
    for who in ["ana", "ben", "mia"] {
        vote(&desk, who, "p2", "approve").await;
    }
    assert!(!paused(&desk).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_quorum_it_is_rejected_when_its_time_comes() {
    let desk = board().await;
    propose(&desk, json!({ "effect": { "pause": {} }, "closes_at": "+1h", "quorum": 75 })).await;
    vote(&desk, "ana", "p1", "approve").await;
    vote(&desk, "ben", "p1", "approve").await;
    desk.clock.advance(3_600);
    assert_eq!(desk.refused("mia", "board.vote", json!({ "proposal": "p1", "verdict": "approve" })).await, Code::Closed);
    let p = closed(&desk, "p1").await;
    assert_eq!((p.state.as_str(), p.effect_outcome), ("rejected", None));
    assert!(!paused(&desk).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_veto_needs_right_and_reason_and_blocks() {
    let desk = board().await;
    let mut seats = seats();
    seats[0]["may_veto"] = json!(true);
    propose(&desk, json!({ "seats": seats })).await;
    let veto = |reason: &[&str]| json!({ "proposal": "p1", "verdict": "veto", "reason": reason });
    assert_eq!(desk.refused("ana", "board.vote", veto(&[])).await, Code::BadVeto);
    assert_eq!(desk.refused("ben", "board.vote", veto(&["no"])).await, Code::BadVeto);
    for who in ["ben", "mia", "a1"] {
        desk.ok(who, "board.vote", json!({ "proposal": "p1", "verdict": "approve" })).await;
    }
    assert_eq!(show(&desk, "p1").await.state, "open", "who may veto has not voted");
    desk.ok("ana", "board.vote", veto(&["too", "dear"])).await;
    assert_eq!(show(&desk, "p1").await.state, "rejected");
    assert_eq!(desk.said("board", "too dear").await > 0, true);
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_keep_the_effect_from_running() {
    let desk = board().await;
    propose(&desk, json!({ "effect": { "pause": {} } })).await;
    vote(&desk, "ana", "p1", "conditional").await;
    vote(&desk, "ben", "p1", "reject").await;
    vote(&desk, "mia", "p1", "conditional").await;
    desk.ok("ana", "board.close", json!({ "proposal": "p1", "reason": "time to go on" })).await;
    assert_eq!(show(&desk, "p1").await.state, "approved_with_conditions");
    assert!(!paused(&desk).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_seat_or_several_is_told() {
    let desk = board().await;
    let seat = |title: &str, who: &str| json!({ "title": title, "holder": { "user": work_desk::user_id(who) }, "weight": 1 });
    propose(&desk, json!({ "seats": [seat("cto", "ben"), seat("cfo", "ben"), seat("ceo", "mia")] })).await;
    let approve = json!({ "proposal": "p1", "verdict": "approve" });
    assert_eq!(desk.refused("ana", "board.vote", approve.clone()).await, Code::NoSeat);
    let several = desk.run("ben", "board.vote", approve).await.expect_err("two seats");
    assert_eq!((several.code, several.suggestion.as_deref()), (Code::AmbiguousSeat, Some("!board vote p1 approve --as cto")));
    desk.ok("ben", "board.vote", json!({ "proposal": "p1", "verdict": "approve", "as": "cfo" })).await;
    let cast: Vec<_> = show(&desk, "p1").await.seats.iter().map(|s| s.verdict).collect();
    assert_eq!(cast, [None, Some(Verdict::Approve), None]);

    let by_default = propose(&desk, json!({ "seats": [] })).await;
    let titles: Vec<_> = by_default.seats.iter().map(|s| s.seat.title.to_string()).collect();
    assert_eq!(titles, ["ana", "ben"], "every operator is a seat");
}

#[tokio::test(flavor = "multi_thread")]
async fn effects_are_checked_when_proposed_and_a_refusal_is_final() {
    let desk = board().await;
    let wrong = json!({ "title": "x", "kind": "budget_lift", "effect": { "pause": {} }, "seats": seats() });
    assert_eq!(desk.refused("mia", "board.propose", wrong).await, Code::BadEffect);
    let claim = json!({ "title": "x", "effect": { "task.claim": {} }, "seats": seats() });
    assert_eq!(desk.refused("mia", "board.propose", claim).await, Code::BadEffect);
    let ended = json!({ "title": "x", "closes_at": "2026-11-23T12:00:00Z", "seats": seats() });
    assert_eq!(desk.refused("mia", "board.propose", ended).await, Code::Invalid);
    let unknown = json!({ "title": "x", "seats": [{ "title": "ceo", "holder": { "agent": "code-9" }, "weight": 1 }] });
    assert_eq!(desk.refused("mia", "board.propose", unknown).await, Code::NotFound);

    let reset = json!({ "budget.reset": { "provider": "nobody", "reset_at": "+1h" } });
    let p = propose(&desk, json!({ "effect": reset })).await;
    for who in ["ana", "ben", "mia"] {
        vote(&desk, who, &p.id, "approve").await;
    }
    let p = show(&desk, &p.id).await;
    assert_eq!(p.state, "approved");
    assert_eq!(p.effect_outcome.as_deref(), Some("refused: no limit is set for nobody"));
    assert_eq!(desk.said("board", "no limit is set for nobody").await > 0, true, "the refusal is told");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passed_limit_is_applied_with_its_amount() {
    let desk = board().await;
    let set = json!({ "budget.set": { "provider": "claude", "limit": 2_000_000, "unit": "tokens", "every": "7d" } });
    let p = propose(&desk, json!({ "effect": set })).await;
    assert_eq!(p.effect_text.as_deref(), Some("Sets the limit of claude to 2,000,000 tokens."));
    match desk.ask("vic", "budget.status", json!({})).await.expect("the status") {
        Reply::Budgets(all) => assert!(all.is_empty(), "trying it out leaves nothing"),
        other => panic!("{other:?}"),
    }
    for who in ["ana", "ben", "mia"] {
        vote(&desk, who, "p1", "approve").await;
    }
    match desk.ask("vic", "budget.status", json!({})).await.expect("the status") {
        Reply::Budgets(all) => assert_eq!(all.first().map(|w| w.limit), Some(2_000_000)),
        other => panic!("{other:?}"),
    }
    let by: String = sqlx::query_scalar("SELECT set_by FROM fleet.budget_limits")
        .fetch_one(&mut desk.register_rows().await)
        .await
        .expect("the limit's history");
    assert_eq!(by, "board:p1");
}

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
    let response = desk.client.post(format!("{}{path}", desk.base)).bearer_auth("secret").json(&body).send().await;
    let response = response.expect("the gateway answers");
    let (status, text) = (response.status(), response.text().await.expect("a body"));
    assert!(status.is_success(), "{path}: {status} {text}");
    serde_json::from_str(&text).expect("the answer")
}

/// Submits a ballot that points at an event, sent at an instant, and moves the mark to `read`.
async fn react(desk: &Desk, lease: &LeaseGrant, who: &str, target: &str, key: (&str, &str), read: (&str, &str)) -> Outcome {
    let body = json!({ "ballot": { "target": target, "verdict": "approve", "via": "reaction" } });
    let envelope = json!({
        "key": key.0, "sender": work_desk::user_id(who), "joined": true, "power_level": 0,
        "origin_ts": key.1, "provenance": "live", "digest": key.0, "body": body,
    });
    let submit = json!({
        "lease": lease.lease, "device": "DEV", "room_id": "!board:test", "expected_mark": read.0,
        "envelopes": [envelope], "mark": { "event_id": key.0, "read_up_to": read.1 },
    });
    let submitted: Submitted = call(desk, "/v1/submit", submit).await;
    submitted.receipts.first().expect("a receipt").outcome
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reaction_on_the_card_is_a_ballot_and_elsewhere_it_is_nothing() {
    let desk = board().await;
    propose(&desk, json!({ "closes_at": "+1h" })).await;
    let lease = bot(&desk).await;
    let now = "2026-11-23T12:00:00Z";
    assert_eq!(react(&desk, &lease, "ana", "$other", ("$1", now), ("$0", now)).await, Outcome::Skipped);
    assert_eq!(show(&desk, "p1").await.tally.cast, 0);
    assert_eq!(react(&desk, &lease, "ana", "$card", ("$2", now), ("$1", now)).await, Outcome::Done);
    assert_eq!(react(&desk, &lease, "vic", "$card", ("$3", now), ("$2", now)).await, Outcome::Refused);
    assert_eq!(show(&desk, "p1").await.tally.cast, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ballot_sent_in_time_counts_though_it_arrives_late() {
    let desk = board().await;
    propose(&desk, json!({ "closes_at": "+1h" })).await;
    vote(&desk, "ben", "p1", "approve").await;
    let lease = bot(&desk).await;
    desk.clock.advance(3_601);
    let lease = LeaseGrant { lease: call::<LeaseGrant>(&desk, "/v1/bot/lease", json!({ "account": "@bot:test", "holder": uuid::Uuid::nil(), "epoch": lease.lease.epoch })).await.lease, ..lease };
    let (in_time, at_the_end) = ("2026-11-23T12:59:59.999Z", "2026-11-23T13:00:00Z");
    assert_eq!(react(&desk, &lease, "ana", "$card", ("$1", in_time), ("$0", in_time)).await, Outcome::Done);
    assert_eq!(show(&desk, "p1").await.state, "open", "the room is not read up to the end");
    assert_eq!(react(&desk, &lease, "mia", "$card", ("$2", at_the_end), ("$1", at_the_end)).await, Outcome::Refused);
    let p = closed(&desk, "p1").await;
    assert_eq!((p.state.as_str(), p.tally.approve), ("approved", 2));
}
