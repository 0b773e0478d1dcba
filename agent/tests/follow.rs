//! A follower and a commander against a typed mock of the client-server API, with the habits of
//! servers that cut timelines and skip events.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helper functions too"
)]

use std::time::Duration;

use fleet_agent::command::{AgentIdentity, CommandError, Commands};
use fleet_agent::matrix::{Follow, Matrix, MatrixError};
use fleet_protocol::envelope::Outcome;
use fleet_protocol::event::{RECEIPT, ReceiptContent};
use fleet_protocol::problem::{Code, Problem};
use fleet_protocol::verbs::fleet::WhoAmI;
use fleet_protocol::{Query, Request};
use serde_json::{Value, json};
use uuid::Uuid;
use wiremock::matchers::{method, path, path_regex, query_param, query_param_is_missing};
use wiremock::{Mock, MockServer, ResponseTemplate};

const ROOM: &str = "!room:example.org";

fn event(id: &str, body: &str) -> Value {
    json!({
        "event_id": id, "sender": "@fleet:example.org", "type": "m.room.message",
        "origin_server_ts": 1, "content": { "msgtype": "m.notice", "body": body },
    })
}

fn batch(next: &str, limited: bool, events: &[Value]) -> ResponseTemplate {
    let timeline =
        json!({ "timeline": { "events": events, "limited": limited, "prev_batch": "p" } });
    ResponseTemplate::new(200)
        .set_body_json(json!({ "next_batch": next, "rooms": { "join": { ROOM: timeline } } }))
}

async fn server() -> (MockServer, Matrix) {
    let server = MockServer::start().await;
    Mock::given(path("/_matrix/client/v3/account/whoami"))
        .respond_with(
            ResponseTemplate::new(200).set_body_json(json!({ "user_id": "@agent:example.org" })),
        )
        .mount(&server)
        .await;
    let matrix = Matrix::with_token(server.uri().parse().unwrap(), "syt_secret")
        .await
        .unwrap();
    (server, matrix)
}

async fn first_sync(server: &MockServer, events: &[Value]) {
    Mock::given(path("/_matrix/client/v3/sync"))
        .and(query_param_is_missing("since"))
        .respond_with(batch("s1", true, events))
        .mount(server)
        .await;
}

async fn later_sync(server: &MockServer, since: &str, response: ResponseTemplate) {
    Mock::given(path("/_matrix/client/v3/sync"))
        .and(query_param("since", since))
        .respond_with(response)
        .mount(server)
        .await;
}

async fn history(server: &MockServer, newest_first: &[Value]) {
    Mock::given(path_regex("^/_matrix/client/v3/rooms/.*/messages$"))
        .respond_with(
            ResponseTemplate::new(200)
                .set_body_json(json!({ "chunk": newest_first, "start": "a" })),
        )
        .mount(server)
        .await;
}

fn ids(seen: &[fleet_agent::matrix::Seen]) -> Vec<&str> {
    seen.iter().map(|s| s.event.event_id.as_str()).collect()
}

#[tokio::test]
async fn a_cut_timeline_is_read_back_to_the_mark_in_order_and_once() {
    let (server, matrix) = server().await;
    first_sync(&server, &[event("$1", "old")]).await;
    later_sync(&server, "s1", batch("s2", true, &[event("$4", "d")])).await;
    later_sync(
        &server,
        "s2",
        batch("s3", false, &[event("$4", "d"), event("$5", "e")]),
    )
    .await;
    history(
        &server,
        &[
            event("$4", "d"),
            event("$3", "c"),
            event("$2", "b"),
            event("$1", "old"),
            event("$0", "older"),
        ],
    )
    .await;
    let mut follow = Follow::start(matrix).await.unwrap();
    assert_eq!(ids(&follow.next().await.unwrap()), ["$2", "$3", "$4"]);
    assert_eq!(ids(&follow.next().await.unwrap()), ["$5"]);
}

#[tokio::test]
async fn what_was_there_before_is_not_told() {
    let (server, matrix) = server().await;
    first_sync(&server, &[event("$1", "old")]).await;
    later_sync(&server, "s1", batch("s2", false, &[event("$1", "old")])).await;
    assert!(
        Follow::start(matrix)
            .await
            .unwrap()
            .next()
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn a_deadline_names_what_did_not_come() {
    let (server, matrix) = server().await;
    first_sync(&server, &[]).await;
    Mock::given(path("/_matrix/client/v3/sync"))
        .and(query_param("since", "s1"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({ "next_batch": "s1" })))
        .mount(&server)
        .await;
    let mut follow = Follow::start(matrix).await.unwrap();
    let error = follow
        .until("an answer", Duration::ZERO, |_| true)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, MatrixError::Deadline { what, .. } if what == "an answer"),
        "{error}"
    );
}

#[tokio::test]
async fn a_rate_limit_is_obeyed_with_the_same_transaction() {
    let (server, matrix) = server().await;
    let send = "/_matrix/client/v3/rooms/!room:example.org/send/m.room.message/t1";
    Mock::given(method("PUT"))
        .and(path(send))
        .respond_with(
            ResponseTemplate::new(429)
                .set_body_json(json!({ "errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 5 })),
        )
        .up_to_n_times(2)
        .mount(&server)
        .await;
    Mock::given(method("PUT"))
        .and(path(send))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({ "event_id": "$new" })))
        .expect(1)
        .mount(&server)
        .await;
    let sent = matrix
        .send(
            ROOM,
            "m.room.message",
            &fleet_agent::matrix::text("hi"),
            "t1",
        )
        .await
        .unwrap();
    assert_eq!(sent, "$new");
}

#[tokio::test]
async fn a_refusal_is_final_and_shows_no_token() {
    let (server, matrix) = server().await;
    Mock::given(path_regex("^/_matrix/client/v3/directory/room/"))
        .respond_with(
            ResponseTemplate::new(404)
                .set_body_json(json!({ "errcode": "M_NOT_FOUND", "error": "no" })),
        )
        .expect(1)
        .mount(&server)
        .await;
    let error = matrix.resolve("#x:example.org").await.unwrap_err();
    assert!(error.is_not_found(), "{error}");
    assert!(!format!("{matrix:?}{error:?}").contains("syt_secret"));
}

fn receipt(sender: &str, id: &str, outcome: Outcome, error: Option<Problem>) -> Value {
    let content = ReceiptContent {
        v: 1,
        receipt: Uuid::nil(),
        id: Some(id.into()),
        outcome,
        reply: None,
        error,
    };
    let mut content = serde_json::to_value(content).unwrap();
    content["m.relates_to"] = json!({ "rel_type": "m.reference", "event_id": "$command" });
    json!({ "event_id": format!("${sender}{id}"), "sender": sender, "type": RECEIPT, "content": content })
}

async fn commands(server: &MockServer, matrix: Matrix, told: &[Value]) -> Commands {
    first_sync(server, &[event("$1", "old")]).await;
    later_sync(server, "s1", batch("s2", false, told)).await;
    let end = ResponseTemplate::new(403).set_body_json(json!({ "errcode": "M_FORBIDDEN" }));
    later_sync(server, "s2", end).await;
    Mock::given(method("PUT"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({ "event_id": "$command" })))
        .mount(server)
        .await;
    let agent = AgentIdentity {
        name: "code-1".parse().unwrap(),
        host: "box".parse().unwrap(),
        incarnation: 1,
    };
    let follow = Follow::start(matrix).await.unwrap();
    Commands::new(
        follow,
        ROOM.into(),
        "@fleet:example.org".into(),
        agent,
        Duration::from_secs(60),
    )
}

fn whoami() -> Request {
    Request::Query(Query::WhoAmI(WhoAmI {}))
}

#[tokio::test]
async fn the_receipt_of_the_fleet_answers_and_a_forged_one_does_not() {
    let (server, matrix) = server().await;
    let problem = Problem::new(Code::BudgetCap, "the cap is reached");
    let told = [
        receipt("@mallory:example.org", "k", Outcome::Done, None),
        receipt(
            "@fleet:example.org",
            "k",
            Outcome::Refused,
            Some(problem.clone()),
        ),
    ];
    let error = commands(&server, matrix, &told)
        .await
        .send("k", whoami(), None)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, CommandError::Refused(p) if **p == problem),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_forged_receipt_is_passed_by() {
    let (server, matrix) = server().await;
    let told = [receipt("@mallory:example.org", "k", Outcome::Done, None)];
    let error = commands(&server, matrix, &told)
        .await
        .send("k", whoami(), None)
        .await
        .unwrap_err();
    // It looked on, to a sync that ends the story.
    let ended = matches!(
        &error,
        CommandError::Matrix(MatrixError::Refused { status: 403, .. })
    );
    assert!(ended, "{error:?}");
}
