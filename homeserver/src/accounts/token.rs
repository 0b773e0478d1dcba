//! Accounts by a registration token (client-server API, "Token-authenticated registration").

use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::{AccountError, Accounts, Answer};
use crate::Secret;

/// A registration has at most this many stages before we give up.
const STAGES: usize = 6;
const TOKEN_STAGE: &str = "m.login.registration_token";
const DUMMY_STAGE: &str = "m.login.dummy";

/// User-interactive authentication (client-server API, "User-Interactive Authentication API").
#[derive(Deserialize)]
struct Interactive {
    session: Option<String>,
    flows: Vec<Flow>,
    #[serde(default)]
    completed: Vec<String>,
    #[serde(default)]
    errcode: String,
    #[serde(default)]
    error: String,
}

#[derive(Deserialize)]
struct Flow {
    stages: Vec<String>,
}

impl Accounts {
    pub(super) async fn register_by_token(
        &self,
        token: &Secret,
        localpart: &str,
        password: &Secret,
    ) -> Result<(), AccountError> {
        let action = "make an account by token";
        let mut body = json!({
            "username": localpart,
            "password": password.expose(),
            "inhibit_login": true,
        });
        let mut tried_token = false;
        for _ in 0..STAGES {
            let answer = self
                .call(
                    action,
                    Method::POST,
                    "/_matrix/client/v3/register",
                    Some(&body),
                )
                .await?;
            let Some(wanted) = answer.interactive() else {
                return answer.account_made(localpart);
            };
            if tried_token && !wanted.completed.iter().any(|stage| stage == TOKEN_STAGE) {
                return Err(answer.refused(wanted.errcode, wanted.error));
            }
            let stage = next_stage(&wanted)?;
            tried_token |= stage == TOKEN_STAGE;
            body["auth"] = json!({"type": stage, "session": wanted.session});
            if stage == TOKEN_STAGE {
                body["auth"]["token"] = token.expose().into();
            }
        }
        Err(AccountError::NoFlow {
            wanted: "ever more stages".to_owned(),
        })
    }
}

impl Answer {
    fn interactive(&self) -> Option<Interactive> {
        (self.status == StatusCode::UNAUTHORIZED)
            .then(|| serde_json::from_slice(&self.body).ok())
            .flatten()
    }
}

/// The first open stage of a flow of which we can do every stage.
fn next_stage(wanted: &Interactive) -> Result<&str, AccountError> {
    let doable = |stage: &String| stage == TOKEN_STAGE || stage == DUMMY_STAGE;
    let flow = wanted
        .flows
        .iter()
        .find(|flow| flow.stages.iter().all(doable));
    let open = flow.and_then(|flow| {
        flow.stages
            .iter()
            .find(|stage| !wanted.completed.contains(stage))
    });
    open.map(String::as_str).ok_or_else(|| {
        let flows: Vec<String> = wanted
            .flows
            .iter()
            .map(|flow| flow.stages.join(" + "))
            .collect();
        AccountError::NoFlow {
            wanted: flows.join(", or "),
        }
    })
}
