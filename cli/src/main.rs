//! The `fleet` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    fleet_cli::main(std::env::args_os().collect())
}
