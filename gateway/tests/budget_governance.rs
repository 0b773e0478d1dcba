//! Budget governance on a real PostgreSQL: pacing, the ladder, the queue, tranches, closures, units.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking; clippy knows this of functions marked as tests only, not of what they call"
)]

mod work_desk;

use fleet_protocol::Reply;
use fleet_protocol::problem::Code;
use fleet_protocol::reply::{AuditView, ExplainView, GrantedView, WaitingView, WindowView};
use fleet_protocol::verbs::task::TaskStatus;
use futures_util::future::join_all;
use serde_json::{Value, json};
use work_desk::Desk;

/// A limit on `claude` in tokens, a thousand a day and paced, unless told otherwise.
async fn limit(desk: &Desk, more: Value) {
    let mut args = json!({ "provider": "claude", "limit": 1_000, "unit": "tokens", "every": "1d", "window": "daily" });
    for (key, value) in more.as_object().into_iter().flatten() {
        args[key] = value.clone();
    }
    desk.ok("ana", "budget.set", args).await;
}

async fn work(desk: &Desk, tokens: u64, more: Value) -> String {
    let mut args = json!({ "provider": "claude", "projected_tokens": tokens });
    for (key, value) in more.as_object().into_iter().flatten() {
        args[key] = value.clone();
    }
    desk.add("Work", args).await
}

async fn windows(desk: &Desk) -> Vec<WindowView> {
    match desk
        .ask("vic", "budget.status", json!({}))
        .await
        .expect("the status")
    {
        Reply::Budgets(all) => all,
        other => panic!("not windows: {other:?}"),
    }
}

async fn queue(desk: &Desk) -> Vec<WaitingView> {
    match desk
        .ask("vic", "queue", json!({}))
        .await
        .expect("the queue")
    {
        Reply::Queue(all) => all,
        other => panic!("not a queue: {other:?}"),
    }
}

async fn explained(desk: &Desk, task: &str) -> ExplainView {
    match desk
        .ask("vic", "budget.explain", json!({ "task": task }))
        .await
        .expect("an explanation")
    {
        Reply::Explained(view) => view,
        other => panic!("no explanation: {other:?}"),
    }
}

/// Every total is the sum of its rows.
async fn clean(desk: &Desk) {
    let audit: AuditView = match desk
        .ask("vic", "budget.audit", json!({}))
        .await
        .expect("an audit")
    {
        Reply::Audited(view) => view,
        other => panic!("no audit: {other:?}"),
    };
    assert_eq!(audit.differences, Vec::<String>::new());
}

async fn granted(desk: &Desk, task: &str, tokens: u64) -> GrantedView {
    let ask = json!({ "task": task, "tokens": tokens });
    let reply = desk
        .run_under("a1", Some((task, 1)), "spend.top-up", ask)
        .await;
    match reply.expect("an answer") {
        Reply::Granted(view) => view,
        other => panic!("no grant: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paced_window_queues_and_what_waits_starts_by_itself_when_its_time_comes() {
    let desk = Desk::open().await;
    limit(&desk, json!({})).await;
    for (who, name) in [("a1", "code-1"), ("a2", "code-2")] {
        desk.register(who, name, "code").await;
    }
    let (first, second) = (
        work(&desk, 100, json!({})).await,
        work(&desk, 200, json!({})).await,
    );
    desk.claim("a1", Some(&first)).await;
    let refused = desk
        .run("a2", "task.claim", json!({}))
        .await
        .expect_err("ahead of plan");
    assert_eq!(refused.code, Code::BudgetWait);
    let waiting = queue(&desk).await;
    assert_eq!(
        (
            waiting.len(),
            waiting[0].claimed_by.as_deref(),
            waiting[0].because.as_str()
        ),
        (1, Some("code-2"), "pacing")
    );
    // 100 in flight and 200 new need 300 less the burst of 50: a quarter of the day.
    desk.clock.advance(6 * 3_600 - 60);
    desk.ok("a1", "agent.heartbeat", json!({})).await;
    assert_eq!(desk.task(&second).await.status, TaskStatus::Queued);
    desk.clock.advance(61);
    let started = desk.until(&second, |t| t.holder.is_some()).await;
    assert_eq!(
        (
            started.holder.as_deref(),
            started.granted_tokens,
            started.epoch
        ),
        (Some("code-2"), Some(200), Some(1))
    );
    assert_eq!(queue(&desk).await.len(), 0);
    assert_eq!(
        desk.said("tasks", "starts by itself after waiting").await,
        1
    );
    let told = desk
        .ask_as("a2", "agent.next", json!({ "wait": 0 }))
        .await
        .expect("the inbox");
    let Reply::Items(told) = told else {
        panic!("{told:?}")
    };
    let (begins, role) = (format!("You hold {second}: "), "You are the fleet's Code.");
    assert!(told[0].text.starts_with(&begins) && told[0].text.contains(role));
    let story: Vec<_> = explained(&desk, &second)
        .await
        .decisions
        .into_iter()
        .map(|d| d.outcome)
        .collect();
    assert_eq!(story, ["admitted", "queued"]);
    clean(&desk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_waits_dies_with_its_agents_incarnation_and_the_task_stays() {
    let desk = Desk::open().await;
    limit(&desk, json!({})).await;
    desk.register("a1", "code-1", "code").await;
    let (held, waits) = (
        work(&desk, 100, json!({})).await,
        work(&desk, 110, json!({})).await,
    );
    desk.claim("ana", Some(&held)).await;
    desk.refused("a1", "task.claim", json!({})).await;
    desk.register("a1", "code-1", "code").await;
    assert_eq!(queue(&desk).await[0].claimed_by, None);
    desk.clock.advance(12 * 3_600);
    let ready = desk
        .until(&waits, |t| t.status == TaskStatus::Pending)
        .await;
    assert_eq!(ready.holder, None, "ready for whoever claims it");
    desk.claim("a1", None).await;
    clean(&desk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_lets_a_task_go_first_past_pacing_and_never_past_the_cap() {
    let desk = Desk::open().await;
    limit(&desk, json!({})).await;
    desk.register("a1", "code-1", "code").await;
    let first = work(&desk, 500, json!({})).await;
    desk.claim("ana", Some(&first)).await;
    let (fits, never) = (
        work(&desk, 400, json!({})).await,
        work(&desk, 600, json!({})).await,
    );
    desk.refused("a1", "task.claim", json!({ "task": fits }))
        .await;
    assert_eq!(
        desk.refused("mia", "task.start", json!({ "task": fits, "now": true }))
            .await,
        Code::WrongRole
    );
    desk.ok("ana", "task.start", json!({ "task": fits, "now": true }))
        .await;
    assert_eq!(desk.task(&fits).await.holder.as_deref(), Some("code-1"));
    desk.ok("ana", "task.start", json!({ "task": never, "now": true }))
        .await;
    assert_eq!(
        desk.refused("ana", "task.claim", json!({ "task": never }))
            .await,
        Code::BudgetCap
    );
    clean(&desk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ladder_lowers_the_model_and_a_pin_forbids_it() {
    let desk = Desk::open().await;
    limit(
        &desk,
        json!({ "model": "opus", "pace": "none", "window": "weekly-opus", "every": "7d" }),
    )
    .await;
    limit(
        &desk,
        json!({ "limit": 10_000, "pace": "none", "window": "weekly", "every": "7d" }),
    )
    .await;
    let (opus, lowered, pinned) = (
        work(&desk, 900, json!({ "model": "opus" })).await,
        work(&desk, 500, json!({ "model": "opus" })).await,
        work(&desk, 500, json!({ "model": "opus", "pin_model": true })).await,
    );
    let run = desk.claim("ana", Some(&opus)).await;
    assert_eq!(run.model.map(|m| m.to_string()).as_deref(), Some("opus"));
    let run = desk.claim("ana", Some(&lowered)).await;
    assert_eq!(run.model.map(|m| m.to_string()).as_deref(), Some("sonnet"));
    let told = explained(&desk, &lowered).await.decisions;
    assert_eq!(told[0].outcome, "downgraded");
    assert_eq!(
        desk.refused("ana", "task.claim", json!({ "task": pinned }))
            .await,
        Code::BudgetCap
    );
    clean(&desk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn work_moves_over_a_pool_and_what_is_retired_gets_none() {
    let desk = Desk::open().await;
    for account in ["claude", "spare"] {
        desk.ok(
            "ana",
            "subscription.add",
            json!({ "name": account, "provider": "claude" }),
        )
        .await;
        let set = json!({ "provider": account, "limit": 1_000, "unit": "tokens", "every": "7d", "pace": "none" });
        desk.ok("ana", "budget.set", set).await;
    }
    let pool = json!({ "names": ["claude", "spare"], "pool": "max" });
    desk.ok("ana", "subscription.pool", pool).await;
    let mut on = Vec::new();
    for _ in 0..2 {
        let task = work(&desk, 600, json!({})).await;
        on.push(
            desk.claim("ana", Some(&task))
                .await
                .account
                .map(|a| a.to_string()),
        );
    }
    assert_eq!(on, [Some("claude".to_owned()), Some("spare".to_owned())]);
    desk.ok("ana", "subscription.retire", json!({ "name": "spare" }))
        .await;
    let task = work(&desk, 100, json!({ "provider": "max" })).await;
    let run = desk.claim("ana", Some(&task)).await;
    assert_eq!(
        run.account.map(|a| a.to_string()).as_deref(),
        Some("claude")
    );
    desk.ok("ana", "subscription.retire", json!({ "name": "claude" }))
        .await;
    let task = work(&desk, 100, json!({})).await;
    assert_eq!(
        desk.refused("ana", "task.claim", json!({ "task": task }))
            .await,
        Code::BudgetNever
    );
    clean(&desk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_top_up_leaves_one_turn_and_the_task_goes_on_after_the_reset() {
    let desk = Desk::open().await;
    limit(&desk, json!({ "pace": "none" })).await;
    desk.register("a1", "code-1", "code").await;
    let task = work(&desk, 600, json!({})).await;
    desk.claim("a1", Some(&task)).await;
    assert_eq!(granted(&desk, &task, 300).await.added_tokens, 300);
    let refused = granted(&desk, &task, 200).await;
    assert_eq!(
        (
            refused.hand_back,
            refused.added_tokens,
            refused.remaining_tokens
        ),
        (true, 0, 900)
    );
    let report = json!({ "task": task, "input_tokens": 850 });
    desk.run_under("a1", Some((&task, 1)), "spend.report", report)
        .await
        .expect("recorded");
    let release = json!({ "task": task, "reason": "half of it is done" });
    desk.run_under("a1", Some((&task, 1)), "task.release", release)
        .await
        .expect("handed back");
    let paused = desk.task(&task).await;
    assert_eq!(
        (paused.status, paused.actual_tokens),
        (TaskStatus::BudgetPaused, 850)
    );
    desk.clock.advance(24 * 3_600);
    desk.until(&task, |t| t.status == TaskStatus::Pending).await;
    desk.claim("a1", Some(&task)).await;
    clean(&desk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_epoch_moves_no_grant_and_its_spend_is_recorded_late() {
    let desk = Desk::open().await;
    limit(&desk, json!({ "pace": "none" })).await;
    desk.register("a1", "code-1", "code").await;
    let task = work(&desk, 400, json!({})).await;
    desk.claim("a1", Some(&task)).await;
    for verb in ["spend.top-up", "spend.hold", "spend.release"] {
        let stale = desk
            .run_under("a1", Some((&task, 7)), verb, json!({ "task": task }))
            .await;
        assert_eq!(stale.expect_err("stale").code, Code::StaleEpoch, "{verb}");
    }
    let report = json!({ "task": task, "tokens": 100 });
    let late = desk
        .run_under("a1", Some((&task, 7)), "spend.commit", report)
        .await;
    match late.expect("recorded") {
        Reply::Spend(spend) => assert!(spend.late && spend.added_tokens == 100),
        other => panic!("not spend: {other:?}"),
    }
    // Above the hold, twice, and backwards: one outcome each.
    for (tokens, added) in [(500, 400), (500, 0), (300, 0)] {
        let commit = json!({ "task": task, "tokens": tokens });
        let reply = desk
            .run_under("a1", Some((&task, 1)), "spend.commit", commit)
            .await;
        match reply.expect("recorded") {
            Reply::Spend(spend) => assert_eq!(spend.added_tokens, added, "{tokens}"),
            other => panic!("not spend: {other:?}"),
        }
    }
    assert_eq!(
        (windows(&desk).await[0].spent, windows(&desk).await[0].held),
        (500, 0)
    );
    clean(&desk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_presumed_is_settled_once() {
    let desk = Desk::open().await;
    limit(&desk, json!({ "pace": "none" })).await;
    desk.register("a1", "code-1", "code").await;
    let task = work(&desk, 400, json!({})).await;
    desk.claim("a1", Some(&task)).await;
    desk.clock.advance(901);
    desk.until(&task, |t| t.holder.is_none()).await;
    assert_eq!(windows(&desk).await[0].presumed, 400);
    desk.ok(
        "ana",
        "spend.settle",
        json!({ "task": task, "attempt": 1, "tokens": 150 }),
    )
    .await;
    let now = &windows(&desk).await[0];
    assert_eq!((now.spent, now.presumed), (150, 0));
    let again = json!({ "task": task, "attempt": 1, "unknown": "nobody knows" });
    assert_eq!(
        desk.refused("ana", "spend.settle", again).await,
        Code::WrongState
    );
    clean(&desk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_closes_a_window_and_it_opens_by_itself() {
    let desk = Desk::open().await;
    limit(&desk, json!({ "pace": "none" })).await;
    desk.register("a1", "code-1", "code").await;
    let task = work(&desk, 100, json!({})).await;
    let told = json!({ "provider": "claude", "headers": ["retry-after: 600", "x-ratelimit-limit-requests: nonsense"] });
    desk.ok("a1", "budget.headers", told).await;
    assert!(windows(&desk).await[0].closed_until.is_some());
    assert_eq!(
        desk.refused("a1", "task.claim", json!({})).await,
        Code::BudgetWait
    );
    desk.clock.advance(601);
    desk.until(&task, |t| t.holder.is_some()).await;
    assert_eq!(windows(&desk).await[0].closed_until, None);
    clean(&desk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_ask_for_the_last_token_at_once_and_one_gets_it() {
    let desk = Desk::open().await;
    limit(&desk, json!({ "limit": 7, "pace": "none" })).await;
    let tasks = join_all((0..100).map(|_| work(&desk, 7, json!({})))).await;
    let claims = tasks
        .iter()
        .map(|task| desk.run("ana", "task.claim", json!({ "task": task })));
    let granted = join_all(claims)
        .await
        .into_iter()
        .filter(Result::is_ok)
        .count();
    assert_eq!((granted, windows(&desk).await[0].held), (1, 7));
    assert_eq!(queue(&desk).await.len(), 99);
    clean(&desk).await;
}

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
