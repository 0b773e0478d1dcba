//! Votes that are no commands: reactions on a card, as the bot submits them.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking; clippy knows this of functions marked as tests only, not of what they call"
)]

mod board_table;
mod work_desk;

use board_table::{board, closed, propose, show, vote};
use fleet_protocol::api::LeaseGrant;
use fleet_protocol::envelope::{Outcome, Submitted};
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

#[tokio::test(flavor = "multi_thread")]
async fn a_redacted_ballot_stands_and_its_voter_is_told_how_to_change_it() {
    let desk = board().await;
    propose(&desk, json!({ "closes_at": "+1h" })).await;
    let lease = bot(&desk).await;
    let now = "2026-11-23T12:00:00Z";
    react(&desk, &lease, "ana", "$card", ("$1", now), ("$0", now)).await;
    let redaction = |target: &str| json!({ "redaction": { "target": target } });
    // The voter's own, a moderator's, and one of the card itself: none of them undoes a ballot.
    let mut read = "$1";
    for (key, who, target, told) in [
        ("$2", "ana", "$1", true),
        ("$3", "ben", "$1", true),
        ("$4", "ben", "$card", false),
    ] {
        let said = submit(
            &desk,
            &lease,
            who,
            redaction(target),
            (key, now),
            (read, now),
        )
        .await;
        let receipt = said.receipts.first().expect("a receipt");
        assert_eq!(receipt.outcome, Outcome::Skipped, "{who} {target}");
        let said = serde_json::to_string(&said.outbox).expect("rows");
        assert_eq!(said.contains("!board vote"), told, "{who} {target}: {said}");
        assert_eq!(show(&desk, "p1").await.tally.approve, 1, "{who} {target}");
        read = key;
    }
    desk.ok("ben", "board.close", json!({ "proposal": "p1" }))
        .await;
    let late = submit(
        &desk,
        &lease,
        "ana",
        redaction("$1"),
        ("$5", now),
        ("$4", now),
    )
    .await;
    assert_eq!(
        late.receipts.first().expect("a receipt").outcome,
        Outcome::Skipped
    );
    assert_eq!(
        show(&desk, "p1").await.tally.approve,
        1,
        "a closed vote stays"
    );
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
