//! Waiting for an inbox to get something.

use std::time::Duration;

use fleet_protocol::Reply;
use fleet_protocol::envelope::Call;
use fleet_protocol::language::Query;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::calls::{self, Answered};
use crate::execute::Stop;
use crate::http::Caller;
use crate::run::Core;

/// How often a waiting call looks without being woken: time makes items visible, too.
const LOOK: Duration = Duration::from_secs(5);

/// Asks for the next items until there are some, for as long as it may.
///
/// # Errors
/// Those of the query.
pub(crate) async fn wait(
    core: &Core,
    caller: &Caller,
    call: &Call<Query>,
    longest: Duration,
    stopping: &CancellationToken,
) -> Result<Reply, Stop> {
    let end = Instant::now() + longest;
    // Before the first look, so that nothing committed after it is missed.
    let mut inboxes = core.hub.inboxes();
    loop {
        let Answered { reply, agent } = calls::query(core, caller, call).await?;
        let agent = match (&reply, agent) {
            (Reply::Items(items), Some(agent)) if items.is_empty() => agent,
            _ => return Ok(reply),
        };
        if Instant::now() >= end {
            return Ok(reply);
        }
        tokio::select! {
            () = stopping.cancelled() => return Ok(reply),
            () = inboxes.of(agent) => {}
            () = tokio::time::sleep(LOOK) => {}
            () = tokio::time::sleep_until(end) => {}
        }
    }
}
