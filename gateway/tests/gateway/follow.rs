//! Events that follow others: redactions, edits, an agent's repetitions.

use fleet_protocol::envelope::{Body, Outcome};
use fleet_protocol::outbox::Post;
use fleet_protocol::problem::Code;
use serde_json::json;

use crate::stage::{OPERATOR, Stage, on};
use crate::submit::add;

#[tokio::test]
async fn a_redaction_cancels_what_has_not_run() {
    let stage = Stage::new().await;
    let lease = stage.bot().await;
    let redaction = |key: &str, target: &str| {
        let mut envelope = add(key);
        envelope.body = Body::Redaction {
            target: target.into(),
        };
        envelope
    };
    let done = stage
        .submitted(
            &lease,
            "$join",
            vec![
                redaction("$r", "$late"),
                add("$late"),
                add("$1"),
                redaction("$r2", "$1"),
            ],
        )
        .await;
    let outcomes: Vec<_> = done.receipts.iter().map(|r| r.outcome).collect();
    assert_eq!(
        outcomes,
        [
            Outcome::Skipped,
            Outcome::Skipped,
            Outcome::Done,
            Outcome::Skipped
        ]
    );
    assert_eq!(
        stage
            .database
            .count("SELECT count(*) FROM fleet.tasks")
            .await,
        1
    );
    let Post::Message(said) = &done.outbox.last().unwrap().post else {
        panic!()
    };
    assert!(
        said.document.plain().contains("!task cancel t1"),
        "{}",
        said.document.plain()
    );
}

#[tokio::test]
async fn an_edit_of_a_command_is_told_that_edits_never_run() {
    let stage = Stage::new().await;
    let lease = stage.bot().await;
    let edit = |key: &str, target: &str| {
        let mut envelope = add(key);
        envelope.body = Body::Edit {
            target: target.into(),
        };
        envelope
    };
    let done = stage
        .submitted(
            &lease,
            "$join",
            vec![add("$1"), edit("$e1", "$1"), edit("$e2", "$chatter")],
        )
        .await;
    assert_eq!(
        done.receipts[1].problem.as_ref().unwrap().code,
        Code::Edited
    );
    assert_eq!(done.receipts[2].outcome, Outcome::Skipped);
}

#[tokio::test]
async fn an_agents_own_key_counts_across_events() {
    let stage = Stage::new().await;
    let lease = stage.bot().await;
    let event = |key: &str, id: &str, name: &str| {
        let mut envelope = add(key);
        envelope.sender = "@agent-code-1-host:test".parse().unwrap();
        let request = json!({ "agent.register": { "name": name, "role": "code", "host": "host" } });
        envelope.body = Body::Event {
            id: id.into(),
            request: serde_json::from_value(request).unwrap(),
            agent: serde_json::from_value(
                json!({ "name": name, "host": "host", "incarnation": 0 }),
            )
            .unwrap(),
            chain: None,
            lease: None,
            is_shown: false,
        };
        envelope
    };
    let grant = format!(
        "SET fleet.tenant = 'default'; INSERT INTO fleet.grants VALUES ('default', '@agent-code-1-host:test', 'agent', NULL, '{OPERATOR}', now())"
    );
    on(&stage.database.owner, &grant).await;
    let done = stage
        .submitted(
            &lease,
            "$join",
            vec![
                event("$1", "a", "code-1"),
                event("$2", "a", "code-1"),
                event("$3", "a", "code-2"),
            ],
        )
        .await;
    assert_eq!(
        done.receipts[0].outcome,
        Outcome::Done,
        "{:?}",
        done.receipts[0]
    );
    assert_eq!(done.receipts[1].reply, done.receipts[0].reply);
    assert_eq!(
        done.receipts[2].problem.as_ref().unwrap().code,
        Code::KeyReused
    );
    assert_eq!(
        stage
            .database
            .count("SELECT incarnation FROM fleet.agents")
            .await,
        1,
        "registered once"
    );
    let receipts: Vec<_> = done
        .outbox
        .iter()
        .filter(|r| matches!(r.post, Post::Receipt(_)))
        .collect();
    assert_eq!(receipts.len(), 3, "each event gets its receipt");
}
