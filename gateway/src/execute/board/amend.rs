//! Amending: the proposal ends as superseded, and a changed one takes its place with a card of its own.

use fleet_policy::board::{Ended, kind_of, may_run};
use fleet_protocol::problem::Code;
use fleet_protocol::record::{Content, EndedBy, Outcome};
use fleet_protocol::reply::Changed;
use fleet_protocol::scalar::{Brief, Note, Title};
use fleet_protocol::verbs::board::{Amend, ProposalKind, Seat};
use fleet_protocol::{Problem, Reply, Timestamp};

use super::end::{self, Why};
use super::read::{Proposal, locked};
use super::{propose, seats};
use crate::execute::{Exec, Stop};

/// Closes a proposal as superseded and opens the changed one.
pub(crate) async fn amend(exec: &mut Exec<'_>, args: &Amend) -> Result<Reply, Stop> {
    let id = exec.resolve(args.proposal).await?;
    let old = locked(exec, id).await?;
    may_amend(exec, &old)?;
    let before = &old.content;
    let (kind, effect, notes) = effect(exec, before, args).await?;
    // The rule and the seats were chosen for another effect, or by somebody who had none in mind.
    let is_other = before.effect.is_none() || kind != before.kind || !args.seats.is_empty();
    if effect.is_some() && is_other && !propose::is_operator(exec) {
        return Err(propose::not_yours().into());
    }
    let content = Content {
        id: exec.ids.next(),
        title: args
            .title
            .as_ref()
            .map_or_else(|| before.title.clone(), Title::to_string),
        text: args
            .text
            .as_ref()
            .map(Brief::to_string)
            .or_else(|| before.text.clone()),
        kind,
        proposer: exec.actor.principal.clone(),
        effect,
        seats: seats::freeze(exec, asked(before, args)).await?,
        opened_at: Timestamp::from_millis(exec.now.as_millis()),
        closes_at: closes_at(exec, before, args)?,
        supersedes: Some(id),
        ..before.clone()
    };
    let opened = propose::open(exec, &content, old.room).await?;
    let ended = Ended {
        outcome: Outcome::Superseded,
        by_default: false,
    };
    let why = Why {
        by: EndedBy::Amended,
        reason: args.reason.as_ref().map(Note::as_str),
        successor: Some(content.id),
    };
    let short = old.short();
    end::end(exec, old, ended, why).await?;
    let mut changed = Changed::to("opened", opened.view());
    changed.notes = notes;
    changed.notes.push(format!(
        "{short} is superseded; ballots are cast anew on {}.",
        opened.short()
    ));
    Ok(Reply::Proposal(changed))
}

/// The proposer may amend what they proposed, and an operator everything, while it is open.
fn may_amend(exec: &Exec<'_>, old: &Proposal) -> Result<(), Problem> {
    let short = old.short();
    if !old.is_open() {
        let state = old.state.replace('_', " ");
        return Err(Problem::new(
            Code::Closed,
            format!("the vote on {short} has ended: {state}"),
        )
        .remedy("propose it anew: !board propose \"...\""));
    }
    let is_mine = old.content.proposer == exec.actor.principal;
    if is_mine || propose::is_operator(exec) {
        return Ok(());
    }
    Err(Problem::new(
        Code::WrongRole,
        format!(
            "{short} is {}'s to amend, or an operator's",
            old.content.proposer
        ),
    )
    .remedy("ask one of them, or vote conditional with what should change"))
}

async fn effect(
    exec: &mut Exec<'_>,
    before: &Content,
    args: &Amend,
) -> Result<
    (
        ProposalKind,
        Option<fleet_protocol::verbs::board::Effect>,
        Vec<String>,
    ),
    Stop,
> {
    let wanted = match (&args.effect, args.no_effect) {
        (Some(effect), _) => Some(effect),
        (None, true) => None,
        (None, false) => before.effect.as_ref(),
    };
    let kind = match wanted {
        Some(effect) if !may_run(before.kind, effect) => kind_of(Some(effect)),
        _ => before.kind,
    };
    let (effect, notes) = propose::fixed(exec, kind, wanted).await?;
    Ok((kind, effect, notes))
}

fn asked(before: &Content, args: &Amend) -> Vec<Seat> {
    if !args.seats.is_empty() {
        return args.seats.clone();
    }
    let seat = |s: &fleet_protocol::record::FrozenSeat| Seat {
        title: s.title.clone(),
        holder: s.holder.clone(),
        weight: s.weight,
        may_veto: s.may_veto,
    };
    before.seats.iter().map(seat).collect()
}

/// The end asked for, else as much time again.
fn closes_at(exec: &Exec<'_>, before: &Content, args: &Amend) -> Result<Timestamp, Problem> {
    let now = exec.now.as_millis();
    let at = match &args.closes_at {
        Some(moment) => moment
            .resolve(exec.now, exec.zone)
            .map_err(|e| Problem::new(Code::BadArgument, format!("--closes-at {e}")))?
            .as_millis(),
        None => now + before.closes_at.as_millis() - before.opened_at.as_millis(),
    };
    propose::in_future(exec, Timestamp::from_millis(at))
}
