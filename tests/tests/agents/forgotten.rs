//! A homeserver that has forgotten an agent's device.

use std::process::Stdio;

use fleet_agent::matrix::Matrix;
use fleet_tests::world::{World, eventually};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::{as_agent, join, read, shell};

/// The agent's account, as its file has it now.
async fn account(file: &std::path::Path) -> Matrix {
    let account = read(file)["matrix"].clone();
    let url = account["homeserver"].as_str().unwrap().parse().unwrap();
    let token = account["access_token"].as_str().unwrap();
    Matrix::with_token(url, token).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_device_is_logged_in_again_and_nothing_is_lost() {
    let world = World::raise().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (file, _) = join(&world, folder.path(), &["--name", "code-1"]).await;
    let matrix = account(&file).await;
    let room = matrix.create_room("desk", &[]).await.unwrap();
    let deliver = [
        "agent",
        "deliver",
        "--connector",
        "matrix",
        "--room",
        &room,
        "--json",
    ];
    let send = async |text: &str| {
        shell(&world, &[], &["agent", "send", "--to", "code-1", text])
            .await
            .unwrap()
    };
    matrix.logout().await.unwrap();
    send("one").await;

    // Where nothing says how accounts are made, it says what to do, and takes nothing.
    let mut alone = tokio::process::Command::new(fleet_tests::world::fleet().unwrap());
    let alone = alone
        .args(deliver)
        .envs(as_agent(&file))
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    assert_eq!(alone.status.code(), Some(1), "{alone:?}");
    let said = String::from_utf8_lossy(&alone.stderr) + String::from_utf8_lossy(&alone.stdout);
    assert!(
        said.contains("has forgotten") && said.contains("fleet agent join"),
        "{said}"
    );
    let inbox = ["agent", "inbox", "code-1"];
    let waiting = shell(&world, &[], &inbox).await.unwrap();
    assert_eq!(waiting["items"].as_array().unwrap().len(), 1);

    // Where it is known, the device is logged in again: at the start, and in the middle.
    let mut running = world.command(&deliver, &as_agent(&file)).unwrap();
    let mut running = running.spawn().unwrap();
    let mut said = BufReader::new(running.stdout.take().unwrap()).lines();
    let mut delivered = async || -> Value {
        let line = said.next_line().await.unwrap().unwrap();
        serde_json::from_str(&line).unwrap()
    };
    assert_eq!(delivered().await["item"]["text"], "one");
    account(&file).await.logout().await.unwrap();
    send("two").await;
    assert_eq!(delivered().await["item"]["text"], "two");
    assert_eq!(read(&file)["agent"]["incarnation"], 1);
    let matrix = account(&file).await;
    let texts = matrix.history(&room, 100).await.unwrap();
    let texts: Vec<_> = texts.iter().filter_map(|e| e.body()).collect();
    assert_eq!(texts.len(), 2, "{texts:?}");
    running.kill().await.unwrap();

    // The inbox at the gateway needs no device; coming back makes a new one, and the way by Matrix is open.
    matrix.logout().await.unwrap();
    send("three").await;
    let next = ["agent", "next", "--wait", "0"];
    let taken = shell(&world, &as_agent(&file), &next).await.unwrap();
    assert_eq!(taken["items"][0]["text"], "three");
    let (_, joined) = join(&world, folder.path(), &["--name", "code-1"]).await;
    assert_eq!(joined["agent"]["incarnation"], 2);
    let matrix = account(&file).await;
    eventually("the agent may join", || async {
        matrix.join(&world.lobby).await.ok()
    })
    .await
    .unwrap();
    let mut follow = world.follow().await.unwrap();
    let body = json!({ "v": 1, "id": "e1", "command": { "agent.heartbeat": {} },
        "agent": { "name": "code-1", "host": "box", "incarnation": 2 } });
    let event = matrix
        .send(&world.lobby, "dev.mosaicstack.fleet.command", &body, "e1")
        .await
        .unwrap();
    let receipt = world.receipt(&mut follow, &event).await.unwrap();
    assert_eq!(receipt.content["outcome"], "done", "{receipt:?}");
    world.end().await;
}
