//! Wakes those who wait for the outbox, or for their inbox. A hint and never the truth: who is woken
//! asks the register.
//!
//! Waiters in this process are woken after each commit. Other gateways hear of it by NOTIFY, at
//! most a few times a second: NOTIFY in the writing transactions would make their commits wait for
//! each other.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The channel's name.
const CHANNEL: &str = "fleet_outbox";
/// The least time between two notifications.
const DEBOUNCE: Duration = Duration::from_millis(100);
/// How long to wait before the listener connects again.
const RECONNECT: Duration = Duration::from_secs(1);

/// Inboxes named in one notification, whose payload has at most 8,000 bytes; more are "all".
const MOST_NAMED: usize = 200;
/// The payload for more inboxes than can be named.
const ALL: &str = "*";
/// Inboxes that a waiter may be behind before it looks at its own in any case.
const BEHIND: usize = 1024;

/// Wakes waiters of this process, and knows that others are to be told.
#[derive(Debug)]
pub(crate) struct Hub {
    woken: watch::Sender<u64>,
    written: watch::Sender<u64>,
    /// Agents whose inboxes got something; nil means anybody's.
    filled: broadcast::Sender<Uuid>,
    /// Of them, those that other gateways are still to be told of.
    untold: Mutex<BTreeSet<Uuid>>,
}

/// Hints about one process's inboxes.
#[derive(Debug)]
pub(crate) struct Inboxes(broadcast::Receiver<Uuid>);

impl Inboxes {
    /// Waits until an agent's inbox may have got something.
    pub(crate) async fn of(&mut self, agent: Uuid) {
        loop {
            match self.0.recv().await {
                Ok(id) if id == agent || id.is_nil() => return,
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => return,
                // The hub lives as long as the gateway; the caller looks again by itself.
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}

impl Hub {
    /// A hub without waiters.
    pub(crate) fn new() -> Self {
        Self {
            woken: watch::Sender::new(0),
            written: watch::Sender::new(0),
            filled: broadcast::Sender::new(BEHIND),
            untold: Mutex::default(),
        }
    }

    /// Says that rows were committed here.
    pub(crate) fn written(&self) {
        self.woken.send_modify(|n| *n = n.wrapping_add(1));
        self.written.send_modify(|n| *n = n.wrapping_add(1));
    }

    /// Says that agents' inboxes got something here.
    pub(crate) fn filled(&self, agents: &[Uuid]) {
        if agents.is_empty() {
            return;
        }
        self.wake(agents);
        self.untold
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(agents);
        self.written.send_modify(|n| *n = n.wrapping_add(1));
    }

    fn wake(&self, agents: &[Uuid]) {
        for agent in agents {
            // Nobody waits: nobody is to be woken.
            let _ = self.filled.send(*agent);
        }
    }

    /// Hints about inboxes from now on.
    pub(crate) fn inboxes(&self) -> Inboxes {
        Inboxes(self.filled.subscribe())
    }

    /// What other gateways are to be told.
    fn payload(&self) -> String {
        let untold =
            std::mem::take(&mut *self.untold.lock().unwrap_or_else(PoisonError::into_inner));
        if untold.len() > MOST_NAMED {
            return ALL.to_owned();
        }
        let named: Vec<String> = untold.iter().map(ToString::to_string).collect();
        named.join(",")
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
            if let Err(e) = sqlx::query("SELECT pg_notify($1, $2)")
                .bind(CHANNEL)
                .bind(self.payload())
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
            let told = listener.recv().await?;
            self.wake(&named(told.payload()));
            self.woken.send_modify(|n| *n = n.wrapping_add(1));
        }
    }
}

/// The inboxes that a notification names.
fn named(payload: &str) -> Vec<Uuid> {
    if payload == ALL {
        return vec![Uuid::nil()];
    }
    payload
        .split(',')
        .filter_map(|id| id.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_waits_is_woken_for_its_own_inbox_and_for_anybodys() {
        let hub = Hub::new();
        let (mine, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let mut inboxes = hub.inboxes();
        hub.filled(&[other, mine]);
        inboxes.of(mine).await;
        hub.wake(&[Uuid::nil()]);
        inboxes.of(mine).await;
        assert_eq!(named(&hub.payload()), [mine, other]);
        assert_eq!(hub.payload(), "");
        hub.filled(&(1..=201).map(Uuid::from_u128).collect::<Vec<_>>());
        assert_eq!(named(&hub.payload()), [Uuid::nil()]);
    }

    #[test]
    fn a_notification_without_names_wakes_no_inbox() {
        assert!(named("").is_empty());
        assert!(named("nonsense").is_empty());
    }
}
