//! What every part of the bot shares.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fleet_client::Gateway;
use fleet_protocol::Timestamp;
use fleet_protocol::api::ReportIncident;
use fleet_protocol::scalar::{Name, UserId};
use matrix_sdk::Client;
use tokio::sync::watch;

use crate::counters::Counters;
use crate::crew::Crew;
use crate::lease::Lease;
use crate::{BotError, Clock};

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

    /// The error that ends a bot whose session is gone.
    pub(crate) fn signed_out(&self) -> BotError {
        BotError::SignedOut {
            user: self.user.to_string(),
        }
    }

    /// The same, after people were told by way of the gateway.
    pub(crate) async fn report_signed_out(&self) -> BotError {
        let error = self.signed_out();
        self.incident("bot.signed_out", self.user.as_str(), error.to_string())
            .await;
        error
    }

    /// Tells people; a failure is logged, as there is nobody else to tell.
    pub(crate) async fn incident(&self, rule: &str, subject: &str, detail: String) {
        tracing::error!(rule, subject, detail, "incident");
        let rule: Name = match rule.parse() {
            Ok(rule) => rule,
            Err(error) => {
                tracing::error!(rule, %error, "the incident's rule is no name");
                return;
            }
        };
        let report = ReportIncident {
            lease: self.lease.claim(),
            rule,
            subject: subject.to_owned(),
            detail,
        };
        if let Err(error) = self.gateway.incident(&report).await {
            tracing::error!(%error, "the incident could not be reported");
        }
    }
}
