//! The table of cases: for every verb a line as typed in a room, the same for a shell, and the same as JSON.

mod budget;
mod fleet;
mod governance;
mod read;
mod work;

use serde_json::Value;

/// A line as typed, the same for a shell, and the same as JSON.
pub(crate) struct Case {
    pub(crate) line: &'static str,
    pub(crate) argv: Vec<&'static str>,
    pub(crate) json: Value,
}

fn case(line: &'static str, argv: &'static [&'static str], json: Value) -> Case {
    let argv = argv.to_vec();
    Case { line, argv, json }
}

/// A line that a shell splits as a room does.
fn plain((line, json): (&'static str, Value)) -> Case {
    let argv = line.split(' ').collect();
    Case { line, argv, json }
}

/// All of them.
pub(crate) fn cases() -> Vec<Case> {
    [
        governance::board_commands(),
        read::queries(),
        fleet::fleet_commands(),
        work::task_commands(),
        governance::governance_commands(),
        budget::cases().into_iter().map(plain).collect(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
