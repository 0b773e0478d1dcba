//! The account requests, against a server that answers as the specification and the two
//! homeservers do.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test fails it by panicking, as the test itself does"
)]

use fleet_homeserver::Secret;
use fleet_homeserver::accounts::{AccountError, Accounts, Registration, Session};
use serde_json::{Value, json};
use wiremock::matchers::{bearer_token, body_partial_json, method, path, query_param};
use wiremock::{Mock, MockBuilder, MockServer, ResponseTemplate};

const REGISTER: &str = "/_matrix/client/v3/register";
const BY_SECRET: &str = "/_synapse/admin/v1/register";
const LOGIN: &str = "/_matrix/client/v3/login";

async fn server() -> (MockServer, Accounts) {
    let server = MockServer::start().await;
    let accounts = Accounts::new(server.uri().parse().unwrap()).unwrap();
    (server, accounts)
}

fn post(to: &str, part: Value) -> MockBuilder {
    Mock::given(method("POST"))
        .and(path(to))
        .and(body_partial_json(part))
}

fn json_answer(status: u16, body: Value) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_json(body)
}

fn token() -> Registration {
    Registration::Token("t0k3n".into())
}

fn password() -> Secret {
    Secret::new("pass word")
}

#[tokio::test]
async fn synapse_takes_the_token_then_a_dummy_stage() {
    let (server, accounts) = server().await;
    let wants = |completed: Value| {
        let flows = json!([
            {"stages": ["m.login.recaptcha"]},
            {"stages": ["m.login.registration_token", "m.login.dummy"]},
        ]);
        json_answer(
            401,
            json!({"session": "s1", "flows": flows, "params": {}, "completed": completed}),
        )
    };
    let dummy = json!({"auth": {"type": "m.login.dummy", "session": "s1"}});
    post(REGISTER, dummy)
        .respond_with(json_answer(200, json!({"user_id": "@ada:x"})))
        .expect(1)
        .mount(&server)
        .await;
    let token_stage =
        json!({"auth": {"type": "m.login.registration_token", "token": "t0k3n", "session": "s1"}});
    let halfway = wants(json!(["m.login.registration_token"]));
    post(REGISTER, token_stage)
        .respond_with(halfway)
        .expect(1)
        .mount(&server)
        .await;
    let first = json!({"username": "ada", "password": "pass word", "inhibit_login": true});
    post(REGISTER, first)
        .respond_with(wants(json!([])))
        .expect(1)
        .mount(&server)
        .await;

    accounts
        .register(&token(), "ada", &password())
        .await
        .unwrap();
}

#[tokio::test]
async fn an_application_service_makes_logs_in_and_ends_its_accounts_by_its_token() {
    let (server, accounts) = server().await;
    let service = Registration::Appservice("as t0k3n".into());
    let by_service = |to: &str, part: Value| post(to, part).and(bearer_token("as t0k3n"));
    let login = json!({"type": "m.login.application_service", "identifier": {"user": "agent-1"}, "device_id": "D"});
    let session = json!({"user_id": "@agent-1:x", "access_token": "own", "device_id": "D"});
    by_service(LOGIN, login)
        .respond_with(json_answer(200, session))
        .expect(2)
        .mount(&server)
        .await;
    let agent = json!({"type": "m.login.application_service", "username": "agent-1", "inhibit_login": true});
    by_service(REGISTER, agent.clone())
        .respond_with(json_answer(200, json!({"user_id": "@agent-1:x"})))
        .up_to_n_times(1)
        .mount(&server)
        .await;
    let taken = json!({"errcode": "M_USER_IN_USE", "error": "taken"});
    by_service(REGISTER, agent)
        .respond_with(json_answer(400, taken))
        .expect(1)
        .mount(&server)
        .await;
    let outside = json!({"errcode": "M_EXCLUSIVE", "error": "not yours"});
    by_service(REGISTER, json!({"username": "ada"}))
        .respond_with(json_answer(400, outside))
        .mount(&server)
        .await;
    // Made, then found again.
    for _ in 0..2 {
        let session = accounts
            .ensure_account(&service, "agent-1", &password(), Some("D"), "a test")
            .await
            .unwrap();
        assert_eq!(session.access_token.expose(), "own");
    }
    let outside = accounts
        .register(&service, "ada", &password())
        .await
        .unwrap_err();
    assert!(
        matches!(&outside, AccountError::OutsideNamespace(name) if name == "ada"),
        "{outside}"
    );
    by_service(
        "/_matrix/client/v3/account/deactivate",
        json!({"erase": false}),
    )
    .and(query_param("user_id", "@agent-1:x"))
    .respond_with(json_answer(200, json!({})))
    .expect(1)
    .mount(&server)
    .await;
    accounts
        .deactivate_by_service(&"as t0k3n".into(), "@agent-1:x")
        .await
        .unwrap();
}

#[tokio::test]
async fn conduit_takes_the_token_alone_and_says_no_to_a_wrong_one() {
    let (server, accounts) = server().await;
    let wants = json!({"session": "s1", "flows": [{"stages": ["m.login.registration_token"]}]});
    let mut refused = wants.clone();
    refused["errcode"] = "M_FORBIDDEN".into();
    refused["error"] = "Invalid registration token.".into();
    let right = json!({"auth": {"token": "t0k3n"}});
    post(REGISTER, right)
        .respond_with(json_answer(200, json!({"user_id": "@ada:x"})))
        .mount(&server)
        .await;
    let wrong = json!({"auth": {"token": "guessed"}});
    post(REGISTER, wrong)
        .respond_with(json_answer(401, refused))
        .expect(1)
        .mount(&server)
        .await;
    post(REGISTER, json!({}))
        .respond_with(json_answer(401, wants))
        .mount(&server)
        .await;

    accounts
        .register(&token(), "ada", &password())
        .await
        .unwrap();
    let error = accounts
        .register(&Registration::Token("guessed".into()), "eve", &password())
        .await
        .unwrap_err();
    assert!(
        matches!(&error, AccountError::Refused { status: 401, code, .. } if code == "M_FORBIDDEN"),
        "{error}"
    );
    assert!(!format!("{error} {error:?}").contains("guessed"));
}

#[tokio::test]
async fn a_taken_name_is_told_apart_and_ensure_logs_in() {
    let (server, accounts) = server().await;
    let taken = json_answer(400, json!({"errcode": "M_USER_IN_USE", "error": "taken"}));
    post(REGISTER, json!({}))
        .respond_with(taken)
        .expect(2)
        .mount(&server)
        .await;
    let login = json!({
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": "ada"},
        "password": "pass word",
        "device_id": "D1",
    });
    let session = json!({"user_id": "@ada:x", "access_token": "syt_1", "device_id": "D1"});
    post(LOGIN, login)
        .respond_with(json_answer(200, session))
        .expect(1)
        .mount(&server)
        .await;

    let error = accounts
        .register(&token(), "ada", &password())
        .await
        .unwrap_err();
    assert!(matches!(error, AccountError::AlreadyExists(name) if name == "ada"));
    let session = accounts
        .ensure_account(&token(), "ada", &password(), Some("D1"), "bot")
        .await
        .unwrap();
    assert_eq!(session.access_token.expose(), "syt_1");
    assert!(!format!("{session:?}").contains("syt_1"));
    assert_eq!(
        Session::from_json(session.to_json().unwrap().expose()).unwrap(),
        session
    );
}

#[tokio::test]
async fn the_shared_secret_signs_what_synapse_checks() {
    let (server, accounts) = server().await;
    Mock::given(method("GET"))
        .and(path(BY_SECRET))
        .respond_with(json_answer(200, json!({"nonce": "thisisanonce"})))
        .mount(&server)
        .await;
    // HMAC-SHA1 of "thisisanonce\0ada\0pass word\0admin" with the key "shared".
    let mac = "855f17536c4f8042c8373ac99c81aff1f1df468e";
    let signed = json!({"username": "ada", "admin": true, "nonce": "thisisanonce", "mac": mac});
    post(BY_SECRET, signed)
        .respond_with(json_answer(200, json!({})))
        .expect(1)
        .mount(&server)
        .await;

    let registration = Registration::SharedSecret {
        secret: "shared".into(),
        admin: true,
    };
    accounts
        .register(&registration, "ada", &password())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_rate_limit_is_obeyed_and_not_for_ever() {
    let (server, accounts) = server().await;
    let slow = || {
        json_answer(
            429,
            json!({"errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 1}),
        )
    };
    post(LOGIN, json!({}))
        .respond_with(slow())
        .up_to_n_times(2)
        .mount(&server)
        .await;
    let session = json!({"user_id": "@ada:x", "access_token": "t", "device_id": "D"});
    post(LOGIN, json!({}))
        .respond_with(json_answer(200, session))
        .mount(&server)
        .await;
    accounts
        .login("ada", &password(), None, "bot")
        .await
        .unwrap();

    post(REGISTER, json!({}))
        .respond_with(slow())
        .expect(5)
        .mount(&server)
        .await;
    let error = accounts
        .register(&token(), "ada", &password())
        .await
        .unwrap_err();
    assert!(matches!(error, AccountError::RateLimited { .. }), "{error}");
}

#[tokio::test]
async fn a_server_that_wants_something_else_is_named() {
    let (server, accounts) = server().await;
    let wants = json!({"session": "s1", "flows": [{"stages": ["m.login.email.identity"]}]});
    post(REGISTER, json!({}))
        .respond_with(json_answer(401, wants))
        .mount(&server)
        .await;
    let error = accounts
        .register(&token(), "ada", &password())
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("m.login.email.identity"),
        "{error}"
    );
    assert!(!error.to_string().contains("t0k3n"));
}
