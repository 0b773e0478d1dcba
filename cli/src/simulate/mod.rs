//! `fleet simulate`: made-up histories through the gateway with its real SQL, against the truth.

mod board;
mod budget;

use crate::args::{Simulate, Simulated};
use crate::error::CliError;
use crate::exit::Exit;
use crate::{Context, log};

/// Simulates what is asked.
pub(crate) async fn run(context: &Context, args: &Simulate) -> Result<Exit, CliError> {
    let base = context.settings()?;
    log::start(&crate::settings::Log {
        filter: "error".into(),
        ..base.log.clone()
    })?;
    match &args.what {
        Simulated::Board(args) => board::run(context.out, args).await,
        Simulated::Budget(args) => budget::run(context.out, args).await,
    }
}
