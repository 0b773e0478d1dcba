//! Wakes those who wait for the outbox. A hint and never the truth: who is woken asks the register.
//!
//! Waiters in this process are woken after each commit. Other gateways hear of it by NOTIFY, at
//! most a few times a second: NOTIFY in the writing transactions would make their commits wait for
//! each other.

use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The channel's name.
const CHANNEL: &str = "fleet_outbox";
/// The least time between two notifications.
const DEBOUNCE: Duration = Duration::from_millis(100);
/// How long to wait before the listener connects again.
const RECONNECT: Duration = Duration::from_secs(1);

/// Wakes waiters of this process, and knows that others are to be told.
#[derive(Debug)]
pub(crate) struct Hub {
    woken: watch::Sender<u64>,
    written: watch::Sender<u64>,
}

impl Hub {
    /// A hub without waiters.
    pub(crate) fn new() -> Self {
        Self {
            woken: watch::Sender::new(0),
            written: watch::Sender::new(0),
        }
    }

    /// Says that rows were committed here.
    pub(crate) fn written(&self) {
        self.woken.send_modify(|n| *n = n.wrapping_add(1));
        self.written.send_modify(|n| *n = n.wrapping_add(1));
    }

    /// Waits for the next hint from now on.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.woken.subscribe()
    }

    /// Tells other gateways what was written here, until cancelled.
    pub(crate) async fn tell(&self, pool: PgPool, stop: CancellationToken) {
        let mut written = self.written.subscribe();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                changed = written.changed() => if changed.is_err() { return },
            }
            if let Err(e) = sqlx::query("SELECT pg_notify($1, '')")
                .bind(CHANNEL)
                .execute(&pool)
                .await
            {
                tracing::debug!(error = %e, "other gateways were not told of new rows; they look each second");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(DEBOUNCE) => {}
            }
        }
    }

    /// Wakes waiters of this process for what other gateways wrote, until cancelled.
    pub(crate) async fn listen(&self, pool: PgPool, stop: CancellationToken) {
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => return,
                ended = self.listen_once(&pool) => if let Err(e) = ended {
                    tracing::debug!(error = %e, "the listener lost its connection");
                },
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(RECONNECT) => {}
            }
        }
    }

    async fn listen_once(&self, pool: &PgPool) -> Result<(), sqlx::Error> {
        let mut listener = PgListener::connect_with(pool).await?;
        listener.listen(CHANNEL).await?;
        loop {
            listener.recv().await?;
            self.woken.send_modify(|n| *n = n.wrapping_add(1));
        }
    }
}
