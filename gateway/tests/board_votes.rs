//! Votes on a real PostgreSQL, through the gateway's door.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking; clippy knows this of functions marked as tests only, not of what they call"
)]

mod board_table;
mod work_desk;

use board_table::{board, closed, paused, propose, record, seats, settled, show, vote};
use fleet_protocol::Reply;
use fleet_protocol::problem::Code;
use fleet_protocol::verbs::board::Verdict;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn four_seats_vote_one_changes_its_mind_and_the_effect_runs_once() {
    let desk = board().await;
    let p = propose(
        &desk,
        json!({ "effect": { "pause": { "reason": "audit" } } }),
    )
    .await;
    assert_eq!(
        (p.id.as_str(), p.effect_text.as_deref()),
        (
            "p1",
            Some("Pauses the fleet: no new claim or dispatch (audit).")
        )
    );
    assert_eq!(desk.said("board", "p1 · Shall we?").await, 1, "the card");
    assert_eq!(vote(&desk, "ana", "p1", "approve").await, None);
    assert_eq!(vote(&desk, "ben", "p1", "reject").await, None);
    assert_eq!(
        vote(&desk, "ben", "p1", "approve").await,
        Some(Verdict::Reject)
    );
    assert_eq!(show(&desk, "p1").await.tally.cast, 2);
    assert!(!paused(&desk).await);
    let args = json!({ "proposal": "p1", "verdict": "approve" });
    desk.ok("a1", "board.vote", args).await;
    let p = show(&desk, "p1").await;
    assert_eq!(
        (p.state.as_str(), p.ends_early_at.is_some()),
        ("open", true),
        "the early end is announced, and waits"
    );
    let p = settled(&desk, "p1").await;
    assert_eq!(
        (p.state.as_str(), p.effect_outcome.as_deref()),
        ("approved", Some("done"))
    );
    assert!(paused(&desk).await);
    assert_eq!(
        desk.refused(
            "mia",
            "board.vote",
            json!({ "proposal": "p1", "verdict": "reject" })
        )
        .await,
        Code::Closed
    );
    let again = desk
        .ok("ana", "board.close", json!({ "proposal": "p1" }))
        .await;
    assert!(matches!(again, Reply::Proposal(p) if p.already));
    assert_eq!(desk.said("board", "p1 approved").await, 1, "one decision");
    let head = p.head;
    assert_eq!(
        desk.said("board", &format!(" head \"}}, {{\"code\": \"{head}\""))
            .await,
        1,
        "the decision shows the chain's head"
    );
    assert_eq!(record(&desk, "p1").await.head, head);
    let (ballots, decisions): (i64, i64) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM fleet.entries WHERE act = 'cast'), (SELECT count(*) FROM fleet.decisions)",
    )
    .fetch_one(&mut desk.register_rows().await)
    .await
    .expect("counts");
    assert_eq!((ballots, decisions), (4, 1), "every version is kept");

    // While paused the board still votes, and may let work go on.
    propose(&desk, json!({ "effect": { "resume": {} } })).await;
    for who in ["ana", "ben", "mia"] {
        vote(&desk, who, "p2", "approve").await;
    }
    settled(&desk, "p2").await;
    assert!(!paused(&desk).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_quorum_it_is_rejected_when_its_time_comes() {
    let desk = board().await;
    propose(
        &desk,
        json!({ "effect": { "pause": {} }, "closes_at": "+1h", "quorum": 75 }),
    )
    .await;
    vote(&desk, "ana", "p1", "approve").await;
    vote(&desk, "ben", "p1", "approve").await;
    desk.clock.advance(3_600);
    assert_eq!(
        desk.refused(
            "mia",
            "board.vote",
            json!({ "proposal": "p1", "verdict": "approve" })
        )
        .await,
        Code::Closed
    );
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
    assert_eq!(
        desk.refused("ana", "board.vote", veto(&[])).await,
        Code::BadVeto
    );
    assert_eq!(
        desk.refused("ben", "board.vote", veto(&["no"])).await,
        Code::BadVeto
    );
    for who in ["ben", "mia", "a1"] {
        desk.ok(
            who,
            "board.vote",
            json!({ "proposal": "p1", "verdict": "approve" }),
        )
        .await;
    }
    assert_eq!(
        show(&desk, "p1").await.state,
        "open",
        "who may veto has not voted"
    );
    desk.ok("ana", "board.vote", veto(&["too", "dear"])).await;
    assert_eq!(settled(&desk, "p1").await.state, "rejected");
    assert!(
        desk.said("board", "(veto): too dear").await > 0,
        "the dissent is told"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_keep_the_effect_from_running() {
    let desk = board().await;
    propose(&desk, json!({ "effect": { "pause": {} } })).await;
    vote(&desk, "ana", "p1", "conditional").await;
    vote(&desk, "ben", "p1", "reject").await;
    vote(&desk, "mia", "p1", "conditional").await;
    desk.ok(
        "ana",
        "board.close",
        json!({ "proposal": "p1", "reason": "time to go on" }),
    )
    .await;
    assert_eq!(show(&desk, "p1").await.state, "approved_with_conditions");
    assert!(!paused(&desk).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_seat_or_several_is_told() {
    let desk = board().await;
    let seat = |title: &str, who: &str| json!({ "title": title, "holder": { "user": work_desk::user_id(who) }, "weight": 1 });
    propose(
        &desk,
        json!({ "seats": [seat("cto", "ben"), seat("cfo", "ben"), seat("ceo", "mia")] }),
    )
    .await;
    let approve = json!({ "proposal": "p1", "verdict": "approve" });
    assert_eq!(
        desk.refused("ana", "board.vote", approve.clone()).await,
        Code::NoSeat
    );
    let several = desk
        .run("ben", "board.vote", approve)
        .await
        .expect_err("two seats");
    assert_eq!(
        (several.code, several.suggestion.as_deref()),
        (Code::AmbiguousSeat, Some("!board vote p1 approve --as cto"))
    );
    desk.ok(
        "ben",
        "board.vote",
        json!({ "proposal": "p1", "verdict": "approve", "as": "cfo" }),
    )
    .await;
    let cast: Vec<_> = show(&desk, "p1")
        .await
        .seats
        .iter()
        .map(|s| s.verdict)
        .collect();
    assert_eq!(cast, [None, Some(Verdict::Approve), None]);

    let by_default = propose(&desk, json!({ "seats": [] })).await;
    let titles: Vec<_> = by_default
        .seats
        .iter()
        .map(|s| s.seat.title.to_string())
        .collect();
    assert_eq!(titles, ["ana", "ben"], "every operator is a seat");
}

#[tokio::test(flavor = "multi_thread")]
async fn effects_are_checked_when_proposed_and_a_refusal_is_final() {
    let desk = board().await;
    let wrong =
        json!({ "title": "x", "kind": "budget_lift", "effect": { "pause": {} }, "seats": seats() });
    assert_eq!(
        desk.refused("ana", "board.propose", wrong).await,
        Code::BadEffect
    );
    let claim = json!({ "title": "x", "effect": { "task.claim": {} }, "seats": seats() });
    assert_eq!(
        desk.refused("ana", "board.propose", claim).await,
        Code::BadEffect
    );
    let tried = json!({ "budget.set": { "provider": "claude", "limit": 1, "unit": "tokens", "dry_run": true } });
    let tried = json!({ "title": "x", "effect": tried, "seats": seats() });
    assert_eq!(
        desk.refused("ana", "board.propose", tried).await,
        Code::BadEffect
    );
    let ended = json!({ "title": "x", "closes_at": "2026-11-23T12:00:00Z", "seats": seats() });
    assert_eq!(
        desk.refused("mia", "board.propose", ended).await,
        Code::Invalid
    );
    let unknown = json!({ "title": "x", "seats": [{ "title": "ceo", "holder": { "agent": "code-9" }, "weight": 1 }] });
    assert_eq!(
        desk.refused("mia", "board.propose", unknown).await,
        Code::NotFound
    );

    let reset = json!({ "budget.reset": { "provider": "nobody", "reset_at": "+1h" } });
    let p = propose(&desk, json!({ "effect": reset })).await;
    for who in ["ana", "ben", "mia"] {
        vote(&desk, who, &p.id, "approve").await;
    }
    let p = settled(&desk, &p.id).await;
    assert_eq!(p.state, "approved");
    assert_eq!(
        p.effect_outcome.as_deref(),
        Some("refused: no limit is set for nobody")
    );
    assert!(
        desk.said("board", "(refused: no limit is set for nobody)")
            .await
            > 0,
        "the refusal is told"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passed_limit_is_applied_with_its_amount() {
    let desk = board().await;
    let set = json!({ "budget.set": { "provider": "claude", "limit": 2_000_000, "unit": "tokens", "every": "7d" } });
    let p = propose(&desk, json!({ "effect": set })).await;
    assert_eq!(
        p.effect_text.as_deref(),
        Some("Sets the limit of claude to 2,000,000 tokens.")
    );
    match desk
        .ask("vic", "budget.status", json!({}))
        .await
        .expect("the status")
    {
        Reply::Budgets(all) => assert!(all.is_empty(), "trying it out leaves nothing"),
        other => panic!("{other:?}"),
    }
    for who in ["ana", "ben", "mia"] {
        vote(&desk, who, "p1", "approve").await;
    }
    let decision = settled(&desk, "p1").await.decision.expect("a decision").id;
    match desk
        .ask("vic", "budget.status", json!({}))
        .await
        .expect("the status")
    {
        Reply::Budgets(all) => assert_eq!(all.first().map(|w| w.limit), Some(2_000_000)),
        other => panic!("{other:?}"),
    }
    let by: String = sqlx::query_scalar("SELECT set_by FROM fleet.budget_limits")
        .fetch_one(&mut desk.register_rows().await)
        .await
        .expect("the limit's history");
    assert_eq!(by, format!("board:{decision}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seat_that_turns_to_abstain_does_not_end_the_vote_of_the_other() {
    let desk = board().await;
    let seats: Vec<_> = seats().as_array().expect("seats")[..2].to_vec();
    propose(&desk, json!({ "seats": seats, "quorum": 100 })).await;
    vote(&desk, "ana", "p1", "approve").await;
    vote(&desk, "ana", "p1", "abstain").await;
    assert_eq!(show(&desk, "p1").await.state, "open");
    vote(&desk, "ben", "p1", "approve").await;
    assert_eq!(settled(&desk, "p1").await.state, "approved");
}
