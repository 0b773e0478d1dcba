//! What can be changed of budgets, prices and meters, tried and undone, through the gateway's own door.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking; clippy knows this of functions marked as tests only, not of what they call"
)]

mod budget_desk;
mod work_desk;

use budget_desk::{clean, limit, windows, work};
use fleet_protocol::Reply;
use fleet_protocol::problem::Code;
use serde_json::{Value, json};
use work_desk::Desk;

#[tokio::test(flavor = "multi_thread")]
async fn every_change_can_be_tried_and_bad_input_has_one_answer() {
    let desk = Desk::open().await;
    limit(&desk, json!({})).await;
    let of = |more: Value| {
        let mut args = json!({ "provider": "claude", "window": "daily" });
        for (key, value) in more.as_object().into_iter().flatten() {
            args[key] = value.clone();
        }
        args
    };
    let tried = [
        (
            "budget.set",
            of(json!({ "limit": 5, "unit": "tokens", "dry_run": true })),
        ),
        (
            "budget.lift",
            of(json!({ "amount": 5, "until": "+1h", "dry_run": true })),
        ),
        (
            "budget.close",
            of(json!({ "until": "+1h", "dry_run": true })),
        ),
        (
            "budget.reset",
            of(json!({ "reset_at": "+1h", "dry_run": true })),
        ),
        (
            "budget.ladder.set",
            json!({ "models": ["haiku"], "dry_run": true }),
        ),
        (
            "subscription.retire",
            json!({ "name": "claude", "dry_run": true }),
        ),
    ];
    let before = windows(&desk).await;
    for (verb, args) in tried {
        desk.ok("ana", verb, args).await;
    }
    assert_eq!(windows(&desk).await, before);
    let refused = [
        (
            "budget.lift",
            of(json!({ "until": "+1h" })),
            Code::BadArgument,
        ),
        (
            "budget.lift",
            of(json!({ "amount": 1, "until": "2026-11-23T11:00:00Z" })),
            Code::Invalid,
        ),
        (
            "budget.reset",
            of(json!({ "reset_at": "2026-11-23T11:00:00Z" })),
            Code::Invalid,
        ),
        (
            "budget.set",
            of(json!({ "limit": 5, "unit": "messages" })),
            Code::Invalid,
        ),
        (
            "budget.set",
            of(json!({ "limit": 5, "unit": "tokens", "role": "code" })),
            Code::BadArgument,
        ),
        (
            "budget.set",
            json!({ "provider": "x", "limit": 5, "unit": "tokens", "reset_at": "2027-03-28T02:30" }),
            Code::BadArgument,
        ),
        (
            "budget.set",
            json!({ "provider": "x", "limit": 5, "unit": "tokens", "rule": "FREQ=HOURLY", "reset_at": "+1d" }),
            Code::BadArgument,
        ),
        ("budget.reading", of(json!({ "used": "50" })), Code::Invalid),
        (
            "budget.close",
            json!({ "provider": "nobody", "until": "+1h" }),
            Code::NotFound,
        ),
        (
            "budget.reopen",
            json!({ "provider": "claude", "window": "weekly" }),
            Code::NotFound,
        ),
        ("alert.ack", json!({ "alert": "i99" }), Code::NotFound),
    ];
    for (verb, args, code) in refused {
        assert_eq!(
            desk.refused("ana", verb, args.clone()).await,
            code,
            "{verb} {args}"
        );
    }
    clean(&desk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_exported_is_imported_and_a_second_time_changes_nothing() {
    let desk = Desk::open().await;
    limit(&desk, json!({})).await;
    let weekly = json!({ "provider": "claude", "window": "weekly", "limit": 9_000, "unit": "tokens",
        "reset_at": "2026-11-30T09:00", "rule": "FREQ=WEEKLY", "zone": "America/New_York" });
    desk.ok("ana", "budget.set", weekly).await;
    desk.ok(
        "ana",
        "budget.set",
        json!({ "role": "code", "limit": 50, "unit": "messages" }),
    )
    .await;
    let Reply::Exported(document) = desk
        .ask("ana", "budget.export", json!({}))
        .await
        .expect("an export")
    else {
        panic!("no export");
    };
    let import =
        |document: &str, dry_run: bool| json!({ "document": document, "dry_run": dry_run });
    let changes = async |document: &str, dry_run: bool| match desk
        .ok("ana", "budget.import", import(document, dry_run))
        .await
    {
        Reply::Imported(view) => view.changes,
        other => panic!("no import: {other:?}"),
    };
    assert_eq!(
        changes(&document, false).await,
        Vec::<String>::new(),
        "{document}"
    );
    let more = document.replace("limit = 9000", "limit = 8000");
    assert_eq!(
        changes(&more, true).await,
        ["subscription claude weekly: 9000 → 8000 tokens"]
    );
    assert_eq!(changes(&more, false).await.len(), 1);
    assert_eq!(changes(&more, false).await.len(), 0);
    assert_eq!(
        desk.refused("ana", "budget.import", import("limit = 5", false))
            .await,
        Code::BadArgument
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unpriced_model_is_refused_where_money_counts_and_a_price_mends_it() {
    let desk = Desk::open().await;
    let set = json!({ "provider": "api", "limit": 50_000_000, "unit": "api_equivalent_usd_micro", "every": "30d", "pace": "none" });
    desk.ok("ana", "budget.set", set).await;
    let task = desk
        .add(
            "Work",
            json!({ "provider": "api", "model": "unheard-of", "projected_tokens": 1_000 }),
        )
        .await;
    assert_eq!(
        desk.refused("ana", "task.claim", json!({ "task": task }))
            .await,
        Code::BudgetNever
    );
    let price = json!({ "model": "unheard-of", "input": 1_000_000, "output": 2_000_000, "source": "a contract" });
    desk.ok("ana", "price.set", price).await;
    desk.ok("ana", "task.unblock", json!({ "task": task }))
        .await;
    desk.claim("ana", Some(&task)).await;
    let report =
        json!({ "task": task, "input_tokens": 1_000, "output_tokens": 500, "model": "unheard-of" });
    desk.ok("ana", "spend.report", report).await;
    assert_eq!(
        windows(&desk).await[0].spent,
        2_000,
        "1,000 x 1 and 500 x 2 micro-dollars"
    );
    desk.ok("ana", "task.complete", json!({ "task": task }))
        .await;
    assert_eq!(windows(&desk).await[0].held, 0);
    clean(&desk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unit_that_no_report_names_is_charged_from_the_grant() {
    let desk = Desk::open().await;
    let set = json!({ "provider": "claude", "limit": 100, "unit": "messages", "every": "1d", "pace": "none" });
    desk.ok("ana", "budget.set", set).await;
    let task = work(&desk, 1_000, json!({})).await;
    desk.claim("ana", Some(&task)).await;
    desk.ok(
        "ana",
        "spend.report",
        json!({ "task": task, "input_tokens": 10 }),
    )
    .await;
    desk.ok("ana", "task.complete", json!({ "task": task }))
        .await;
    let now = &windows(&desk).await[0];
    assert_eq!(
        (now.spent, now.held),
        (10, 0),
        "a tenth of the limit was granted"
    );
    clean(&desk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_meter_in_percent_is_unknown_until_read_and_never_zero() {
    let desk = Desk::open().await;
    let set = json!({ "provider": "claude", "limit": 10_000, "unit": "basis_points", "every": "5h", "window": "5h" });
    desk.ok("ana", "budget.set", set).await;
    let (first, second) = (
        work(&desk, 1_000, json!({})).await,
        work(&desk, 1_000, json!({})).await,
    );
    desk.claim("ana", Some(&first)).await;
    assert_eq!(
        desk.refused("ana", "task.claim", json!({ "task": second }))
            .await,
        Code::BudgetWait,
        "unknown: one at a time"
    );
    let read = |used: &str| json!({ "provider": "claude", "used": used });
    desk.ok("ana", "budget.reading", read("10")).await;
    desk.ok(
        "ana",
        "spend.report",
        json!({ "task": first, "input_tokens": 1_000_000 }),
    )
    .await;
    desk.clock.advance(60);
    desk.ok("ana", "budget.reading", read("15%")).await;
    let now = &windows(&desk).await[0];
    assert_eq!((now.spent + now.external, now.external), (1_500, 1_000));
    desk.clock.advance(60);
    desk.ok(
        "ana",
        "spend.report",
        json!({ "task": first, "input_tokens": 1_200_000 }),
    )
    .await;
    let now = &windows(&desk).await[0];
    assert_eq!(
        now.spent + now.external,
        1_600,
        "500 basis points for a million tokens"
    );
    clean(&desk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_without_any_budget_works_and_is_told_once_how_to_set_one() {
    let desk = Desk::open().await;
    let (first, second) = (
        work(&desk, 5, json!({})).await,
        work(&desk, 5, json!({})).await,
    );
    let hints = async |task: &str| {
        let claimed = work_desk::task(desk.ok("ana", "task.claim", json!({ "task": task })).await);
        claimed
            .notes
            .iter()
            .filter(|n| n.contains("!budget set"))
            .count()
    };
    assert_eq!((hints(&first).await, hints(&second).await), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_is_acknowledged_once_and_its_history_is_in_its_thread() {
    let desk = Desk::open().await;
    // Shorter than a day: no burn rate is told beside it.
    limit(&desk, json!({ "pace": "none", "every": "5h" })).await;
    let task = work(&desk, 100, json!({})).await;
    desk.claim("ana", Some(&task)).await;
    desk.ok(
        "ana",
        "spend.report",
        json!({ "task": task, "input_tokens": 960 }),
    )
    .await;
    let Reply::Alerts(open) = desk
        .ask("vic", "alert.list", json!({}))
        .await
        .expect("alerts")
    else {
        panic!("no alerts");
    };
    assert_eq!(
        (open.len(), open[0].id.as_str(), open[0].rule.as_str()),
        (1, "i1", "budget.threshold")
    );
    for already in [false, true] {
        let ack = desk.ok("mia", "alert.ack", json!({ "alert": "i1" })).await;
        assert!(
            matches!(&ack, Reply::Alert(a) if a.already == already),
            "{ack:?}"
        );
    }
    assert_eq!(desk.said("budget", "takes care of it.").await, 1);
    desk.ok(
        "ana",
        "spend.report",
        json!({ "task": task, "input_tokens": 1_000 }),
    )
    .await;
    assert_eq!(desk.said("budget", "It got worse").await, 1);
    desk.clock.advance(24 * 3_600);
    desk.ok(
        "ana",
        "budget.set",
        json!({ "provider": "claude", "limit": 2_000, "unit": "tokens" }),
    )
    .await;
    assert_eq!(
        desk.said("budget", "It is over").await,
        2,
        "the edit and its line in the thread"
    );
}
