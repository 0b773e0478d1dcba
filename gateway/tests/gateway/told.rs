//! What a person tells an agent from a room: one answer, which follows what becomes of it.

use fleet_protocol::api::{Outbox, Settled, Settlements, path};
use fleet_protocol::outbox::{OutboxRow, Post, Relation, Settlement, Target};
use reqwest::StatusCode;
use serde_json::json;

use crate::stage::{LOBBY, Stage, line};

#[tokio::test]
async fn one_answer_says_that_it_was_sent_and_then_that_it_was_acknowledged() {
    let stage = Stage::new().await;
    let lease = stage.bot().await;
    let register = json!({ "agent.register": { "name": "code-2", "role": "code", "host": "h1", "user": "@a:test" } });
    let said = vec![
        line("$register", register),
        line(
            "$tell",
            json!({ "tell": { "to": "code-2", "text": "how far is it?" } }),
        ),
    ];
    stage.submitted(&lease, "$join", said).await;
    let Outbox { rows } = stage.outbox().await;
    let answers: Vec<&OutboxRow> = rows.iter().filter(|r| answers(r, "$tell")).collect();
    let [answer] = answers[..] else {
        panic!("{answers:?}")
    };
    let (sent, Post::Message(words)) = (answer.id, &answer.post) else {
        panic!("{answer:?}")
    };
    let words = words.document.plain();
    assert!(
        words.contains("[matrix:op -> h1:code-2 human] how far is it?"),
        "{words}"
    );
    assert!(
        words.contains("This answer says when code-2 has acknowledged it."),
        "{words}"
    );
    let settled = rows.iter().map(|row| Settled {
        row: row.id,
        settlement: Settlement::Sent {
            event_id: format!("${}", row.id.simple()),
        },
    });
    let body = Settlements {
        lease: lease.clone(),
        rows: settled.collect(),
    };
    let done = stage.post(path::SETTLEMENTS, &body).await;
    assert_eq!(done.status(), StatusCode::NO_CONTENT);
    for _ in 0..2 {
        let ack = json!({ "agent.ack": { "items": ["n1"] } });
        let again = stage
            .submitted(&lease, "$tell", vec![line("$ack", ack)])
            .await;
        assert!(again.receipts[0].problem.is_none());
    }
    let Outbox { rows } = stage.outbox().await;
    let edits: Vec<_> = rows
        .iter()
        .filter_map(|row| match (&row.post, &row.relation) {
            (Post::Edit(edit), Some(Relation::Replaces(Target::Event(of)))) => {
                Some((row.room_id.as_str(), of.clone(), edit.document.plain()))
            }
            _ => None,
        })
        .collect();
    let [(room, of, words)] = &edits[..] else {
        panic!("{edits:?}")
    };
    assert_eq!((*room, of), (LOBBY, &format!("${}", sent.simple())));
    assert!(words.starts_with("✅ n1 acknowledged"), "{words}");
}

fn answers(row: &OutboxRow, event: &str) -> bool {
    matches!(&row.relation, Some(Relation::Reply { to: Target::Event(of), .. }) if of == event)
}
