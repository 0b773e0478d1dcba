//! What every part of the bot shares.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fleet_client::Gateway;
use fleet_protocol::Timestamp;
use fleet_protocol::scalar::UserId;
use matrix_sdk::Client;
use tokio::sync::watch;

use crate::counters::Counters;
use crate::crew::Crew;
use crate::lease::Lease;
use crate::reports::{Report, Reports};
use crate::{BotError, Clock};

/// The rule of an incident: the bot's session is gone.
pub(crate) const SIGNED_OUT: &str = "bot.signed_out";

/// What every part of the bot shares.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) client: Client,
    /// The gateway; each part has its own rule of retry.
    pub(crate) gateway: Gateway,
    pub(crate) user: UserId,
    pub(crate) device: String,
    pub(crate) lease: Lease,
    pub(crate) clock: Clock,
    pub(crate) counters: Arc<Counters>,
    pub(crate) crew: Crew,
    /// Counts the syncs that brought to-device messages: keys may have come.
    pub(crate) keys: watch::Receiver<u64>,
    /// When the last sync that succeeded was begun.
    pub(crate) synced: Arc<watch::Sender<Option<Timestamp>>>,
    /// Incidents on their way.
    pub(crate) reports: Reports,
    /// Whether this homeserver's sync may skip events (Conduit).
    pub(crate) fitful: Arc<AtomicBool>,
    pub(crate) reconcile_every: Duration,
}

impl Context {
    /// The present.
    pub(crate) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Whether the homeserver's sync may skip events.
    pub(crate) fn is_fitful(&self) -> bool {
        self.fitful.load(Ordering::Relaxed)
    }

    /// Notes that the homeserver calls a timeline limited that was not: its sync is not to be trusted.
    pub(crate) fn note_fitful(&self) {
        if !self.fitful.swap(true, Ordering::Relaxed) {
            tracing::info!("this homeserver's sync may skip events: active rooms are reconciled");
        }
    }

    /// Up to when sync has brought everything, by the bot's clock; none before the first.
    pub(crate) fn synced(&self) -> Option<Timestamp> {
        *self.synced.borrow()
    }

    /// Notes that a sync which was begun then has succeeded, and that its events are with their readers.
    pub(crate) fn note_synced(&self, begun: Timestamp) {
        self.synced.send_replace(Some(begun));
    }

    /// Pauses; `None` when asked to stop.
    pub(crate) async fn paused(&self, pause: Duration) -> Option<()> {
        let pause = tokio::time::sleep(pause);
        self.crew.stop.run_until_cancelled(pause).await
    }

    /// The error that ends a bot whose session is gone; people are told by way of the gateway.
    pub(crate) fn signed_out(&self) -> BotError {
        let error = BotError::SignedOut {
            user: self.user.to_string(),
        };
        self.incident(SIGNED_OUT, self.user.as_str(), error.to_string());
        error
    }

    /// Tells people by way of the gateway, as soon as that can be reached.
    pub(crate) fn incident(&self, rule: &str, subject: &str, detail: String) {
        tracing::error!(rule, subject, detail, "incident");
        self.report(rule, subject, detail, false);
    }

    /// Tells people that an incident is over.
    pub(crate) fn mended(&self, rule: &str, subject: &str) {
        tracing::info!(rule, subject, "an incident is over");
        self.report(rule, subject, String::new(), true);
    }

    fn report(&self, rule: &str, subject: &str, detail: String, mended: bool) {
        match rule.parse() {
            Ok(rule) => self.reports.leave(Report {
                rule,
                subject: subject.to_owned(),
                detail,
                mended,
            }),
            Err(error) => tracing::error!(rule, %error, "the incident's rule is no name"),
        }
    }
}
