//! Budget governance on a real PostgreSQL: pacing, the ladder, the queue, tranches, closures, units.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking; clippy knows this of functions marked as tests only, not of what they call"
)]

mod budget_desk;
mod work_desk;

use budget_desk::{clean, explained, granted, limit, queue, windows, work};
use fleet_protocol::Reply;
use fleet_protocol::problem::Code;
use fleet_protocol::verbs::task::TaskStatus;
use futures_util::future::join_all;
use serde_json::json;
use work_desk::Desk;

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
async fn what_nobody_pays_for_any_more_keeps_no_other_from_starting() {
    let desk = Desk::open().await;
    let mut waiting = Vec::new();
    for (provider, who, name) in [("claude", "a1", "code-1"), ("spare", "a2", "code-2")] {
        limit(&desk, json!({ "provider": provider, "pace": "none" })).await;
        let paid = json!({ "provider": provider });
        let full = work(&desk, 1_000, paid.clone()).await;
        desk.claim("ana", Some(&full)).await;
        desk.register(who, name, "code").await;
        let task = work(&desk, 500, paid).await;
        let claim = json!({ "task": task });
        let refused = desk.refused(who, "task.claim", claim).await;
        assert_eq!(refused, Code::BudgetCap);
        waiting.push(task);
    }
    desk.ok("ana", "subscription.retire", json!({ "name": "claude" }))
        .await;
    limit(&desk, json!({ "provider": "spare", "limit": 2_000 })).await;
    let started = desk.until(&waiting[1], |t| t.holder.is_some()).await;
    assert_eq!(started.holder.as_deref(), Some("code-2"));
    assert_eq!(desk.task(&waiting[0]).await.status, TaskStatus::Queued);
    clean(&desk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_look_starts_what_fits_together_and_no_more() {
    let desk = Desk::open().await;
    limit(&desk, json!({ "pace": "none" })).await;
    let full = work(&desk, 1_000, json!({})).await;
    desk.claim("ana", Some(&full)).await;
    let mut waiting = Vec::new();
    for (tokens, kind) in [
        (400, "coding"),
        (390, "review"),
        (380, "coding"),
        (150, "research"),
        (100, "deploy"),
    ] {
        let task = work(&desk, tokens, json!({ "type": kind })).await;
        let claim = json!({ "task": task });
        assert_eq!(
            desk.refused("ana", "task.claim", claim).await,
            Code::BudgetCap
        );
        waiting.push(task);
    }
    limit(&desk, json!({ "pace": "none", "limit": 2_000 })).await;
    desk.until(&waiting[0], |t| t.holder.is_some()).await;
    // 790 of the thousand that came are taken by the first two. The third does not fit, and the fourth keeps nobody from
    // starting after the reset; with it 60 are left, too little for the last.
    let (runs, waits) = (TaskStatus::Running, TaskStatus::Queued);
    for (task, status) in waiting.iter().zip([runs, runs, waits, runs, waits]) {
        assert_eq!(desk.task(task).await.status, status, "{task}");
    }
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
async fn the_last_rung_of_the_ladder_is_another_provider() {
    let desk = Desk::open().await;
    for (account, provider, models) in [
        ("claude", "anthropic", vec!["opus", "sonnet"]),
        ("codex", "openai", vec!["gpt-5"]),
    ] {
        let add = json!({ "name": account, "provider": provider, "models": models });
        desk.ok("ana", "subscription.add", add).await;
        let set = json!({ "provider": account, "limit": 1_000, "unit": "tokens", "every": "7d", "pace": "none" });
        desk.ok("ana", "budget.set", set).await;
    }
    let pool = json!({ "names": ["claude", "codex"], "pool": "any" });
    desk.ok("ana", "subscription.pool", pool).await;
    let ladder = json!({ "models": ["opus", "sonnet", "gpt-5"] });
    desk.ok("ana", "budget.ladder.set", ladder).await;
    let asked = json!({ "provider": "any", "model": "opus" });
    let mut ran = Vec::new();
    for tokens in [900, 500] {
        let task = work(&desk, tokens, asked.clone()).await;
        let run = desk.claim("ana", Some(&task)).await;
        ran.push([run.account, run.model].map(|n| n.map(|n| n.to_string())));
    }
    let on = |account: &str, model: &str| [Some(account.to_owned()), Some(model.to_owned())];
    assert_eq!(ran, [on("claude", "opus"), on("codex", "gpt-5")]);
    let pinned = json!({ "provider": "any", "model": "opus", "pin_model": true });
    let pinned = work(&desk, 500, pinned).await;
    let claim = json!({ "task": pinned });
    assert_eq!(
        desk.refused("ana", "task.claim", claim).await,
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
