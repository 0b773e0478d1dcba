//! The client against a typed mock of the gateway.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helper functions too"
)]

use std::time::Duration;

use fleet_client::{ClientError, Gateway, Retry};
use fleet_protocol::api::{BindRoom, IDEMPOTENCY_KEY};
use fleet_protocol::envelope::{BotLease, Call, Mark, Outcome};
use fleet_protocol::problem::Code;
use fleet_protocol::verbs::fleet::{Pause, WhoAmI};
use fleet_protocol::{Command, Problem, Query, Receipt, Timestamp};
use url::Url;
use uuid::Uuid;
use wiremock::matchers::{body_json, header, method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

const SECRET: &str = "mflt_very-secret";

fn pause() -> Call<Command> {
    Call {
        request: Command::Pause(Pause { reason: None }),
        agent: None,
        lease: None,
        chain: None,
        room: None,
    }
}

fn quick() -> Retry {
    Retry {
        tries: 4,
        first_pause: Duration::from_millis(1),
        longest_pause: Duration::from_millis(4),
    }
}

fn client(server: &MockServer) -> Gateway {
    Gateway::new(server.uri().parse().unwrap(), SECRET)
        .unwrap()
        .with_retry(quick())
}

fn receipt() -> Receipt {
    Receipt {
        id: Uuid::nil(),
        key: "cli:k1".into(),
        outcome: Outcome::Done,
        replayed: false,
        reply: None,
        problem: None,
    }
}

fn problem(code: Code) -> ResponseTemplate {
    // As RFC 9457 documents come: with members the client does not know.
    let mut body = serde_json::to_value(Problem::new(code, "no").remedy("wait")).unwrap();
    body["type"] = "about:blank".into();
    body["status"] = code.status().into();
    ResponseTemplate::new(code.status()).set_body_json(body)
}

#[tokio::test]
async fn a_command_carries_token_key_and_body() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/v1/commands"))
        .and(header("authorization", format!("Bearer {SECRET}")))
        .and(header(IDEMPOTENCY_KEY, "k1"))
        .and(body_json(serde_json::json!({ "request": { "pause": {} } })))
        .respond_with(ResponseTemplate::new(200).set_body_json(receipt()))
        .expect(1)
        .mount(&server)
        .await;
    assert_eq!(
        client(&server).command(&pause(), "k1").await.unwrap(),
        receipt()
    );
}

#[tokio::test]
async fn a_busy_gateway_is_asked_again_with_the_same_key() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(problem(Code::Unavailable))
        .up_to_n_times(2)
        .mount(&server)
        .await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(200).set_body_json(receipt()))
        .mount(&server)
        .await;
    client(&server).command(&pause(), "k1").await.unwrap();
    let keys: Vec<_> = server
        .received_requests()
        .await
        .unwrap()
        .iter()
        .map(|r| r.headers[IDEMPOTENCY_KEY].to_str().unwrap().to_owned())
        .collect();
    assert_eq!(keys, ["k1", "k1", "k1"]);
}

#[tokio::test]
async fn a_refusal_is_final_and_keeps_its_problem() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(problem(Code::NoGrant))
        .expect(1)
        .mount(&server)
        .await;
    let error = client(&server).command(&pause(), "k1").await.unwrap_err();
    assert!(!error.is_retryable());
    assert_eq!(error.problem().unwrap().code, Code::NoGrant);
    assert_eq!(error.problem().unwrap().remedy.as_deref(), Some("wait"));
    assert_eq!(error.to_string(), "no (auth.no_grant)");
}

#[tokio::test]
async fn tries_are_bounded_and_none_is_added_without_retry() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(problem(Code::Busy))
        .mount(&server)
        .await;
    assert!(
        client(&server)
            .command(&pause(), "k1")
            .await
            .unwrap_err()
            .is_retryable()
    );
    assert_eq!(server.received_requests().await.unwrap().len(), 4);
    server.reset().await;
    Mock::given(method("POST"))
        .respond_with(problem(Code::Busy))
        .expect(1)
        .mount(&server)
        .await;
    assert!(
        client(&server)
            .without_retry()
            .command(&pause(), "k1")
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_closed_port_is_unreachable_and_named() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let gateway = Gateway::new(format!("http://{address}").parse().unwrap(), SECRET)
        .unwrap()
        .without_retry();
    let error = gateway.ready().await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }) && error.is_retryable());
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}

#[tokio::test]
async fn a_foreign_answer_is_not_taken_for_the_gateways() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(502).set_body_string("<html>"))
        .mount(&server)
        .await;
    let call = Call {
        request: Query::WhoAmI(WhoAmI {}),
        agent: None,
        lease: None,
        chain: None,
        room: None,
    };
    let error = client(&server).query(&call).await.unwrap_err();
    assert!(
        matches!(error, ClientError::Answer { status: 502, .. }),
        "{error:?}"
    );
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn the_wait_is_asked_of_the_gateway() {
    let server = MockServer::start().await;
    Mock::given(path("/v1/outbox"))
        .and(query_param("wait", "25"))
        .respond_with(ResponseTemplate::new(200).set_body_json(serde_json::json!({ "rows": [] })))
        .expect(1)
        .mount(&server)
        .await;
    assert!(
        client(&server)
            .outbox(Duration::from_secs(25))
            .await
            .unwrap()
            .rows
            .is_empty()
    );
}

#[tokio::test]
async fn a_room_id_is_one_path_segment_and_a_prefix_is_kept() {
    let server = MockServer::start().await;
    Mock::given(method("PUT"))
        .and(path("/fleet/v1/rooms/!a%2Fb:example.org"))
        .respond_with(ResponseTemplate::new(204))
        .expect(1)
        .mount(&server)
        .await;
    let base: Url = format!("{}/fleet/", server.uri()).parse().unwrap();
    let lease = BotLease {
        account: "@fleet:example.org".parse().unwrap(),
        epoch: 1,
    };
    let mark = Mark {
        event_id: "$e".into(),
        read_up_to: Timestamp::from_millis(0),
    };
    let bind = BindRoom {
        lease,
        key: None,
        mark,
        replaces: None,
    };
    Gateway::new(base, SECRET)
        .unwrap()
        .bind_room("!a/b:example.org", &bind)
        .await
        .unwrap();
}

#[tokio::test]
async fn nothing_shows_the_token() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(500).set_body_string("x"))
        .mount(&server)
        .await;
    let gateway = client(&server);
    let error = gateway.live().await.unwrap_err();
    for text in [
        format!("{gateway:?}"),
        format!("{error:?}"),
        error.to_string(),
        format!("{:?}", fleet_client::Token::from(SECRET)),
    ] {
        assert!(!text.contains("very-secret"), "{text}");
    }
}

#[test]
fn an_address_with_credentials_or_another_scheme_is_refused_without_repeating_them() {
    for address in ["http://kim:pass-word@gateway/", "ftp://gateway/"] {
        let error = Gateway::new(address.parse().unwrap(), SECRET).unwrap_err();
        assert!(matches!(error, ClientError::Address(_)));
        assert!(!error.to_string().contains("pass-word"), "{error}");
    }
}
