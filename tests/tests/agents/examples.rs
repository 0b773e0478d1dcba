//! The agents of the book, run as they stand there.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use fleet_agent::matrix::Matrix;
use fleet_tests::world::{World, eventually, fleet};
use serde_json::Value;

use crate::{as_agent, join, read, shell};

fn example(name: &str) -> PathBuf {
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/src/examples");
    Path::new(examples).join(name)
}

/// What the agent of a book must come to: its task done, and its answer in the inbox of who asked.
async fn worked(world: &World, asking: &Path, task: &str) -> Value {
    let show = ["task", "show", task];
    let done = eventually("the task is completed", || async {
        let shown = shell(world, &[], &show).await.ok()?["task"]["now"].clone();
        (shown["status"] == "completed").then_some(shown)
    })
    .await
    .unwrap();
    assert_eq!(done["actual_tokens"], 0, "{done:#}");
    let history = done["history"].as_array().unwrap();
    let by = |event: &str| history.iter().find(|e| e["event"] == event).unwrap()["by"].clone();
    assert_eq!(by("task.completed"), "code-1");
    let note = history.last().unwrap()["note"].as_str().unwrap();
    assert!(note.starts_with("read "), "{note}");
    let next = ["agent", "next", "--wait", "25"];
    let taken = shell(world, &as_agent(asking), &next).await.unwrap();
    taken["items"][0].clone()
}

async fn of_the_shell(interpreter: &str, file: &str) {
    let world = World::raise().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (one, _) = join(&world, folder.path(), &["--name", "code-1", "--no-matrix"]).await;
    let (two, _) = join(&world, folder.path(), &["--name", "code-2", "--no-matrix"]).await;
    let add = [
        "task",
        "add",
        "Write the \"notes\"",
        "--brief",
        "In three lines.",
    ];
    shell(&world, &[], &add).await.unwrap();
    let send = ["agent", "send", "--to", "code-1", "is it \"done\"?"];
    shell(&world, &as_agent(&two), &send).await.unwrap();

    // Nothing but the program and the credentials.
    let programs = fleet().unwrap().parent().unwrap().to_owned();
    let path = std::env::var("PATH").unwrap();
    let mut agent = tokio::process::Command::new(interpreter)
        .arg(example(file))
        .env_clear()
        .env("PATH", format!("{}:{path}", programs.display()))
        .env("FLEET_AGENT_CREDENTIALS", &one)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let answer = worked(&world, &two, "t1").await;
    assert_eq!(answer["text"], "heard, I am at it");
    assert_eq!(answer["reply_to"], "n1");
    assert!(agent.try_wait().unwrap().is_none(), "it goes on");
    agent.kill().await.unwrap();
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_in_shell_does_a_task_and_answers() {
    of_the_shell("sh", "agent.sh").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_in_python_does_a_task_and_answers() {
    of_the_shell("python3", "agent.py").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_over_plain_matrix_events_does_a_task_and_answers() {
    let world = World::raise().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (one, _) = join(&world, folder.path(), &["--name", "code-1"]).await;
    let (two, _) = join(&world, folder.path(), &["--name", "code-2", "--no-matrix"]).await;
    let account = read(&one)["matrix"].clone();
    let homeserver = account["homeserver"].as_str().unwrap();
    let token = account["access_token"].as_str().unwrap();
    let matrix = Matrix::with_token(homeserver.parse().unwrap(), token)
        .await
        .unwrap();
    eventually("the agent may join", || async {
        matrix.join(&world.lobby).await.ok()
    })
    .await
    .unwrap();
    let asked = world.ask("!task add \"Write the notes\"").await.unwrap();
    let send = ["agent", "send", "--to", "code-1", "is it done?"];
    shell(&world, &as_agent(&two), &send).await.unwrap();

    let secret = folder.path().join("token");
    std::fs::write(&secret, token).unwrap();
    let ran = tokio::process::Command::new("python3")
        .arg(example("agent_matrix.py"))
        .arg(homeserver)
        .arg(&secret)
        .args([&world.lobby, &asked.sender, "code-1", "code", "box"])
        .stdin(Stdio::null())
        .output();
    let ran = tokio::time::timeout(fleet_tests::world::PATIENCE, ran)
        .await
        .unwrap()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(
        ran.status.success() && said.starts_with("done t1\n"),
        "{ran:?}"
    );
    let answer = worked(&world, &two, "t1").await;
    assert_eq!(answer["text"], "heard, I am at it");
    world.end().await;
}
