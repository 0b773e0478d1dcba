//! Who may claim, and when: pause, bounds on workers, budget, roles; on a real PostgreSQL.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking; clippy knows this of functions marked as tests only, not of what they call"
)]

mod work_desk;

use fleet_protocol::Reply;
use fleet_protocol::problem::Code;
use fleet_protocol::verbs::task::TaskStatus;
use serde_json::json;
use work_desk::{AGENTS, Desk, task};

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_stops_claims_and_nothing_else() {
    let desk = Desk::open().await;
    desk.register("a1", "code-1", "code").await;
    let id = desk.add("Running", json!({})).await;
    desk.add("Waiting", json!({})).await;
    desk.claim("a1", Some(&id)).await;
    let paused = |reply| match reply {
        Reply::Pause(p) => (p.paused, p.already, p.reason),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        desk.refused("mia", "pause", json!({})).await,
        Code::WrongRole
    );
    assert_eq!(
        paused(desk.ok("ana", "pause", json!({ "reason": "leak" })).await),
        (true, false, Some("leak".into()))
    );
    assert_eq!(
        paused(desk.ok("ben", "pause", json!({ "reason": "x" })).await),
        (true, true, Some("leak".into()))
    );
    let refused = desk
        .run("a1", "task.claim", json!({}))
        .await
        .expect_err("paused");
    assert_eq!(refused.code, Code::Paused);
    assert!(
        refused.detail.contains("@ana:test") && refused.detail.contains("leak"),
        "{}",
        refused.detail
    );
    assert_eq!(
        desk.refused("mia", "task.claim", json!({})).await,
        Code::Paused
    );
    desk.run_under(
        "a1",
        Some((&id, 1)),
        "task.progress",
        json!({ "task": id, "percent": 5 }),
    )
    .await
    .expect("goes on");
    desk.ok("a1", "agent.heartbeat", json!({})).await;
    assert_eq!(
        paused(desk.ok("ana", "resume", json!({})).await),
        (false, false, None)
    );
    assert_eq!(
        paused(desk.ok("ana", "resume", json!({})).await),
        (false, true, None)
    );
    desk.claim("a1", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_raises_the_bound_on_workers() {
    let desk = Desk::open().await;
    for (i, agent) in AGENTS[..3].iter().enumerate() {
        desk.register(agent, &format!("code-{i}"), "code").await;
        desk.add(&format!("Task {i}"), json!({})).await;
    }
    desk.claim("a1", None).await;
    desk.claim("a2", None).await;
    assert_eq!(
        desk.refused("a3", "task.claim", json!({})).await,
        Code::WorkerBound
    );
    for (who, args, code) in [
        ("mia", json!({ "role": 3 }), Code::WrongRole),
        ("ana", json!({}), Code::BadArgument),
    ] {
        assert_eq!(desk.refused(who, "workers.set", args).await, code);
    }
    let set = |dry_run: bool| json!({ "role": 3, "dry_run": dry_run });
    desk.ok("ana", "workers.set", set(true)).await;
    assert_eq!(
        desk.refused("a3", "task.claim", json!({})).await,
        Code::WorkerBound
    );
    desk.ok("ana", "workers.set", set(false)).await;
    desk.claim("a3", None).await;
    match desk.ask("vic", "workers.show", json!({})).await {
        Ok(Reply::Workers(shown)) => {
            let view = shown.now;
            assert_eq!((view.fleet, view.role, view.working), (10, 3, 3));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn at_most_two_workers_of_a_role_hold_leases_even_at_once() {
    let desk = Desk::open().await;
    for (i, agent) in AGENTS[..5].iter().enumerate() {
        desk.register(agent, &format!("code-{i}"), "code").await;
    }
    desk.register("a6", "review-1", "review").await;
    for i in 0..6 {
        desk.add(&format!("Task {i}"), json!({})).await;
    }
    desk.add("Look at it", json!({ "role": "review" })).await;
    let claims = AGENTS[..5]
        .iter()
        .map(|a| desk.run(a, "task.claim", json!({})));
    let (got, refused): (Vec<_>, Vec<_>) = futures_util::future::join_all(claims)
        .await
        .into_iter()
        .partition(Result::is_ok);
    assert_eq!(got.len(), 2);
    assert!(
        refused
            .into_iter()
            .all(|r| r.is_err_and(|p| p.code == Code::WorkerBound))
    );
    desk.claim("a6", None).await;
    let held = task(got.into_iter().next().expect("two").expect("claimed"))
        .now
        .id;
    desk.ok("ana", "task.release", json!({ "task": held }))
        .await;
    let again = futures_util::future::join_all(
        AGENTS[..5]
            .iter()
            .map(|a| desk.run(a, "task.claim", json!({}))),
    )
    .await;
    assert!(
        again.iter().filter(|r| r.is_ok()).count() >= 1,
        "a place is free again: {again:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_budget_refuses_waits_in_the_register_with_the_reason() {
    let desk = Desk::open().await;
    desk.register("a1", "code-1", "code").await;
    let limit = json!({ "provider": "claude", "limit": 1000, "unit": "tokens", "reset_at": "+5h", "pace": "none" });
    desk.ok("ana", "budget.set", limit).await;
    let held = json!({ "provider": "claude", "projected_tokens": 500 });
    let held = desk.add("Held", held).await;
    desk.claim("ana", Some(&held)).await;
    let big = desk
        .add(
            "Big",
            json!({ "provider": "claude", "projected_tokens": 900, "priority": 90 }),
        )
        .await;
    let free = desk.add("Free", json!({ "priority": 10 })).await;
    let refused = desk
        .run("a1", "task.claim", json!({ "task": big }))
        .await
        .expect_err("over the cap");
    assert_eq!(refused.code, Code::BudgetCap);
    assert!(
        refused.detail.starts_with("t2 is queued: "),
        "{}",
        refused.detail
    );
    let waiting = desk.task(&big).await;
    assert_eq!(
        (waiting.status, waiting.attempts, waiting.holder),
        (TaskStatus::Queued, 0, None),
        "a refusal keeps the queue and nothing else"
    );
    assert!(waiting.note.is_some_and(|n| refused.detail.ends_with(&n)));
    assert_eq!(
        desk.claim("a1", None).await.id,
        free,
        "what shares no limit passes"
    );
    let more = json!({ "provider": "claude", "projected_tokens": 950, "priority": 95 });
    let more = desk.add("More", more).await;
    assert_eq!(
        desk.refused("a1", "task.claim", json!({})).await,
        Code::BudgetCap
    );
    assert_eq!(desk.task(&more).await.status, TaskStatus::Queued);
    let events = desk.task(&big).await.history;
    let queued = events.iter().filter(|e| e.event == "task.queued").count();
    assert_eq!(queued, 1, "told once, however often it is tried");
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_of_agents_and_lists_are_respected() {
    let desk = Desk::open().await;
    desk.register("a1", "review-1", "review").await;
    let code = desk.add("Code", json!({})).await;
    assert_eq!(
        desk.refused("a1", "task.claim", json!({ "task": code }))
            .await,
        Code::WrongRole
    );
    assert_eq!(
        desk.refused("a1", "task.claim", json!({})).await,
        Code::NothingReady
    );
    assert_eq!(
        desk.refused("vic", "task.claim", json!({})).await,
        Code::WrongRole
    );
    assert_eq!(
        desk.refused("out", "task.add", json!({ "title": "No" }))
            .await,
        Code::NoGrant
    );
    assert_eq!(
        desk.refused(
            "ana",
            "task.add",
            json!({ "title": "Absurd", "max_attempts": 9_000_000 })
        )
        .await,
        Code::Invalid
    );
    let review = desk
        .add(
            "Review",
            json!({ "role": "review", "type": "review", "depends_on": [code] }),
        )
        .await;
    let list = async |args| match desk.ask("vic", "task.list", args).await.expect("a list") {
        Reply::Tasks(l) => (
            l.tasks.into_iter().map(|t| t.id).collect::<Vec<_>>(),
            l.total,
        ),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        list(json!({})).await,
        (vec![code.clone(), review.clone()], 2)
    );
    assert_eq!(
        list(json!({ "ready": true })).await,
        (vec![code.clone()], 1)
    );
    assert_eq!(list(json!({ "limit": 1 })).await, (vec![code.clone()], 2));
    assert_eq!(list(json!({ "status": "completed" })).await, (vec![], 0));
    assert_eq!(list(json!({ "mine": true })).await, (vec![], 0));
    let unready = desk
        .ask("out", "task.list", json!({}))
        .await
        .expect_err("no grant");
    assert_eq!(
        (unready.code, unready.remedy.is_some()),
        (Code::NoGrant, true)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_never_waits_for_one_that_is_not_there() {
    let desk = Desk::open().await;
    let nobody = "00000000-0000-7000-8000-000000000000";
    for on in [nobody, "t99"] {
        let args = json!({ "title": "Waits", "depends_on": [on] });
        assert_eq!(
            desk.refused("ana", "task.add", args).await,
            Code::NotFound,
            "{on}"
        );
    }
    let first = desk.add("First", json!({})).await;
    let twice = desk
        .add("Second", json!({ "depends_on": [first, first] }))
        .await;
    assert_eq!(desk.task(&twice).await.waits_for, [first]);
}
