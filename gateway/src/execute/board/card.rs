//! What the board's room sees of a proposal: the card, edited live, and the decision.

use fleet_policy::board::Outcome;
use fleet_protocol::Document;
use fleet_protocol::document::{Span, bold, code, italic, text};
use fleet_protocol::outbox::{Attention, Message};
use fleet_protocol::reply::ProposalView;
use fleet_protocol::scalar::UserId;
use fleet_protocol::verbs::board::{Holder, Verdict};

use super::read::Proposal;
use crate::execute::{Exec, Room, Stop, Subject};

/// The card of a proposal as it stands.
pub(super) fn card(exec: &Exec<'_>, proposal: &Proposal, mentions: Vec<UserId>) -> Message {
    let view = proposal.view();
    let mut document = Document::new().heading([text(format!("{} · {}", view.id, view.title))]);
    if let Some(body) = &view.text {
        document = document.folded("The proposal in full", Document::text(body.clone()));
    }
    document = document.paragraph([
        text("Proposed by "),
        bold(&view.proposer),
        text(format!(" ({})", view.kind)),
    ]);
    if let Some(effect) = &view.effect_text {
        document = document.paragraph([bold("If it passes: "), text(effect)]);
    }
    document = document
        .table(["Seat", "Holder", "Weight", "Vote"], rows(&view))
        .paragraph([text(standing(&view))]);
    document = if view.state == "open" {
        document
            .paragraph(open(&view, exec))
            .paragraph(legend(&view))
    } else {
        document.paragraph([bold(format!("Closed: {}.", outcome_words(&view.state)))])
    };
    Message {
        attention: Attention::Loud,
        document,
        mentions,
        twin: serde_json::json!({ "proposal": view }),
    }
}

fn rows(view: &ProposalView) -> impl Iterator<Item = [Vec<Span>; 4]> {
    view.seats.iter().map(|s| {
        let holder = match &s.seat.holder {
            Holder::User(user) => Span::User(user.clone()),
            Holder::Agent(name) => code(name),
        };
        let veto = if s.seat.may_veto { " (may veto)" } else { "" };
        let mut vote = vec![match s.verdict {
            Some(verdict) => bold(format!("{} {verdict}", sign(verdict))),
            None => italic("not yet"),
        }];
        if let Some(reason) = &s.reason {
            vote.push(text(format!(": {reason}")));
        }
        [
            vec![text(format!("{}{veto}", s.seat.title))],
            vec![holder],
            vec![text(s.seat.weight)],
            vote,
        ]
    })
}

const fn sign(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Approve => "✅",
        Verdict::Reject => "❌",
        Verdict::Abstain => "⚪",
        Verdict::Veto => "⛔",
        Verdict::Conditional => "🟡",
    }
}

fn standing(view: &ProposalView) -> String {
    let t = &view.tally;
    let reached = u64::from(t.cast) * 100 >= u64::from(t.total) * u64::from(view.quorum);
    format!(
        "Cast: {} of {} (quorum {} %{}). For {}, conditional {}, against {}, abstained {}.",
        t.cast,
        t.total,
        view.quorum,
        if reached { ", reached" } else { "" },
        t.approve,
        t.conditional,
        t.reject,
        t.abstain
    )
}

fn open(view: &ProposalView, exec: &Exec<'_>) -> Vec<Span> {
    let missing: Vec<String> = view
        .seats
        .iter()
        .filter(|s| s.verdict.is_none())
        .map(|s| s.seat.title.to_string())
        .collect();
    let waiting = if missing.is_empty() {
        String::new()
    } else {
        format!("Waiting for {}. ", missing.join(", "))
    };
    vec![text(format!(
        "{waiting}Ends {}; without quorum: rejected.",
        exec.reader().moment(view.closes_at)
    ))]
}

fn legend(view: &ProposalView) -> Vec<Span> {
    vec![
        text("Vote with ✅ or ❌ on this message, reply with "),
        code("approve because ..."),
        text(", or type "),
        code(format!("!board vote {} approve", view.id)),
    ]
}

/// An outcome as people say it.
pub(super) fn outcome_words(state: &str) -> &str {
    match state {
        "approved_with_conditions" => "approved with conditions",
        other => other,
    }
}

/// The decision as the room is told it.
pub(super) fn decision(
    proposal: &Proposal,
    outcome: Outcome,
    why: &str,
    mentions: Vec<UserId>,
) -> Message {
    let view = proposal.view();
    let mark = if outcome == Outcome::Rejected {
        "❌"
    } else {
        "✅"
    };
    let dissent: Vec<Vec<Span>> = view
        .seats
        .iter()
        .filter(|s| {
            matches!(
                s.verdict,
                Some(Verdict::Reject | Verdict::Veto | Verdict::Conditional)
            )
        })
        .map(|s| {
            let verdict = s.verdict.map_or("", Verdict::as_str);
            let reason = s.reason.as_deref().unwrap_or("no reason given");
            vec![bold(&s.seat.title), text(format!(" ({verdict}): {reason}"))]
        })
        .collect();
    let mut document = Document::new()
        .paragraph([
            text(format!("{mark} ")),
            bold(format!("{} {}", view.id, outcome_words(outcome.as_str()))),
            text(format!(": {}", view.title)),
        ])
        .paragraph([text(format!("{why} {}", standing(&view)))])
        .list(dissent);
    if let Some(effect) = &view.effect_text {
        let became = match (outcome, &view.effect_outcome) {
            (Outcome::Approved, Some(became)) => became.clone(),
            (Outcome::ApprovedWithConditions, _) => {
                "did not run: the conditions come first; propose it again when they are met"
                    .to_owned()
            }
            _ => "did not run".to_owned(),
        };
        document = document.paragraph([bold("Effect: "), text(format!("{effect} ({became})"))]);
    }
    let head = view.chain_head.as_deref().unwrap_or("no ballots");
    document = document.paragraph([
        italic("proposal "),
        code(&view.hash),
        italic(" ballots "),
        code(head),
    ]);
    Message {
        attention: Attention::Loud,
        document,
        mentions,
        twin: serde_json::json!({ "decision": view }),
    }
}

/// The room of a proposal's card.
pub(super) fn room(proposal: &Proposal) -> Room {
    Room::Id(proposal.room)
}

/// Shows on the card what has changed.
pub(super) fn refresh(exec: &mut Exec<'_>, proposal: &Proposal) {
    let message = card(exec, proposal, Vec::new());
    let about = Some((Subject::Proposal, proposal.id));
    exec.edit(room(proposal), proposal.card, message, about);
}

/// The Matrix users behind the seats: whom the card and the decision mention.
pub(super) async fn holders(
    exec: &mut Exec<'_>,
    seats: &[fleet_protocol::verbs::board::Seat],
) -> Result<Vec<UserId>, Stop> {
    let names: Vec<String> = seats
        .iter()
        .filter_map(|s| match &s.holder {
            Holder::Agent(name) => Some(name.to_string()),
            Holder::User(_) => None,
        })
        .collect();
    let agents = sqlx::query_scalar!(
        "SELECT user_id FROM fleet.agents WHERE tenant_id = $1 AND name = ANY($2) AND retired_at IS NULL",
        exec.tenant.as_str(),
        &names
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    let people = seats.iter().filter_map(|s| match &s.holder {
        Holder::User(user) => Some(user.clone()),
        Holder::Agent(_) => None,
    });
    let mut users: Vec<UserId> = people
        .chain(agents.iter().filter_map(|a| a.parse().ok()))
        .collect();
    users.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    users.dedup();
    Ok(users)
}
