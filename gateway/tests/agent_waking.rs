//! No agent is idle while work is ready, and no more are told than can take some; on a real PostgreSQL.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking; clippy knows this of functions marked as tests only, not of what they call"
)]

mod work_desk;

use fleet_protocol::problem::Code;
use serde_json::json;
use work_desk::Desk;

/// Three coders and a reviewer that listen.
async fn crew() -> Desk {
    let desk = Desk::open().await;
    for (who, name, role) in [
        ("a1", "code-1", "code"),
        ("a2", "code-2", "code"),
        ("a3", "code-3", "code"),
        ("a4", "review-1", "review"),
    ] {
        desk.register(who, name, role).await;
        assert!(desk.items(who, 50).await.is_empty());
    }
    desk.clock.advance(2);
    desk
}

/// How many notices of ready work each coder was given, acknowledged or not.
async fn told(desk: &Desk) -> [i64; 3] {
    let mut rows = desk.register_rows().await;
    let mut told = [0; 3];
    for (n, of) in told.iter_mut().zip(["code-1", "code-2", "code-3"]) {
        *n = sqlx::query_scalar(
            "SELECT count(*) FROM fleet.items WHERE from_name = 'fleet' AND to_name = $1",
        )
        .bind(of)
        .fetch_one(&mut rows)
        .await
        .expect("the items");
    }
    told
}

/// Notices of ready work that an agent has not acknowledged.
async fn unread(desk: &Desk, of: &str) -> i64 {
    sqlx::query_scalar(
        "SELECT count(*) FROM fleet.items WHERE from_name = 'fleet' AND to_name = $1 AND acknowledged_at IS NULL",
    )
    .bind(of)
    .fetch_one(&mut desk.register_rows().await)
    .await
    .expect("the items")
}

/// Looks until the coders were told so often.
async fn until_told(desk: &Desk, wanted: [i64; 3]) {
    let looking = async {
        while told(desk).await != wanted {
            tokio::task::yield_now().await;
        }
    };
    let in_time = tokio::time::timeout(std::time::Duration::from_secs(20), looking).await;
    if in_time.is_err() {
        panic!("{:?} were told, not {wanted:?}", told(desk).await);
    }
}

/// The reviewer listens, and the sweep looks.
async fn looked_again(desk: &Desk) {
    desk.items("a4", 50).await;
    desk.clock.advance(2);
    looked(desk).await;
}

/// The sweep looks at all roles at once: when it has told the reviewer of a task that was added just now, it has
/// looked at the coders since.
async fn looked(desk: &Desk) {
    let id = desk.add("To be read", json!({ "role": "review" })).await;
    // Without asking the inbox: that would begin its rest anew.
    let looking = async {
        while unread(desk, "review-1").await == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), looking)
        .await
        .expect("the sweep tells the reviewer");
    desk.claim("a4", Some(&id)).await;
    desk.ok("ana", "task.cancel", json!({ "task": id })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_are_told_as_can_take_some_and_a_claim_answers() {
    let desk = crew().await;
    let first = desk.add("First", json!({})).await;
    until_told(&desk, [1, 0, 0]).await;
    looked_again(&desk).await;
    assert_eq!(told(&desk).await, [1, 0, 0], "one task, one agent");
    desk.items("a4", 50).await;
    desk.clock.advance(11);
    let notice = desk.items("a1", 50).await.pop().expect("a notice");
    looked(&desk).await;
    assert_eq!(
        told(&desk).await,
        [1, 0, 0],
        "who has just asked again answers still"
    );
    assert!(
        notice
            .text
            .starts_with("1 task is ready for the role code."),
        "{}",
        notice.text
    );
    assert_eq!(notice.line().to_string(), "[gateway:fleet -> h1:code-1]");
    assert_eq!(desk.said("tasks", "is ready for the role").await, 0);
    desk.claim("a1", Some(&first)).await;
    desk.clock.advance(30);
    let renewed = desk
        .run_under(
            "a1",
            Some((&first, 1)),
            "task.renew",
            json!({ "task": first }),
        )
        .await;
    assert!(renewed.is_ok(), "{renewed:?}");
    desk.clock.advance(870);
    looked_again(&desk).await;
    assert_eq!(
        desk.said("tasks", "was reminded").await,
        0,
        "the claim was the answer"
    );
    // Two of a role may work at the same time, and one does.
    for title in ["Second", "Third", "Fourth"] {
        desk.add(title, json!({})).await;
    }
    for who in ["a2", "a3"] {
        desk.items(who, 50).await;
    }
    desk.clock.advance(2);
    until_told(&desk, [1, 1, 0]).await;
    looked_again(&desk).await;
    assert_eq!(told(&desk).await, [1, 1, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_answer_is_passed_over_and_a_notice_ends_with_its_work() {
    let desk = crew().await;
    let id = desk.add("Waits", json!({})).await;
    until_told(&desk, [1, 0, 0]).await;
    desk.clock.advance(30);
    for who in ["a1", "a2", "a4"] {
        desk.items(who, 50).await;
    }
    desk.clock.advance(31);
    looked_again(&desk).await;
    until_told(&desk, [1, 1, 0]).await;
    // A person was faster than both.
    desk.claim("mia", Some(&id)).await;
    desk.clock.advance(900);
    desk.items("a4", 50).await;
    looked_again(&desk).await;
    let looking = async {
        while unread(&desk, "code-1").await + unread(&desk, "code-2").await > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), looking)
        .await
        .expect("what is told of no work is taken back");
    assert_eq!(desk.said("tasks", "was reminded").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_tried_in_vain_is_told_of_the_next() {
    let desk = crew().await;
    let id = desk.add("Gone", json!({})).await;
    until_told(&desk, [1, 0, 0]).await;
    desk.claim("mia", Some(&id)).await;
    assert_eq!(
        desk.refused("a1", "task.claim", json!({})).await,
        Code::NothingReady
    );
    assert!(
        desk.items("a1", 50).await.is_empty(),
        "trying was the answer"
    );
    desk.add("Next", json!({})).await;
    until_told(&desk, [2, 0, 0]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_and_what_is_kept_for_one_wake_nobody() {
    let desk = crew().await;
    desk.ok("ana", "pause", json!({})).await;
    let id = desk.add("Kept", json!({})).await;
    let args = json!({ "task": id, "to": "code-3" });
    desk.ok("ana", "agent.delegate", args).await;
    desk.ok("ana", "resume", json!({})).await;
    looked_again(&desk).await;
    assert_eq!(told(&desk).await, [0, 0, 0]);
    desk.ok("ana", "pause", json!({})).await;
    desk.add("Open", json!({})).await;
    desk.ok("ana", "resume", json!({})).await;
    until_told(&desk, [1, 0, 0]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_with_a_claim_for_budget_is_told_only_of_what_another_account_pays_for() {
    let desk = crew().await;
    let limit = json!({ "provider": "claude", "limit": 1_000, "unit": "tokens", "every": "7d", "pace": "none" });
    desk.ok("ana", "budget.set", limit).await;
    let on =
        |provider: &str, tokens: u64| json!({ "provider": provider, "projected_tokens": tokens });
    let full = desk.add("Full", on("claude", 1_000)).await;
    desk.claim("mia", Some(&full)).await;
    let waits = desk.add("Waits", on("claude", 500)).await;
    until_told(&desk, [1, 0, 0]).await;
    let claim = json!({ "task": waits });
    assert_eq!(
        desk.refused("a1", "task.claim", claim).await,
        Code::BudgetCap
    );
    assert!(
        desk.items("a1", 50).await.is_empty(),
        "trying was the answer"
    );
    desk.add("More", on("claude", 500)).await;
    desk.items("a2", 50).await;
    desk.clock.advance(2);
    until_told(&desk, [1, 1, 0]).await;
    desk.items("a1", 50).await;
    desk.clock.advance(3);
    looked_again(&desk).await;
    assert_eq!(told(&desk).await, [1, 1, 0], "its claim starts by itself");
    let other = desk.add("Other", on("spare", 500)).await;
    for who in ["a1", "a4"] {
        desk.items(who, 50).await;
    }
    desk.clock.advance(2);
    until_told(&desk, [2, 1, 0]).await;
    assert_eq!(desk.claim("a1", None).await.id, other);
}
