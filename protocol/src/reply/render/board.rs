//! Proposals, ballots and the board as people read them.

use std::collections::BTreeMap;

use super::card;
use super::words::{cell, counted, or_dash, spoken, state_after, subject, with_notes};
use crate::document::{Document, Span, bold, code, text};
use crate::record::Threshold;
use crate::reply::{BallotView, BoardSeatView, Changed, ProposalView, SeatView, TallyView};
use crate::scalar::Name;
use crate::template::{Persona, SeatGroup, Template, TemplateSeats};
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
        proposal.seats.iter().map(row),
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
        let closes = reader.moment(proposal.ends_early_at.unwrap_or(proposal.ends_at));
        format!("By {}; closes {closes}", proposal.proposer)
    } else {
        format!("By {}", proposal.proposer)
    };
    let cast = format!(
        "{}; quorum {} %",
        tally(&proposal.tally),
        proposal.rule.quorum
    );
    let mut facts = vec![vec![text(by)], vec![text(cast)]];
    facts.extend(card::demands(proposal).into_iter().map(|d| vec![text(d)]));
    let effect = proposal.effect_text.as_ref();
    facts.extend(effect.map(|e| vec![text(format!("If it passes: {e}"))]));
    let outcome = proposal.effect_outcome.as_ref();
    facts.extend(outcome.map(|o| vec![text(format!("Effect: {o}"))]));
    let before = proposal.supersedes.as_ref();
    facts.extend(before.map(|p| vec![text("In the place of "), code(p)]));
    let after = proposal.superseded_by.as_ref();
    facts.extend(after.map(|p| vec![text("Superseded by "), code(p)]));
    let hash: String = proposal.hash.chars().take(12).collect();
    facts.push(vec![text("Hash: "), code(hash)]);
    facts
}

pub(super) fn tally(tally: &TallyView) -> String {
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

/// A seat's title with what sets it apart.
pub(super) fn title(view: &SeatView) -> String {
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
    let suspended = if view.suspended { " (suspended)" } else { "" };
    format!("{}{weight}{veto}{suspended}", view.seat.title)
}

pub(super) fn holder(holder: &Holder) -> Span {
    match holder {
        Holder::User(user) => Span::User(user.clone()),
        Holder::Agent(name) => code(name),
    }
}

fn row(view: &SeatView) -> [Vec<Span>; 4] {
    let ballot = view.verdict.map_or("–", Verdict::as_str);
    [
        cell(title(view)),
        vec![holder(&view.seat.holder)],
        cell(ballot),
        or_dash(view.statement.reason.as_ref()),
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
                reader.moment(p.ends_early_at.unwrap_or(p.ends_at))
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
    let behind = format!(
        " on {}: {} (entry {})",
        view.proposal, view.title, view.sequence
    );
    let Some(verdict) = view.verdict else {
        return Document::new().paragraph([
            text("🗳 "),
            bold(&view.seat),
            text(format!(" has no ballot any more{behind}")),
        ]);
    };
    let change = match view.replaces {
        Some(before) if before == verdict => " again".to_owned(),
        Some(before) => format!(" instead of {before}"),
        None => String::new(),
    };
    Document::new().paragraph([
        text("🗳 "),
        bold(&view.seat),
        text(" votes "),
        bold(verdict),
        text(format!("{change}{behind}")),
    ])
}

pub(super) fn seats(all: &[BoardSeatView]) -> Document {
    if all.is_empty() {
        let how = code("!board seat set cto --holder @dana:example.org");
        return Document::new().paragraph([
            text("There is no standing board: every operator is a seat. To make one: "),
            how,
        ]);
    }
    Document::new()
        .paragraph([bold(counted(all.len() as u64, "seat"))])
        .table(
            ["Seat", "Holder", "Weight", "Veto", "State"],
            all.iter().map(board_row),
        )
}

fn board_row(view: &BoardSeatView) -> [Vec<Span>; 5] {
    [
        vec![bold(&view.seat.title)],
        vec![holder(&view.seat.holder)],
        cell(view.seat.weight),
        cell(if view.seat.may_veto { "yes" } else { "–" }),
        cell(if view.suspended {
            "suspended"
        } else {
            "may vote"
        }),
    ]
}

pub(super) fn seat(changed: &Changed<BoardSeatView>) -> Document {
    let view = &changed.now;
    let head = subject(changed, &view.seat.title).into_iter().chain([
        text(", held by "),
        holder(&view.seat.holder),
        text(format!(", weight {}", view.seat.weight)),
    ]);
    with_notes(Document::new().paragraph(head), &changed.notes)
}

pub(super) fn templates(all: &BTreeMap<Name, Template>) -> Document {
    let rows = all.iter().map(|(name, template)| {
        let kinds: Vec<String> = template.kinds.iter().map(|k| spoken(k.as_str())).collect();
        [
            vec![code(name)],
            cell(&template.about),
            cell(template_seats(&template.seats)),
            cell(format!("{} %", template.quorum.get())),
            cell(threshold(template.threshold)),
            or_dash((!kinds.is_empty()).then(|| kinds.join(", "))),
        ]
    });
    Document::new()
        .paragraph([
            bold(counted(all.len() as u64, "template")),
            text("; to use one: "),
            code("!board propose \"The question\" --template forge"),
        ])
        .table(
            ["Name", "What for", "Seats", "Quorum", "Passes", "Usual for"],
            rows,
        )
}

fn template_seats(seats: &TemplateSeats) -> String {
    match seats {
        TemplateSeats::Group(SeatGroup::Standing) => "the standing board".to_owned(),
        TemplateSeats::Group(SeatGroup::Operators) => "every operator".to_owned(),
        TemplateSeats::Named(seats) => {
            let titles: Vec<&str> = seats.iter().map(|s| s.title.as_str()).collect();
            titles.join(", ")
        }
    }
}

/// The share that passes, as people say it.
pub(super) fn threshold(threshold: Threshold) -> String {
    match threshold {
        Threshold::Majority => "more than half".to_owned(),
        Threshold::AtLeast { of, out_of } if of == out_of => "nobody against".to_owned(),
        Threshold::AtLeast { of, out_of } => format!("{of} of {out_of}"),
    }
}

pub(super) fn personas(all: &BTreeMap<Name, Persona>) -> Document {
    all.iter()
        .fold(Document::new(), |document, (name, persona)| {
            document
                .heading([text(format!("{} ", persona.title)), code(name)])
                .paragraph([text(&persona.mandate)])
                .list(persona.questions.iter().map(|q| vec![text(q)]))
        })
}
