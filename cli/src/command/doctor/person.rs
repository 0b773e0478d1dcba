//! A person's account, used as a client uses it, without any patience: a 429 is an answer here.

use std::path::Path;
use std::time::Duration;

use fleet_homeserver::Secret;
use fleet_homeserver::accounts::Accounts;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::Instant;
use url::Url;

use crate::error::{CliError, chain};
use crate::settings::{SecretText, Settings};

/// The device on which the doctor logs in; it takes it over each time and leaves none behind.
const DEVICE: &str = "FLEETDOCTOR";
/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The answer to one request.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Value,
    pub(super) took: Duration,
}

impl Answer {
    /// The server's own words, for a person.
    pub(super) fn reason(&self) -> String {
        let word = |key: &str| self.body[key].as_str().unwrap_or_default().to_owned();
        format!("{} {} {}", self.status, word("errcode"), word("error"))
            .trim()
            .to_owned()
    }
}

/// A logged-in account.
pub(super) struct Person {
    http: reqwest::Client,
    base: Url,
    token: Secret,
    /// The whole user id.
    pub(super) user_id: String,
    /// Whether the login is ours to end.
    own_login: bool,
}

impl Person {
    /// The account at hand: of the token file given, else of `operator.password`; none without either.
    pub(super) async fn at_hand(
        settings: &Settings,
        homeserver: &Url,
        token_file: Option<&Path>,
    ) -> Result<Option<Self>, CliError> {
        let http = reqwest::Client::builder()
            .timeout(PATIENCE)
            .build()
            .map_err(|e| CliError::Internal(chain(&e)))?;
        let person = |token, user_id, own_login| Self {
            http: http.clone(),
            base: homeserver.clone(),
            token,
            user_id,
            own_login,
        };
        if let Some(token) = SecretText::of("--access-token", None, token_file)? {
            let mut person = person(Secret::new(token.expose()), String::new(), false);
            let me = person
                .call(Method::GET, &["account", "whoami"], None)
                .await?;
            let Some(user_id) = me.body["user_id"].as_str() else {
                let why = format!(
                    "the homeserver takes no access token of that file: {}",
                    me.reason()
                );
                return Err(CliError::Missed(why));
            };
            user_id.clone_into(&mut person.user_id);
            return Ok(Some(person));
        }
        let operator = &settings.operator;
        let (Some(user), Some(password)) = (&operator.user_id, operator.password()?) else {
            return Ok(None);
        };
        let session = Accounts::new(homeserver.clone())?
            .login(
                user.as_str(),
                &Secret::new(password.expose()),
                Some(DEVICE),
                "fleet doctor",
            )
            .await?;
        Ok(Some(person(session.access_token, session.user_id, true)))
    }

    /// One request to the client-server API, tried once; `path` may hold any character.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&Value>,
    ) -> Result<Answer, CliError> {
        self.ask(method, "_matrix/client/v3/", path, &[], body)
            .await
    }

    /// The newest events of a room, newest first.
    pub(super) async fn newest(&self, room: &str) -> Result<Vec<Value>, CliError> {
        let path = ["rooms", room, "messages"];
        let query = [("dir", "b"), ("limit", "30")];
        let page = self
            .ask(Method::GET, "_matrix/client/v3/", &path, &query, None)
            .await?;
        Ok(page.body["chunk"].as_array().cloned().unwrap_or_default())
    }

    /// Whether the homeserver exempts a user from its limits; `None` when this account may not know.
    pub(super) async fn is_exempt(&self, user: &str) -> Result<Option<bool>, CliError> {
        let path = ["users", user, "override_ratelimit"];
        let answer = self
            .ask(Method::GET, "_synapse/admin/v1/", &path, &[], None)
            .await?;
        let exempt = answer.body["messages_per_second"].as_u64() == Some(0);
        Ok(answer.status.is_success().then_some(exempt))
    }

    async fn ask(
        &self,
        method: Method,
        api: &str,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Answer, CliError> {
        let mut url = self
            .base
            .join(api)
            .map_err(|e| CliError::Internal(e.to_string()))?;
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = self
            .http
            .request(method, url)
            .bearer_auth(self.token.expose());
        if let Some(body) = body {
            request = request.json(body);
        }
        let began = Instant::now();
        let unreachable = |e: reqwest::Error| CliError::Missed(chain(&e.without_url()));
        let answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        let bytes = answer.bytes().await.map_err(unreachable)?;
        Ok(Answer {
            status,
            body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
            took: began.elapsed(),
        })
    }

    /// Ends a login of our own.
    pub(super) async fn leave(self) -> Result<(), CliError> {
        if self.own_login {
            self.call(Method::POST, &["logout"], Some(&json!({})))
                .await?;
        }
        Ok(())
    }
}
