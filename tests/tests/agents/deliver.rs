//! What is said to an agent, into the terminal or room where it sits.

use std::path::Path;
use std::process::Stdio;

use axum::http::Method;
use fleet_agent::matrix::Matrix;
use fleet_tests::fault::{FaultProxy, Side};
use fleet_tests::terminal::Terminal;
use fleet_tests::world::{World, eventually, fleet};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;

use crate::{as_agent, join, read, shell, write};

/// An agent of a kind: it reads a line at a prompt and says what it got.
const READER: &str = r#"while IFS= read -r -p '> ' line; do printf 'got: %s\n' "$line"; done"#;

/// How often the agent read a text as a line.
fn got(terminal: &Terminal, text: &str) -> usize {
    let screen = terminal.screen("code-1");
    screen.matches(&format!("got: {text}")).count()
}

async fn gets(terminal: &Terminal, text: &str, times: usize) {
    let read = || async { (got(terminal, text) >= times).then_some(()) };
    eventually(text, read).await.unwrap();
    assert_eq!(got(terminal, text), times);
}

/// `fleet agent deliver`, killed with the test.
fn deliver(credentials: &Path, more: &[&str]) -> Child {
    tokio::process::Command::new(fleet().unwrap())
        .args(["agent", "deliver", "--json"])
        .args(more)
        .env("FLEET_AGENT_CREDENTIALS", credentials)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

async fn unacknowledged(world: &World, agent: &str) -> usize {
    let inbox = shell(world, &[], &["agent", "inbox", agent]).await.unwrap();
    inbox["items"].as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_is_acknowledged_when_the_terminal_took_it_and_a_kill_in_between_loses_nothing() {
    let world = World::raise().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (one, _) = join(&world, folder.path(), &["--name", "code-1", "--no-matrix"]).await;
    let (two, _) = join(&world, folder.path(), &["--name", "code-2", "--no-matrix"]).await;
    let terminal = Terminal::start(&[("code-1", READER)]);
    let socket = terminal.socket();
    let at = ["--socket", socket.to_str().unwrap()];

    // Its acknowledgement is held on the way: by then the terminal has taken the item.
    let proxy = FaultProxy::start(world.gateway_url.clone()).await.unwrap();
    let mut behind = read(&one);
    behind["gateway"] = json!(proxy.url().unwrap());
    let held_up = folder.path().join("held-up.json");
    write(&held_up, &behind);
    let hold = proxy.hold(Side::Request, Method::POST, "/v1/commands");
    let mut first = deliver(&held_up, &at);
    // What a terminal would obey is refused at the door.
    let send = ["agent", "send", "--to", "code-1", "look\u{1b}[2J"];
    let refused = shell(&world, &as_agent(&two), &send).await.unwrap_err();
    assert!(refused.contains("U+001B"), "{refused}");
    let send = ["agent", "send", "--to", "code-1", "look at t3"];
    shell(&world, &as_agent(&two), &send).await.unwrap();
    let held = hold.reached().await.unwrap();
    let line = "[box:code-2 -> box:code-1] look at t3 (item n1)";
    gets(&terminal, line, 1).await;
    assert_eq!(unacknowledged(&world, "code-1").await, 1);
    first.kill().await.unwrap();
    drop(held);

    // The agent comes back: the same item, under the same id, and then it is acknowledged.
    join(&world, folder.path(), &["--name", "code-1", "--no-matrix"]).await;
    let mut second = deliver(&one, &at);
    let mut said = BufReader::new(second.stdout.take().unwrap()).lines();
    let told: Value = serde_json::from_str(&said.next_line().await.unwrap().unwrap()).unwrap();
    assert_eq!(told["item"]["id"], "n1");
    assert_eq!(told["item"]["deliveries"], 2);
    assert_eq!(got(&terminal, line), 2);
    assert_eq!(unacknowledged(&world, "code-1").await, 0);

    // Somebody is typing there: the item waits, unacknowledged, and goes in when the line is free.
    terminal.keys("code-1", &["-l", "half a thought"]);
    let send = ["agent", "send", "--to", "code-1", "and at t4"];
    shell(&world, &as_agent(&two), &send).await.unwrap();
    let mut errors = BufReader::new(second.stderr.take().unwrap()).lines();
    let waits = async {
        while let Some(line) = errors.next_line().await.unwrap() {
            if line.contains("draft") {
                return;
            }
        }
        panic!("it never waited");
    };
    waits.await;
    assert_eq!(unacknowledged(&world, "code-1").await, 1);
    terminal.keys("code-1", &["Enter"]);
    said.next_line().await.unwrap().unwrap();
    let line = "[box:code-2 -> box:code-1] and at t4 (item n2)";
    gets(&terminal, line, 1).await;
    assert_eq!(unacknowledged(&world, "code-1").await, 0);

    // What nobody waits for does not disturb: it stays to be read.
    let send = [
        "agent", "send", "--to", "code-1", "👍", "--class", "reaction",
    ];
    shell(&world, &as_agent(&two), &send).await.unwrap();
    let kept: Value = serde_json::from_str(&said.next_line().await.unwrap().unwrap()).unwrap();
    assert_eq!(kept["item"]["class"], "reaction");
    assert_eq!(got(&terminal, "[box:code-2 -> box:code-1 reaction]"), 0);

    let interrupt = rustix::process::Pid::from_raw(second.id().unwrap().cast_signed()).unwrap();
    rustix::process::kill_process(interrupt, rustix::process::Signal::INT).unwrap();
    assert!(second.wait().await.unwrap().success());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_reaches_a_room_and_what_cannot_be_reached_is_said_before_anything_is_taken() {
    let world = World::raise().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (one, joined) = join(&world, folder.path(), &["--name", "code-1"]).await;
    let account = read(&one)["matrix"].clone();
    let url = account["homeserver"].as_str().unwrap().parse().unwrap();
    let token = account["access_token"].as_str().unwrap();
    let matrix = Matrix::with_token(url, token).await.unwrap();
    let room = matrix.create_room("desk", &[]).await.unwrap();
    let send = ["agent", "send", "--to", "code-1", "look at t3"];
    shell(&world, &[], &send).await.unwrap();

    // A room that the account is not in, a kind that is not made, no room at all.
    for (more, code, words) in [
        (
            vec!["--connector", "matrix", "--room", "!no:where"],
            1,
            "is not in",
        ),
        (vec!["--connector", "discord"], 1, "not implemented"),
        (vec!["--connector", "matrix"], 2, "--room"),
    ] {
        let refused = deliver(&one, &more).wait_with_output().await.unwrap();
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&refused.stdout),
            String::from_utf8_lossy(&refused.stderr)
        );
        assert!(said.contains(words), "{more:?}: {said}");
        assert_eq!(refused.status.code(), Some(code), "{more:?}: {said}");
    }
    assert_eq!(unacknowledged(&world, "code-1").await, 1);

    let mut running = deliver(&one, &["--connector", "matrix", "--room", &room]);
    let mut said = BufReader::new(running.stdout.take().unwrap()).lines();
    let told: Value = serde_json::from_str(&said.next_line().await.unwrap().unwrap()).unwrap();
    assert_eq!(told["item"]["id"], "n1");
    let events = matrix.history(&room, 100).await.unwrap();
    let texts: Vec<_> = events.iter().filter_map(|e| e.body()).collect();
    assert_eq!(texts.len(), 1, "{texts:?}");
    assert!(
        texts[0].ends_with("box:code-1 human] look at t3 (item n1)"),
        "{texts:?}"
    );
    assert_eq!(
        events.last().unwrap().sender,
        joined["user"].as_str().unwrap()
    );
    assert_eq!(unacknowledged(&world, "code-1").await, 0);
    world.end().await;
}
