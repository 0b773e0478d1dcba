//! Quality gates on a real PostgreSQL: what a task must pass before it is completed.

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

fn gates() -> Value {
    json!({ "gates": [
        { "name": "tests", "command": "cargo test" },
        { "name": "lint", "command": "make lint; echo \"$HOME\"" },
    ] })
}

async fn under(
    desk: &Desk,
    who: &str,
    task: &str,
    epoch: u64,
    verb: &str,
    mut args: Value,
) -> Result<TaskView, Code> {
    args["task"] = json!(task);
    let done = desk.run_under(who, Some((task, epoch)), verb, args).await;
    done.map(|reply| work_desk::task(reply).now)
        .map_err(|problem| problem.code)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_completed_when_each_gate_has_passed_under_the_lease_in_force() {
    let desk = Desk::open().await;
    desk.register("a1", "code-1", "code").await;
    desk.register("a2", "code-2", "code").await;
    let id = desk.add("With gates", gates()).await;
    let free = desk.add("Without", json!({})).await;
    let shown = desk.task(&id).await;
    assert_eq!(shown.quality_gates.len(), 2);
    assert!(desk.task(&free).await.quality_gates.is_empty());

    desk.claim("a1", Some(&id)).await;
    let complete = || under(&desk, "a1", &id, 1, "task.complete", json!({}));
    let check = |results: Value| {
        under(
            &desk,
            "a1",
            &id,
            1,
            "task.check",
            json!({ "results": results }),
        )
    };
    assert_eq!(complete().await, Err(Code::GateOpen));
    let first = json!([{ "name": "tests", "exit_code": 0 }, { "name": "lint", "exit_code": 2, "output": "line 3" }]);
    let checked = check(first).await.expect("checked");
    assert_eq!(checked.status, TaskStatus::Running);
    // The form of the fleet's task schema: the command is the register's, not the agent's word.
    assert_eq!(
        json!(checked.gate_results[1]),
        json!({ "name": "lint", "command": "make lint; echo \"$HOME\"", "type": "mechanical",
                "exit_code": 2, "output": "line 3", "epoch": 1 })
    );
    assert_eq!(complete().await, Err(Code::GateOpen));

    // Whoever comes after does not inherit what was passed before.
    let release = json!({ "reason": "half done" });
    under(&desk, "a1", &id, 1, "task.release", release)
        .await
        .expect("released");
    desk.claim("a2", Some(&id)).await;
    let stale = json!([{ "name": "lint", "exit_code": 0 }]);
    assert!(check(stale.clone()).await.is_err(), "the former holder");
    let second = under(
        &desk,
        "a2",
        &id,
        2,
        "task.check",
        json!({ "results": stale }),
    );
    assert_eq!(second.await.expect("checked").gate_results.len(), 1);
    let done = under(&desk, "a2", &id, 2, "task.complete", json!({}));
    assert_eq!(
        done.await,
        Err(Code::GateOpen),
        "tests have not run under this lease"
    );
    let all = json!({ "results": [{ "name": "tests", "exit_code": 0 }] });
    under(&desk, "a2", &id, 2, "task.check", all)
        .await
        .expect("checked");
    let done = under(&desk, "a2", &id, 2, "task.complete", json!({}));
    assert_eq!(done.await.expect("completed").status, TaskStatus::Completed);

    let shown = desk.task(&id).await;
    assert_eq!(shown.gate_results.len(), 2);
    let events: Vec<_> = shown
        .history
        .iter()
        .filter_map(|e| e.event.strip_prefix("rail.check."))
        .collect();
    assert_eq!(events, ["passed", "failed", "passed", "passed"]);
    match desk
        .ask("mia", "export.tasks", json!({}))
        .await
        .expect("exported")
    {
        Reply::Exported(page) => assert!(page.contains("completed, 2 of 2 gates"), "{page}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn gates_that_cannot_be_and_results_of_nothing_are_refused() {
    let desk = Desk::open().await;
    desk.register("a1", "code-1", "code").await;
    let gate = json!({ "name": "tests", "command": "true" });
    let twice = json!({ "title": "Twice", "gates": [gate, gate] });
    assert_eq!(desk.refused("mia", "task.add", twice).await, Code::Invalid);
    let bad = json!({ "title": "Bad", "gates": [{ "name": "tests", "command": "\u{1b}[2J" }] });
    assert_eq!(desk.refused("mia", "task.add", bad).await, Code::Malformed);

    let id = desk.add("With gates", gates()).await;
    desk.claim("a1", Some(&id)).await;
    for (results, code) in [
        (json!([{ "name": "docs", "exit_code": 0 }]), Code::NotFound),
        (
            json!([{ "name": "tests", "exit_code": 256 }]),
            Code::Malformed,
        ),
        (
            json!([{ "name": "tests", "exit_code": 0, "command": "true" }]),
            Code::Malformed,
        ),
        (
            json!([{ "name": "tests", "exit_code": 0, "output": "\u{1b}[31mred" }]),
            Code::Malformed,
        ),
    ] {
        let said = results.to_string();
        let refused = under(
            &desk,
            "a1",
            &id,
            1,
            "task.check",
            json!({ "results": results }),
        )
        .await;
        assert_eq!(refused, Err(code), "{said}");
    }
    assert!(desk.task(&id).await.gate_results.is_empty());

    // A person who does the work says it as well.
    let own = desk.add("By hand", json!({ "gates": [gate] })).await;
    task(desk.ok("mia", "task.claim", json!({ "task": own })).await);
    assert_eq!(
        desk.refused("mia", "task.complete", json!({ "task": own }))
            .await,
        Code::GateOpen
    );
    let said = json!({ "task": own, "results": [{ "name": "tests", "exit_code": 0 }] });
    desk.ok("mia", "task.check", said).await;
    desk.ok("mia", "task.complete", json!({ "task": own }))
        .await;
}
