//! What a board is asked that cannot be, and a connection that is lost: one answer, and nothing is lost.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking; clippy knows this of functions marked as tests only, not of what they call"
)]

mod board_table;
mod work_desk;

use board_table::{board, closed, propose, seats, settled, show, vote};
use fleet_protocol::problem::Code;
use fleet_protocol::verbs::board::Verdict;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn an_effect_that_names_what_does_not_exist_is_refused_when_asked_and_when_run() {
    let desk = board().await;
    let task = desk.add("Old work", json!({})).await;
    let cancel = |task: &str| json!({ "title": "x", "seats": seats(), "effect": { "task.priority": { "task": task, "priority": 9 } } });
    assert_eq!(
        desk.refused("ana", "board.propose", cancel("t99")).await,
        Code::NotFound
    );
    let p = propose(
        &desk,
        json!({ "effect": { "task.priority": { "task": task, "priority": 9 } } }),
    )
    .await;
    assert_eq!(
        p.effect_text.as_deref(),
        Some("Sets the priority of t1 \"Old work\" to 9.")
    );
    desk.ok("ana", "task.cancel", json!({ "task": task })).await;
    for who in ["ana", "ben", "mia"] {
        vote(&desk, who, "p1", "approve").await;
    }
    let p = settled(&desk, "p1").await;
    let became = p.effect_outcome.expect("an outcome");
    assert!(became.starts_with("refused: t1 is cancelled"), "{became}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proposal_that_is_too_long_loses_nothing() {
    let desk = board().await;
    let text = "x".repeat(60 * 1024);
    let refused = desk
        .run(
            "ana",
            "board.propose",
            json!({ "title": "x", "text": text }),
        )
        .await
        .expect_err("too long");
    assert_eq!(refused.code, Code::Malformed);
    assert!(
        refused.detail.contains("at most 20000"),
        "{}",
        refused.detail
    );
    let verdict = json!({ "title": "x", "seats": seats(), "effect": { "board.vote": { "proposal": "p1", "verdict": "approve" } } });
    assert_eq!(
        desk.refused("ana", "board.propose", verdict).await,
        Code::BadEffect
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_close_whose_connection_is_lost_is_tried_again_and_the_effect_runs_once() {
    let desk = board().await;
    let task = desk.add("Work", json!({})).await;
    propose(
        &desk,
        json!({ "effect": { "task.priority": { "task": task, "priority": 9 } } }),
    )
    .await;
    for who in ["ana", "ben", "mia"] {
        vote(&desk, who, "p1", "approve").await;
    }
    let mut owner = desk.register_rows().await;
    sqlx::raw_sql("BEGIN; SELECT id FROM fleet.tasks FOR UPDATE")
        .execute(&mut owner)
        .await
        .expect("the task is held");
    desk.clock.advance(60);
    desk.until_waiting(1).await;
    sqlx::query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
        .execute(&mut owner)
        .await
        .expect("the close loses its connection");
    sqlx::raw_sql("ROLLBACK")
        .execute(&mut owner)
        .await
        .expect("the task is free");
    let p = closed(&desk, "p1").await;
    assert_eq!(p.effect_outcome.as_deref(), Some("done"));
    let runs: i64 =
        sqlx::query_scalar("SELECT count(*) FROM fleet.task_events WHERE event = 'task.priority'")
            .fetch_one(&mut owner)
            .await
            .expect("events");
    assert_eq!(runs, 1);
    assert_eq!(
        show(&desk, "p1").await.seats[0].verdict,
        Some(Verdict::Approve)
    );
}
