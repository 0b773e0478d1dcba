//! The wire form of what crosses between bridge, gateway and rooms: a change here is a change of
//! the protocol.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails the test")]

use fleet_protocol::chat;
use fleet_protocol::document::Document;
use fleet_protocol::envelope::{
    BallotInput, Body, BotLease, Context, Envelope, Mark, Outcome, Provenance, Receipt, Submit,
};
use fleet_protocol::event::{AgentIdentity, Chain, CommandContent, LeaseClaim, ReceiptContent};
use fleet_protocol::outbox::{
    Attempt, Attention, Message, OutboxRow, Picture, Post, Relation, Target,
};
use fleet_protocol::problem::{Code, Problem};
use fleet_protocol::reply::{ChartPoint, ChartTick, ChartView};
use fleet_protocol::verbs::board::Verdict;
use fleet_protocol::verbs::budget::Unit;
use fleet_protocol::{Reply, Timestamp};
use serde_json::json;
use uuid::Uuid;

fn now() -> Timestamp {
    Timestamp::from_millis(1_780_000_000_000)
}

fn agent() -> AgentIdentity {
    AgentIdentity {
        name: "code-1".parse().unwrap(),
        host: "h1".parse().unwrap(),
        incarnation: 2,
    }
}

fn lease_claim() -> LeaseClaim {
    LeaseClaim {
        task: "t3".parse().unwrap(),
        epoch: 4,
    }
}

fn bodies() -> Vec<Body> {
    let request = chat::parse("task show t3").unwrap();
    let problem = Problem::new(Code::TwoCommands, "two");
    let chain = Some(Chain {
        id: Uuid::from_u128(5),
        hop: 1,
    });
    let lease = Some(lease_claim());
    vec![
        Body::Line {
            line: "!task show t3".into(),
            request: request.clone(),
        },
        Body::Refused(problem.clone()),
        Body::Event {
            id: "k1".into(),
            request,
            agent: agent(),
            chain,
            lease,
            is_shown: false,
        },
        Body::RefusedEvent { id: None, problem },
        Body::Ballot {
            target: "$card".into(),
            verdict: Verdict::Approve,
            reason: None,
            via: BallotInput::Reaction,
        },
        Body::Ask {
            target: "$alert".into(),
        },
        Body::Acknowledge {
            target: "$alert".into(),
        },
        Body::Redaction {
            target: "$e".into(),
        },
        Body::Edit {
            target: "$e".into(),
        },
    ]
}

#[test]
fn envelopes_and_their_receipts_keep_their_form() {
    let envelope = |body| Envelope {
        key: "$event".into(),
        sender: "@dana:example.org".parse().unwrap(),
        joined: true,
        power_level: 50,
        origin_ts: now(),
        provenance: Provenance::Live,
        digest: "00".into(),
        context: Context {
            reply_to: Some("$card".into()),
            thread_root: None,
        },
        body,
    };
    let submit = Submit {
        lease: BotLease {
            account: "@fleet:example.org".parse().unwrap(),
            epoch: 3,
        },
        device: "DEV".into(),
        room_id: "!room".into(),
        expected_mark: None,
        envelopes: bodies().into_iter().map(envelope).collect(),
        mark: Mark {
            event_id: "$event".into(),
            read_up_to: now(),
        },
    };
    let again: Submit = serde_json::from_value(serde_json::to_value(&submit).unwrap()).unwrap();
    assert_eq!(again, submit);
    insta::assert_json_snapshot!("submit", submit);

    let receipt = Receipt {
        id: Uuid::from_u128(9),
        key: "$event".into(),
        outcome: Outcome::Refused,
        replayed: true,
        reply: None,
        problem: Some(Problem::new(Code::Paused, "paused")),
    };
    insta::assert_json_snapshot!("receipt", receipt);
}

#[test]
fn events_of_agents_keep_their_form() {
    let command = chat::parse("task claim").unwrap();
    let content = CommandContent {
        v: 1,
        id: "k1".into(),
        command,
        agent: agent(),
        chain: None,
        lease: Some(lease_claim()),
    };
    let wire = serde_json::to_value(&content).unwrap();
    assert_eq!(CommandContent::read(&wire).unwrap(), content);
    let reply = serde_json::from_value::<Reply>(json!({"verbosity": "quiet"})).unwrap();
    let receipt = ReceiptContent {
        v: 1,
        receipt: Uuid::from_u128(9),
        id: Some("k1".into()),
        outcome: Outcome::Done,
        reply: Some(reply),
        error: None,
    };
    insta::assert_json_snapshot!(
        "agent_events",
        [wire, serde_json::to_value(receipt).unwrap()]
    );
}

fn chart() -> ChartView {
    ChartView {
        title: "claude weekly".into(),
        unit: Unit::Tokens,
        limit: 1_000,
        spent: 400,
        held: 100,
        planned: Some(500),
        starts_at: now(),
        resets_at: None,
        at: now(),
        ticks: vec![ChartTick {
            at: now(),
            label: "Mon 23".into(),
        }],
        points: vec![ChartPoint {
            at: now(),
            spent: 400,
        }],
    }
}

#[test]
fn outbox_rows_keep_their_form() {
    let message = || Message {
        attention: Attention::Loud,
        document: Document::text("x"),
        mentions: vec!["@dana:example.org".parse().unwrap()],
        twin: json!({"k": 1}),
    };
    let on = || Target::Event("$e".into());
    let thread_root = Some(Target::Row(Uuid::from_u128(8)));
    let posts = [
        (
            Post::Message(message()),
            Relation::Reply {
                to: on(),
                thread_root,
            },
        ),
        (
            Post::Picture(Box::new(Picture {
                message: message(),
                charts: vec![chart()],
            })),
            Relation::Thread { root: on() },
        ),
        (Post::Edit(message()), Relation::Replaces(on())),
        (
            Post::Reaction { key: "✅".into() },
            Relation::Annotates(on()),
        ),
        (Post::Redaction { reason: None }, Relation::Redacts(on())),
        (Post::Pin { pinned: true }, Relation::Pins(on())),
    ];
    let rows: Vec<OutboxRow> = posts
        .into_iter()
        .map(|(post, relation)| OutboxRow {
            id: Uuid::from_u128(7),
            room_id: "!room".into(),
            post,
            relation: Some(relation),
            created_at: now(),
            attempt: Some(Attempt {
                device: "DEV".into(),
                at: now(),
            }),
        })
        .collect();
    let again: Vec<OutboxRow> =
        serde_json::from_value(serde_json::to_value(&rows).unwrap()).unwrap();
    assert_eq!(again, rows);
    insta::assert_json_snapshot!("outbox_rows", rows);
}
