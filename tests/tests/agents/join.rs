//! Agents that join in one command, and what is said to them: a shell, a real homeserver, a real gateway.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fleet_agent::matrix::{Matrix, MatrixError};
use fleet_homeserver::Secret;
use fleet_homeserver::child::{self, Child, Signal};
use fleet_homeserver::config::Settings;
use fleet_homeserver::process::{HomeserverSettings, PreparedHomeserver, Software};
use fleet_tests::world::{World, eventually};
use serde_json::json;
use url::Url;

use crate::{as_agent, join, read, shell, write};

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

/// A Synapse of its own that knows an application service; its address, and the registration file.
async fn with_appservice(folder: &Path) -> (Child, Url, PathBuf) {
    let registration = folder.join("appservice.yaml");
    let yaml = json!({
        "id": "fleet", "url": null, "as_token": "as-for-this-test", "hs_token": "hs-for-this-test",
        "sender_localpart": "fleet-agents", "rate_limited": false,
        "namespaces": { "users": [{ "exclusive": true, "regex": "@agent-.*" }] },
    });
    write(&registration, &yaml);
    let listen = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|l| l.local_addr())
        .unwrap();
    let settings = HomeserverSettings {
        config: Settings {
            server_name: "fleet.test".to_owned(),
            listen,
            public_url: None,
            data: folder.join("homeserver"),
            registration_secret: Secret::new("nobody is told"),
            fast_hashing: true,
        },
        software: Software::Synapse,
        log: folder.join("homeserver.log"),
        cache: None,
    };
    let prepared = PreparedHomeserver::prepare(settings, &|_| {})
        .await
        .unwrap();
    let config = folder.join("homeserver/homeserver.yaml");
    let told = std::fs::read_to_string(&config).unwrap();
    let more = format!(
        "{told}app_service_config_files: [{}]\n",
        json!(registration)
    );
    std::fs::write(&config, more).unwrap();
    let child = child::spawn(&prepared.spec()).await.unwrap();
    tokio::time::timeout(Duration::from_secs(90), prepared.ready(child.pid()))
        .await
        .unwrap();
    (child, prepared.base_url().parse().unwrap(), registration)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_service_makes_an_agents_account_and_ends_it() {
    let world = World::raise().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (server, url, registration) = with_appservice(folder.path()).await;
    let (state, url) = (folder.path().join("state"), url.to_string());
    let variables = [
        ("XDG_STATE_HOME", state.to_str().unwrap()),
        ("FLEET__HOMESERVER__URL", &url),
        (
            "FLEET__HOMESERVER__APPSERVICE_FILE",
            registration.to_str().unwrap(),
        ),
    ];
    let line = ["agent", "join", "--role", "code", "--host", "box"];
    let joined = shell(&world, &variables, &line).await.unwrap();
    assert_eq!(joined["user"], "@agent-code-1-box:fleet.test");
    let file = Path::new(joined["credentials"].as_str().unwrap());
    let account = read(file)["matrix"].clone();
    let token = account["access_token"].as_str().unwrap();
    assert_ne!(token, "as-for-this-test", "it has a token of its own");
    let matrix = Matrix::with_token(url.parse().unwrap(), token)
        .await
        .unwrap();
    assert_eq!(matrix.user_id(), joined["user"].as_str().unwrap());
    let room = matrix.create_room("of its own", &[]).await.unwrap();
    // The same transaction of two accounts is two messages: each is its own device's.
    let other = ["--name", "code-2"];
    let second = shell(&world, &variables, &[&line[..], &other].concat())
        .await
        .unwrap();
    let account = read(Path::new(second["credentials"].as_str().unwrap()))["matrix"].clone();
    let other = Matrix::with_token(
        url.parse().unwrap(),
        account["access_token"].as_str().unwrap(),
    )
    .await
    .unwrap();
    matrix.invite(&room, other.user_id()).await.unwrap();
    other.join(&room).await.unwrap();
    let text = json!({ "msgtype": "m.text", "body": "once" });
    let one = matrix.send(&room, "m.room.message", &text, "1").await;
    let two = other.send(&room, "m.room.message", &text, "1").await;
    assert_ne!(one.unwrap(), two.unwrap());
    // A homeserver that has forgotten the device: the same account, logged in to anew.
    matrix.logout().await.unwrap();
    let again = shell(&world, &variables, &line).await.unwrap();
    assert_eq!(again["agent"]["incarnation"], 2);
    let token = read(file)["matrix"]["access_token"].clone();
    let matrix = Matrix::with_token(url.parse().unwrap(), token.as_str().unwrap())
        .await
        .unwrap();
    shell(&world, &variables, &["agent", "revoke", "code-1"])
        .await
        .unwrap();
    let ended = matrix.whoami().await.unwrap_err();
    assert!(
        matches!(ended, MatrixError::Refused { status: 401, .. }),
        "{ended}"
    );
    server
        .stop(Signal::Interrupt, Duration::from_secs(20))
        .await;
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
        let receipt = world.receipt(&mut follow, &event).await.unwrap();
        let is_done = receipt.content["outcome"] == "done";
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
