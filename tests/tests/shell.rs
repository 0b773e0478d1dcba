//! The fleet's language in a shell, as an agent uses it, and the doctor.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helper functions too"
)]

use std::process::Output;

use fleet_tests::world::{BOT, GATEWAY, World};
use serde_json::Value;

fn json(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&said)
        .unwrap_or_else(|e| panic!("{e}: {said}{}", String::from_utf8_lossy(&output.stderr)))
}

/// The product with the agent's token and `--json`.
async fn as_agent(world: &World, token: &str, arguments: &[&str]) -> Output {
    let variables = [
        ("FLEET__OPERATOR__TOKEN_FILE", token),
        ("FLEET_AGENT", "code-1@box"),
    ];
    let arguments = [&["--json"], arguments].concat();
    world.fleet(&arguments, &variables).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_gets_a_token_works_in_a_shell_and_loses_it() {
    let world = World::raise().await.unwrap();
    let user = world.user("agent-code-1-box");
    world
        .ask(&format!("!member add {user} --role agent"))
        .await
        .unwrap();
    world.ask("!task add \"by the shell\"").await.unwrap();
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("token");
    let token = file.to_str().unwrap();
    let new = [
        "gateway", "token", "new", "code-1", "--user", &user, "--out", token,
    ];
    let made = world.fleet(&new, &[]).await.unwrap();
    assert!(made.status.success(), "{made:?}");
    let secret = std::fs::read_to_string(&file).unwrap();
    assert!(secret.starts_with("magt_"));
    assert!(!String::from_utf8_lossy(&made.stdout).contains(secret.trim()));
    // The file is there: nothing is overwritten, and no second token is made.
    assert_eq!(world.fleet(&new, &[]).await.unwrap().status.code(), Some(4));

    let register = [
        "agent", "register", "code-1", "--role", "code", "--host", "box",
    ];
    let registered = as_agent(&world, token, &register).await;
    assert!(registered.status.success(), "{registered:?}");
    let life = ["--incarnation", "1"];
    let claim = as_agent(
        &world,
        token,
        &[&["task", "claim", "t1"], &life[..]].concat(),
    )
    .await;
    let claimed = json(&claim);
    let epoch = claimed["reply"]["task"]["now"]["epoch"].to_string();
    let progress = ["task", "progress", "t1", "--percent", "40", "--epoch"];
    let told = |epoch: String| {
        let arguments: Vec<String> = progress
            .iter()
            .chain(&[epoch.as_str()])
            .chain(&life)
            .map(|s| (*s).to_owned())
            .collect();
        let world = &world;
        async move {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            as_agent(world, token, &arguments).await
        }
    };
    let done = told(epoch).await;
    assert!(done.status.success(), "{done:?}");
    let stale = told("99".into()).await;
    assert_eq!(stale.status.code(), Some(1));
    assert_eq!(json(&stale)["error"]["code"], "lease.stale_epoch");

    let revoked = world
        .fleet(&["gateway", "token", "revoke", "code-1"], &[])
        .await
        .unwrap();
    assert!(revoked.status.success(), "{revoked:?}");
    // A gateway remembers a token for seconds; a new one remembers none.
    world.stack.processes().restart(GATEWAY).await.unwrap();
    let refused = as_agent(&world, token, &["whoami"]).await;
    assert_eq!(json(&refused)["error"]["code"], "auth.unauthenticated");
    world.end().await;
}

async fn doctor(world: &World, variables: &[(&str, &str)]) -> (Option<i32>, Value) {
    let address = world.bot_address(BOT).await.unwrap();
    let mut all = vec![("FLEET__BOT__LISTEN", address.as_str())];
    all.extend(variables);
    let output = world.fleet(&["doctor", "--json"], &all).await.unwrap();
    (output.status.code(), json(&output))
}

fn state<'a>(hops: &'a Value, name: &str) -> &'a str {
    let hops = hops.as_array().unwrap();
    hops.iter().find(|h| h["hop"] == name).unwrap()["state"]
        .as_str()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_types_a_command_through_every_hop_and_names_the_one_that_fails() {
    let world = World::raise().await.unwrap();
    let password = world
        .stack
        .folder()
        .secret_file("operator-password")
        .unwrap();
    let person = [("FLEET__OPERATOR__PASSWORD_FILE", password.to_str().unwrap())];
    let (code, hops) = doctor(&world, &person).await;
    assert_eq!(code, Some(0), "{hops:#}");
    for hop in [
        "homeserver",
        "limits",
        "account",
        "rooms",
        "bot",
        "gateway",
        "register",
        "agents",
        "command",
    ] {
        assert_eq!(state(&hops, hop), "ok", "{hops:#}");
    }
    let command = hops.as_array().unwrap().last().unwrap();
    assert_eq!(
        command["stretches"].as_array().unwrap().len(),
        3,
        "{command:#}"
    );
    // The next one types in the same room: none is made each time.
    let rooms = world.operator.joined_rooms().await.unwrap().len();
    assert_eq!(doctor(&world, &person).await.0, Some(0));
    assert_eq!(world.operator.joined_rooms().await.unwrap().len(), rooms);

    // Without an account what it cannot know is not well.
    let (code, hops) = doctor(&world, &[]).await;
    assert_eq!(code, Some(16), "{hops:#}");
    assert_eq!(state(&hops, "command"), "unknown");
    assert_eq!(state(&hops, "rooms"), "ok");

    world.stack.processes().stop(BOT).await.unwrap();
    let (code, hops) = doctor(&world, &[]).await;
    assert_eq!(code, Some(12), "{hops:#}");
    assert_eq!(state(&hops, "bot"), "broken");
    assert_eq!(state(&hops, "gateway"), "ok");
    world.end().await;
}
