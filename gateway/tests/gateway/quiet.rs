//! How much a room hears: `!verbosity quiet` spares it what nobody needs to act on.

use fleet_protocol::envelope::{BotLease, Envelope, Outcome, Submitted};
use fleet_protocol::outbox::{OutboxRow, Post};
use reqwest::StatusCode;
use serde_json::json;

use crate::stage::{LOBBY, Stage, batch, line, read};

const OPS: &str = "!ops:test";

/// Submits a line typed in a room.
async fn say(
    stage: &Stage,
    lease: &BotLease,
    room: &str,
    after: &str,
    envelope: Envelope,
) -> Submitted {
    let mut asked = batch(lease, after, vec![envelope]);
    asked.room_id = room.into();
    let said: Submitted = read(stage.submit(&asked).await).await;
    assert_eq!(said.receipts[0].outcome, Outcome::Done, "{said:?}");
    said
}

fn verbosity(key: &str, level: &str) -> Envelope {
    line(key, json!({ "verbosity": { "level": level } }))
}

/// The messages that a room is to be sent.
fn texts(rows: &[OutboxRow], room: &str) -> Vec<String> {
    let of_room = rows.iter().filter(|row| row.room_id == room);
    of_room
        .filter_map(|row| match &row.post {
            Post::Message(message) => Some(message.document.plain()),
            _ => None,
        })
        .collect()
}

#[tokio::test]
async fn a_quiet_room_hears_answers_and_alarms_and_no_chatter() {
    let stage = Stage::new().await;
    let lease = stage.bot().await;
    stage.bind(&lease, Some("ops"), OPS, None).await;
    let quiet = say(&stage, &lease, LOBBY, "$join", verbosity("$1", "quiet")).await;
    assert_eq!(
        texts(&quiet.outbox, LOBBY).len(),
        1,
        "the answer: {quiet:?}"
    );
    say(&stage, &lease, OPS, "$join", verbosity("$2", "quiet")).await;

    let paused = stage
        .command("k1", json!({ "pause": { "reason": "a look" } }))
        .await;
    assert_eq!(paused.status(), StatusCode::OK);
    let raised = json!({ "lease": lease, "rule": "room.gap", "subject": "!x", "detail": "look" });
    let raised = stage.post("/v1/incidents", &raised).await;
    assert_eq!(raised.status(), StatusCode::NO_CONTENT);
    let rows = stage.outbox().await.rows;
    let (lobby, ops) = (texts(&rows, LOBBY), texts(&rows, OPS));
    assert!(
        lobby.iter().all(|said| !said.contains("paused")),
        "{lobby:?}"
    );
    assert!(ops.iter().any(|said| said.contains("room.gap")), "{ops:?}");
    let kept = "SELECT count(*) FROM fleet.outbox WHERE state = 'superseded' AND reason = 'the room is quiet'";
    assert_eq!(stage.database.count(kept).await, 1, "kept, unsaid");
    let answer = say(
        &stage,
        &lease,
        LOBBY,
        "$1",
        line("$3", json!({ "status": {} })),
    )
    .await;
    assert_eq!(texts(&answer.outbox, LOBBY).len(), 1, "{answer:?}");

    say(&stage, &lease, LOBBY, "$3", verbosity("$4", "normal")).await;
    stage.command("k2", json!({ "resume": {} })).await;
    let lobby = texts(&stage.outbox().await.rows, LOBBY);
    assert!(
        lobby.iter().any(|said| said.contains("resumed")),
        "{lobby:?}"
    );
    stage.stop().await;
}
