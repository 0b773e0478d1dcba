//! Casting a ballot by command, reply or reaction, each the same ballot; and taking one back.

use fleet_policy::board::{Eligibility, eligible, in_time, statement_hash};
use fleet_protocol::problem::Code;
use fleet_protocol::record::{Act, Ballot, Statement, Via};
use fleet_protocol::reply::BallotView;
use fleet_protocol::scalar::Name;
use fleet_protocol::verbs::board::{Holder, Verdict};
use fleet_protocol::{Problem, Reply, Timestamp};
use uuid::Uuid;

use super::read::{Proposal, locked};
use super::{card, chain, deadline};
use crate::execute::{Exec, Stop, Subject};

/// The longest reason and the longest point of a review, in characters.
const MOST_TEXT: usize = 2_000;
/// The most points of each kind in a review.
const MOST_POINTS: usize = 20;

/// A ballot to be cast.
pub(super) struct Wanted<'a> {
    pub(super) verdict: Verdict,
    pub(super) statement: Statement,
    pub(super) confidence: Option<u8>,
    /// The seat named.
    pub(super) seat: Option<&'a Name>,
    pub(super) via: Via,
}

/// Casts a ballot under the proposal's lock and shows what it has changed.
pub(super) async fn cast(exec: &mut Exec<'_>, id: Uuid, wanted: Wanted<'_>) -> Result<Reply, Stop> {
    short_enough(&wanted.statement)?;
    let mut proposal = locked(exec, id).await?;
    exec.about(Subject::Proposal, id);
    let at = counts_at(exec);
    may_still(exec, &proposal, at)?;
    let (index, title) = seat_of(exec, &proposal, wanted.seat, wanted.verdict.as_str())?;
    may_veto(&proposal, index, &wanted)?;
    let before = verdict_of(&proposal, index);
    let had_quorum = proposal.tally().has_quorum(&proposal.content.rule);
    let is_review = wanted.statement.is_review();
    let act = Act::Cast(ballot(exec, &title, wanted)?);
    let sequence = chain::append(exec, &mut proposal, at, act).await?;
    if !had_quorum {
        deadline::extend_for_late_quorum(exec, &mut proposal, at).await?;
    }
    if is_review {
        card::review(exec, &proposal, index);
    }
    changed(exec, &mut proposal, index, title, before, sequence).await
}

/// Takes a seat's ballot back, with all its versions.
pub(super) async fn withdraw(
    exec: &mut Exec<'_>,
    id: Uuid,
    named: Option<&Name>,
) -> Result<Reply, Stop> {
    let mut proposal = locked(exec, id).await?;
    exec.about(Subject::Proposal, id);
    let at = counts_at(exec);
    may_still(exec, &proposal, at)?;
    let (index, title) = seat_of(exec, &proposal, named, "")?;
    let before = verdict_of(&proposal, index);
    if before.is_none() {
        return Err(Problem::new(
            Code::WrongState,
            format!("{title} has no ballot on {}", proposal.short()),
        )
        .remedy(format!(
            "cast one: !board vote {} approve",
            proposal.short()
        ))
        .into());
    }
    let act = Act::Withdraw {
        seat: title.clone(),
    };
    let sequence = chain::append(exec, &mut proposal, at, act).await?;
    changed(exec, &mut proposal, index, title, before, sequence).await
}

/// What a redaction of an event is to the board.
pub(super) async fn retract(exec: &mut Exec<'_>, id: Uuid, of: i32) -> Result<Option<Reply>, Stop> {
    let mut proposal = locked(exec, id).await?;
    exec.about(Subject::Proposal, id);
    let of = u64::from(of.unsigned_abs());
    let entry = proposal.entries.iter().find(|e| e.sequence == of);
    let Some((by, Act::Cast(ballot))) = entry.map(|e| (e.by.clone(), e.act.clone())) else {
        return Ok(None);
    };
    if by != exec.actor.principal {
        card::note(
            exec,
            &proposal,
            &format!(
                "The ballot of {} stands: only its voter can take it back.",
                ballot.seat
            ),
        );
        return Ok(None);
    }
    let at = counts_at(exec);
    if may_still(exec, &proposal, at).is_err() {
        drop_statement(exec, id, of).await?;
        card::note(
            exec,
            &proposal,
            &format!(
                "The vote has ended, so the ballot of {} stands; what was written with it is left out from now on.",
                ballot.seat
            ),
        );
        return Ok(None);
    }
    let seats = &proposal.content.seats;
    let Some(index) = seats.iter().position(|s| s.title == ballot.seat) else {
        return Ok(None);
    };
    let before = verdict_of(&proposal, index);
    let sequence = chain::append(exec, &mut proposal, at, Act::Retract { of }).await?;
    drop_statement(exec, id, of).await?;
    let reply = changed(exec, &mut proposal, index, ballot.seat, before, sequence).await?;
    card::acknowledge(exec, &proposal, &reply);
    Ok(Some(reply))
}

async fn drop_statement(exec: &mut Exec<'_>, proposal: Uuid, of: u64) -> Result<(), Stop> {
    sqlx::query!(
        r#"UPDATE fleet.entries SET statement_dropped_at = $4
           WHERE tenant_id = $1 AND proposal_id = $2 AND sequence = $3 AND statement IS NOT NULL AND statement_dropped_at IS NULL"#,
        exec.tenant.as_str(),
        proposal,
        i32::try_from(of).map_err(|e| sqlx::Error::Encode(e.into()))?,
        crate::db::time(exec.now) as _
    )
    .execute(&mut *exec.tx)
    .await?;
    Ok(())
}

/// Looks whether the vote is settled now, shows it on the card, and answers.
async fn changed(
    exec: &mut Exec<'_>,
    proposal: &mut Proposal,
    index: usize,
    seat: Name,
    before: Option<Verdict>,
    sequence: u64,
) -> Result<Reply, Stop> {
    deadline::look(exec, proposal).await?;
    card::refresh(exec, proposal);
    Ok(Reply::Ballot(BallotView {
        proposal: proposal.short(),
        title: proposal.content.title.clone(),
        seat,
        verdict: verdict_of(proposal, index),
        replaces: before,
        sequence,
    }))
}

fn verdict_of(proposal: &Proposal, index: usize) -> Option<Verdict> {
    let standing = proposal.standing();
    standing
        .get(index)
        .and_then(|s| s.ballot)
        .map(|(_, b)| b.verdict)
}

/// When it counts: the homeserver's clock for what came from a room, the admission's otherwise.
fn counts_at(exec: &Exec<'_>) -> Timestamp {
    exec.place.sent_at.map_or(exec.now, |at| at.min(exec.now))
}

fn may_still(exec: &Exec<'_>, proposal: &Proposal, at: Timestamp) -> Result<(), Problem> {
    let (ends_at, _) = proposal.end();
    if proposal.is_open() && in_time(at, ends_at) {
        return Ok(());
    }
    let short = proposal.short();
    if let Some(after) = proposal.successor() {
        return Err(Problem::new(
            Code::Closed,
            format!("{short} was amended; the vote goes on as {after}"),
        )
        .remedy(format!("vote there: !board vote {after} approve")));
    }
    let how = if proposal.is_open() {
        format!("ended {}", exec.reader().moment(ends_at))
    } else {
        format!("has ended: {}", proposal.state.replace('_', " "))
    };
    Err(
        Problem::new(Code::Closed, format!("the vote on {short} {how}"))
            .remedy(format!("see it with: !board show {short}")),
    )
}

/// The seat that the voter votes for, by index and title.
fn seat_of(
    exec: &Exec<'_>,
    proposal: &Proposal,
    named: Option<&Name>,
    verdict: &str,
) -> Result<(usize, Name), Problem> {
    let user = exec.actor.user.clone().map(Holder::User);
    let agent = exec.actor.agent.as_ref();
    let agent = agent.map(|a| Holder::Agent(a.name.clone()));
    let voter: Vec<Holder> = user.into_iter().chain(agent).collect();
    let (short, seats) = (proposal.short(), &proposal.content.seats);
    let index = match eligible(seats, &voter, named) {
        Eligibility::Seat(index) => index,
        Eligibility::None => return Err(no_seat(&short, named)),
        Eligibility::Several(held) => {
            let titles: Vec<&str> = held
                .iter()
                .filter_map(|i| seats.get(*i))
                .map(|s| s.title.as_str())
                .collect();
            let first = titles.first().copied().unwrap_or_default();
            let line = if verdict.is_empty() {
                format!("!board withdraw {short} --as {first}")
            } else {
                format!("!board vote {short} {verdict} --as {first}")
            };
            return Err(Problem::new(
                Code::AmbiguousSeat,
                format!("you hold several seats on {short}: {}", titles.join(", ")),
            )
            .remedy("say which one you vote for with --as")
            .suggest(line));
        }
    };
    let Some(seat) = seats.get(index) else {
        return Err(no_seat(&short, named));
    };
    let standing = proposal.standing();
    if standing.get(index).is_some_and(|s| s.suspended) {
        return Err(Problem::new(
            Code::NoSeat,
            format!("the seat {} is suspended and cannot vote", seat.title),
        )
        .remedy(format!(
            "an operator lets it vote again with: !board seat restore {}",
            seat.title
        )));
    }
    Ok((index, seat.title.clone()))
}

fn no_seat(short: &str, named: Option<&Name>) -> Problem {
    let detail = match named {
        Some(title) => format!("you do not hold the seat {title} on {short}"),
        None => format!("you have no seat on {short}, so your vote does not count"),
    };
    Problem::new(Code::NoSeat, detail).remedy(format!(
        "the seats are frozen; see them with: !board show {short}"
    ))
}

fn may_veto(proposal: &Proposal, seat: usize, wanted: &Wanted<'_>) -> Result<(), Problem> {
    if wanted.verdict != Verdict::Veto {
        return Ok(());
    }
    let short = proposal.short();
    let seats = &proposal.content.seats;
    if !seats.get(seat).is_some_and(|s| s.may_veto) {
        return Err(
            Problem::new(Code::BadVeto, "this seat may not veto").remedy(format!(
                "vote against it: !board vote {short} reject because ..."
            )),
        );
    }
    if wanted.statement.reason.is_none() {
        return Err(Problem::new(Code::BadVeto, "a veto needs a reason")
            .remedy(format!("give one: !board vote {short} veto because ...")));
    }
    Ok(())
}

fn short_enough(statement: &Statement) -> Result<(), Problem> {
    let lists = [
        &statement.concerns,
        &statement.recommendations,
        &statement.key_risks,
    ];
    let mut texts = lists.into_iter().flatten().chain(&statement.reason);
    if texts.any(|t| t.chars().count() > MOST_TEXT) {
        let detail = "the reason is longer than 2,000 characters";
        return Err(Problem::new(Code::BadArgument, detail)
            .remedy("say it shorter, or put it into a file and name its path"));
    }
    if lists.into_iter().any(|l| l.len() > MOST_POINTS) {
        let detail = format!("a review has at most {MOST_POINTS} points of a kind");
        return Err(Problem::new(Code::BadArgument, detail).remedy("keep the weightiest"));
    }
    Ok(())
}

fn ballot(exec: &Exec<'_>, seat: &Name, wanted: Wanted<'_>) -> Result<Ballot, Stop> {
    let statement = (!wanted.statement.is_empty()).then_some(wanted.statement);
    let hash = statement.as_ref().map(statement_hash).transpose();
    Ok(Ballot {
        seat: seat.clone(),
        verdict: wanted.verdict,
        via: wanted.via,
        incarnation: exec.actor.agent.as_ref().map(|a| a.incarnation),
        confidence: wanted.confidence,
        reasoned: statement.as_ref().is_some_and(|s| s.reason.is_some()),
        statement_hash: hash.map_err(|e| sqlx::Error::Encode(e.into()))?,
        statement,
    })
}
