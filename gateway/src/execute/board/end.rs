//! The end of a vote: outcome, decision, effect and what is told, in one transaction.

use fleet_policy::board::{Ended, Money, runs_by_default};
use fleet_protocol::outbox::{Post, Relation, Target};
use fleet_protocol::record::{Act, Decided, EffectState, EndedBy, Outcome};
use fleet_protocol::{Problem, Reply};
use uuid::Uuid;

use super::read::{Proposal, load, shown};
use super::{card, chain, effect, money};
use crate::db::time;
use crate::execute::{Exec, Stop, Subject};

/// Why a vote ends, and on whose word.
#[derive(Debug, Clone, Copy)]
pub(super) struct Why<'a> {
    pub(super) by: EndedBy,
    pub(super) reason: Option<&'a str>,
    /// The proposal that takes its place.
    pub(super) successor: Option<Uuid>,
}

impl Why<'_> {
    pub(super) fn new(by: EndedBy) -> Self {
        Self {
            by,
            reason: None,
            successor: None,
        }
    }
}

/// What ran.
type Ran = Option<Result<Reply, Problem>>;

/// Ends a vote. The proposal is locked and open.
pub(super) async fn end(
    exec: &mut Exec<'_>,
    mut proposal: Proposal,
    ended: Ended,
    why: Why<'_>,
) -> Result<(), Stop> {
    let id = exec.ids.next();
    // What it moves is known before it runs: then the limit is the new one.
    let moved = money::moved(exec, proposal.content.effect.as_ref()).await?;
    let ran = run(exec, &proposal, ended, id).await?;
    let decided = Decided {
        decision: id,
        outcome: ended.outcome,
        ended_by: why.by,
        by_default: ended.by_default,
        human_required: proposal.human,
        effect: match &ran {
            None => EffectState::None,
            Some(Ok(_)) => EffectState::Done,
            Some(Err(_)) => EffectState::Refused,
        },
    };
    let at = exec.now;
    let human = proposal.tally().approving.human;
    chain::append(exec, &mut proposal, at, Act::Decide(decided.clone())).await?;
    store(exec, &proposal, &decided, why, (moved, human), ran).await?;
    tell(exec, proposal.id).await
}

fn encode(error: serde_json::Error) -> sqlx::Error {
    sqlx::Error::Encode(error.into())
}

/// Runs the effect, where the outcome lets it.
async fn run(
    exec: &mut Exec<'_>,
    proposal: &Proposal,
    ended: Ended,
    decision: Uuid,
) -> Result<Ran, Stop> {
    let Some(wanted) = &proposal.content.effect else {
        return Ok(None);
    };
    let may = ended.outcome == Outcome::Approved && (!ended.by_default || runs_by_default(wanted));
    if !may {
        return Ok(None);
    }
    let ran = effect::run(exec, decision, wanted).await?;
    Ok(Some(ran))
}

async fn store(
    exec: &mut Exec<'_>,
    proposal: &Proposal,
    decided: &Decided,
    why: Why<'_>,
    (moved, human): (money::Moved, bool),
    ran: Ran,
) -> Result<(), Stop> {
    let by_person = matches!(why.by, EndedBy::Operator | EndedBy::Amended);
    let amount = match moved.money {
        Money::Known(amount) if ran.is_some() => Some(i64::try_from(amount).unwrap_or(i64::MAX)),
        _ => None,
    };
    let (reply, problem) = match ran {
        None => (None, None),
        Some(Ok(reply)) => (Some(serde_json::to_value(reply).map_err(encode)?), None),
        Some(Err(problem)) => (None, Some(serde_json::to_value(problem).map_err(encode)?)),
    };
    sqlx::query!(
        "INSERT INTO fleet.decisions (tenant_id, proposal_id, id, outcome, ended_by, closed_by, close_reason, tally, chain_head, decided_at,
             effect_state, effect_reply, effect_problem, by_default, provider, money_usd_micro, human, admission)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)",
        exec.tenant.as_str(),
        proposal.id,
        decided.decision,
        decided.outcome.as_str(),
        why.by.as_str(),
        by_person.then_some(exec.actor.principal.as_str()),
        why.reason,
        serde_json::to_value(shown(&proposal.tally())).map_err(encode)?,
        proposal.head,
        time(exec.now) as _,
        decided.effect.as_str(),
        reply,
        problem,
        decided.by_default,
        moved.provider,
        amount,
        human,
        exec.admission
    )
    .execute(&mut *exec.tx)
    .await?;
    sqlx::query!(
        "UPDATE fleet.proposals SET state = $3, superseded_by = $4, early_at = NULL WHERE tenant_id = $1 AND id = $2",
        exec.tenant.as_str(),
        proposal.id,
        decided.outcome.as_str(),
        why.successor
    )
    .execute(&mut *exec.tx)
    .await?;
    Ok(())
}

/// Shows the end on the card, posts the decision, and unpins the card.
async fn tell(exec: &mut Exec<'_>, id: Uuid) -> Result<(), Stop> {
    let closed = load(exec, id).await?;
    let about = Some((Subject::Proposal, id));
    card::refresh(exec, &closed);
    card::decision(exec, &closed).await?;
    let unpin = Relation::Pins(Target::Row(closed.card));
    exec.post(
        card::room(&closed),
        Post::Pin { pinned: false },
        Some(unpin),
        about,
    );
    Ok(())
}
