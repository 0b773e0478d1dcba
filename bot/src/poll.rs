//! Asks the gateway for rows that no submission brought: alerts, decisions, what an earlier bot left.

use std::sync::Arc;
use std::time::Duration;

use fleet_client::ClientError;
use fleet_protocol::api::Attempts;
use fleet_protocol::outbox::{Attempt, OutboxRow};
use tokio::sync::Notify;

use crate::BotError;
use crate::context::Context;
use crate::device_rule::{Before, before};
use crate::dispatch::Dispatch;
use crate::refusal::Backoff;
use crate::verdict::{Verdict, verdict};

/// How long the gateway holds a poll (architecture.md, "Way out" 2).
const WAIT: Duration = Duration::from_secs(25);
/// Pause when a poll brought only rows that are on their way: until some are settled, or this long.
const ON_THEIR_WAY: Duration = Duration::from_millis(200);
/// Longest pause between tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Polls until stopped.
///
/// # Errors
/// [`BotError::LeaseLost`], [`BotError::Gateway`].
pub(crate) async fn run(
    context: Context,
    dispatch: Dispatch,
    flushed: Arc<Notify>,
) -> Result<(), BotError> {
    let stop = context.crew.stop.clone();
    let mut backoff = Backoff::up_to(LONGEST_PAUSE);
    while let Some(polled) = stop.run_until_cancelled(context.gateway.outbox(WAIT)).await {
        let rows = match polled {
            Ok(outbox) => outbox.rows,
            Err(error) => {
                fatal(&context, error, "polling")?;
                stop.run_until_cancelled(tokio::time::sleep(backoff.pause()))
                    .await;
                continue;
            }
        };
        backoff = Backoff::up_to(LONGEST_PAUSE);
        let listed = rows.len();
        let mut fresh = dispatch.fresh(rows);
        if !fresh.is_empty() {
            note_attempts(&context, &mut fresh).await?;
            dispatch.send(&context, fresh);
        } else if listed > 0 {
            tokio::select! {
                () = flushed.notified() => {}
                () = tokio::time::sleep(ON_THEIR_WAY) => {}
                () = stop.cancelled() => {}
            }
        }
    }
    Ok(())
}

/// Notes this device for rows that nobody has tried, before the first of them is sent. A row that
/// could not be noted keeps no attempt; its sender notes it.
async fn note_attempts(context: &Context, rows: &mut [OutboxRow]) -> Result<(), BotError> {
    let now = context.now();
    let untried: Vec<_> = rows
        .iter()
        .filter(|row| before(row.attempt.as_ref(), &context.device, now) == Before::Note)
        .map(|row| row.id)
        .collect();
    if untried.is_empty() {
        return Ok(());
    }
    let noted = Attempts {
        lease: context.lease.claim(),
        device: context.device.clone(),
        rows: untried,
    };
    match context.gateway.attempts(&noted).await {
        Ok(()) => {
            for row in rows.iter_mut().filter(|row| row.attempt.is_none()) {
                row.attempt = Some(Attempt {
                    device: context.device.clone(),
                    at: now,
                });
            }
            Ok(())
        }
        Err(error) => fatal(context, error, "noting attempts"),
    }
}

/// The error if it ends the bot; otherwise it is logged.
pub(crate) fn fatal(context: &Context, error: ClientError, what: &str) -> Result<(), BotError> {
    match verdict(&error) {
        Verdict::LeaseLost => Err(context.lease.lost()),
        Verdict::Denied => Err(BotError::Gateway(error)),
        Verdict::Conflict | Verdict::Refused | Verdict::Retry => {
            tracing::warn!(%error, what, "is tried again");
            Ok(())
        }
    }
}
