//! `/live`, `/ready` and `/metrics`.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use fleet_homeserver::Secret;
use serde_json::json;
use subtle::ConstantTimeEq as _;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::BotError;
use crate::counters::Counters;
use crate::lease::Lease;

/// How long ago the last sync may be; a quiet long poll takes half of it.
const FRESH: Duration = Duration::from_secs(60);

/// How the bot is, told by its parts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Health(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    lease: OnceLock<Lease>,
    synced: Mutex<Option<Instant>>,
    rooms: AtomicBool,
    counters: Arc<Counters>,
}

impl Health {
    /// The counters that `/metrics` shows.
    pub(crate) fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.0.counters)
    }

    /// The bot acts for its account.
    pub(crate) fn note_lease(&self, lease: &Lease) {
        // Set once per process: a lost lease ends it.
        let _ = self.0.lease.set(lease.clone());
    }

    /// A sync has succeeded.
    pub(crate) fn note_sync(&self) {
        *self.0.synced.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// The rooms were compared with the plan, and mended.
    pub(crate) fn note_rooms(&self, are_whole: bool) {
        self.0.rooms.store(are_whole, Ordering::Release);
    }

    /// Whether the rooms were as the plan has them when they were compared last.
    pub(crate) fn rooms_are_whole(&self) -> bool {
        self.0.rooms.load(Ordering::Acquire)
    }

    fn has_synced(&self) -> bool {
        let synced = *self.0.synced.lock().unwrap_or_else(PoisonError::into_inner);
        synced.is_some_and(|at| at.elapsed() < FRESH)
    }
}

/// Serves until stopped.
///
/// # Errors
/// [`BotError::Listen`].
pub(crate) async fn serve(
    health: Health,
    address: SocketAddr,
    metrics_token: Option<Secret>,
    stop: CancellationToken,
) -> Result<(), BotError> {
    let failed = |source| BotError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    axum::serve(listener, routes(health, metrics_token))
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
        .map_err(failed)
}

fn routes(health: Health, metrics_token: Option<Secret>) -> Router {
    let metrics = get(move |headers: HeaderMap, health| {
        let is_allowed = may_read(metrics_token.as_ref(), &headers);
        async move {
            if is_allowed {
                metrics(health).into_response()
            } else {
                forbidden().into_response()
            }
        }
    });
    Router::new()
        .route("/live", get(|| async { "live\n" }))
        .route("/ready", get(ready))
        .route("/metrics", metrics)
        .with_state(health)
}

/// Whether the request carries the token; the comparison takes as long for every wrong one.
fn may_read(token: Option<&Secret>, headers: &HeaderMap) -> bool {
    let sent = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    match (token, sent) {
        (Some(token), Some(sent)) => token.expose().as_bytes().ct_eq(sent.as_bytes()).into(),
        _ => false,
    }
}

fn forbidden() -> impl IntoResponse {
    (
        StatusCode::UNAUTHORIZED,
        [(header::WWW_AUTHENTICATE, "Bearer")],
        "send `Authorization: Bearer TOKEN` with the token of bot.metrics_token_file\n",
    )
}

async fn ready(State(health): State<Health>) -> impl IntoResponse {
    let lease = health.0.lease.get().is_some_and(Lease::is_live);
    let (sync, rooms) = (health.has_synced(), health.rooms_are_whole());
    let ready = lease && sync && rooms;
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (
        status,
        Json(json!({ "ready": ready, "lease": lease, "sync": sync, "rooms": rooms })),
    )
}

fn metrics(State(health): State<Health>) -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
        health.0.counters.text(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn status(token: Option<&str>, sent: Option<&str>) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let routes = routes(Health::default(), token.map(Secret::new));
        let mut server = tokio::task::JoinSet::new();
        server.spawn(async move { axum::serve(listener, routes).await.unwrap() });
        let client = matrix_sdk::reqwest::Client::builder()
            .no_proxy()
            .build()
            .unwrap();
        let mut request = client.get(format!("http://{address}/metrics"));
        if let Some(sent) = sent {
            request = request.bearer_auth(sent);
        }
        request.send().await.unwrap().status().as_u16()
    }

    #[tokio::test]
    async fn metrics_are_read_with_the_token_only() {
        for (token, sent, expected) in [
            (Some("open"), Some("open"), 200),
            (Some("open"), Some("opens"), 401),
            (Some("open"), Some("shut"), 401),
            (Some("open"), None, 401),
            (None, Some("open"), 401),
            (None, None, 401),
        ] {
            assert_eq!(status(token, sent).await, expected, "{token:?} {sent:?}");
        }
    }
}
