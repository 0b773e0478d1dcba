//! What people type and agents send, and what comes back.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helper functions too"
)]

use std::time::Duration;

use fleet_agent::command::{AgentIdentity, CommandError, Commands};
use fleet_agent::matrix::{Follow, Matrix, MatrixError, edit, text};
use fleet_protocol::event::{COMMAND, RECEIPT};
use fleet_protocol::problem::Code;
use fleet_protocol::verbs::{agent, task};
use fleet_protocol::{Command, Request};
use fleet_tests::world::{World, eventually};
use serde_json::{Value, json};

/// One world for the whole story: each line is one case of the table.
#[tokio::test(flavor = "multi_thread")]
async fn every_line_has_one_clear_answer() {
    let world = World::raise().await.unwrap();
    let cases = [
        ("!help", "task"),
        ("!whoami", "operator"),
        ("!task add \"Write the release notes\"", "t1 added"),
        ("!task add “curly quotes” —priority 70", "t2 added"),
        ("!task add don't --priority 10", "t3 added"),
        ("!task ad x", "task add"),
        ("!taks list", "task list"),
        ("!task add", "title"),
        ("!task add x --priority 900", "900"),
        ("!task show t999", "t999"),
        ("!task add one\n!task add two", "one"),
        (
            "!task add \"<b>bold</b> & <script>\"",
            "<b>bold</b> & <script>",
        ),
        ("!task add \"שלום עולם\"", "שלום עולם"),
        ("!pause --reason \"a look\"", "paused"),
        ("!task claim t1", "paused"),
        ("!resume", "goes on"),
        (
            "!budget set --provider claude --limit 2M --unit tokens --reset-at 2999-01-01T00:00",
            "2200",
        ),
        ("!status", "ready"),
    ];
    for (line, expected) in cases {
        let answer = world.ask(line).await.unwrap();
        let body = answer.body().unwrap_or_default().to_lowercase();
        assert!(
            body.contains(&expected.to_lowercase()),
            "{line}\nexpected: {expected}\nanswer: {body}"
        );
        assert_eq!(answer.content["msgtype"], "m.notice", "{line}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn html_in_a_title_stays_text() {
    let world = World::raise().await.unwrap();
    let answer = world
        .ask("!task add \"<img src=x onerror=alert(1)>\"")
        .await
        .unwrap();
    let html = answer.content["formatted_body"].as_str().unwrap();
    assert!(!html.contains("<img"), "{html}");
    assert!(html.contains("&lt;img"), "{html}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_never_runs_and_a_redaction_after_execution_says_what_was_done() {
    let world = World::raise().await.unwrap();
    let event = world.say("!task add \"only once\"").await.unwrap();
    world.answer_to(&event).await.unwrap();
    let edited = edit("!task add \"never\"", &event);
    world
        .operator
        .send(
            &world.lobby,
            "m.room.message",
            &edited,
            &world.transaction(),
        )
        .await
        .unwrap();
    world.ask("!whoami").await.unwrap();
    assert_eq!(world.task_titles().await.unwrap(), ["only once"]);

    world
        .operator
        .redact(&world.lobby, &event, None, &world.transaction())
        .await
        .unwrap();
    world.ask("!whoami").await.unwrap();
    assert_eq!(world.task_titles().await.unwrap(), ["only once"]);
    let history = world.operator.history(&world.lobby, 100).await.unwrap();
    let told = history
        .iter()
        .filter_map(|e| e.body())
        .filter(|b| b.contains("task cancel"))
        .count();
    assert_eq!(told, 1, "the way back is told once");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conversation_is_left_alone() {
    let world = World::raise().await.unwrap();
    let chat = [
        "hello there",
        "!",
        "!!",
        "wow! task add x",
        "approve of this, I do",
    ];
    let mut said = Vec::new();
    for line in chat {
        said.push(
            world
                .operator
                .send(
                    &world.lobby,
                    "m.room.message",
                    &text(line),
                    &world.transaction(),
                )
                .await
                .unwrap(),
        );
    }
    // The next command is answered after all of them were read.
    world.ask("!whoami").await.unwrap();
    for (event, line) in said.iter().zip(chat) {
        assert!(world.answers_to(event).await.unwrap().is_empty(), "{line}");
    }
    world.end().await;
}

/// What a member who is no operator says in the lobby, and the answer.
async fn answer(world: &World, person: &Matrix, line: &str) -> String {
    let transaction = world.transaction();
    let sent = person
        .send(&world.lobby, "m.room.message", &text(line), &transaction)
        .await
        .unwrap();
    let answer = world.answer_to(&sent).await.unwrap();
    answer.body().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_long_invisible_or_not_allowed_has_one_answer_and_no_effect() {
    let world = World::raise().await.unwrap();
    let seen = world
        .ask("!task\u{200b} add \u{2060}invisible")
        .await
        .unwrap();
    assert!(seen.body().unwrap().contains("t1 added"), "{seen:?}");

    let long = format!("!task add \"{}\"", "x".repeat(60_000));
    let event = world.say(&long).await.unwrap();
    let told = world.answer_to(&event).await.unwrap();
    let body = told.body().unwrap();
    assert!(body.contains("long") && body.len() < 4_000, "{body}");
    // What a homeserver does not take never was a line.
    let beyond = format!("!task add \"{}\"", "x".repeat(66_000));
    let refused = world.say(&beyond).await.unwrap_err().to_string();
    assert!(refused.contains("413"), "{refused}");

    let agent = world.member("agent-code-1-box", "agent").await.unwrap();
    let refused = answer(&world, &agent, "!task add \"printed by a model\"").await;
    assert!(refused.contains("agent"), "{refused}");

    let guest = world.person("guest").await.unwrap();
    let invited = world.operator.invite(&world.lobby, guest.user_id()).await;
    invited.unwrap();
    guest.join(&world.lobby).await.unwrap();
    let refused = answer(&world, &guest, "!task add \"by a stranger\"").await;
    assert!(refused.contains("no role"), "{refused}");

    world.ask("!whoami").await.unwrap();
    assert_eq!(world.answers_to(&event).await.unwrap().len(), 1);
    assert_eq!(world.task_titles().await.unwrap(), ["invisible"]);
    world.end().await;
}

/// The receipt of a structured command that is written by hand; `None` when the homeserver does not
/// take the event at all.
async fn receipt(world: &World, agent: &Matrix, content: &Value) -> Option<Value> {
    let transaction = world.transaction();
    let sent = agent
        .send(&world.lobby, COMMAND, content, &transaction)
        .await;
    let sent = match sent {
        Ok(sent) => sent,
        Err(MatrixError::Refused { status: 400, .. }) => return None,
        Err(error) => unreachable!("{error}"),
    };
    let receipt = eventually("a receipt", || async {
        let history = agent.history(&world.lobby, 1_000).await.ok()?;
        history
            .into_iter()
            .find(|e| e.event_type == RECEIPT && e.relates_to("m.reference") == Some(&sent))
    })
    .await
    .unwrap();
    Some(receipt.content)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_malformed_has_a_receipt_that_says_so() {
    let world = World::raise().await.unwrap();
    world.ask("!task add \"the work\"").await.unwrap();
    let agent = world.member("agent-code-1-box", "agent").await.unwrap();
    let event = |v: u64, id: &str, command: Value| {
        let identity = json!({ "name": "code-1", "host": "box", "incarnation": 0 });
        json!({ "v": v, "id": id, "command": command, "agent": identity })
    };
    let progress =
        |percent: Value| json!({ "task.progress": { "task": "t1", "percent": percent } });
    let version = event(7, "v7", json!({ "task.claim": {} }));
    let told = receipt(&world, &agent, &version).await.unwrap();
    assert_eq!(told["error"]["code"], "event.unknown_version", "{told}");
    let wrong = event(1, "path", progress("much".into()));
    let told = receipt(&world, &agent, &wrong).await.unwrap();
    assert_eq!(told["error"]["code"], "event.malformed", "{told}");
    let at = told["error"]["at"].to_string();
    assert!(at.contains("percent"), "{told}");
    // Matrix knows no fractions; a homeserver that takes one all the same leaves it to us.
    let float = event(1, "float", progress(0.5.into()));
    if let Some(told) = receipt(&world, &agent, &float).await {
        assert_eq!(told["error"]["code"], "event.malformed", "{told}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_agents_former_life_still_sends_is_refused() {
    let world = World::raise().await.unwrap();
    world.ask("!task add \"the work\"").await.unwrap();
    let matrix = world.member("agent-code-1-box", "agent").await.unwrap();
    let identity = AgentIdentity {
        name: "code-1".parse().unwrap(),
        host: "box".parse().unwrap(),
        incarnation: 0,
    };
    let follow = Follow::start(matrix).await.unwrap();
    let (room, fleet) = (world.lobby.clone(), world.user("fleet"));
    let mut agent = Commands::new(follow, room, fleet, identity, Duration::from_secs(60));
    for id in ["first-life", "second-life"] {
        let register = agent::Register {
            name: "code-1".parse().unwrap(),
            role: "code".parse().unwrap(),
            host: "box".parse().unwrap(),
            runtime: None,
            model: None,
            user: None,
        };
        let register = Request::Command(Command::from(register));
        agent.send(id, register, None).await.unwrap();
    }
    agent.agent.incarnation = 1;
    let claim = Request::Command(Command::from(task::Claim { task: None }));
    match agent.send("stale", claim, None).await.unwrap_err() {
        CommandError::Refused(problem) => assert_eq!(problem.code, Code::StaleIncarnation),
        other => unreachable!("{other}"),
    }
    let shown = world.ask("!task show t1").await.unwrap();
    assert!(shown.body().unwrap().contains("pending"), "{shown:?}");
    world.end().await;
}
