//! What people type, and what comes back.

use fleet_agent::matrix::{edit, text};
use fleet_tests::world::World;

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
