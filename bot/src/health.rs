//! `/live`, `/ready` and `/metrics`.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;
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

    /// The rooms were compared with the plan.
    pub(crate) fn note_rooms(&self) {
        self.0.rooms.store(true, Ordering::Release);
    }

    /// Whether the rooms were compared with the plan.
    pub(crate) fn rooms_are_made(&self) -> bool {
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
    stop: CancellationToken,
) -> Result<(), BotError> {
    let failed = |source| BotError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let routes = Router::new()
        .route("/live", get(|| async { "live\n" }))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .with_state(health);
    axum::serve(listener, routes)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
        .map_err(failed)
}

async fn ready(State(health): State<Health>) -> impl IntoResponse {
    let lease = health.0.lease.get().is_some_and(Lease::is_live);
    let (sync, rooms) = (health.has_synced(), health.rooms_are_made());
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

async fn metrics(State(health): State<Health>) -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
        health.0.counters.text(),
    )
}
