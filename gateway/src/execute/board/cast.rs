//! Casting a ballot: by command, reply or reaction; each is the same ballot.

use fleet_policy::board::{Eligibility, Link, eligible, in_time, link};
use fleet_protocol::problem::Code;
use fleet_protocol::reply::BallotView;
use fleet_protocol::scalar::Name;
use fleet_protocol::verbs::board::{Holder, Verdict};
use fleet_protocol::{Problem, Reply, Timestamp};
use uuid::Uuid;

use super::card;
use super::end;
use super::read::{Cast, Proposal, load, lock};
use crate::db::time;
use crate::execute::{Exec, Stop, Subject};

/// A ballot to be cast.
pub(super) struct Ballot<'a> {
    pub(super) verdict: Verdict,
    pub(super) reason: Option<&'a str>,
    pub(super) confidence: Option<u8>,
    /// The seat named.
    pub(super) seat: Option<&'a Name>,
    /// `command`, `reply` or `reaction`.
    pub(super) via: &'a str,
}

/// Casts a ballot under the proposal's lock, shows it on the card, and ends the vote when nothing can
/// change its outcome any more.
pub(super) async fn cast(
    exec: &mut Exec<'_>,
    id: Uuid,
    ballot: &Ballot<'_>,
) -> Result<Reply, Stop> {
    lock(exec, id).await?;
    let mut proposal = load(exec, id).await?;
    exec.about(Subject::Proposal, id);
    let cast_at = cast_at(exec);
    may_still(exec, &proposal, cast_at)?;
    let seat = seat_of(exec, &proposal, ballot)?;
    let title = proposal
        .seats
        .get(seat)
        .map(|s| s.title.clone())
        .ok_or(sqlx::Error::RowNotFound)?;
    may_veto(&proposal, seat, ballot)?;
    let replaces = proposal.ballot(seat).map(|b| b.verdict);
    let hash = record(exec, &proposal, seat, &title, ballot, cast_at).await?;
    proposal.ballots += 1;
    proposal.chain_head = Some(hash.to_vec());
    proposal.cast.push(Cast {
        seat,
        sequence: proposal.ballots,
        verdict: ballot.verdict,
        reason: ballot.reason.map(str::to_owned),
    });
    if !end::end_if_settled(exec, &proposal).await? {
        card::refresh(exec, &proposal);
    }
    Ok(Reply::Ballot(BallotView {
        proposal: proposal.short(),
        title: proposal.title.clone(),
        seat: title,
        verdict: ballot.verdict,
        replaces,
        sequence: u64::from(proposal.ballots.unsigned_abs()),
    }))
}

/// When a ballot counts: the homeserver's clock for one from a room, the admission's otherwise.
fn cast_at(exec: &Exec<'_>) -> Timestamp {
    exec.place.sent_at.map_or(exec.now, |at| at.min(exec.now))
}

fn may_still(exec: &Exec<'_>, proposal: &Proposal, at: Timestamp) -> Result<(), Problem> {
    if proposal.state == "open" && in_time(at, proposal.closes_at) {
        return Ok(());
    }
    let how = if proposal.state == "open" {
        format!("ended {}", exec.reader().moment(proposal.closes_at))
    } else {
        format!("has ended: {}", card::outcome_words(&proposal.state))
    };
    Err(Problem::new(
        Code::Closed,
        format!("the vote on {} {how}", proposal.short()),
    )
    .remedy(format!("see it with: !board show {}", proposal.short())))
}

fn seat_of(exec: &Exec<'_>, proposal: &Proposal, ballot: &Ballot<'_>) -> Result<usize, Problem> {
    let user = exec.actor.user.clone().map(Holder::User);
    let agent = exec
        .actor
        .agent
        .as_ref()
        .map(|a| Holder::Agent(a.name.clone()));
    let voter: Vec<Holder> = user.into_iter().chain(agent).collect();
    let short = proposal.short();
    match eligible(&proposal.seats, &voter, ballot.seat) {
        Eligibility::Seat(index) => Ok(index),
        Eligibility::None => {
            let detail = match ballot.seat {
                Some(title) => format!("you do not hold the seat {title} on {short}"),
                None => format!("you have no seat on {short}, so your vote does not count"),
            };
            Err(Problem::new(Code::NoSeat, detail).remedy(format!(
                "the seats are frozen; see them with: !board show {short}"
            )))
        }
        Eligibility::Several(held) => {
            let titles: Vec<&str> = held
                .iter()
                .filter_map(|i| proposal.seats.get(*i))
                .map(|s| s.title.as_str())
                .collect();
            let first = titles.first().copied().unwrap_or_default();
            let line = format!("!board vote {short} {} --as {first}", ballot.verdict);
            Err(Problem::new(
                Code::AmbiguousSeat,
                format!("you hold several seats on {short}: {}", titles.join(", ")),
            )
            .remedy("say which one you vote for with --as")
            .suggest(line))
        }
    }
}

fn may_veto(proposal: &Proposal, seat: usize, ballot: &Ballot<'_>) -> Result<(), Problem> {
    if ballot.verdict != Verdict::Veto {
        return Ok(());
    }
    let short = proposal.short();
    if !proposal.seats.get(seat).is_some_and(|s| s.may_veto) {
        return Err(
            Problem::new(Code::BadVeto, "this seat may not veto").remedy(format!(
                "vote against it: !board vote {short} reject because ..."
            )),
        );
    }
    if ballot.reason.is_none() {
        return Err(Problem::new(Code::BadVeto, "a veto needs a reason")
            .remedy(format!("give one: !board vote {short} veto because ...")));
    }
    Ok(())
}

async fn record(
    exec: &mut Exec<'_>,
    proposal: &Proposal,
    seat: usize,
    title: &Name,
    ballot: &Ballot<'_>,
    cast_at: Timestamp,
) -> Result<[u8; 32], Stop> {
    let sequence = proposal.ballots + 1;
    let hash = link(&Link {
        proposal: &proposal.hash,
        previous: proposal.chain_head.as_deref(),
        sequence: u64::from(sequence.unsigned_abs()),
        seat: title.as_str(),
        principal: &exec.actor.principal,
        verdict: ballot.verdict,
        reason: ballot.reason,
        confidence: ballot.confidence,
        cast_at,
    });
    let ordinal = i16::try_from(seat + 1).map_err(|e| sqlx::Error::Encode(e.into()))?;
    sqlx::query!(
        "INSERT INTO fleet.ballots (tenant_id, proposal_id, sequence, seat, principal, incarnation, verdict, reason, confidence, via,
             event_id, cast_at, previous, hash, admission)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
        exec.tenant.as_str(),
        proposal.id,
        sequence,
        ordinal,
        exec.actor.principal,
        exec.actor.agent.as_ref().map(|a| a.incarnation.cast_signed()),
        ballot.verdict.as_str(),
        ballot.reason,
        ballot.confidence.map(i16::from),
        ballot.via,
        exec.place.event,
        time(cast_at) as _,
        proposal.chain_head,
        hash.as_slice(),
        exec.admission
    )
    .execute(&mut *exec.tx)
    .await?;
    sqlx::query!(
        "UPDATE fleet.proposals SET ballots = $3, chain_head = $4 WHERE tenant_id = $1 AND id = $2",
        exec.tenant.as_str(),
        proposal.id,
        sequence,
        hash.as_slice()
    )
    .execute(&mut *exec.tx)
    .await?;
    Ok(hash)
}
