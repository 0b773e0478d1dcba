//! Tells the gateway what became of rows, several at a time.

use std::sync::Arc;
use std::time::Duration;

use fleet_protocol::api::{Settled, Settlements};
use fleet_protocol::outbox::Settlement;
use tokio::sync::{Notify, mpsc};
use uuid::Uuid;

use crate::BotError;
use crate::claims::Claims;
use crate::context::Context;
use crate::refusal::Backoff;
use crate::verdict::{Verdict, verdict};

/// How long settlements gather; nobody waits for them.
const WINDOW: Duration = Duration::from_millis(50);
/// The most in one call (the API's limit is 500).
const TOGETHER: usize = 200;
/// Settlements that wait; then the senders do.
const WAITING: usize = 1_024;
/// Longest pause between tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Where senders leave what became of their rows.
#[derive(Debug, Clone)]
pub(crate) struct Settler(mpsc::Sender<Settled>);

impl Settler {
    /// The settler and its inbox, for [`run`].
    pub(crate) fn new() -> (Self, mpsc::Receiver<Settled>) {
        let (sender, inbox) = mpsc::channel(WAITING);
        (Self(sender), inbox)
    }

    /// Leaves what became of a row.
    pub(crate) async fn settle(&self, row: Uuid, settlement: Settlement) {
        if self.0.send(Settled { row, settlement }).await.is_err() {
            tracing::warn!(%row, "the settler has ended; the row is settled after the next start");
        }
    }
}

/// Settles until every sender has ended and all is told, or the bot is stopped and the gateway away.
///
/// # Errors
/// [`BotError::LeaseLost`], [`BotError::Gateway`].
pub(crate) async fn run(
    context: Context,
    mut inbox: mpsc::Receiver<Settled>,
    claims: Claims,
    flushed: Arc<Notify>,
) -> Result<(), BotError> {
    let mut rows = Vec::with_capacity(TOGETHER);
    while inbox.recv_many(&mut rows, TOGETHER).await > 0 {
        gather(&mut inbox, &mut rows).await;
        if !tell(&context, &rows).await? {
            return Ok(());
        }
        for settled in rows.drain(..) {
            match settled.settlement {
                Settlement::Parked { .. } => claims.parked(settled.row),
                Settlement::Sent { .. } | Settlement::Dead { .. } => claims.settled(settled.row),
            }
        }
        flushed.notify_one();
    }
    Ok(())
}

/// Waits a little for more, as one call costs the register as much as many rows.
async fn gather(inbox: &mut mpsc::Receiver<Settled>, rows: &mut Vec<Settled>) {
    let window = tokio::time::sleep(WINDOW);
    tokio::pin!(window);
    while rows.len() < TOGETHER {
        tokio::select! {
            more = inbox.recv() => match more {
                Some(settled) => rows.push(settled),
                None => return,
            },
            () = &mut window => return,
        }
    }
}

/// Tells the gateway, until it listens. False when stopped before.
async fn tell(context: &Context, rows: &[Settled]) -> Result<bool, BotError> {
    let mut backoff = Backoff::up_to(LONGEST_PAUSE);
    loop {
        let body = Settlements {
            lease: context.lease.claim(),
            rows: rows.to_vec(),
        };
        let Err(error) = context.gateway.settle(&body).await else {
            return Ok(true);
        };
        match verdict(&error) {
            Verdict::LeaseLost => return Err(context.lease.lost()),
            Verdict::Denied => return Err(BotError::Gateway(error)),
            Verdict::Refused | Verdict::Conflict => {
                tracing::error!(%error, rows = rows.len(), "the gateway does not take settlements; the rows stay unsettled");
                return Ok(true);
            }
            Verdict::Retry => tracing::warn!(%error, "settling is tried again"),
        }
        // One try after the stop: what is not told now is told after the next start.
        if context.crew.stop.is_cancelled() {
            return Ok(false);
        }
        tokio::time::sleep(backoff.pause()).await;
    }
}
