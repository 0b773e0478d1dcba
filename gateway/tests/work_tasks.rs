//! The life of tasks on a real PostgreSQL, through the gateway's own door.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking; clippy knows this of functions marked as tests only, not of what they call"
)]

mod work_desk;

use std::collections::BTreeMap;

use fleet_protocol::Reply;
use fleet_protocol::problem::Code;
use fleet_protocol::verbs::task::TaskStatus;
use serde_json::json;
use work_desk::{AGENTS, Desk, task};

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_claimed_reported_and_completed_and_frees_what_waits() {
    let desk = Desk::open().await;
    desk.register("a1", "code-1", "code").await;
    let mission = match desk
        .ok(
            "mia",
            "mission.new",
            json!({ "title": "Ship it", "projected_tokens": 9000 }),
        )
        .await
    {
        Reply::Mission(m) => m.now,
        other => panic!("{other:?}"),
    };
    assert_eq!(mission.id, "m1");
    let first = desk
        .add("First", json!({ "mission": "m1", "brief": "all of it" }))
        .await;
    let second = desk
        .add("Second", json!({ "mission": "m1", "depends_on": [first] }))
        .await;
    assert_eq!(
        desk.task(&second).await.waits_for,
        std::slice::from_ref(&first)
    );

    let claimed = desk.claim("a1", None).await;
    assert_eq!(
        (claimed.id.as_str(), claimed.status, claimed.epoch),
        (first.as_str(), TaskStatus::Running, Some(1))
    );
    assert_eq!(claimed.holder.as_deref(), Some("code-1"));
    let lease = Some((first.as_str(), 1));
    let progress = json!({ "task": first, "percent": 40, "note": "halfway" });
    let now = task(
        desk.run_under("a1", lease, "task.progress", progress)
            .await
            .expect("progress"),
    )
    .now;
    assert_eq!(
        (now.percent, now.note.as_deref()),
        (Some(40), Some("halfway"))
    );

    let refused = desk
        .run("mia", "mission.close", json!({ "mission": "m1" }))
        .await
        .expect_err("tasks are open");
    assert_eq!(refused.code, Code::WrongState);
    assert!(
        refused.detail.contains("t1 (running), t2 (pending)"),
        "{}",
        refused.detail
    );

    let done =
        json!({ "task": first, "summary": "done", "tokens": 1200, "files_changed": ["src/a.rs"] });
    let done = task(
        desk.run_under("a1", lease, "task.complete", done)
            .await
            .expect("completes"),
    );
    assert_eq!(
        (done.now.status, done.now.actual_tokens, done.now.epoch),
        (TaskStatus::Completed, 1200, None)
    );
    assert!(
        done.notes.contains(&format!("{second} is ready now")),
        "{:?}",
        done.notes
    );
    assert_eq!(desk.said("tasks", "completed by code-1").await, 1);

    let shown = desk.task(&first).await;
    let events: Vec<_> = shown.history.iter().map(|e| e.event.as_str()).collect();
    assert_eq!(
        events,
        [
            "task.added",
            "task.started",
            "task.progress",
            "task.completed"
        ]
    );
    assert_eq!(shown.brief.as_deref(), Some("all of it"));

    desk.ok("mia", "task.cancel", json!({ "task": second }))
        .await;
    match desk
        .ok(
            "mia",
            "mission.close",
            json!({ "mission": "m1", "summary": "shipped" }),
        )
        .await
    {
        Reply::Mission(m) => assert_eq!(
            (m.now.open, m.now.actual_tokens, m.already),
            (false, 1200, false)
        ),
        other => panic!("{other:?}"),
    }
    assert_eq!(
        desk.refused(
            "mia",
            "task.add",
            json!({ "title": "Late", "mission": "m1" })
        )
        .await,
        Code::WrongState
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn dependencies_gate_claims_and_never_form_a_circle() {
    let desk = Desk::open().await;
    desk.register("a1", "code-1", "code").await;
    let low = desk.add("Low", json!({ "priority": 10 })).await;
    let high = desk
        .add("High", json!({ "priority": 90, "depends_on": [low] }))
        .await;
    assert_eq!(
        desk.refused("a1", "task.claim", json!({ "task": high }))
            .await,
        Code::Dependency
    );
    let circle = desk
        .run("mia", "task.depend", json!({ "task": low, "on": high }))
        .await
        .expect_err("a circle");
    assert_eq!(circle.code, Code::Dependency);
    assert!(circle.detail.ends_with("t1 → t2 → t1"), "{}", circle.detail);
    assert_eq!(
        desk.refused("mia", "task.depend", json!({ "task": low, "on": low }))
            .await,
        Code::Dependency
    );
    assert_eq!(desk.claim("a1", None).await.id, low, "the urgent one waits");
    desk.ok(
        "mia",
        "task.depend",
        json!({ "task": high, "on": low, "remove": true }),
    )
    .await;
    assert_eq!(desk.claim("a1", None).await.id, high);
    assert_eq!(
        desk.refused("a1", "task.claim", json!({})).await,
        Code::NothingReady
    );
    assert_eq!(
        desk.refused("a1", "task.claim", json!({ "task": "t99" }))
            .await,
        Code::NotFound
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn claimers_at_the_same_time_never_get_the_same_task() {
    let desk = Desk::open().await;
    sqlx::query("UPDATE fleet.settings SET workers_fleet = 100, workers_role = 100")
        .execute(&mut desk.register_rows().await)
        .await
        .expect("wider bounds");
    for (i, agent) in AGENTS.iter().enumerate() {
        desk.register(agent, &format!("code-{i}"), "code").await;
    }
    for i in 0..20 {
        desk.add(&format!("Task {i}"), json!({})).await;
    }
    let claimer = async |who: &'static str| {
        let mut got = Vec::new();
        loop {
            match desk.run(who, "task.claim", json!({})).await {
                Ok(reply) => got.push((task(reply).now.id, who)),
                Err(problem) => {
                    assert_eq!(problem.code, Code::NothingReady, "{problem:?}");
                    return got;
                }
            }
        }
    };
    let all = futures_util::future::join_all(AGENTS.iter().map(|a| claimer(a))).await;
    let mut by_task: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (id, who) in all.into_iter().flatten() {
        by_task.entry(id).or_default().push(who);
    }
    assert_eq!(by_task.len(), 20);
    assert!(by_task.values().all(|who| who.len() == 1), "{by_task:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_ended_is_taken_back_and_its_epoch_is_stale() {
    let desk = Desk::open().await;
    desk.register("a1", "code-1", "code").await;
    desk.register("a2", "code-2", "code").await;
    let id = desk.add("Slow", json!({ "max_attempts": 2 })).await;
    let first = desk.claim("a1", None).await;
    desk.clock.advance(600);
    let renewed = desk
        .run_under("a1", Some((&id, 1)), "task.renew", json!({ "task": id }))
        .await
        .expect("renews");
    assert!(task(renewed).now.lease_until > first.lease_until);
    desk.clock.advance(600);
    assert_eq!(
        desk.task(&id).await.status,
        TaskStatus::Running,
        "it was renewed"
    );
    desk.clock.advance(301);
    let lost = desk.until(&id, |t| t.status == TaskStatus::Pending).await;
    assert_eq!((lost.holder, lost.epoch), (None, None));

    let late = |verb: &'static str, args| desk.run_under("a1", Some(("t1", 1)), verb, args);
    let stale = late("task.complete", json!({ "task": id }))
        .await
        .expect_err("the lease ended");
    assert_eq!(stale.code, Code::StaleEpoch);
    assert_eq!(desk.claim("a2", None).await.epoch, Some(2));
    for (verb, args) in [
        ("task.renew", json!({ "task": id })),
        ("task.progress", json!({ "task": id, "percent": 99 })),
        ("task.fail", json!({ "task": id, "reason": "no" })),
        ("task.release", json!({ "task": id })),
        ("task.block", json!({ "task": id, "reason": "no" })),
    ] {
        assert_eq!(
            late(verb, args).await.expect_err("stale").code,
            Code::StaleEpoch,
            "{verb}"
        );
    }
    desk.clock.advance(901);
    let given_up = desk.until(&id, |t| t.status == TaskStatus::Escalated).await;
    assert_eq!(given_up.attempts, 2);
    assert_eq!(desk.said("ops", "no attempt is left").await, 1, "told once");
    desk.ok("mia", "task.retry", json!({ "task": id })).await;
    assert_eq!(
        desk.claim("a1", None).await.epoch,
        Some(3),
        "epochs only grow"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_holder_writes_and_an_agent_names_its_lease() {
    let desk = Desk::open().await;
    desk.register("a1", "code-1", "code").await;
    desk.register("a2", "code-2", "code").await;
    let id = desk.add("Mine", json!({})).await;
    desk.claim("a1", Some(&id)).await;
    assert_eq!(
        desk.refused("a2", "task.claim", json!({ "task": id }))
            .await,
        Code::Held
    );
    assert_eq!(
        desk.refused("a1", "task.progress", json!({ "task": id, "percent": 1 }))
            .await,
        Code::StaleEpoch
    );
    for who in ["a2", "mia", "ana"] {
        assert_eq!(
            desk.refused(who, "task.complete", json!({ "task": id }))
                .await,
            Code::Held,
            "{who}"
        );
    }
    assert_eq!(
        desk.refused("mia", "task.release", json!({ "task": id }))
            .await,
        Code::Held
    );
    assert_eq!(
        task(desk.ok("ana", "task.release", json!({ "task": id })).await)
            .now
            .status,
        TaskStatus::Pending
    );
    let forged = desk
        .run_under("a2", Some((&id, 1)), "task.progress", json!({ "task": id }))
        .await
        .expect_err("not held");
    assert_eq!(forged.code, Code::StaleEpoch);
}

#[tokio::test(flavor = "multi_thread")]
async fn work_held_by_a_person_is_never_reclaimed() {
    let desk = Desk::open().await;
    desk.register("a1", "code-1", "code").await;
    let (mine, other) = (
        desk.add("By hand", json!({})).await,
        desk.add("By machine", json!({})).await,
    );
    let held = desk.claim("mia", Some(&mine)).await;
    assert_eq!(
        (held.lease_until, held.holder.as_deref()),
        (None, Some("@mia:test"))
    );
    desk.claim("a1", Some(&other)).await;
    desk.clock.advance(86_400);
    desk.until(&other, |t| t.status == TaskStatus::Pending)
        .await;
    assert_eq!(desk.task(&mine).await.status, TaskStatus::Running);
    let done = desk
        .ok(
            "mia",
            "task.complete",
            json!({ "task": mine, "unknown_spend": "by hand" }),
        )
        .await;
    assert_eq!(task(done).now.status, TaskStatus::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_retried_until_the_attempts_are_used() {
    let desk = Desk::open().await;
    desk.register("a1", "code-1", "code").await;
    let id = desk.add("Hard", json!({ "max_attempts": 2 })).await;
    for (epoch, status) in [(1, TaskStatus::Pending), (2, TaskStatus::Failed)] {
        desk.claim("a1", None).await;
        let args = json!({ "task": id, "reason": "does not build" });
        let failed = task(
            desk.run_under("a1", Some((&id, epoch)), "task.fail", args)
                .await
                .expect("fails"),
        );
        assert_eq!(
            (failed.now.status, failed.now.note.as_deref()),
            (status, Some("does not build"))
        );
    }
    assert_eq!(desk.said("ops", "all attempts are used").await, 1);
    assert_eq!(
        desk.refused("a1", "task.claim", json!({ "task": id }))
            .await,
        Code::WrongState
    );
    desk.ok("mia", "task.retry", json!({ "task": id })).await;
    let claimed = desk.claim("a1", None).await;
    assert_eq!(claimed.attempts, 3);
    let args = json!({ "task": id, "reason": "needs a key" });
    desk.run_under("a1", Some((&id, 3)), "task.block", args)
        .await
        .expect("blocks");
    assert_eq!(
        desk.refused("a1", "task.claim", json!({})).await,
        Code::NothingReady
    );
    assert_eq!(
        task(desk.ok("mia", "task.unblock", json!({ "task": id })).await)
            .now
            .status,
        TaskStatus::Pending
    );
}
