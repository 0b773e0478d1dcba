//! What hooks report, against a gateway that answers as told.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helper functions too"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fleet_agent::hook::{Input, run};
use fleet_agent::session::Session;
use fleet_client::Gateway;
use fleet_protocol::Timestamp;
use fleet_protocol::event::AgentIdentity;
use fleet_protocol::problem::Code;
use serde_json::{Value, json};
use uuid::Uuid;
use wiremock::matchers::{body_partial_json, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

const MINUTE: i64 = 60_000;

/// The gateway's time.
fn noon() -> Timestamp {
    Timestamp("2026-11-25T12:00:00Z".parse().unwrap())
}

fn after(minutes: i64) -> Timestamp {
    Timestamp::from_millis(noon().as_millis() + minutes * MINUTE)
}

fn session(server: &MockServer) -> Session {
    let gateway = Gateway::new(server.uri().parse().unwrap(), "magt_x").unwrap();
    let agent = AgentIdentity {
        name: "code-1".parse().unwrap(),
        host: "box".parse().unwrap(),
        incarnation: 1,
    };
    let next = AtomicU64::new(1);
    let ids = move || Uuid::from_u128(next.fetch_add(1, Ordering::Relaxed).into());
    Session::new(gateway.without_retry(), agent, Arc::new(ids))
}

fn task(id: &str, lease_left: i64, began: i64) -> Value {
    json!({
        "id": id, "title": "x", "status": "running", "type": "coding", "role": "code", "priority": 50,
        "holder": "code-1", "epoch": 1, "lease_until": after(lease_left), "attempts": 1, "max_attempts": 3,
        "actual_tokens": 0,
        "history": [{ "at": after(began), "event": "task.started", "by": "code-1" }],
    })
}

async fn answers(server: &MockServer, route: &str, verb: Value, reply: Value) {
    let answer = match route {
        "/v1/commands" => {
            json!({ "id": Uuid::nil(), "key": "k", "outcome": "done", "reply": reply })
        }
        _ => reply,
    };
    Mock::given(method("POST"))
        .and(path(route))
        .and(body_partial_json(json!({ "request": verb })))
        .respond_with(ResponseTemplate::new(200).set_body_json(answer))
        .mount(server)
        .await;
}

/// A gateway at noon, whose agent holds `t1`, of whose lease little is left, and `t2`.
async fn gateway() -> MockServer {
    let server = MockServer::start().await;
    let agent = json!({ "agent": { "change": "heard", "now": {
        "name": "code-1", "role": "code", "host": "box", "user": "@agent-code-1-box:s", "incarnation": 1,
        "state": "working", "heartbeat_at": noon(), "heartbeat_age": 0,
    } } });
    answers(
        &server,
        "/v1/commands",
        json!({ "agent.heartbeat": {} }),
        agent,
    )
    .await;
    let (t1, t2) = (task("t1", 2, -20), task("t2", 14, -10));
    let held = json!({ "tasks": { "tasks": [t1, t2], "total": 2 } });
    answers(&server, "/v1/queries", json!({ "task.list": {} }), held).await;
    for (id, task) in [("t1", &t1), ("t2", &t2)] {
        let shown = json!({ "task": { "change": "shown", "now": task } });
        answers(
            &server,
            "/v1/queries",
            json!({ "task.show": { "task": id } }),
            shown,
        )
        .await;
    }
    let done = json!({ "task": { "change": "renewed", "now": t1 } });
    for verb in ["task.renew", "spend.report"] {
        answers(&server, "/v1/commands", json!({ verb: {} }), done.clone()).await;
    }
    server
}

/// The commands of a kind that were sent.
async fn sent(server: &MockServer, verb: &str) -> Vec<Value> {
    let requests = server.received_requests().await.unwrap();
    let bodies = requests.iter().map(|r| r.body_json::<Value>().unwrap());
    bodies
        .filter_map(|body| body["request"].get(verb).cloned())
        .collect()
}

fn transcript(folder: &Path, messages: &[(&str, Timestamp, u64)]) -> PathBuf {
    let file = folder.join("s-1.jsonl");
    let lines = messages.iter().map(|(id, at, output)| {
        let line = json!({ "type": "assistant", "timestamp": at, "message": { "id": id, "model": "claude-opus-4-5",
            "usage": { "input_tokens": 0, "output_tokens": output } } });
        format!("{line}\n")
    });
    std::fs::write(&file, lines.collect::<String>()).unwrap();
    file
}

fn input(event: &str, transcript: Option<&Path>) -> Input {
    let input =
        json!({ "session_id": "s-1", "hook_event_name": event, "transcript_path": transcript });
    Input::read(&input.to_string()).unwrap()
}

#[tokio::test]
async fn a_clock_an_hour_off_neither_loses_a_lease_nor_charges_another_task() {
    for ahead in [-60, 0, 60] {
        let server = gateway().await;
        let folder = tempfile::tempdir().unwrap();
        // As the agent's machine writes them: before both tasks, in the first, in the second.
        let messages = [
            ("m0", after(ahead - 25), 1),
            ("m1", after(ahead - 15), 20),
            ("m2", after(ahead - 5), 300),
        ];
        let file = transcript(folder.path(), &messages);
        let journal = folder.path().join("hooks.json");
        let stop = input("Stop", Some(&file));
        run(&session(&server), &stop, &journal, after(ahead))
            .await
            .unwrap();
        let renewed = sent(&server, "task.renew").await;
        assert_eq!(renewed, [json!({ "task": "t1" })], "{ahead} minutes ahead");
        let spent = sent(&server, "spend.report").await;
        let spent: Vec<_> = spent
            .iter()
            .map(|s| {
                (
                    s["task"].as_str().unwrap(),
                    s["output_tokens"].as_u64().unwrap(),
                )
            })
            .collect();
        assert_eq!(spent, [("t1", 20), ("t2", 300)], "{ahead} minutes ahead");
    }
}

#[tokio::test]
async fn who_was_revoked_is_told_once_and_at_each_start() {
    let server = MockServer::start().await;
    let problem = json!({ "code": "auth.unauthenticated", "detail": "the token was revoked" });
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(401).set_body_json(problem))
        .mount(&server)
        .await;
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("hooks.json");
    let session = session(&server);
    let code = async |event: &str, minute: i64| {
        let said = run(&session, &input(event, None), &journal, after(minute)).await;
        said.err().map(|problem| problem.code)
    };
    let refused = Some(Code::Unauthenticated);
    assert_eq!(code("PostToolUse", 0).await, refused);
    assert_eq!(code("PostToolUse", 1).await, None);
    assert_eq!(code("Stop", 2).await, None);
    assert_eq!(code("SessionStart", 3).await, refused);
    let asked = server.received_requests().await.unwrap().len();
    assert_eq!(code("PostToolUse", 3).await, None);
    let now = server.received_requests().await.unwrap().len();
    assert_eq!(
        now, asked,
        "a tool that is used a moment later asks nothing"
    );
}
