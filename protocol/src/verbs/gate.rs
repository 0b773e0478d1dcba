//! Quality gates: checks that must pass before a task is completed, run where the agent works.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{args, words};
use crate::ids::TaskRef;
use crate::scalar::{Name, Note, ScalarError};

words! {
    /// How a gate decides (doctrine, "Dispatcher").
    GateType {
        /// A command that ends with 0.
        Mechanical = "mechanical",
    }
}

/// A check that must pass before a task is completed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// What it is called, once in a task.
    pub name: Name,
    /// A command line for a POSIX shell; it passes by ending with 0.
    pub command: Note,
}

/// What running a gate came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GateOutcome {
    /// Which gate.
    pub name: Name,
    /// The exit code of its command, 0 to 255; 124 when it took too long, 128 and the number when a
    /// signal ended it.
    pub exit_code: u8,
    /// The end of what it printed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Note>,
}

/// A gate's result in the form of the fleet's task schema (MACP).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GateResult {
    /// Which gate.
    pub name: Name,
    /// The command that was run.
    pub command: Note,
    /// How the gate decides.
    #[serde(rename = "type")]
    pub gate_type: GateType,
    /// Exit code of the command.
    pub exit_code: u8,
    /// The end of what it printed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Note>,
    /// The epoch of the lease under which it ran; it counts under that lease only (doctrine 11).
    pub epoch: u64,
}

impl Gate {
    /// What it came to, in words: `tests passed`, `tests ended with 3`, `tests has not run`.
    pub fn told(&self, result: Option<&GateResult>) -> String {
        match result {
            Some(result) => told(&result.name, result.exit_code),
            None => format!("{} has not run", self.name),
        }
    }
}

impl GateOutcome {
    /// Whether the gate lets the task through.
    pub fn is_passed(&self) -> bool {
        self.exit_code == 0
    }

    /// What the gate came to, in words.
    pub fn told(&self) -> String {
        told(&self.name, self.exit_code)
    }
}

impl GateResult {
    /// Whether the gate let the task through.
    pub fn is_passed(&self) -> bool {
        self.exit_code == 0
    }
}

fn told(name: &Name, exit_code: u8) -> String {
    match exit_code {
        0 => format!("{name} passed"),
        code => format!("{name} ended with {code}"),
    }
}

/// Why a text is no gate, or no outcome of one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GateError {
    /// No `=`.
    #[error("is no gate; write its name and its command like \"tests=cargo test\"")]
    NoCommand,
    /// The name or the command.
    #[error("{0}")]
    Part(#[from] ScalarError),
    /// No exit code.
    #[error("is no outcome; write the gate's name and its exit code like tests=0")]
    NoExitCode,
}

impl FromStr for Gate {
    type Err = GateError;

    /// Reads `NAME=COMMAND`.
    fn from_str(text: &str) -> Result<Self, GateError> {
        let (name, command) = text.split_once('=').ok_or(GateError::NoCommand)?;
        Ok(Self {
            name: name.trim().parse()?,
            command: command.parse()?,
        })
    }
}

impl FromStr for GateOutcome {
    type Err = GateError;

    /// Reads `NAME=EXIT_CODE`.
    fn from_str(text: &str) -> Result<Self, GateError> {
        let (name, code) = text.split_once('=').ok_or(GateError::NoExitCode)?;
        Ok(Self {
            name: name.trim().parse()?,
            exit_code: code.trim().parse().map_err(|_| GateError::NoExitCode)?,
            output: None,
        })
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.command)
    }
}

/// As it is typed: without the output, for which a line has no place.
impl fmt::Display for GateOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.exit_code)
    }
}

args! {
    /// Say what the gates of a task came to; `fleet agent gate` runs them and says it
    Check {
        /// The task
        #[arg(value_name = "TASK")]
        task: TaskRef,
        /// A gate and the exit code of its command; repeat for each
        #[arg(long = "result", value_name = "NAME=EXIT_CODE", required = true)]
        results: Vec<GateOutcome>,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_is_a_name_and_a_command_which_may_hold_anything() {
        let gate: Gate = "tests=A=1 cargo test -- \"x\"; echo $?".parse().unwrap();
        assert_eq!(gate.name.as_str(), "tests");
        assert_eq!(gate.command.as_str(), "A=1 cargo test -- \"x\"; echo $?");
        for wrong in [
            "cargo test",
            "=true",
            "tests=",
            "two words=true",
            "x=\u{1b}[2J",
        ] {
            assert!(wrong.parse::<Gate>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn an_outcome_is_a_name_and_an_exit_code() {
        let outcome: GateOutcome = "tests=124".parse().unwrap();
        assert_eq!((outcome.name.as_str(), outcome.exit_code), ("tests", 124));
        for wrong in ["tests", "tests=", "tests=-1", "tests=256", "tests=ok"] {
            assert_eq!(wrong.parse::<GateOutcome>(), Err(GateError::NoExitCode));
        }
    }
}
