//! The log, on standard error.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::error::CliError;
use crate::settings::{Log, LogFormat, SettingsError};

/// The Matrix SDK tells every sync at INFO and ordinary 404 answers at ERROR. A filter of the
/// configuration that names these targets wins.
const SDK: &str =
    "matrix_sdk=warn,matrix_sdk_base=warn,matrix_sdk_crypto=error,matrix_sdk::http_client=off";

/// Starts logging for a service. A second start in one process changes nothing.
///
/// # Errors
/// When the filter cannot be read.
pub(crate) fn start(log: &Log) -> Result<(), CliError> {
    start_with(log, std::io::stderr, std::io::stderr().is_terminal())
}

fn start_with<W>(log: &Log, writer: W, colour: bool) -> Result<(), CliError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter =
        EnvFilter::try_new(format!("{SDK},{}", log.filter)).map_err(|e| SettingsError::Key {
            key: "log.filter".into(),
            detail: e.to_string(),
        })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(colour);
    let started = match log.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    if started.is_err() {
        tracing::debug!("logging was started before");
    }
    Ok(())
}
