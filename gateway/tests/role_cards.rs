//! The card of a role: one pinned message of its room, current by edits that are few.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking; clippy knows this of functions marked as tests only, not of what they call"
)]

mod work_desk;

use serde_json::json;
use work_desk::{Desk, LOOK};

/// The room is made, as the bot would.
async fn room(desk: &Desk, key: &str, room_id: &str) {
    sqlx::query("UPDATE fleet.rooms SET room_id = $2 WHERE key = $1")
        .bind(key)
        .bind(room_id)
        .execute(&mut desk.register_rows().await)
        .await
        .expect("the room");
}

/// Rows for cards of a kind: `message`, `edit` or `pin`.
async fn rows(desk: &Desk, kind: &str) -> i64 {
    sqlx::query_scalar(
        "SELECT count(*) FROM fleet.outbox o WHERE o.post ? $1
           AND ($1 <> 'pin' OR o.target_row IN (SELECT id FROM fleet.outbox c WHERE strpos(c.post::text, 'role_card') > 0))
           AND ($1 = 'pin' OR strpos(o.post::text, 'role_card') > 0)",
    )
    .bind(kind)
    .fetch_one(&mut desk.register_rows().await)
    .await
    .expect("the outbox")
}

/// Waits until there are so many.
async fn until(desk: &Desk, kind: &str, wanted: i64) {
    let looking = async {
        while rows(desk, kind).await != wanted {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), looking)
        .await
        .unwrap_or_else(|_| panic!("not {wanted} rows of the kind {kind}"));
}

/// Moves the clock on until the cards are looked at again, and waits for that look.
async fn next_look(desk: &Desk) {
    let mut register = desk.register_rows().await;
    let at = "SELECT extract(epoch FROM max(at))::bigint FROM fleet.card_looks";
    let before: Option<i64> = sqlx::query_scalar(at)
        .fetch_one(&mut register)
        .await
        .expect("the looks");
    desk.clock.advance(10);
    let looking = async {
        loop {
            let now: Option<i64> = sqlx::query_scalar(at)
                .fetch_one(&mut register)
                .await
                .expect("the looks");
            if now > before {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), looking)
        .await
        .expect("the sweep looks");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_is_posted_pinned_and_edited_only_when_it_changes() {
    let desk = Desk::open().await;
    room(&desk, "tasks", "!tasks:test").await;
    desk.register("a1", "code-1", "code").await;
    until(&desk, "message", 1).await;
    assert_eq!(
        (rows(&desk, "pin").await, rows(&desk, "edit").await),
        (1, 0)
    );

    next_look(&desk).await;
    assert_eq!(rows(&desk, "edit").await, 0, "nothing has changed");

    // Much happens between two looks, and is one edit.
    let first = desk.add("Write it", json!({ "role": "code" })).await;
    desk.add("Write more", json!({ "role": "code" })).await;
    desk.claim("a1", Some(&first)).await;
    next_look(&desk).await;
    until(&desk, "edit", 1).await;
    assert_eq!(desk.said("tasks", "1 waiting, 1 running").await, 1);

    desk.register("a2", "code-2", "code").await;
    desk.register("a3", "review-1", "review").await;
    next_look(&desk).await;
    until(&desk, "message", 2).await;
    until(&desk, "edit", 2).await;
    assert_eq!(desk.said("tasks", "2 agents").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_goes_with_its_last_agent_and_moves_with_its_room() {
    let desk = Desk::open().await;
    room(&desk, "tasks", "!tasks:test").await;
    desk.register("a1", "code-1", "code").await;
    until(&desk, "message", 1).await;

    // An upgraded room shows nothing of what was said in the one before.
    room(&desk, "tasks", "!newer:test").await;
    next_look(&desk).await;
    until(&desk, "message", 2).await;
    assert_eq!(rows(&desk, "pin").await, 2);

    desk.ok("ana", "agent.retire", json!({ "name": "code-1" }))
        .await;
    next_look(&desk).await;
    until(&desk, "edit", 1).await;
    assert_eq!(rows(&desk, "pin").await, 3, "it is unpinned");
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM fleet.role_cards")
        .fetch_one(&mut desk.register_rows().await)
        .await
        .expect("the cards");
    assert_eq!(left, 0, "nothing is looked at any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_room_has_no_card() {
    let desk = Desk::open().await;
    room(&desk, "tasks", "!tasks:test").await;
    sqlx::query("UPDATE fleet.rooms SET verbosity = 'quiet' WHERE key = 'tasks'")
        .execute(&mut desk.register_rows().await)
        .await
        .expect("the room");
    desk.register("a1", "code-1", "code").await;
    next_look(&desk).await;
    next_look(&desk).await;
    assert_eq!(
        (rows(&desk, "message").await, rows(&desk, "pin").await),
        (0, 0)
    );
}
