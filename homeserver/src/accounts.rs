//! Accounts by plain client-server requests: made by an application service, with Synapse's shared secret or with
//! a registration token, then logged in to.

pub mod appservice;
mod error;
mod session;
mod token;

use std::time::Duration;

use hmac::{Hmac, Mac as _};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use sha1::Sha1;
use url::Url;

use crate::Secret;

pub use error::AccountError;
pub use session::Session;

/// Tries of one request when the server answers 429.
const TRIES: u32 = 5;
/// The longest a 429 makes us wait each time.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// What lets us make accounts.
#[derive(Debug, Clone)]
pub enum Registration {
    /// Synapse's `registration_shared_secret`.
    SharedSecret {
        /// The secret.
        secret: Secret,
        /// Whether new accounts are server administrators.
        admin: bool,
    },
    /// A registration token (client-server API, "Token-authenticated registration").
    Token(Secret),
    /// The token of an application service; its accounts have no passwords.
    Appservice(Secret),
}

/// The account endpoints of one homeserver.
#[derive(Debug, Clone)]
pub struct Accounts {
    http: reqwest::Client,
    base: Url,
}

#[derive(Deserialize)]
struct Nonce {
    nonce: String,
}

#[derive(Deserialize)]
struct LoginAnswer {
    user_id: String,
    access_token: String,
    device_id: String,
}

impl From<LoginAnswer> for Session {
    fn from(answer: LoginAnswer) -> Self {
        Self {
            user_id: answer.user_id,
            access_token: answer.access_token.into(),
            device_id: answer.device_id,
        }
    }
}

#[derive(Deserialize, Default)]
struct MatrixError {
    #[serde(default)]
    errcode: String,
    #[serde(default)]
    error: String,
    retry_after_ms: Option<u64>,
}

impl Accounts {
    /// For the homeserver at `base_url`.
    ///
    /// # Errors
    /// The HTTP client cannot be made (no TLS roots).
    pub fn new(base_url: Url) -> Result<Self, AccountError> {
        let action = "make an HTTP client";
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(60))
            .build()
            .map_err(|source| AccountError::Transport { action, source })?;
        Ok(Self {
            http,
            base: base_url,
        })
    }

    /// Makes an account.
    ///
    /// # Errors
    /// [`AccountError::AlreadyExists`] when the name is taken; otherwise as the variant says.
    pub async fn register(
        &self,
        registration: &Registration,
        localpart: &str,
        password: &Secret,
    ) -> Result<(), AccountError> {
        match registration {
            Registration::SharedSecret { secret, admin } => {
                self.register_by_secret(secret, *admin, localpart, password)
                    .await
            }
            Registration::Token(token) => self.register_by_token(token, localpart, password).await,
            Registration::Appservice(token) => self.register_by_service(token, localpart).await,
        }
    }

    /// Logs in by password. With `device_id` an existing device is taken over (its old token ends).
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn login(
        &self,
        user: &str,
        password: &Secret,
        device_id: Option<&str>,
        device_name: &str,
    ) -> Result<Session, AccountError> {
        let mut body = json!({
            "type": "m.login.password",
            "identifier": {"type": "m.id.user", "user": user},
            "password": password.expose(),
            "initial_device_display_name": device_name,
        });
        if let Some(device_id) = device_id {
            body["device_id"] = device_id.into();
        }
        let answer = self
            .call(
                "log in",
                Method::POST,
                "/_matrix/client/v3/login",
                Some(&body),
            )
            .await?;
        let answer: LoginAnswer = answer.accepted()?;
        Ok(answer.into())
    }

    /// Makes the account unless it exists, then logs in.
    ///
    /// # Errors
    /// [`AccountError`]; an existing account with another password is refused at the login.
    pub async fn ensure_account(
        &self,
        registration: &Registration,
        localpart: &str,
        password: &Secret,
        device_id: Option<&str>,
        device_name: &str,
    ) -> Result<Session, AccountError> {
        match self.register(registration, localpart, password).await {
            Ok(()) | Err(AccountError::AlreadyExists(_)) => {}
            Err(error) => return Err(error),
        }
        match registration {
            Registration::Appservice(token) => {
                self.login_by_service(token, localpart, device_id, device_name)
                    .await
            }
            Registration::SharedSecret { .. } | Registration::Token(_) => {
                self.login(localpart, password, device_id, device_name)
                    .await
            }
        }
    }

    async fn register_by_secret(
        &self,
        secret: &Secret,
        admin: bool,
        localpart: &str,
        password: &Secret,
    ) -> Result<(), AccountError> {
        const PATH: &str = "/_synapse/admin/v1/register";
        let action = "make an account by shared secret";
        let nonce: Nonce = self
            .call(action, Method::GET, PATH, None)
            .await?
            .accepted()?;
        let mac = shared_secret_mac(secret, &nonce.nonce, localpart, password, admin).ok_or_else(
            || AccountError::Unusable {
                action,
                detail: "the secret is no key".to_owned(),
            },
        )?;
        let body = json!({
            "nonce": nonce.nonce,
            "username": localpart,
            "password": password.expose(),
            "admin": admin,
            "mac": mac,
        });
        let answer = self.call(action, Method::POST, PATH, Some(&body)).await?;
        answer.account_made(localpart)
    }

    async fn call(
        &self,
        action: &'static str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, AccountError> {
        self.call_as(None, action, method, path, body).await
    }

    /// One request, by whose token it is; 429 is obeyed a few times.
    async fn call_as(
        &self,
        token: Option<&Secret>,
        action: &'static str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, AccountError> {
        let url = self.base.join(path).map_err(|e| AccountError::Unusable {
            action,
            detail: e.to_string(),
        })?;
        for _ in 0..TRIES {
            let mut request: RequestBuilder = self.http.request(method.clone(), url.clone());
            if let Some(body) = body {
                request = request.json(body);
            }
            if let Some(token) = token {
                request = request.bearer_auth(token.expose());
            }
            let transport = |source| AccountError::Transport { action, source };
            let response = request.send().await.map_err(transport)?;
            let status = response.status();
            let retry_after = response
                .headers()
                .get("retry-after")
                .and_then(|v| v.to_str().ok()?.parse().ok());
            let body = response.bytes().await.map_err(transport)?;
            let answer = Answer {
                action,
                status,
                body: body.to_vec(),
            };
            if status != StatusCode::TOO_MANY_REQUESTS {
                return Ok(answer);
            }
            let told = answer.error().retry_after_ms.map(Duration::from_millis);
            let wait = told
                .or(retry_after.map(Duration::from_secs))
                .unwrap_or(Duration::from_secs(1));
            tracing::info!(action, ?wait, "the homeserver asks us to wait");
            tokio::time::sleep(wait.min(LONGEST_WAIT)).await;
        }
        Err(AccountError::RateLimited { action })
    }
}

struct Answer {
    action: &'static str,
    status: StatusCode,
    body: Vec<u8>,
}

impl Answer {
    fn error(&self) -> MatrixError {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    fn refused(&self, code: String, message: String) -> AccountError {
        AccountError::Refused {
            action: self.action,
            status: self.status.as_u16(),
            code,
            message,
        }
    }

    fn accepted<T: for<'de> Deserialize<'de>>(&self) -> Result<T, AccountError> {
        if !self.status.is_success() {
            let error = self.error();
            return Err(self.refused(error.errcode, error.error));
        }
        serde_json::from_slice(&self.body).map_err(|e| AccountError::Unusable {
            action: self.action,
            detail: format!("unexpected answer: {e}"),
        })
    }

    fn account_made(&self, localpart: &str) -> Result<(), AccountError> {
        if self.status.is_success() {
            return Ok(());
        }
        let error = self.error();
        match error.errcode.as_str() {
            "M_USER_IN_USE" => Err(AccountError::AlreadyExists(localpart.to_owned())),
            _ => Err(self.refused(error.errcode, error.error)),
        }
    }
}

/// Synapse's admin API, "Shared-Secret Registration".
fn shared_secret_mac(
    secret: &Secret,
    nonce: &str,
    localpart: &str,
    password: &Secret,
    admin: bool,
) -> Option<String> {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.expose().as_bytes()).ok()?;
    let role = if admin { "admin" } else { "notadmin" };
    mac.update(
        [nonce, localpart, password.expose(), role]
            .join("\0")
            .as_bytes(),
    );
    Some(
        mac.finalize()
            .into_bytes()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect(),
    )
}
