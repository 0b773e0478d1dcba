//! A real Synapse: made, started, used, killed, started again.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test fails it by panicking, as the test itself does"
)]

use fleet_homeserver::Secret;
use fleet_homeserver::accounts::{AccountError, Accounts, Registration, Session};
use fleet_homeserver::config::Settings;
use fleet_homeserver::health::{self, Kind};
use fleet_homeserver::process::{Homeserver, HomeserverSettings, Software};
use serde_json::{Value, json};
use url::Url;

fn free_address() -> std::net::SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

async fn call(
    method: reqwest::Method,
    base: &Url,
    path: &str,
    session: &Session,
    body: Value,
) -> Value {
    let request = reqwest::Client::new()
        .request(method, base.join(path).unwrap())
        .bearer_auth(session.access_token.expose());
    let answer = request.json(&body).send().await.unwrap();
    let status = answer.status();
    let body: Value = answer.json().await.unwrap();
    assert!(status.is_success(), "{path}: {status} {body}");
    body
}

#[tokio::test]
async fn accounts_messages_and_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let secret = Secret::new("a secret for this test");
    let settings = HomeserverSettings {
        config: Settings {
            server_name: "fleet.localhost".to_owned(),
            listen: free_address(),
            public_url: None,
            data: folder.path().join("homeserver"),
            registration_secret: secret.clone(),
            fast_hashing: true,
        },
        software: Software::Synapse,
        log: folder.path().join("homeserver.log"),
        cache: None,
    };
    let mut server = Homeserver::start(settings, &|line| println!("{line}"))
        .await
        .unwrap();
    let base = server.base_url().unwrap();
    let health = health::probe(&base).await.unwrap();
    assert_eq!(
        (health.kind, health.version.as_deref()),
        (Kind::Synapse, Some("1.163.2"))
    );
    assert!(
        health.spec_versions.iter().any(|v| v == "v1.11"),
        "{:?}",
        health.spec_versions
    );

    let accounts = Accounts::new(base.clone()).unwrap();
    let password = Secret::new("correct horse");
    let registration = server.prepared().registration();
    accounts
        .register(&registration, "ada", &password)
        .await
        .unwrap();
    let twice = accounts
        .register(&registration, "ada", &password)
        .await
        .unwrap_err();
    assert!(
        matches!(&twice, AccountError::AlreadyExists(name) if name == "ada"),
        "{twice}"
    );
    let session = accounts
        .login("ada", &password, Some("LAPTOP"), "a test")
        .await
        .unwrap();
    assert_eq!(
        (session.user_id.as_str(), session.device_id.as_str()),
        ("@ada:fleet.localhost", "LAPTOP")
    );
    let wrong = accounts
        .login("ada", &Secret::new("battery"), None, "a test")
        .await
        .unwrap_err();
    assert!(
        matches!(&wrong, AccountError::Refused { code, .. } if code == "M_FORBIDDEN"),
        "{wrong}"
    );

    by_token(&accounts, &base, &secret).await;

    let room = call(
        reqwest::Method::POST,
        &base,
        "/_matrix/client/v3/createRoom",
        &session,
        json!({}),
    )
    .await;
    let room = room["room_id"].as_str().unwrap();
    let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/1");
    let message = json!({"msgtype": "m.text", "body": "hello"});
    let sent = call(
        reqwest::Method::PUT,
        &base,
        &path,
        &session,
        message.clone(),
    )
    .await;

    let first = server.pid();
    server.kill().await;
    assert!(health::probe(&base).await.is_err());
    server.restart().await.unwrap();
    assert_ne!(server.pid(), first);
    let event = format!(
        "/_matrix/client/v3/rooms/{room}/event/{}",
        sent["event_id"].as_str().unwrap()
    );
    let found = call(reqwest::Method::GET, &base, &event, &session, json!({})).await;
    assert_eq!(found["content"], message);

    server.stop().await;
    assert!(health::probe(&base).await.is_err());
}

/// An administrator makes a token; with it an account is made; a wrong one is refused.
async fn by_token(accounts: &Accounts, base: &Url, secret: &Secret) {
    let admin = Registration::SharedSecret {
        secret: secret.clone(),
        admin: true,
    };
    let password = Secret::new("correct horse");
    let root = accounts
        .ensure_account(&admin, "root", &password, None, "a test")
        .await
        .unwrap();
    let path = "/_synapse/admin/v1/registration_tokens/new";
    let made = call(
        reqwest::Method::POST,
        base,
        path,
        &root,
        json!({"uses_allowed": 5}),
    )
    .await;
    let token = Registration::Token(made["token"].as_str().unwrap().into());
    let one = accounts
        .ensure_account(&token, "bob", &password, None, "a test")
        .await
        .unwrap();
    let two = accounts
        .ensure_account(&token, "bob", &password, None, "a test")
        .await
        .unwrap();
    assert_eq!(one.user_id, two.user_id);
    let wrong = Registration::Token("guessed".into());
    let refused = accounts
        .register(&wrong, "mallory", &password)
        .await
        .unwrap_err();
    assert!(
        matches!(refused, AccountError::Refused { status: 401, .. }),
        "{refused}"
    );
}
