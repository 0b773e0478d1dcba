//! What a session remembers between two calls, against a gateway that answers as told.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helper functions too"
)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fleet_agent::credentials::Credentials;
use fleet_agent::session::{Ids, Session};
use fleet_client::Gateway;
use fleet_protocol::event::AgentIdentity;
use fleet_protocol::problem::Code;
use fleet_protocol::{Request, event};
use serde_json::{Value, json};
use uuid::Uuid;
use wiremock::matchers::{body_partial_json, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

fn ids() -> Ids {
    let next = Arc::new(AtomicU64::new(1));
    Arc::new(move || Uuid::from_u128(next.fetch_add(1, Ordering::Relaxed).into()))
}

fn agent(incarnation: u64) -> AgentIdentity {
    AgentIdentity {
        name: "code-1".parse().unwrap(),
        host: "box".parse().unwrap(),
        incarnation,
    }
}

fn session(server: &MockServer) -> Session {
    let gateway = Gateway::new(server.uri().parse().unwrap(), "magt_x").unwrap();
    Session::new(gateway.without_retry(), agent(1), ids())
}

fn request(json: Value) -> Request {
    event::read_json(&json).unwrap()
}

fn receipt(reply: Value) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({
        "id": Uuid::nil(), "key": "k", "outcome": "done", "reply": reply,
    }))
}

fn task(holder: Option<&str>, epoch: Option<u64>) -> Value {
    json!({ "task": { "change": "claimed", "now": {
        "id": "t1", "title": "x", "status": "running", "type": "coding", "role": "code", "priority": 50,
        "holder": holder, "epoch": epoch, "attempts": 1, "max_attempts": 3, "actual_tokens": 0,
    } } })
}

async fn sent(server: &MockServer) -> Vec<(String, Value)> {
    let requests = server.received_requests().await.unwrap();
    requests
        .iter()
        .map(|r| {
            let key = r.headers.get("idempotency-key");
            let key = key.map_or("", |k| k.to_str().unwrap()).to_owned();
            (key, r.body_json().unwrap())
        })
        .collect()
}

fn refusal(status: u16, code: &str) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_json(json!({ "code": code, "detail": "no" }))
}

#[tokio::test]
async fn a_write_without_an_answer_keeps_its_key_until_there_is_one() {
    let server = MockServer::start().await;
    let commands = || Mock::given(method("POST")).and(path("/v1/commands"));
    let lost = commands().respond_with(refusal(503, "register.unavailable"));
    lost.up_to_n_times(1).mount(&server).await;
    let answered = commands().respond_with(receipt(task(Some("code-1"), Some(7))));
    answered.mount(&server).await;
    let session = session(&server);
    let claim = || request(json!({ "task.claim": {} }));
    let problem = session.ask(claim()).await.unwrap_err();
    assert_eq!(problem.code, Code::Unavailable);
    session.ask(claim()).await.unwrap();
    session.ask(claim()).await.unwrap();
    let keys: Vec<String> = sent(&server)
        .await
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    assert_eq!(keys[0], keys[1], "said again, it is the same write");
    assert_ne!(keys[1], keys[2], "after an answer it is another");
}

#[tokio::test]
async fn a_write_names_the_epoch_that_the_claim_answered_and_that_of_nobody_else() {
    let server = MockServer::start().await;
    let commands = || Mock::given(method("POST")).and(path("/v1/commands"));
    let claimed = commands().and(body_partial_json(
        json!({ "request": { "task.claim": {} } }),
    ));
    claimed
        .respond_with(receipt(task(Some("code-1"), Some(7))))
        .mount(&server)
        .await;
    let stale = commands().respond_with(refusal(409, "lease.stale_epoch"));
    stale.mount(&server).await;
    let queries = Mock::given(method("POST")).and(path("/v1/queries"));
    let others = ResponseTemplate::new(200).set_body_json(task(Some("code-2"), Some(8)));
    queries.respond_with(others).mount(&server).await;
    let session = session(&server);
    session
        .ask(request(json!({ "task.claim": {} })))
        .await
        .unwrap();
    let renew = || request(json!({ "task.renew": { "task": "t1" } }));
    let problem = session.ask(renew()).await.unwrap_err();
    assert_eq!(problem.code, Code::StaleEpoch);
    session.ask(renew()).await.unwrap_err();
    let sent = sent(&server).await;
    assert_eq!(sent[1].1["lease"], json!({ "task": "t1", "epoch": 7 }));
    // The lease is lost and another holds the task: its epoch is not taken.
    assert!(sent[2].1["request"]["task.show"].is_object());
    assert!(sent[3].1.get("lease").is_none(), "{}", sent[3].1);
}

fn store(file: &Path, server: &MockServer, incarnation: u64, joined_as: u64) -> Credentials {
    let credentials: Credentials = serde_json::from_value(json!({
        "v": 1, "gateway": server.uri(), "token": "magt_x", "agent": agent(incarnation),
        "joined_as": joined_as, "role": "code",
    }))
    .unwrap();
    credentials.store(file).unwrap();
    credentials
}

#[tokio::test]
async fn a_session_goes_on_as_the_next_incarnation_of_its_own_life_only() {
    let server = MockServer::start().await;
    let queries = || Mock::given(method("POST")).and(path("/v1/queries"));
    let current = queries().and(body_partial_json(json!({ "agent": { "incarnation": 2 } })));
    let pause =
        ResponseTemplate::new(200).set_body_json(json!({ "tasks": { "tasks": [], "total": 0 } }));
    current.respond_with(pause).mount(&server).await;
    let former = queries().respond_with(refusal(409, "agent.stale_incarnation"));
    former.mount(&server).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("code-1.json");
    let start = || Session::of(file.clone(), store(&file, &server, 1, 1), ids()).unwrap();

    let same_life = start();
    store(&file, &server, 2, 1);
    assert!(same_life.held().await.unwrap().is_empty());
    assert_eq!(same_life.agent().incarnation, 2);

    let former_self = start();
    store(&file, &server, 2, 2);
    let problem = former_self.held().await.unwrap_err();
    assert_eq!(problem.code, Code::StaleIncarnation);
    assert_eq!(former_self.agent().incarnation, 1);
}
