//! The end of a vote: outcome, decision, effect and what is told, in one transaction.

use fleet_policy::board::{Outcome, outcome, settled};
use fleet_protocol::outbox::{Post, Relation, Target};
use fleet_protocol::{Problem, Reply};
use uuid::Uuid;

use super::read::{Proposal, load, lock, shown};
use super::{card, effect};
use crate::db::{instant, time};
use crate::execute::{Exec, Stop, Subject};

/// How long the end waits for the room to be read up to it.
const PATIENCE: jiff::SignedDuration = jiff::SignedDuration::from_mins(10);

/// Why a vote ends.
#[derive(Debug, Clone, Copy)]
pub(super) enum Why<'a> {
    /// Its time has come.
    Time,
    /// Nothing that is still to be cast can change the outcome.
    Settled,
    /// An operator ended it.
    Operator(Option<&'a str>),
}

impl Why<'_> {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Settled => "settled",
            Self::Operator(_) => "operator",
        }
    }

    fn words(self, who: &str) -> String {
        match self {
            Self::Time => "Voting has ended.".to_owned(),
            Self::Settled => "Nothing can change the outcome any more.".to_owned(),
            Self::Operator(None) => format!("Ended by {who}."),
            Self::Operator(Some(reason)) => format!("Ended by {who}: {reason}."),
        }
    }
}

/// Ends a proposal whose time has come; called by the sweep, which may see it twice.
pub(crate) async fn close_due(exec: &mut Exec<'_>, id: Uuid) -> Result<(), Stop> {
    lock(exec, id).await?;
    let proposal = load(exec, id).await?;
    if proposal.state != "open" || exec.now < proposal.closes_at {
        return Ok(());
    }
    // Ballots sent before the end may still be on their way.
    let read = sqlx::query!(
        "SELECT read_up_to, room_id FROM fleet.rooms WHERE tenant_id = $1 AND id = $2",
        exec.tenant.as_str(),
        proposal.room
    )
    .fetch_one(&mut *exec.tx)
    .await?;
    let caught_up = read.room_id.is_none()
        || read
            .read_up_to
            .is_some_and(|at| instant(at) >= proposal.closes_at);
    let waited = exec.now.0.duration_since(proposal.closes_at.0) >= PATIENCE;
    if caught_up || waited {
        end(
            exec,
            &proposal,
            outcome(proposal.tally(), &proposal.rule),
            Why::Time,
        )
        .await?;
    }
    Ok(())
}

/// Ends a vote whose outcome cannot change; whether it did.
pub(super) async fn end_if_settled(exec: &mut Exec<'_>, proposal: &Proposal) -> Result<bool, Stop> {
    let Some(outcome) = settled(proposal.tally(), &proposal.rule) else {
        return Ok(false);
    };
    end(exec, proposal, outcome, Why::Settled).await?;
    Ok(true)
}

/// Ends a vote. The proposal is locked and open.
pub(super) async fn end(
    exec: &mut Exec<'_>,
    proposal: &Proposal,
    outcome: Outcome,
    why: Why<'_>,
) -> Result<(), Stop> {
    let ran = match (&proposal.effect, outcome) {
        (Some(wanted), Outcome::Approved) => {
            Some(effect::run(exec, &proposal.short(), wanted).await?)
        }
        _ => None,
    };
    store(exec, proposal, outcome, why, ran.as_ref()).await?;
    let closed = load(exec, proposal.id).await?;
    let about = Some((Subject::Proposal, proposal.id));
    card::refresh(exec, &closed);
    let mentions = card::holders(exec, &closed.seats).await?;
    let words = why.words(&exec.actor.principal);
    let said = card::decision(&closed, outcome, &words, mentions);
    let reply = Relation::Reply {
        to: Target::Row(closed.card),
        thread_root: None,
    };
    exec.say(card::room(&closed), said, Some(reply), about);
    let unpin = Relation::Pins(Target::Row(closed.card));
    exec.post(
        card::room(&closed),
        Post::Pin { pinned: false },
        Some(unpin),
        about,
    );
    Ok(())
}

async fn store(
    exec: &mut Exec<'_>,
    proposal: &Proposal,
    outcome: Outcome,
    why: Why<'_>,
    ran: Option<&Result<Reply, Problem>>,
) -> Result<(), Stop> {
    let json = |e: serde_json::Error| sqlx::Error::Encode(e.into());
    let (state, reply, problem) = match ran {
        None => ("none", None, None),
        Some(Ok(reply)) => (
            "done",
            Some(serde_json::to_value(reply).map_err(json)?),
            None,
        ),
        Some(Err(problem)) => (
            "refused",
            None,
            Some(serde_json::to_value(problem).map_err(json)?),
        ),
    };
    let (closed_by, reason) = match why {
        Why::Operator(reason) => (Some(exec.actor.principal.as_str()), reason),
        Why::Time | Why::Settled => (None, None),
    };
    let id = exec.ids.next();
    sqlx::query!(
        "INSERT INTO fleet.decisions (tenant_id, proposal_id, id, outcome, ended_by, closed_by, close_reason, tally, chain_head, decided_at,
             effect_state, effect_reply, effect_problem, admission)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        exec.tenant.as_str(),
        proposal.id,
        id,
        outcome.as_str(),
        why.as_str(),
        closed_by,
        reason,
        serde_json::to_value(shown(proposal.tally())).map_err(json)?,
        proposal.chain_head,
        time(exec.now) as _,
        state,
        reply,
        problem,
        exec.admission
    )
    .execute(&mut *exec.tx)
    .await?;
    sqlx::query!(
        "UPDATE fleet.proposals SET state = $3 WHERE tenant_id = $1 AND id = $2",
        exec.tenant.as_str(),
        proposal.id,
        outcome.as_str()
    )
    .execute(&mut *exec.tx)
    .await?;
    Ok(())
}
