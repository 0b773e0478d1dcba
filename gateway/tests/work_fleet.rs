//! The fleet as a whole: help, status, health.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking; clippy knows this of functions marked as tests only, not of what they call"
)]

mod work_desk;

use fleet_protocol::Reply;
use fleet_protocol::problem::Code;
use fleet_protocol::reply::{CheckState, DoctorView};
use fleet_protocol::verbs::task::TaskStatus;
use serde_json::json;
use work_desk::Desk;

fn states(view: &DoctorView) -> Vec<(&str, CheckState)> {
    view.checks
        .iter()
        .map(|c| (c.name.as_str(), c.state))
        .collect()
}

async fn doctor(desk: &Desk) -> DoctorView {
    match desk
        .ask("vic", "doctor", json!({}))
        .await
        .expect("the doctor")
    {
        Reply::Doctor(view) => view,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_names_what_is_broken_and_what_to_do() {
    let desk = Desk::open().await;
    let fresh = doctor(&desk).await;
    let (ok, warning, broken) = (CheckState::Ok, CheckState::Warning, CheckState::Broken);
    assert_eq!(
        states(&fresh),
        [
            ("orchestrator", warning),
            ("enhancer", warning),
            ("agents", ok),
            ("pause", ok),
            ("bot", broken),
            ("rooms", broken),
            ("outbox", ok),
            ("leases", ok),
            ("incidents", ok),
        ]
    );
    assert!(
        fresh
            .checks
            .iter()
            .all(|c| (c.state == ok) == c.remedy.is_none())
    );
    desk.register("a1", "orchestrator-1", "orchestrator").await;
    desk.register("a2", "enhancer-1", "enhancer").await;
    desk.register("a3", "enhancer-2", "enhancer").await;
    desk.ok("ana", "pause", json!({})).await;
    desk.clock.advance(400);
    let later = doctor(&desk).await;
    let state = |name: &str| {
        later
            .checks
            .iter()
            .find(|c| c.name == name)
            .map(|c| (c.state, c.found.clone()))
    };
    assert_eq!(state("orchestrator"), Some((ok, "orchestrator-1".into())));
    assert_eq!(
        state("enhancer"),
        Some((warning, "there are 2: enhancer-1, enhancer-2".into()))
    );
    assert_eq!(state("agents").map(|s| s.0), Some(warning));
    assert_eq!(state("pause").map(|s| s.0), Some(warning));
    let unsent = "0 dead, 0 parked, 1 unsent for more than a minute";
    assert_eq!(
        state("outbox"),
        Some((warning, unsent.into())),
        "the lobby was told of the pause"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn status_counts_what_the_register_holds() {
    let desk = Desk::open().await;
    desk.register("a1", "code-1", "code").await;
    desk.register("a2", "code-2", "code").await;
    let first = desk.add("One", json!({})).await;
    desk.add("Two", json!({ "depends_on": [first] })).await;
    desk.add("Three", json!({})).await;
    desk.claim("a1", Some(&first)).await;
    desk.clock.advance(290);
    desk.ok("a1", "agent.heartbeat", json!({})).await;
    desk.clock.advance(20);
    match desk
        .ask("vic", "status", json!({}))
        .await
        .expect("the status")
    {
        Reply::Status(s) => {
            assert_eq!(
                s.tasks,
                [(TaskStatus::Pending, 2), (TaskStatus::Running, 1)]
            );
            assert_eq!(
                (s.ready, s.agents, s.alive, s.open_proposals, s.pause.paused),
                (1, 2, 1, 0, false)
            );
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn anybody_may_ask_who_they_are_and_for_help() {
    let desk = Desk::open().await;
    match desk.ask("out", "whoami", json!({})).await.expect("whoami") {
        Reply::WhoAmI(w) => assert_eq!(
            (w.principal.as_str(), w.roles.len(), w.zone.as_str()),
            ("@out:test", 0, "Europe/Berlin")
        ),
        other => panic!("{other:?}"),
    }
    match desk
        .ask("out", "help", json!({ "topic": ["task", "add"] }))
        .await
        .expect("help")
    {
        Reply::Help(h) => {
            assert_eq!(h.usage.as_deref(), Some("!task add TITLE [options]"));
            let optional = h.groups.iter().flat_map(|g| &g.lines);
            let named: Vec<_> = optional
                .filter(|l| l.what.contains("--depends-on"))
                .collect();
            assert_eq!(named.len(), 1, "{named:?}");
        }
        other => panic!("{other:?}"),
    }
    let unknown = desk
        .ask("out", "help", json!({ "topic": ["tsak"] }))
        .await
        .expect_err("no such topic");
    assert_eq!(unknown.code, Code::UnknownCommand);
}

#[tokio::test(flavor = "multi_thread")]
async fn verbosity_is_kept_for_the_room() {
    let desk = Desk::open().await;
    assert!(
        matches!(desk.ok("mia", "verbosity", json!({ "level": "quiet" })).await, Reply::Verbosity(l) if l.as_str() == "quiet")
    );
    let kept: String = sqlx::query_scalar("SELECT verbosity FROM fleet.rooms WHERE key = 'lobby'")
        .fetch_one(&mut desk.register_rows().await)
        .await
        .expect("the lobby");
    assert_eq!(kept, "quiet");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verbose_room_hears_details_and_a_quiet_one_no_chatter() {
    let desk = Desk::open().await;
    desk.register("a1", "code-1", "code").await;
    for (level, details) in [("quiet", 0), ("normal", 0), ("verbose", 2)] {
        let mut owner = desk.register_rows().await;
        sqlx::query("UPDATE fleet.rooms SET verbosity = $1 WHERE key = 'tasks'")
            .bind(level)
            .execute(&mut owner)
            .await
            .expect("the room");
        let id = desk.add(&format!("Told {level}"), json!({})).await;
        let epoch = desk.claim("a1", Some(&id)).await.epoch.expect("an epoch");
        let half = json!({ "task": id, "percent": 50, "note": "half" });
        desk.run_under("a1", Some((&id, epoch)), "task.progress", half)
            .await
            .expect("progress");
        assert_eq!(
            desk.said("tasks", &format!("Told {level}")).await,
            details,
            "{level}"
        );
        let done = json!({ "task": id, "tokens": 0 });
        desk.run_under("a1", Some((&id, epoch)), "task.complete", done)
            .await
            .expect("done");
    }
}
