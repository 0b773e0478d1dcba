//! What goes with a task, on a real PostgreSQL: for whom it is kept, all that its holder must know, what its holders
//! left behind, and what the operators answered.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking; clippy knows this of functions marked as tests only, not of what they call"
)]

mod work_desk;

use fleet_protocol::Reply;
use fleet_protocol::problem::Code;
use fleet_protocol::reply::TaskView;
use fleet_protocol::verbs::task::TaskStatus;
use serde_json::{Value, json};
use work_desk::{Desk, task};

async fn give(desk: &Desk, task: &str, to: &str) {
    let args = json!({ "task": task, "to": to });
    desk.ok("ana", "agent.delegate", args).await;
}

/// A write of the holder under its lease.
async fn under(desk: &Desk, who: &str, held: &TaskView, verb: &str, mut args: Value) -> TaskView {
    args["task"] = json!(held.id);
    let lease = Some((held.id.as_str(), held.epoch.expect("a lease")));
    task(
        desk.run_under(who, lease, verb, args)
            .await
            .unwrap_or_else(|p| panic!("{verb}: {p:?}")),
    )
    .now
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_given_to_an_agent_is_claimed_by_no_other() {
    let desk = Desk::with_crew().await;
    let kept = desk.add("Kept", json!({ "priority": 90 })).await;
    let open = desk.add("Open", json!({})).await;
    give(&desk, &kept, "code-2").await;
    assert_eq!(
        desk.task(&kept).await.reserved_for,
        Some("code-2".parse().expect("a name"))
    );
    for who in ["a1", "mia"] {
        assert_eq!(
            desk.refused(who, "task.claim", json!({ "task": kept }))
                .await,
            Code::Reserved
        );
    }
    for (who, wanted) in [("a1", 1), ("mia", 1), ("a2", 2)] {
        let ready = desk
            .ask_as(who, "task.list", json!({ "ready": true }))
            .await;
        let Ok(Reply::Tasks(ready)) = ready else {
            panic!("{ready:?}")
        };
        assert_eq!(ready.total, wanted, "what {who} may claim");
    }
    assert_eq!(desk.claim("a1", None).await.id, open, "it is passed over");
    let held = desk.claim("a2", None).await;
    assert_eq!(
        (held.id.as_str(), &held.reserved_for),
        (kept.as_str(), &None)
    );
    // Handed back, it is open to all of the role.
    under(&desk, "a2", &held, "task.release", json!({})).await;
    assert_eq!(
        desk.claim("mia", Some(&kept)).await.status,
        TaskStatus::Running
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reservation_ends_with_its_agent_and_people_see_it() {
    let desk = Desk::with_crew().await;
    let (first, second) = (
        desk.add("First", json!({})).await,
        desk.add("Second", json!({})).await,
    );
    give(&desk, &first, "code-2").await;
    desk.clock.advance(299);
    give(&desk, &second, "code-2").await;
    desk.clock.advance(1);
    // It was silent for five minutes, but it was given the second one a second ago.
    let freed = desk.until(&first, |t| t.reserved_for.is_none()).await;
    assert!(desk.task(&second).await.reserved_for.is_some());
    let story: Vec<_> = freed.history.iter().map(|e| e.event.as_str()).collect();
    assert_eq!(story, ["task.added", "task.assigned", "task.unassigned"]);
    assert_eq!(
        desk.said("tasks", "code-2 has not been heard since").await,
        1
    );
    desk.ok("a2", "agent.heartbeat", json!({})).await;
    desk.clock.advance(299);
    assert!(desk.task(&second).await.reserved_for.is_some());
    // Who works on another task is not gone, however quiet.
    let other = desk.claim("a2", Some(&first)).await;
    desk.clock.advance(600);
    under(&desk, "a2", &other, "task.renew", json!({})).await;
    let third = desk.add("Third", json!({})).await;
    give(&desk, &third, "code-1").await;
    desk.clock.advance(300);
    desk.until(&third, |t| t.reserved_for.is_none()).await;
    assert!(desk.task(&second).await.reserved_for.is_some());
    desk.ok("ana", "agent.retire", json!({ "name": "code-2" }))
        .await;
    assert!(desk.task(&second).await.reserved_for.is_none());
    assert_eq!(desk.said("tasks", "code-2: the agent was retired").await, 1);
    assert_eq!(
        desk.said("tasks", "may be claimed by any code again").await,
        3
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_given_to_a_role_is_kept_for_nobody() {
    let desk = Desk::with_crew().await;
    let id = desk.add("Anybody's", json!({})).await;
    give(&desk, &id, "code-1").await;
    give(&desk, &id, "code").await;
    assert_eq!(desk.task(&id).await.reserved_for, None);
    desk.claim("a2", Some(&id)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_answers_with_role_mission_and_brief() {
    let desk = Desk::with_crew().await;
    let opened = json!({ "title": "Ship it", "goal": "By May." });
    let Reply::Mission(mission) = desk.ok("ana", "mission.new", opened).await else {
        panic!("no mission")
    };
    let more = json!({ "brief": "With care.", "mission": mission.now.id });
    let id = desk.add("Write it", more).await;
    let told = |task: &TaskView| {
        let told: Vec<_> = task.told().into_iter().map(|(name, _)| name).collect();
        told
    };
    let person = desk.claim("mia", Some(&id)).await;
    assert_eq!(told(&person), ["brief"]);
    desk.ok("mia", "task.release", json!({ "task": id })).await;
    let held = desk.claim("a1", None).await;
    assert_eq!(told(&held), ["role", "mission", "brief"]);
    let parts: Vec<_> = held.told().into_iter().map(|(_, text)| text).collect();
    assert!(parts[0].starts_with("You are the fleet's Code.") && parts[0].contains("Never merges"));
    assert_eq!(parts[1..], ["Mission m1: Ship it\n\nBy May.", "With care."]);
    // Whoever lost its context asks for it again.
    let shown = desk.ask_as("a1", "task.show", json!({ "task": id })).await;
    assert_eq!(task(shown.expect("the task")).now.told(), held.told());
    // The fleet's own file of a role is what counts.
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("roles")).expect("a folder");
    let own = "title: Smith\nmandate: Forges.\nroom: tasks\n";
    std::fs::write(folder.path().join("roles/code.yaml"), own).expect("a file");
    desk.take_files(folder.path()).await.expect("the files");
    let again = desk.ask_as("a1", "task.show", json!({ "task": id })).await;
    let again = task(again.expect("the task")).now.told();
    assert_eq!(again[0].1, "You are the fleet's Smith.\n\nForges.");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_handed_back_goes_to_the_next_holder_and_into_exports() {
    let desk = Desk::with_crew().await;
    let id = desk.add("Long", json!({})).await;
    let held = desk.claim("a1", None).await;
    let result = json!({ "summary": "The parser stands", "done": ["parser"], "remains": ["tests"], "artefacts": ["branch t1"] });
    let large = json!({ "summary": "x", "remains": vec!["y".repeat(2_000); 7] });
    let refused = desk
        .run_under(
            "a1",
            Some((&id, 1)),
            "task.release",
            json!({ "task": id, "result": large }),
        )
        .await
        .expect_err("too large");
    assert_eq!(refused.code, Code::Invalid);
    assert_eq!(desk.task(&id).await.status, TaskStatus::Running);
    let args = json!({ "reason": "context is full", "result": result });
    under(&desk, "a1", &held, "task.release", args).await;
    let next = desk.claim("a2", None).await;
    let left = next.handed_back.as_ref().expect("a partial result");
    assert_eq!((left.by.as_str(), left.attempt), ("code-1", 1));
    let said = "code-1 handed it back in attempt 1: The parser stands\nDone:\n- parser\nRemains:\n- tests\nArtefacts:\n- branch t1";
    assert_eq!(next.told()[1], ("partial result", said.to_owned()));
    assert_eq!(desk.task(&id).await.handed_back, next.handed_back);
    let export = || async {
        match desk.ask("ana", "export.tasks", json!({})).await {
            Ok(Reply::Exported(page)) => page,
            other => panic!("no page: {other:?}"),
        }
    };
    assert!(
        export()
            .await
            .contains("\nt1: code-1 handed it back in attempt 1: The parser stands")
    );
    under(&desk, "a2", &next, "task.complete", json!({})).await;
    assert!(!export().await.contains("handed it back"), "it is done");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_escalated_task_waits_for_the_operators_and_goes_on_with_their_answer() {
    let desk = Desk::with_crew().await;
    let id = desk.add("Sign it", json!({})).await;
    let held = desk.claim("a1", None).await;
    let foreign = desk
        .run(
            "a2",
            "task.escalate",
            json!({ "task": id, "reason": "mine" }),
        )
        .await;
    assert_eq!(foreign.expect_err("not its holder").code, Code::Held);
    let args = json!({ "reason": "Which key?", "result": { "summary": "Built" } });
    let asked = under(&desk, "a1", &held, "task.escalate", args).await;
    assert_eq!((asked.status, asked.holder), (TaskStatus::Escalated, None));
    assert_eq!(desk.said("ops", "code-1 asks: Which key?").await, 1);
    assert_eq!(
        desk.said("ops", "\"mentions\": [\"@ana:test\", \"@ben:test\"]")
            .await,
        1
    );
    assert_eq!(
        desk.refused("a1", "task.claim", json!({ "task": id }))
            .await,
        Code::WrongState
    );
    assert_eq!(
        desk.refused("a1", "task.answer", json!({ "task": id, "text": "mine" }))
            .await,
        Code::WrongRole
    );
    // It does other work meanwhile.
    let other = desk.add("Other", json!({})).await;
    assert_eq!(desk.claim("a1", None).await.id, other);
    desk.ok(
        "ben",
        "task.answer",
        json!({ "task": id, "text": "That of staging." }),
    )
    .await;
    assert_eq!(desk.said("ops", "✅ over: ").await, 1);
    let told = desk.items("a1", 50).await;
    assert_eq!(
        (told.len(), told[0].task.as_deref()),
        (1, Some(id.as_str()))
    );
    for part in [
        "Take t1: Sign it",
        "Built",
        "asked: Which key?\n@ben:test answered: That of staging.",
    ] {
        assert!(told[0].text.contains(part), "{}", told[0].text);
    }
    assert_eq!(
        desk.refused("a2", "task.claim", json!({ "task": id }))
            .await,
        Code::Reserved
    );
    let again = desk.claim("a1", Some(&id)).await;
    assert_eq!(
        again.escalation.and_then(|e| e.answered_by).as_deref(),
        Some("@ben:test")
    );
    assert_eq!((again.epoch, again.attempts), (Some(2), 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn used_up_attempts_call_the_operators_and_their_answer_gives_new_ones() {
    let desk = Desk::with_crew().await;
    let id = desk.add("Hard", json!({ "max_attempts": 1 })).await;
    let held = desk.claim("a1", None).await;
    let failed = under(
        &desk,
        "a1",
        &held,
        "task.fail",
        json!({ "reason": "no key" }),
    )
    .await;
    assert_eq!(failed.status, TaskStatus::Failed);
    assert_eq!(desk.said("ops", "the last one failed: no key").await, 1);
    desk.ok(
        "mia",
        "task.answer",
        json!({ "task": id, "text": "It is there now." }),
    )
    .await;
    assert_eq!(desk.said("ops", "✅ over: ").await, 1);
    let held = desk.claim("a2", None).await;
    let asked = held.escalation.as_ref().expect("what was answered");
    assert_eq!(
        (asked.reason.as_str(), asked.answer.as_deref()),
        ("no key", Some("It is there now."))
    );
    // Given up, nobody is called any more.
    under(
        &desk,
        "a2",
        &held,
        "task.fail",
        json!({ "reason": "still" }),
    )
    .await;
    desk.ok("mia", "task.cancel", json!({ "task": id })).await;
    assert_eq!(desk.said("ops", "✅ over: ").await, 2);
}
