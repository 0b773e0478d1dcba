//! Requests with the patience a homeserver needs: 429 is obeyed, a lost answer is asked for again
//! (every request here may be repeated: reads, joins, and sends with a transaction id).

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::MatrixError;

/// Longest time to wait for an answer, beyond what a sync asks the server to wait.
const ANSWER: Duration = Duration::from_secs(60);
/// Tries of one request.
const TRIES: u32 = 8;
/// Longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

#[derive(Clone)]
pub(super) struct Http {
    client: reqwest::Client,
    base: Url,
}

#[derive(Deserialize, Default)]
struct ErrorBody {
    #[serde(default)]
    errcode: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    retry_after_ms: Option<u64>,
}

/// What one try came to.
enum Tried {
    Answer(Vec<u8>),
    Again {
        error: MatrixError,
        after: Option<Duration>,
    },
    Refused(MatrixError),
}

impl Http {
    pub(super) fn new(base: Url, access_token: Option<&str>) -> Result<Self, MatrixError> {
        if base.cannot_be_a_base() {
            return Err(MatrixError::Setup(
                "the address is no URL of a server".into(),
            ));
        }
        let mut headers = HeaderMap::new();
        if let Some(token) = access_token {
            let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
                MatrixError::Setup(
                    "the access token holds characters that no header may hold".into(),
                )
            })?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let client = reqwest::Client::builder()
            .default_headers(headers)
            .connect_timeout(Duration::from_secs(5))
            .build()
            .map_err(|e| MatrixError::Setup(e.to_string()))?;
        Ok(Self { client, base })
    }

    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        route: &str,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<T, MatrixError> {
        self.get_within(Duration::ZERO, route, path, query).await
    }

    /// A read that the server may hold open for `wait`.
    pub(super) async fn get_within<T: DeserializeOwned>(
        &self,
        wait: Duration,
        route: &str,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<T, MatrixError> {
        let mut url = self.url(route, path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.repeat(&Method::GET, &url, None, ANSWER + wait).await
    }

    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        route: &str,
        path: &[&str],
        body: Option<&Value>,
    ) -> Result<T, MatrixError> {
        self.repeat(&method, &self.url(route, path), body, ANSWER)
            .await
    }

    /// `/_matrix/client/v3/` plus a fixed route, plus segments that may hold any character.
    fn url(&self, route: &str, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        let prefix = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{prefix}/_matrix/client/v3/{route}"));
        // Never an error: checked in `new`.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }

    async fn repeat<T: DeserializeOwned>(
        &self,
        method: &Method,
        url: &Url,
        body: Option<&Value>,
        limit: Duration,
    ) -> Result<T, MatrixError> {
        let what = format!("{method} {}", url.path());
        let mut attempt = 1;
        loop {
            let mut request = self
                .client
                .request(method.clone(), url.clone())
                .timeout(limit);
            if let Some(body) = body {
                request = request.json(body);
            }
            let (error, after) = match self.once(request, &what).await {
                Tried::Answer(bytes) => {
                    return serde_json::from_slice(&bytes).map_err(|e| MatrixError::Answer {
                        what,
                        detail: e.to_string(),
                    });
                }
                Tried::Refused(error) => return Err(error),
                Tried::Again { error, after } => (error, after),
            };
            if attempt == TRIES {
                return Err(error);
            }
            let pause = after
                .unwrap_or(Duration::from_millis(100 << attempt))
                .min(LONGEST_PAUSE);
            tracing::debug!(attempt, %error, "the homeserver is asked again");
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }

    async fn once(&self, request: reqwest::RequestBuilder, what: &str) -> Tried {
        let answer = match request.send().await {
            Ok(response) => {
                let status = response.status();
                response.bytes().await.map(|bytes| (status, bytes.to_vec()))
            }
            Err(e) => Err(e),
        };
        let (status, bytes) = match answer {
            Ok(answer) => answer,
            Err(e) => {
                return Tried::Again {
                    error: self.unreachable(&e),
                    after: None,
                };
            }
        };
        if status.is_success() {
            return Tried::Answer(bytes);
        }
        let body: ErrorBody = serde_json::from_slice(&bytes).unwrap_or_default();
        let after = body.retry_after_ms.map(Duration::from_millis);
        let error = MatrixError::Refused {
            what: what.to_owned(),
            status: status.as_u16(),
            code: body.errcode,
            message: body.error,
        };
        if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
            Tried::Again { error, after }
        } else {
            Tried::Refused(error)
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> MatrixError {
        let mut cause: &dyn std::error::Error = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        let host = self.base.host_str().unwrap_or_default();
        let port = self.base.port_or_known_default().unwrap_or_default();
        MatrixError::Unreachable {
            host: format!("{host}:{port}"),
            cause: cause.to_string(),
        }
    }
}
