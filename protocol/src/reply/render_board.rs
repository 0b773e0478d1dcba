//! Proposals and ballots as people read them.

use super::words::{cell, counted, mark, or_dash, spoken, with_notes};
use super::{BallotView, Changed, ProposalView, SeatView, TallyView};
use crate::document::{Document, Span, bold, code, text};

pub(super) fn proposal(changed: &Changed<ProposalView>) -> Document {
    let proposal = &changed.now;
    let change = changed.change.as_deref();
    let verb = match (change, changed.already) {
        (Some(change), true) => format!(" was {change} already"),
        (Some(change), false) => format!(" {change}"),
        (None, _) => String::new(),
    };
    let fact = format!(
        "{verb}: {} ({}, {})",
        proposal.title,
        spoken(proposal.kind.as_str()),
        spoken(&proposal.state)
    );
    let head = [
        text(mark(change, changed.already)),
        bold(&proposal.id),
        text(fact),
    ];
    let mut document = Document::new().paragraph(head);
    if let Some(text) = &proposal.text {
        document = document.quote(text.clone());
    }
    document = document.list(facts(proposal)).table(
        ["Seat", "Holder", "Ballot", "Why"],
        proposal.seats.iter().map(seat),
    );
    if proposal.state == "open" {
        let how = [
            text("To vote: react ✅ ❌ 🤷, reply "),
            code("approve because ..."),
            text(", or type "),
            code(format!("!board vote {} approve", proposal.id)),
        ];
        document = document.paragraph(how);
    }
    with_notes(document, &changed.notes)
}

fn facts(proposal: &ProposalView) -> Vec<Vec<Span>> {
    let closes = if proposal.state == "open" {
        "closes"
    } else {
        "Closed"
    };
    let mut facts = vec![
        vec![text(format!(
            "By {}; {closes} {}",
            proposal.proposer, proposal.closes_text
        ))],
        vec![text(format!(
            "{}; quorum {} %",
            tally(&proposal.tally),
            proposal.quorum
        ))],
    ];
    facts.extend(
        proposal
            .effect_text
            .as_ref()
            .map(|e| vec![text(format!("If it passes: {e}"))]),
    );
    facts.extend(
        proposal
            .effect_outcome
            .as_ref()
            .map(|o| vec![text(format!("Effect: {o}"))]),
    );
    let hash: String = proposal.hash.chars().take(12).collect();
    facts.push(vec![text("Hash: "), code(hash)]);
    facts
}

fn tally(tally: &TallyView) -> String {
    let parts = [
        (tally.approve, "for"),
        (tally.conditional, "for with conditions"),
        (tally.reject, "against"),
        (tally.abstain, "abstained"),
    ];
    let cast: Vec<String> = parts
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, word)| format!("{n} {word}"))
        .collect();
    let detail = if cast.is_empty() {
        String::new()
    } else {
        format!(" ({})", cast.join(", "))
    };
    format!("{} of {} cast{detail}", tally.cast, tally.total)
}

fn seat(view: &SeatView) -> [Vec<Span>; 4] {
    let weight = if view.seat.weight == 1 {
        String::new()
    } else {
        format!(" ×{}", view.seat.weight)
    };
    let veto = if view.seat.may_veto {
        " (may veto)"
    } else {
        ""
    };
    let holder = match &view.seat.holder {
        crate::verbs::board::Holder::User(user) => vec![Span::User(user.clone())],
        crate::verbs::board::Holder::Agent(name) => vec![code(name)],
    };
    let ballot = view
        .verdict
        .map_or("–", crate::verbs::board::Verdict::as_str);
    [
        cell(format!("{}{weight}{veto}", view.seat.title)),
        holder,
        cell(ballot),
        or_dash(view.reason.as_ref()),
    ]
}

pub(super) fn proposals(all: &[ProposalView]) -> Document {
    if all.is_empty() {
        let how = code("!board propose \"The question\"");
        return Document::new()
            .paragraph([text("Nothing is up for a vote. To ask the board: "), how]);
    }
    let rows = all.iter().map(|p| {
        [
            vec![code(&p.id)],
            cell(&p.title),
            cell(spoken(&p.state)),
            cell(tally(&p.tally)),
            cell(&p.closes_text),
        ]
    });
    Document::new()
        .paragraph([bold(counted(all.len() as u64, "proposal"))])
        .table(["Proposal", "Title", "State", "Ballots", "Closes"], rows)
}

pub(super) fn ballot(view: &BallotView) -> Document {
    let change = match view.replaces {
        Some(before) if before == view.verdict => " again".to_owned(),
        Some(before) => format!(" instead of {before}"),
        None => String::new(),
    };
    Document::new().paragraph([
        text("🗳 "),
        bold(&view.seat),
        text(" votes "),
        bold(view.verdict),
        text(format!(
            "{change} on {}: {} (ballot {})",
            view.proposal, view.title, view.sequence
        )),
    ])
}
