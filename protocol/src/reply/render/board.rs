//! Proposals and ballots as people read them.

use super::words::{cell, counted, or_dash, spoken, state_after, subject, with_notes};
use crate::document::{Document, Span, bold, code, text};
use crate::reply::{BallotView, Changed, ProposalView, SeatView, TallyView};
use crate::time::Reader;
use crate::verbs::board::{Holder, Verdict};

pub(super) fn proposal(changed: &Changed<ProposalView>, reader: &Reader<'_>) -> Document {
    let proposal = &changed.now;
    let kind = spoken(proposal.kind.as_str());
    let state = state_after(changed, &proposal.state).map(|s| format!(", {s}"));
    let head = subject(changed, &proposal.id)
        .into_iter()
        .chain([text(format!(
            ": {} ({kind}{})",
            proposal.title,
            state.unwrap_or_default()
        ))]);
    let mut document = Document::new().paragraph(head);
    if let Some(text) = &proposal.text {
        document = document.quote(text.clone());
    }
    document = document.list(facts(proposal, reader)).table(
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

fn facts(proposal: &ProposalView, reader: &Reader<'_>) -> Vec<Vec<Span>> {
    let by = if proposal.state == "open" {
        let closes = reader.moment(proposal.closes_at);
        format!("By {}; closes {closes}", proposal.proposer)
    } else {
        format!("By {}", proposal.proposer)
    };
    let cast = format!("{}; quorum {} %", tally(&proposal.tally), proposal.quorum);
    let mut facts = vec![vec![text(by)], vec![text(cast)]];
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
        Holder::User(user) => vec![Span::User(user.clone())],
        Holder::Agent(name) => vec![code(name)],
    };
    let ballot = view.verdict.map_or("–", Verdict::as_str);
    [
        cell(format!("{}{weight}{veto}", view.seat.title)),
        holder,
        cell(ballot),
        or_dash(view.reason.as_ref()),
    ]
}

pub(super) fn proposals(all: &[ProposalView], reader: &Reader<'_>) -> Document {
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
            cell(if p.state == "open" {
                reader.moment(p.closes_at)
            } else {
                "–".to_owned()
            }),
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
