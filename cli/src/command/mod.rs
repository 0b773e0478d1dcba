//! The commands, one module each.

pub(crate) mod agent;
pub(crate) mod board;
pub(crate) mod bot;
pub(crate) mod call;
pub(crate) mod chart;
pub(crate) mod completion;
pub(crate) mod config;
pub(crate) mod docs;
pub(crate) mod doctor;
pub(crate) mod gateway;
pub(crate) mod mcp;
pub(crate) mod meter;
pub(crate) mod say;
pub(crate) mod up;
pub(crate) mod watch;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::error::CliError;

/// Cancelled by SIGTERM or SIGINT. The listening task ends with the runtime.
pub(crate) fn stop_signal() -> Result<CancellationToken, CliError> {
    let failed = |e: std::io::Error| CliError::Internal(format!("signals cannot be received: {e}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let token = CancellationToken::new();
    let cancel = token.clone();
    #[expect(
        clippy::disallowed_methods,
        reason = "it does nothing but wait; its end is the process's end"
    )]
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        cancel.cancel();
    });
    Ok(token)
}
