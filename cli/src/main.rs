//! The `fleet` command.

// The commands' futures are deep.
#![recursion_limit = "256"]

use std::process::ExitCode;

fn main() -> ExitCode {
    fleet_cli::main(std::env::args_os().collect())
}
