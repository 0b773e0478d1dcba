//! `fleet completion`.

use crate::Context;
use crate::args::command;
use crate::error::CliError;
use crate::exit::Exit;

/// Prints the script.
pub(crate) fn run(context: &Context, shell: clap_complete::Shell) -> Result<Exit, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command(), "fleet", &mut script);
    context
        .out
        .line(String::from_utf8_lossy(&script).trim_end())?;
    Ok(Exit::Done)
}
