//! Calls of the gateway, one method per route.

use std::fmt;
use std::time::Duration;

use fleet_protocol::api::{
    Attempts, BindRoom, IDEMPOTENCY_KEY, LeaseGrant, LeaseRequest, Outbox, ReportIncident, Rooms,
    Settlements, path,
};
use fleet_protocol::envelope::{Call, Submit, Submitted};
use fleet_protocol::{Command, Problem, Query, Receipt, Reply};
use reqwest::header::{AUTHORIZATION, HeaderMap};
use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::{Host, Url};

use crate::{ClientError, Retry, Token};

/// Longest time to wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// Longest time to wait for an answer, beyond what the call itself asks the gateway to wait.
const ANSWER: Duration = Duration::from_secs(30);

/// A client of one gateway with one token. Cloning is cheap and shares the connections.
#[derive(Clone)]
pub struct Gateway {
    http: reqwest::Client,
    base: Url,
    retry: Retry,
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("base", &self.base.as_str())
            .field("retry", &self.retry)
            .finish_non_exhaustive()
    }
}

impl Gateway {
    /// A client that repeats calls as [`Retry::default`] says.
    ///
    /// # Errors
    /// [`ClientError::Address`], [`ClientError::Token`] or [`ClientError::Setup`].
    pub fn new(base: Url, token: impl Into<Token>) -> Result<Self, ClientError> {
        let plain = matches!(base.scheme(), "http" | "https")
            && base.username().is_empty()
            && base.password().is_none();
        if !plain {
            // The address may hold a password: only its scheme and host are repeated.
            return Err(ClientError::Address(format!(
                "{}://{}",
                base.scheme(),
                base.host_str().unwrap_or_default()
            )));
        }
        let mut headers = HeaderMap::new();
        headers.insert(
            AUTHORIZATION,
            token.into().header().map_err(|_| ClientError::Token)?,
        );
        let http = reqwest::Client::builder()
            .default_headers(headers)
            .connect_timeout(CONNECT)
            // The gateway never redirects; following one would hand the token to another host.
            .redirect(reqwest::redirect::Policy::none());
        // Without TLS the machine's certificates are not read: some megabytes in each of many agents.
        let http = match base.scheme() {
            "http" => http.tls_certs_only([]),
            _ => http,
        };
        let http = http.build().map_err(ClientError::Setup)?;
        Ok(Self {
            http,
            base,
            retry: Retry::default(),
        })
    }

    /// The same client with another rule of retry.
    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// The same client, never repeating a call: for callers with a loop of their own, as the bot.
    #[must_use]
    pub fn without_retry(self) -> Self {
        self.with_retry(Retry::NEVER)
    }

    /// The gateway's address.
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// Whether the token goes to another machine unencrypted.
    pub fn is_exposed(&self) -> bool {
        let here = match self.base.host() {
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        self.base.scheme() == "http" && !here
    }

    /// Writes once under `key`; the same key later returns the stored receipt.
    ///
    /// # Errors
    /// See [`ClientError`]; a refusal of the domain may come as a receipt or as a problem.
    pub async fn command(&self, call: &Call<Command>, key: &str) -> Result<Receipt, ClientError> {
        self.json(Method::POST, self.at(path::COMMANDS), Some(call), Some(key))
            .await
    }

    /// Reads.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn query(&self, call: &Call<Query>) -> Result<Reply, ClientError> {
        self.json(Method::POST, self.at(path::QUERIES), Some(call), None)
            .await
    }

    /// Hands in the envelopes of one room.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn submit(&self, submit: &Submit) -> Result<Submitted, ClientError> {
        self.json(Method::POST, self.at(path::SUBMIT), Some(submit), None)
            .await
    }

    /// Unsettled rows; waits up to `wait` for the first one.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn outbox(&self, wait: Duration) -> Result<Outbox, ClientError> {
        let mut url = self.at(path::OUTBOX);
        url.query_pairs_mut()
            .append_pair("wait", &wait.as_secs().to_string());
        self.within(ANSWER + wait, Method::GET, url, None::<&()>, None)
            .await
    }

    /// Notes who is about to send rows.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn attempts(&self, attempts: &Attempts) -> Result<(), ClientError> {
        self.unit(Method::POST, self.at(path::ATTEMPTS), Some(attempts))
            .await
    }

    /// Settles rows.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn settle(&self, settlements: &Settlements) -> Result<(), ClientError> {
        self.unit(Method::POST, self.at(path::SETTLEMENTS), Some(settlements))
            .await
    }

    /// Asks for, keeps or gives back the right to act for an account.
    ///
    /// # Errors
    /// See [`ClientError`]; `bot.lease_held` and `bot.lease_lost` are problems.
    pub async fn bot_lease(&self, request: &LeaseRequest) -> Result<LeaseGrant, ClientError> {
        self.json(Method::POST, self.at(path::BOT_LEASE), Some(request), None)
            .await
    }

    /// The rooms as they should be and as they are.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn rooms(&self) -> Result<Rooms, ClientError> {
        self.json(Method::GET, self.at(path::ROOMS), None::<&()>, None)
            .await
    }

    /// Tells which Matrix room a plan has become.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn bind_room(&self, room_id: &str, bind: &BindRoom) -> Result<(), ClientError> {
        self.unit(Method::PUT, self.room(room_id), Some(bind)).await
    }

    /// Reports an incident.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn incident(&self, report: &ReportIncident) -> Result<(), ClientError> {
        self.unit(Method::POST, self.at(path::INCIDENTS), Some(report))
            .await
    }

    /// Whether the process answers.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn live(&self) -> Result<(), ClientError> {
        self.unit(Method::GET, self.at("/live"), None::<&()>).await
    }

    /// Whether it can do its work: the register is reachable and migrated.
    ///
    /// # Errors
    /// See [`ClientError`]; not ready is status 503.
    pub async fn ready(&self) -> Result<(), ClientError> {
        self.unit(Method::GET, self.at("/ready"), None::<&()>).await
    }

    /// The address of a route; a path in the base is kept, as a proxy may need it.
    fn at(&self, route: &str) -> Url {
        let mut url = self.base.clone();
        let prefix = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{prefix}{route}"));
        url.set_query(None);
        url
    }

    /// The address of a room; its id is one path segment, whatever characters it holds.
    fn room(&self, room_id: &str) -> Url {
        let mut url = self.at(path::ROOMS);
        // Never an error: an http URL has segments.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.push(room_id);
        }
        url
    }

    async fn unit<B: Serialize>(
        &self,
        method: Method,
        url: Url,
        body: Option<&B>,
    ) -> Result<(), ClientError> {
        self.repeat(ANSWER, &method, &url, body, None)
            .await
            .map(drop)
    }

    async fn json<B: Serialize, T: DeserializeOwned>(
        &self,
        method: Method,
        url: Url,
        body: Option<&B>,
        key: Option<&str>,
    ) -> Result<T, ClientError> {
        self.within(ANSWER, method, url, body, key).await
    }

    async fn within<B: Serialize, T: DeserializeOwned>(
        &self,
        limit: Duration,
        method: Method,
        url: Url,
        body: Option<&B>,
        key: Option<&str>,
    ) -> Result<T, ClientError> {
        let (status, bytes) = self.repeat(limit, &method, &url, body, key).await?;
        serde_json::from_slice(&bytes).map_err(|e| self.unreadable(status, &e))
    }

    /// Sends until there is an answer, a final error, or no try left.
    async fn repeat<B: Serialize>(
        &self,
        limit: Duration,
        method: &Method,
        url: &Url,
        body: Option<&B>,
        key: Option<&str>,
    ) -> Result<(StatusCode, Vec<u8>), ClientError> {
        let mut attempt = 1;
        loop {
            let mut request = self
                .http
                .request(method.clone(), url.clone())
                .timeout(limit);
            if let Some(body) = body {
                request = request.json(body);
            }
            if let Some(key) = key {
                request = request.header(IDEMPOTENCY_KEY, key);
            }
            let error = match self.once(request).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let pause = self
                .retry
                .pause_after(attempt)
                .filter(|_| error.is_retryable());
            let Some(pause) = pause else {
                return Err(error);
            };
            tracing::debug!(attempt, %error, path = url.path(), "the gateway is asked again");
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }

    async fn once(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<(StatusCode, Vec<u8>), ClientError> {
        let lost = |e| ClientError::unreachable(self.base.clone(), e);
        let response = request.send().await.map_err(lost)?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(lost)?.to_vec();
        if status.is_success() {
            return Ok((status, bytes));
        }
        match serde_json::from_slice::<Problem>(&bytes) {
            Ok(problem) => Err(ClientError::Problem {
                status: status.as_u16(),
                problem: Box::new(problem),
            }),
            Err(e) => Err(self.unreadable(status, &e)),
        }
    }

    fn unreadable(&self, status: StatusCode, error: &serde_json::Error) -> ClientError {
        ClientError::Answer {
            url: self.base.to_string(),
            status: status.as_u16(),
            detail: error.to_string(),
        }
    }
}
