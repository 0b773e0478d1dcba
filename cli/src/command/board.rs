//! What `fleet board` does beyond the language: it reads files.

use std::path::Path;

use fleet_policy::board::verify as check;
use fleet_protocol::record::Export;
use fleet_protocol::{Command, Reply, brief};
use serde_json::{Value, json};

use super::say;
use crate::Context;
use crate::args::BoardVerify;
use crate::error::CliError;
use crate::exit::Exit;

/// The largest brief or record that is read, in bytes.
const LARGEST: u64 = 16 * 1024 * 1024;

fn read(path: &Path) -> Result<String, CliError> {
    let fault = |e| CliError::file(path, e);
    let size = std::fs::metadata(path).map_err(fault)?.len();
    if size > LARGEST {
        return Err(CliError::Usage(format!(
            "{} has {size} bytes; at most {LARGEST} are read",
            path.display()
        )));
    }
    std::fs::read_to_string(path).map_err(fault)
}

/// Opens the proposal that a brief describes.
pub(crate) async fn propose(context: &Context, path: &Path) -> Result<Exit, CliError> {
    let propose = brief::read(&read(path)?)
        .map_err(|e| CliError::Usage(format!("{}: {e}", path.display())))?;
    say::run(context, Command::from(propose).into()).await
}

/// Checks a record without a fleet: hashes, sequence, tally, and the head that the room shows.
pub(crate) fn verify(context: &Context, args: &BoardVerify) -> Result<Exit, CliError> {
    let export = record(&read(&args.file)?)
        .map_err(|e| CliError::Missed(format!("{}: {e}", args.file.display())))?;
    let verified = check(&export, args.head.as_deref())
        .map_err(|fault| CliError::Missed(fault.to_string()))?;
    let outcome = verified.decided.as_ref().map(|d| d.outcome.words());
    let shown = json!({
        "ok": true, "proposal": export.proposal.title, "entries": verified.entries,
        "outcome": outcome, "head": verified.head, "head_compared": args.head.is_some(),
    });
    context.out.answer(&shown, || {
        let outcome = outcome.unwrap_or_else(|| "still open".to_owned());
        let entries = verified.entries;
        let compared = if args.head.is_some() {
            "It is the one that was given."
        } else {
            "Compare it with the one in the decision's message, or give that with --head."
        };
        format!(
            "The record of \"{}\" holds together: {entries} entries, {outcome}.\nhead {}\n{compared}",
            export.proposal.title, verified.head
        )
    })?;
    Ok(Exit::Done)
}

/// The record in a file: by itself, or as the answer of `board export --json`.
fn record(text: &str) -> Result<Export, serde_json::Error> {
    let value: Value = serde_json::from_str(text)?;
    if value.get("format").is_some() {
        return serde_json::from_value(value);
    }
    match serde_json::from_value::<Reply>(value)? {
        Reply::Export(export) => Ok(*export),
        _ => Err(serde::de::Error::custom("this is no record of a proposal")),
    }
}
