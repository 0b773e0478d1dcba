//! Spend on a real PostgreSQL: cumulative, late, presumed, unknown; always recorded.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking; clippy knows this of functions marked as tests only, not of what they call"
)]

mod work_desk;

use fleet_protocol::Reply;
use fleet_protocol::problem::Code;
use fleet_protocol::reply::{SpendView, WindowView};
use serde_json::{Value, json};
use work_desk::Desk;

/// A fleet with a weekly limit, and a task that an agent has claimed with a grant of 1,000 tokens.
async fn working() -> (Desk, String) {
    let desk = Desk::open().await;
    let args = json!({ "provider": "claude", "limit": 10_000, "unit": "tokens", "every": "7d", "pace": "none" });
    desk.ok("ana", "budget.set", args).await;
    desk.register("a1", "code-1", "code").await;
    let task = desk
        .add(
            "Work",
            json!({ "provider": "claude", "projected_tokens": 1_000 }),
        )
        .await;
    desk.claim("a1", Some(&task)).await;
    (desk, task)
}

async fn report(desk: &Desk, task: &str, more: Value) -> SpendView {
    let mut args = json!({ "task": task });
    for (key, value) in more.as_object().into_iter().flatten() {
        args[key] = value.clone();
    }
    match desk.ok("a1", "spend.report", args).await {
        Reply::Spend(spend) => spend,
        other => panic!("not spend: {other:?}"),
    }
}

async fn totals(desk: &Desk) -> (u64, u64, u64) {
    match desk
        .ask("vic", "budget.status", json!({}))
        .await
        .expect("the status")
    {
        Reply::Budgets(all) => all
            .first()
            .map(|w: &WindowView| (w.spent, w.held, w.presumed))
            .expect("a window"),
        other => panic!("not windows: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_are_totals_so_repeats_and_steps_back_add_nothing() {
    let (desk, task) = working().await;
    let first = report(&desk, &task, json!({ "input_tokens": 100, "output_tokens": 20, "cache_write_tokens": 30, "cache_read_tokens": 500 })).await;
    assert_eq!((first.added_tokens, first.late), (200, false));
    assert_eq!(
        report(&desk, &task, json!({ "input_tokens": 200 }))
            .await
            .added_tokens,
        0,
        "a duplicate"
    );
    assert_eq!(
        report(&desk, &task, json!({ "input_tokens": 50 }))
            .await
            .added_tokens,
        0,
        "a step back"
    );
    assert_eq!(
        report(&desk, &task, json!({ "input_tokens": 260 }))
            .await
            .added_tokens,
        60
    );
    let other = report(&desk, &task, json!({ "input_tokens": 40, "session": "s2" })).await;
    assert_eq!(
        (other.added_tokens, other.total_tokens),
        (40, 300),
        "sessions add up"
    );
    assert_eq!(totals(&desk).await, (300, 700, 0));
    let done = json!({ "task": task, "tokens": 250 });
    desk.run_under("a1", Some((&task, 1)), "task.complete", done)
        .await
        .expect("completes");
    assert_eq!(
        totals(&desk).await,
        (300, 0, 0),
        "a smaller word lowers nothing; the rest is handed back"
    );
    assert_eq!(
        desk.refused("a1", "spend.report", json!({ "task": task }))
            .await,
        Code::BadArgument
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_lost_lease_held_is_presumed_until_a_late_report_replaces_it() {
    let (desk, task) = working().await;
    report(&desk, &task, json!({ "input_tokens": 100 })).await;
    desk.clock.advance(901);
    desk.until(&task, |t| t.holder.is_none()).await;
    assert_eq!(totals(&desk).await, (100, 0, 900));
    let late = report(&desk, &task, json!({ "input_tokens": 400, "attempt": 1 })).await;
    assert_eq!((late.added_tokens, late.late), (300, true));
    assert_eq!(totals(&desk).await, (400, 0, 600));
    let beyond = report(&desk, &task, json!({ "input_tokens": 1_200, "attempt": 1 })).await;
    assert_eq!(beyond.added_tokens, 800);
    assert_eq!(
        totals(&desk).await,
        (1_200, 0, 0),
        "spend beyond the grant counts too"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_takes_what_was_reported_as_the_actual_and_hands_the_rest_back() {
    let (desk, task) = working().await;
    let done = json!({ "task": task });
    let complete = || desk.run_under("a1", Some((&task, 1)), "task.complete", done.clone());
    let refused = complete().await.expect_err("nothing is known of the spend");
    assert_eq!(refused.code, Code::Invalid);
    assert!(
        refused
            .remedy
            .is_some_and(|r| r.contains("--unknown-spend")),
        "the way out is told"
    );
    assert_eq!(totals(&desk).await, (0, 1_000, 0), "the grant stays held");
    report(&desk, &task, json!({ "input_tokens": 300 })).await;
    complete().await.expect("completes");
    assert_eq!(totals(&desk).await, (300, 0, 0));
    assert_eq!(desk.task(&task).await.actual_tokens, 300);
    let kinds: Vec<(String, i64, i64)> =
        sqlx::query_as("SELECT kind, committed, held FROM fleet.ledger ORDER BY id")
            .fetch_all(&mut desk.register_rows().await)
            .await
            .expect("the ledger");
    let expected = [
        ("hold", 0, 1_000),
        ("commit", 300, -300),
        ("release", 0, -700),
    ];
    assert_eq!(
        kinds,
        expected.map(|(kind, spent, held)| (kind.to_owned(), spent, held))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_actual_beyond_the_grant_is_charged_in_full_and_told() {
    let (desk, task) = working().await;
    report(&desk, &task, json!({ "input_tokens": 1_250 })).await;
    let done = json!({ "task": task });
    let closed = desk
        .run_under("a1", Some((&task, 1)), "task.complete", done)
        .await
        .expect("completes");
    let notes = work_desk::task(closed).notes;
    assert!(notes.iter().any(|n| n.contains("250")), "{notes:?}");
    assert_eq!(totals(&desk).await, (1_250, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_actual_charges_the_grant_once() {
    let (desk, task) = working().await;
    report(&desk, &task, json!({ "input_tokens": 100 })).await;
    let done = json!({ "task": task, "unknown_spend": "the meter broke" });
    desk.run_under("a1", Some((&task, 1)), "task.complete", done)
        .await
        .expect("completes");
    assert_eq!(totals(&desk).await, (1_000, 0, 0));
    let confirmed = report(&desk, &task, json!({ "input_tokens": 700 })).await;
    assert_eq!((confirmed.added_tokens, confirmed.late), (0, true));
    assert_eq!(totals(&desk).await, (1_000, 0, 0), "not charged twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn spend_without_a_limit_is_recorded_with_a_hint() {
    let desk = Desk::open().await;
    desk.register("a1", "code-1", "code").await;
    let task = desk.add("Work", json!({ "provider": "codex" })).await;
    let claimed = work_desk::task(desk.ok("a1", "task.claim", json!({ "task": task })).await);
    assert_eq!(claimed.now.granted_tokens, None);
    assert!(
        claimed
            .notes
            .iter()
            .any(|n| n.contains("!budget set --provider codex")),
        "{:?}",
        claimed.notes
    );
    let view = report(
        &desk,
        &task,
        json!({ "input_tokens": 5, "cash_usd_micro": 12 }),
    )
    .await;
    assert_eq!(
        (view.total_tokens, view.notes),
        (5, Vec::new()),
        "told once"
    );
    assert_eq!(
        desk.refused(
            "a1",
            "spend.report",
            json!({ "task": "t99", "input_tokens": 1 })
        )
        .await,
        Code::NotFound
    );
    let future = json!({ "task": task, "input_tokens": 1, "attempt": 7 });
    assert_eq!(
        desk.refused("a1", "spend.report", future).await,
        Code::Invalid
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_application_cannot_write_the_ledger_but_by_its_function() {
    let (desk, _) = working().await;
    let mut rows = desk.register_rows().await;
    let may: Vec<(String, bool)> = sqlx::query_as(
        "SELECT t, has_table_privilege('fleet_app', 'fleet.' || t, 'INSERT') OR has_table_privilege('fleet_app', 'fleet.' || t, 'UPDATE')
              OR has_table_privilege('fleet_app', 'fleet.' || t, 'DELETE') FROM unnest(ARRAY['ledger', 'holds']) AS t",
    )
    .fetch_all(&mut rows)
    .await
    .expect("privileges");
    assert!(may.iter().all(|(_, may)| !may), "{may:?}");
    let totals: bool = sqlx::query_scalar(
        "SELECT has_column_privilege('fleet_app', 'fleet.budget_windows', 'committed', 'UPDATE')",
    )
    .fetch_one(&mut rows)
    .await
    .expect("privileges");
    assert!(!totals);
}
