//! `fleet bench`.

use crate::Context;
use crate::args::Bench;
use crate::error::CliError;
use crate::exit::Exit;

/// Measures.
pub(crate) async fn run(_context: &Context, _args: &Bench) -> Result<Exit, CliError> {
    Err(CliError::Usage("measuring is not built in yet".into()))
}
