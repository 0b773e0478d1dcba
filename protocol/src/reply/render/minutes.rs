//! What was decided, and a proposal's whole record.

use super::board::tally;
use super::words::{counted, spoken};
use crate::document::{Document, Span, bold, code, text};
use crate::record::Export;
use crate::reply::{MinutesView, ProposalView};
use crate::time::Reader;

pub(super) fn minutes(view: &MinutesView, reader: &Reader<'_>) -> Document {
    let since = reader.moment(view.since);
    if view.decided.is_empty() {
        return Document::text(format!("Nothing was decided since {since}."));
    }
    let head = counted(view.decided.len() as u64, "decision");
    let document = Document::new()
        .paragraph([bold(head), text(format!(" since {since}"))])
        .list(view.decided.iter().map(|p| line(p, reader)));
    if view.more {
        document.paragraph([
            text("There are more; begin later with "),
            code("!board minutes --since"),
        ])
    } else {
        document
    }
}

fn line(proposal: &ProposalView, reader: &Reader<'_>) -> Vec<Span> {
    let when = proposal
        .decision
        .as_ref()
        .map(|d| reader.moment(d.at))
        .unwrap_or_default();
    let effect = match (&proposal.effect_text, &proposal.effect_outcome) {
        (Some(effect), Some(became)) => format!(" {effect} ({became})"),
        _ => String::new(),
    };
    vec![
        text(format!("{when} ")),
        bold(format!("{} {}", proposal.id, spoken(&proposal.state))),
        text(format!(
            ": {}; {}.{effect} ",
            proposal.title,
            tally(&proposal.tally)
        )),
        code(&proposal.head),
    ]
}

pub(super) fn export(export: &Export) -> Document {
    let n = export.entries.len() as u64;
    let last = if n == 1 { "1 entry" } else { "entries" };
    let count = if n == 1 {
        last.to_owned()
    } else {
        format!("{n} {last}")
    };
    Document::new()
        .paragraph([
            text("The record of "),
            bold(&export.proposal.title),
            text(format!(": {count}, head ")),
            code(&export.head),
        ])
        .paragraph([
            text("To keep it, and to verify it without a fleet: "),
            code("fleet board export PROPOSAL --json > record.json && fleet board verify record.json"),
        ])
}
