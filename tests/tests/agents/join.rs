//! Agents that join in one command, and what is said to them: a shell, a real homeserver, a real gateway.

use std::os::unix::fs::PermissionsExt as _;

use fleet_agent::matrix::{Matrix, MatrixError};
use fleet_tests::world::{World, eventually};
use serde_json::json;

use crate::{as_agent, join, read, shell};

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_joins_comes_back_and_is_told_apart_from_its_former_self() {
    let world = World::raise().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (file, first) = join(&world, folder.path(), &["--runtime", "script"]).await;
    assert_eq!(
        first["agent"],
        json!({ "name": "code-1", "host": "box", "incarnation": 1 })
    );
    assert_eq!(
        std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let account = &read(&file)["matrix"];
    let token = account["access_token"].as_str().unwrap();
    let url = account["homeserver"].as_str().unwrap().parse().unwrap();
    let matrix = Matrix::with_token(url, token).await.unwrap();
    assert_eq!(matrix.user_id(), first["user"].as_str().unwrap());

    shell(&world, &[], &["agent", "send", "--to", "code-1", "hello"])
        .await
        .unwrap();
    let next = ["agent", "next", "--wait", "0"];
    let taken = shell(&world, &as_agent(&file), &next).await.unwrap();
    assert_eq!(taken["items"][0]["text"], "hello");

    // Another process joins as the same agent: what the first did not acknowledge is the second's.
    let former = folder.path().join("former.json");
    std::fs::copy(&file, &former).unwrap();
    let (same, second) = join(&world, folder.path(), &[]).await;
    assert_eq!((&same, &second["agent"]["incarnation"]), (&file, &json!(2)));
    let stale = shell(&world, &as_agent(&former), &next).await.unwrap_err();
    assert!(stale.contains("agent.stale_incarnation"), "{stale}");
    let taken = shell(&world, &as_agent(&file), &next).await.unwrap();
    assert_eq!(taken["items"][0]["deliveries"], 2);
    shell(&world, &as_agent(&file), &["agent", "ack", "n1"])
        .await
        .unwrap();

    // A name is one agent's, wherever somebody else would like to be it.
    let elsewhere = folder.path().join("elsewhere.json");
    let line = [
        "agent", "join", "--role", "code", "--name", "code-1", "--host", "other",
    ];
    let taken = shell(&world, &as_agent(&elsewhere), &line)
        .await
        .unwrap_err();
    assert!(taken.contains("register.exists"), "{taken}");
    assert!(!elsewhere.exists());

    let before = read(&file)["token"].clone();
    shell(&world, &as_agent(&file), &["agent", "rotate"])
        .await
        .unwrap();
    assert_ne!(read(&file)["token"], before);
    shell(&world, &as_agent(&file), &["agent", "heartbeat"])
        .await
        .unwrap();
    // Both sides agree, but for an agent that was registered without an account.
    let password = world
        .stack
        .folder()
        .path()
        .join("secrets/operator-password");
    let operator = [("FLEET__OPERATOR__PASSWORD_FILE", password.to_str().unwrap())];
    let reconcile = ["agent", "reconcile"];
    let compared = shell(&world, &operator, &reconcile).await.unwrap();
    assert_eq!(compared["differences"], json!([]), "{compared}");
    let server = matrix.user_id().split_once(':').unwrap().1;
    let nobody = format!("@agent-code-9-box:{server}");
    let ghost = [
        "agent", "register", "code-9", "--role", "code", "--host", "box", "--user", &nobody,
    ];
    shell(&world, &[], &ghost).await.unwrap();
    let differs = shell(&world, &operator, &reconcile).await.unwrap_err();
    assert!(
        differs.contains("no_account") && differs.contains(&nobody),
        "{differs}"
    );
    shell(&world, &[], &["agent", "retire", "code-9"])
        .await
        .unwrap();

    shell(&world, &[], &["agent", "revoke", "code-1"])
        .await
        .unwrap();
    let ended = matrix.whoami().await.unwrap_err();
    assert!(
        matches!(ended, MatrixError::Refused { status: 401, .. }),
        "{ended}"
    );
    let compared = shell(&world, &operator, &reconcile).await.unwrap();
    assert_eq!(compared["differences"], json!([]), "{compared}");
    eventually("a revoked token stops working", || async {
        let refused = shell(&world, &as_agent(&file), &["agent", "heartbeat"]).await;
        refused.err().filter(|e| e.contains("auth.unauthenticated"))
    })
    .await
    .unwrap();
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_an_agent_reaches_an_inbox_once_and_a_forged_one_never() {
    let world = World::raise().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (one, joined) = join(&world, folder.path(), &["--name", "code-1"]).await;
    let (two, _) = join(&world, folder.path(), &["--name", "code-2"]).await;
    let account = read(&one)["matrix"].clone();
    let url = account["homeserver"].as_str().unwrap().parse().unwrap();
    let matrix = Matrix::with_token(url, account["access_token"].as_str().unwrap())
        .await
        .unwrap();
    assert_eq!(joined["user"], matrix.user_id());
    eventually("the agent may join", || async {
        matrix.join(&world.lobby).await.ok()
    })
    .await
    .unwrap();
    let said = |text: &str, from: &str, incarnation: u64| {
        json!({
            "msgtype": "m.text", "body": format!("[box:{from} -> box:code-2] {text}"),
            "dev.mosaicstack.fleet": { "v": 1, "from": format!("box:{from}"), "to": "box:code-2", "incarnation": incarnation },
        })
    };
    let mut follow = world.follow().await.unwrap();
    for (sender, content) in [
        // Somebody else's account, an earlier life, another agent's name: each is refused.
        (&world.operator, said("forged", "code-1", 1)),
        (&matrix, said("stale", "code-1", 7)),
        (&matrix, said("not me", "code-2", 1)),
        (&matrix, said("look at t3", "code-1", 1)),
    ] {
        let key = world.transaction();
        let event = sender
            .send(&world.lobby, "m.room.message", &content, &key)
            .await
            .unwrap();
        let receipt = follow
            .until("the receipt", std::time::Duration::from_secs(30), |seen| {
                seen.event.event_type == "dev.mosaicstack.fleet.receipt"
                    && seen.event.relates_to("m.reference") == Some(event.as_str())
            })
            .await
            .unwrap();
        let is_done = receipt.event.content["outcome"] == "done";
        assert_eq!(
            is_done,
            content["body"].as_str().unwrap().ends_with("t3"),
            "{receipt:?}"
        );
    }
    let taken = shell(&world, &as_agent(&two), &["agent", "next", "--limit", "9"])
        .await
        .unwrap();
    let items = taken["items"].as_array().unwrap();
    assert_eq!((items.len(), &items[0]["text"]), (1, &json!("look at t3")));
    world.end().await;
}
