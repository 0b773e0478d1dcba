//! Quality gates, run by an agent where its work is.

use std::path::Path;

use fleet_tests::world::{World, fleet};
use serde_json::{Value, json};

use crate::{as_agent, join, shell};

/// `fleet agent gate` in a folder: its exit code and what it prints.
async fn gate(credentials: &Path, folder: &Path, more: &[&str]) -> (Option<i32>, Value) {
    let ran = tokio::process::Command::new(fleet().unwrap())
        .args(["agent", "gate", "t1", "--json"])
        .args(more)
        .current_dir(folder)
        .env("FLEET_AGENT_CREDENTIALS", credentials)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8(ran.stdout).unwrap();
    let value = serde_json::from_str(said.trim())
        .unwrap_or_else(|e| panic!("{e}: {said} {:?}", ran.stderr));
    (ran.status.code(), value)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_completed_when_its_gates_pass_where_the_work_is() {
    let world = World::raise().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (one, _) = join(&world, folder.path(), &["--name", "code-1", "--no-matrix"]).await;
    // A title, a name or a path is never part of the command.
    let add = [
        "task",
        "add",
        "$(touch injected); `touch injected`",
        "--gate",
        "there=test -e notes",
        "--gate",
        "says=printf 'a\\033[31mb' >&2; test -e notes && grep -q done notes",
    ];
    shell(&world, &[], &add).await.unwrap();
    let me = as_agent(&one);
    let work = folder.path().join("$(touch injected)");
    std::fs::create_dir(&work).unwrap();

    // Who does not hold it runs nothing.
    let (code, refused) = gate(&one, &work, &[]).await;
    assert_eq!(
        (code, &refused["error"]["code"]),
        (Some(1), &json!("register.wrong_state"))
    );
    shell(&world, &me, &["task", "claim"]).await.unwrap();
    let complete = [
        "task",
        "complete",
        "t1",
        "--summary",
        "written",
        "--tokens",
        "0",
    ];
    let open = shell(&world, &me, &complete).await.unwrap_err();
    assert!(
        open.contains("task.gate_open") && open.contains("there has not run"),
        "{open}"
    );

    std::fs::write(work.join("notes"), "to be").unwrap();
    let (code, ran) = gate(&one, &work, &[]).await;
    let results = &ran["reply"]["task"]["now"]["gate_results"];
    assert_eq!(code, Some(6), "{ran}");
    assert_eq!(
        (&results[0]["exit_code"], &results[1]["exit_code"]),
        (&json!(0), &json!(1))
    );
    assert_eq!(results[1]["output"], "ab");
    let open = shell(&world, &me, &complete).await.unwrap_err();
    assert!(
        open.contains("says ended with 1") && !open.contains("there"),
        "{open}"
    );

    std::fs::write(work.join("notes"), "done").unwrap();
    let (code, _) = gate(&one, folder.path(), &["--folder", work.to_str().unwrap()]).await;
    assert_eq!(code, Some(0));
    let done = shell(&world, &me, &complete).await.unwrap();
    assert_eq!(done["reply"]["task"]["now"]["status"], "completed");
    let left = std::fs::read_dir(&work).unwrap().count();
    assert_eq!((left, folder.path().join("injected").exists()), (1, false));
    world.end().await;
}
