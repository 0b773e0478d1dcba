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

#[tokio::test(flavor = "multi_thread")]
async fn a_brief_becomes_a_proposal_whose_record_is_checked_without_a_fleet() {
    let world = World::raise().await.unwrap();
    let place = tempfile::tempdir().unwrap();
    let (brief, record) = (place.path().join("brief.md"), place.path().join("p1.json"));
    let (brief, record) = (brief.to_str().unwrap(), record.to_str().unwrap());
    std::fs::write(
        brief,
        "---\nkind: goal\neffect: mission new \"Ship 1.0\"\ncloses_at: +48h\n---\n# Ship 1.0\n\nIt is ready.\n",
    )
    .unwrap();
    let run = |arguments: &'static str| {
        let world = &world;
        async move {
            let arguments: Vec<&str> = arguments.split(' ').collect();
            world.fleet(&arguments, &[]).await.unwrap()
        }
    };
    let proposed = world
        .fleet(&["board", "propose", "--from-file", brief, "--json"], &[])
        .await
        .unwrap();
    let opened = &json(&proposed)["reply"]["proposal"]["now"];
    assert_eq!(opened["title"], "Ship 1.0", "{opened:#}");
    assert_eq!(opened["text"], "# Ship 1.0\n\nIt is ready.");
    assert!(
        run("board vote p1 approve because ready")
            .await
            .status
            .success()
    );
    assert!(run("board close p1").await.status.success());
    let exported = run("board export p1 --json").await;
    assert!(exported.status.success(), "{exported:?}");
    std::fs::write(record, &exported.stdout).unwrap();

    let verify = |head: Option<String>| {
        let world = &world;
        async move {
            let mut arguments = vec!["board", "verify", record, "--json"];
            arguments.extend(head.iter().flat_map(|head| ["--head", head.as_str()]));
            world.fleet(&arguments, &[]).await.unwrap()
        }
    };
    let verified = verify(None).await;
    let head = json(&verified)["head"].as_str().unwrap().to_owned();
    assert!(verified.status.success(), "{verified:?}");
    assert!(verify(Some(head)).await.status.success());
    let other = verify(Some("0".repeat(64))).await;
    assert_eq!(other.status.code(), Some(6), "{other:?}");
    let changed = String::from_utf8(exported.stdout).unwrap();
    std::fs::write(record, changed.replacen("approve", "reject", 1)).unwrap();
    assert_eq!(verify(None).await.status.code(), Some(6));

    // What is no brief is told with the key, and nothing is proposed.
    std::fs::write(brief, "---\nkinds: goal\n---\n# Ship 2.0\n").unwrap();
    let wrong = world
        .fleet(&["board", "propose", "--from-file", brief], &[])
        .await
        .unwrap();
    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("kinds"));
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
