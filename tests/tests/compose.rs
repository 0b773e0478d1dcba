//! Scripts of the Compose file that speak Matrix, against a mock with the habits of a homeserver.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helper functions too"
)]

use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

type Accounts = Arc<Mutex<Vec<(String, String)>>>;

/// Registration by token (client-server API, "Token-authenticated registration").
async fn register(
    State(made): State<Accounts>,
    Json(body): Json<Value>,
) -> (StatusCode, Json<Value>) {
    let mut made = made.lock().unwrap();
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let name = word(&body["username"]);
    if made.iter().any(|(known, _)| *known == name) {
        let taken = json!({ "errcode": "M_USER_IN_USE", "error": "taken" });
        return (StatusCode::BAD_REQUEST, Json(taken));
    }
    let auth = &body["auth"];
    if auth["session"] == "s1" && auth["type"] == "m.login.registration_token" {
        if auth["token"] != "open-sesame" {
            let wrong = json!({ "errcode": "M_FORBIDDEN", "error": "wrong token" });
            return (StatusCode::FORBIDDEN, Json(wrong));
        }
        made.push((name.clone(), word(&body["password"])));
        return (
            StatusCode::OK,
            Json(json!({ "user_id": format!("@{name}:x") })),
        );
    }
    let flows = json!([{ "stages": ["m.login.registration_token"] }]);
    let wanted = json!({ "session": "s1", "flows": flows, "params": {} });
    (StatusCode::UNAUTHORIZED, Json(wanted))
}

async fn first_account(url: &str, secrets: &Path) -> std::process::Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docker/first-account.sh");
    tokio::process::Command::new("sh")
        .arg(script)
        .args([url, "conduit-admin"])
        .arg(secrets)
        .output()
        .await
        .unwrap()
}

#[tokio::test]
async fn the_first_account_is_made_once_and_a_wrong_token_is_told() {
    let made = Accounts::default();
    let app = Router::new()
        .route("/_matrix/client/v3/register", post(register))
        .with_state(made.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut server = JoinSet::new();
    server.spawn(axum::serve(listener, app).into_future());
    let secrets = tempfile::tempdir().unwrap();
    let secret = |name: &str, text: &str| std::fs::write(secrets.path().join(name), text).unwrap();
    secret("password", "hunter22");
    secret("registration_token", "wrong");
    let refused = first_account(&url, secrets.path()).await;
    let told = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1));
    assert!(told.contains("M_FORBIDDEN wrong token"), "{told}");

    secret("registration_token", "open-sesame");
    for said in ["made @conduit-admin:x", "is there already"] {
        let output = first_account(&url, secrets.path()).await;
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && told.contains(said), "{output:?}");
    }
    let expected = [("conduit-admin".to_owned(), "hunter22".to_owned())];
    assert_eq!(*made.lock().unwrap(), expected);
}
