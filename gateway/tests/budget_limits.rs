//! Limits on a real PostgreSQL: the hard cap, windows, resets and alerts, through the gateway's door.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking; clippy knows this of functions marked as tests only, not of what they call"
)]

mod work_desk;

use fleet_protocol::Reply;
use fleet_protocol::problem::Code;
use fleet_protocol::reply::{Changed, WindowView};
use futures_util::future::join_all;
use serde_json::{Value, json};
use work_desk::Desk;

fn window(reply: Reply) -> Changed<WindowView> {
    match reply {
        Reply::Budget(window) => window,
        other => panic!("not a window: {other:?}"),
    }
}

/// Sets a limit on `claude` in tokens, with more arguments.
async fn limit(desk: &Desk, tokens: u64, more: Value) -> Changed<WindowView> {
    let mut args =
        json!({ "provider": "claude", "limit": tokens, "unit": "tokens", "pace": "none" });
    for (key, value) in more.as_object().into_iter().flatten() {
        args[key] = value.clone();
    }
    window(desk.ok("ana", "budget.set", args).await)
}

async fn status(desk: &Desk) -> WindowView {
    match desk
        .ask("vic", "budget.status", json!({}))
        .await
        .expect("the status")
    {
        Reply::Budgets(mut all) => all.pop().expect("a window"),
        other => panic!("not windows: {other:?}"),
    }
}

async fn paid(desk: &Desk, tokens: u64) -> String {
    desk.add(
        "Work",
        json!({ "provider": "claude", "projected_tokens": tokens }),
    )
    .await
}

async fn spend(desk: &Desk, task: &str, tokens: u64) {
    desk.ok(
        "ana",
        "spend.report",
        json!({ "task": task, "input_tokens": tokens }),
    )
    .await;
}

/// Totals kept beside windows and series are the sums of the ledger's rows.
async fn conserved(desk: &Desk) {
    let wrong: i64 = sqlx::query_scalar(
        "SELECT (SELECT count(*) FROM fleet.budget_series s WHERE s.held <> (SELECT coalesce(sum(l.held), 0) FROM fleet.ledger l WHERE l.series_id = s.id)
             OR s.held <> (SELECT coalesce(sum(h.remaining), 0) FROM fleet.holds h WHERE h.series_id = s.id))
           + (SELECT count(*) FROM fleet.budget_windows w CROSS JOIN LATERAL
             (SELECT coalesce(sum(l.committed), 0) AS committed, coalesce(sum(l.presumed), 0) AS presumed FROM fleet.ledger l
              WHERE l.series_id = w.series_id AND w.period @> l.at) sums
              WHERE w.committed <> sums.committed OR w.presumed <> sums.presumed)",
    )
    .fetch_one(&mut desk.register_rows().await)
    .await
    .expect("the sums");
    assert_eq!(wrong, 0, "totals differ from the ledger");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cap_is_exact_and_says_why_and_until_when() {
    let desk = Desk::open().await;
    limit(&desk, 100_000, json!({ "every": "7d" })).await;
    let (first, over, fits) = (
        paid(&desk, 60_000).await,
        paid(&desk, 40_001).await,
        paid(&desk, 40_000).await,
    );
    assert_eq!(
        desk.claim("ana", Some(&first)).await.granted_tokens,
        Some(60_000)
    );
    let refused = desk
        .run("ana", "task.claim", json!({ "task": over }))
        .await
        .expect_err("above the cap");
    assert_eq!(refused.code, Code::BudgetCap);
    let expected = "t2 is queued: claude weekly: 60,000 of 100,000 tokens used (60,000 of them held by running tasks); this task needs 40,001; resets in 7 d, Mon 2026-11-30 13:00 CET";
    assert_eq!(refused.detail, expected);
    desk.claim("ana", Some(&fits)).await;
    let now = status(&desk).await;
    assert_eq!((now.held, now.left(), now.over()), (100_000, 0, 0));
    conserved(&desk).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_claims_at_once_never_exceed_the_limit() {
    let desk = Desk::open().await;
    limit(&desk, 500_000, json!({})).await;
    let tasks = join_all((0..20).map(|_| paid(&desk, 60_000))).await;
    let claims = tasks
        .iter()
        .map(|task| desk.run("ana", "task.claim", json!({ "task": task })));
    let (granted, refused): (Vec<_>, Vec<_>) =
        join_all(claims).await.into_iter().partition(Result::is_ok);
    assert_eq!((granted.len(), refused.len()), (8, 12));
    assert!(
        refused
            .iter()
            .all(|r| r.as_ref().is_err_and(|p| p.code == Code::BudgetCap))
    );
    assert_eq!(status(&desk).await.held, 480_000);
    conserved(&desk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_threshold_is_one_message_that_is_edited_when_it_worsens() {
    let desk = Desk::open().await;
    limit(&desk, 1_000, json!({})).await;
    let task = paid(&desk, 100).await;
    desk.claim("ana", Some(&task)).await;
    for (tokens, expected) in [
        (949, (0, 0)),
        (950, (1, 0)),
        (951, (1, 0)),
        (999, (1, 0)),
        (1_000, (1, 1)),
        (1_500, (1, 1)),
    ] {
        spend(&desk, &task, tokens).await;
        let told: (i64, i64) = sqlx::query_as(
            "SELECT count(*) FILTER (WHERE o.post ? 'message' AND o.relation IS NULL), count(*) FILTER (WHERE o.post ? 'edit') FROM fleet.outbox o
             JOIN fleet.rooms r ON r.id = o.room WHERE r.key = 'budget' AND o.subject_kind = 'incident'",
        )
        .fetch_one(&mut desk.register_rows().await)
        .await
        .expect("the outbox");
        assert_eq!(told, expected, "at {tokens}");
    }
    let (open, mentions): (i64, Value) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM fleet.incidents WHERE rule = 'budget.threshold' AND resolved_at IS NULL),
                o.post -> 'message' -> 'mentions' FROM fleet.outbox o
         WHERE o.post ? 'message' AND o.subject_kind = 'incident' AND o.relation IS NULL",
    )
    .fetch_one(&mut desk.register_rows().await)
    .await
    .expect("the incident");
    assert_eq!((open, mentions), (1, json!(["@ana:test", "@ben:test"])));
    limit(&desk, 10_000, json!({})).await;
    let still: i64 =
        sqlx::query_scalar("SELECT count(*) FROM fleet.incidents WHERE resolved_at IS NULL")
            .fetch_one(&mut desk.register_rows().await)
            .await
            .expect("incidents");
    assert_eq!(still, 0, "a higher limit resolves it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_in_the_past_moves_what_was_spent_since() {
    let desk = Desk::open().await;
    limit(&desk, 100_000, json!({ "every": "7d" })).await;
    let task = paid(&desk, 10_000).await;
    desk.claim("ana", Some(&task)).await;
    spend(&desk, &task, 500).await;
    desk.clock.advance(3_600);
    spend(&desk, &task, 800).await;
    assert_eq!(status(&desk).await.spent, 800);
    let reset = json!({ "provider": "claude", "reset_at": "2026-11-23T12:30:00Z" });
    let now = window(desk.ok("ana", "budget.reset", reset).await).now;
    assert_eq!((now.spent, now.held), (300, 9_200));
    assert_eq!(now.starts_at.to_string(), "2026-11-23T12:30:00Z");
    assert_eq!(
        now.resets_at.expect("an end").to_string(),
        "2026-11-30T12:30:00Z"
    );
    let before = json!({ "provider": "claude", "reset_at": "2026-11-23T12:00:00Z" });
    assert_eq!(
        desk.refused("ana", "budget.reset", before).await,
        Code::Invalid
    );
    conserved(&desk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_window_is_made_by_whoever_needs_it_first() {
    let desk = Desk::open().await;
    limit(&desk, 1_000, json!({ "every": "5h" })).await;
    let (first, second) = (paid(&desk, 1_000).await, paid(&desk, 1_000).await);
    desk.claim("ana", Some(&first)).await;
    desk.ok(
        "ana",
        "task.complete",
        json!({ "task": first, "tokens": 1_000 }),
    )
    .await;
    assert_eq!(
        desk.refused("ana", "task.claim", json!({ "task": second }))
            .await,
        Code::BudgetCap
    );
    desk.clock.advance(13 * 3_600);
    assert_eq!(
        desk.claim("ana", Some(&second)).await.granted_tokens,
        Some(1_000)
    );
    let now = status(&desk).await;
    assert_eq!((now.spent, now.held), (0, 1_000));
    assert_eq!(now.starts_at.to_string(), "2026-11-23T22:00:00Z");
    conserved(&desk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_refuses_windows_that_overlap() {
    let desk = Desk::open().await;
    limit(&desk, 1_000, json!({ "every": "7d" })).await;
    let refused = sqlx::query(
        "INSERT INTO fleet.budget_windows (tenant_id, id, series_id, starts_at, resets_at)
         SELECT tenant_id, gen_random_uuid(), series_id, starts_at + interval '1 day', resets_at + interval '1 day' FROM fleet.budget_windows",
    )
    .execute(&mut desk.register_rows().await)
    .await
    .expect_err("they overlap");
    let code = refused
        .as_database_error()
        .and_then(|e| e.code().map(|c| c.to_string()));
    assert_eq!(code.as_deref(), Some("23P01"));
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_changed_by_name_and_may_fall_below_what_is_spent() {
    let desk = Desk::open().await;
    let task = paid(&desk, 700).await;
    desk.claim("ana", Some(&task)).await;
    spend(&desk, &task, 700).await;
    let first = limit(
        &desk,
        1_000,
        json!({ "window": "weekly", "every": "7d", "reset_at": "2026-11-24T09:00" }),
    )
    .await;
    assert_eq!(
        (first.now.spent, first.change.as_deref()),
        (700, Some("set")),
        "what was spent before counts"
    );
    assert_eq!(
        first.now.resets_at.map(|at| at.to_string()).as_deref(),
        Some("2026-11-24T08:00:00Z"),
        "nine o'clock in the fleet's zone"
    );
    let lowered = limit(&desk, 600, json!({})).await;
    assert_eq!(lowered.now.over(), 100);
    assert!(
        lowered
            .notes
            .iter()
            .any(|n| n.starts_with("Already over by 100 tokens")),
        "{:?}",
        lowered.notes
    );
    assert!(limit(&desk, 600, json!({})).await.already);
    limit(&desk, 50, json!({ "window": "5h", "every": "5h" })).await;
    let ambiguous = desk
        .run(
            "ana",
            "budget.set",
            json!({ "provider": "claude", "limit": 5, "unit": "tokens" }),
        )
        .await
        .expect_err("two windows");
    assert_eq!(
        (ambiguous.code, ambiguous.detail.as_str()),
        (Code::Invalid, "claude has several windows: 5h, weekly")
    );
    let other_unit =
        json!({ "provider": "claude", "limit": 5, "unit": "messages", "window": "5h" });
    assert_eq!(
        desk.refused("ana", "budget.set", other_unit).await,
        Code::Invalid
    );
    assert_eq!(
        desk.refused(
            "mia",
            "budget.set",
            json!({ "provider": "x", "limit": 5, "unit": "tokens" })
        )
        .await,
        Code::WrongRole
    );
    conserved(&desk).await;
}
