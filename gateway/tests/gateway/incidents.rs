//! Incidents: told once, kept true by edits, over when they are mended, told anew when they come back.

use fleet_protocol::api::{OpenIncident, Outbox, Rooms, Settled, Settlements, path};
use fleet_protocol::envelope::BotLease;
use fleet_protocol::outbox::{OutboxRow, Post, Relation, Settlement, Target};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::stage::{LOBBY, Stage, line, read};

const OPS: &str = "!ops:test";

async fn report(stage: &Stage, lease: &BotLease, detail: &str, mended: bool) {
    let body = json!({
        "lease": lease, "rule": "room.not_mended", "subject": LOBBY, "detail": detail, "mended": mended
    });
    let told = stage.post(path::INCIDENTS, &body).await;
    assert_eq!(told.status(), StatusCode::NO_CONTENT);
}

/// What is to be said in the room `ops` now; it is sent with that.
async fn said(stage: &Stage, lease: &BotLease) -> Vec<String> {
    let Outbox { rows } = stage.outbox().await;
    let rows: Vec<_> = rows.into_iter().filter(|r| r.room_id == OPS).collect();
    for row in &rows {
        let event_id = format!("${}", row.id.simple());
        settle(stage, lease, row, Settlement::Sent { event_id }).await;
    }
    rows.iter().map(words).collect()
}

fn words(row: &OutboxRow) -> String {
    match (&row.post, &row.relation) {
        (Post::Message(said), None) => format!("new: {}", said.document.plain()),
        (Post::Edit(said), Some(Relation::Replaces(Target::Event(_)))) => {
            format!("edit: {}", said.document.plain())
        }
        (Post::Reaction { key }, Some(Relation::Annotates(Target::Event(_)))) => {
            format!("tap: {key}")
        }
        other => panic!("{other:?}"),
    }
}

async fn settle(stage: &Stage, lease: &BotLease, row: &OutboxRow, settlement: Settlement) {
    let body = Settlements {
        lease: lease.clone(),
        rows: vec![Settled {
            row: row.id,
            settlement,
        }],
    };
    let settled = stage.post(path::SETTLEMENTS, &body).await;
    assert_eq!(settled.status(), StatusCode::NO_CONTENT);
}

async fn open(stage: &Stage) -> Vec<OpenIncident> {
    let rooms: Rooms = read(stage.get(path::ROOMS, &stage.bot).await).await;
    rooms.incidents
}

#[tokio::test]
async fn an_incident_is_told_edited_and_over_and_told_anew() {
    let stage = Stage::new().await;
    let lease = stage.bot().await;
    stage.bind(&lease, Some("ops"), OPS, None).await;

    report(&stage, &lease, "no right", false).await;
    report(&stage, &lease, "no right", false).await;
    assert_eq!(
        said(&stage, &lease).await,
        ["new: ⚠ room.not_mended !lobby:test\nno right"]
    );
    let expected = OpenIncident {
        rule: "room.not_mended".parse().unwrap(),
        subject: LOBBY.to_owned(),
    };
    assert_eq!(open(&stage).await, [expected]);
    report(&stage, &lease, "no right, and no name", false).await;
    assert_eq!(
        said(&stage, &lease).await,
        [
            "tap: 👀",
            "edit: ⚠ room.not_mended !lobby:test\nno right, and no name"
        ]
    );
    stage.clock.advance(60);
    report(&stage, &lease, "", true).await;
    report(&stage, &lease, "", true).await;
    assert_eq!(
        said(&stage, &lease).await,
        ["edit: ✅ over: room.not_mended !lobby:test\nno right, and no name"]
    );
    assert_eq!(open(&stage).await, []);
    report(&stage, &lease, "no right", false).await;
    let again = said(&stage, &lease).await;
    assert!(
        again.len() == 1 && again[0].starts_with("new: "),
        "{again:?}"
    );
}

#[tokio::test]
async fn a_room_that_takes_messages_again_is_no_incident_any_more_and_its_next_failure_is_told() {
    let stage = Stage::new().await;
    let lease = stage.bot().await;
    stage.bind(&lease, Some("ops"), OPS, None).await;
    let mut after = "$join".to_owned();
    let mut told = Vec::new();
    for (key, is_dead) in [("$1", true), ("$2", false), ("$3", true)] {
        stage.clock.advance(1);
        let whoami: Value = json!({ "whoami": {} });
        let done = stage
            .submitted(&lease, &after, vec![line(key, whoami)])
            .await;
        after = key.to_owned();
        let answer = done.outbox.iter().find(|row| row.room_id == LOBBY).unwrap();
        let settlement = match is_dead {
            true => Settlement::Dead {
                reason: "M_TOO_LARGE".into(),
            },
            false => Settlement::Sent {
                event_id: "$sent".into(),
            },
        };
        settle(&stage, &lease, answer, settlement).await;
        let said = said(&stage, &lease).await;
        told.push(
            said.iter()
                .map(|said| said.chars().take(15).collect::<String>())
                .collect::<Vec<_>>(),
        );
    }
    assert_eq!(
        told,
        [
            vec!["new: ⚠ outbox.d"],
            vec!["tap: 👀", "edit: ✅ over: o"],
            vec!["new: ⚠ outbox.d"]
        ]
    );
}

#[tokio::test]
async fn a_reply_to_the_operators_message_about_a_task_answers_the_task() {
    let stage = Stage::new().await;
    let lease = stage.bot().await;
    stage.bind(&lease, Some("ops"), OPS, None).await;
    let asked = vec![
        line("$add", json!({ "task.add": { "title": "Sign it" } })),
        line(
            "$ask",
            json!({ "task.escalate": { "task": "t1", "reason": "Which key?" } }),
        ),
    ];
    stage.submitted(&lease, "$join", asked).await;
    let Outbox { rows } = stage.outbox().await;
    let told = rows.iter().find(|r| r.room_id == OPS).unwrap();
    let event_id = "$told".to_owned();
    settle(&stage, &lease, told, Settlement::Sent { event_id }).await;
    let mut answer = line(
        "$answer",
        json!({ "task.answer": { "task": "this", "text": "Mine." } }),
    );
    answer.context.reply_to = Some("$told".to_owned());
    let done = stage.submitted(&lease, "$ask", vec![answer]).await;
    let reply = done.receipts[0].reply.as_ref().unwrap();
    let task = &json!(reply)["task"]["now"];
    assert_eq!(
        (&task["id"], &task["status"]),
        (&json!("t1"), &json!("pending"))
    );
}
