//! Events on a card that are no commands: replies, reactions, redactions.

use fleet_protocol::problem::Code;
use fleet_protocol::verbs::board as verbs;

use super::read::locked;
use super::{BallotInput, Exec, Reply, Statement, Stop, Uuid, Via, card, cast};
use crate::db::Tx;
use crate::run::Job;

/// The proposal whose card an event is.
pub(crate) async fn card_of(
    tx: &mut Tx,
    job: &Job<'_>,
    event: &str,
) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "SELECT p.id FROM fleet.outbox o JOIN fleet.proposals p ON p.tenant_id = o.tenant_id AND p.card = o.id
         WHERE o.tenant_id = $1 AND o.event_id = $2",
        job.tenant.as_str(),
        event
    )
    .fetch_optional(&mut **tx)
    .await
}

/// Whether a voter who may not vote on a proposal is to be told so: once.
pub(crate) async fn may_tell(
    tx: &mut sqlx::PgConnection,
    tenant: &str,
    proposal: Uuid,
    principal: &str,
) -> Result<bool, sqlx::Error> {
    let told = sqlx::query!(
        "INSERT INTO fleet.seatless (tenant_id, proposal_id, principal) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        tenant,
        proposal,
        principal
    )
    .execute(&mut *tx)
    .await?;
    Ok(told.rows_affected() == 1)
}

/// Records a ballot that is a reply or a reaction on a proposal's card; none where it must not be
/// answered again.
pub(crate) async fn ballot(
    exec: &mut Exec<'_>,
    id: Uuid,
    verdict: verbs::Verdict,
    reason: Option<&str>,
    via: BallotInput,
) -> Result<Option<Reply>, Stop> {
    let reason: Option<String> = reason.map(|r| r.trim().chars().take(2_000).collect());
    let wanted = cast::Wanted {
        verdict,
        statement: Statement {
            reason: reason.filter(|r| !r.is_empty()),
            ..Statement::default()
        },
        confidence: None,
        seat: None,
        via: match via {
            BallotInput::Reply => Via::Reply,
            BallotInput::Reaction => Via::Reaction,
        },
    };
    match cast::cast(exec, id, wanted).await {
        Err(Stop::Refused(problem)) if problem.code == Code::NoSeat => {
            let principal = exec.actor.principal.clone();
            if !may_tell(&mut *exec.tx, exec.tenant.as_str(), id, &principal).await? {
                return Ok(None);
            }
            exec.keep_refused = true;
            Err(Stop::Refused(problem))
        }
        cast => cast.map(Some),
    }
}

/// What a redacted event is to the board.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Redacted {
    /// A version of a ballot.
    Ballot(Uuid, i32),
    /// The card of an open proposal.
    Card(Uuid),
}

/// What a redacted event is to the board; none for an event that is nothing to it.
pub(crate) async fn redacted(
    tx: &mut Tx,
    job: &Job<'_>,
    event: &str,
) -> Result<Option<Redacted>, sqlx::Error> {
    let ballot = sqlx::query!(
        "SELECT proposal_id, sequence FROM fleet.entries WHERE tenant_id = $1 AND event_id = $2 AND act = 'cast'",
        job.tenant.as_str(),
        event
    )
    .fetch_optional(&mut **tx)
    .await?;
    if let Some(ballot) = ballot {
        return Ok(Some(Redacted::Ballot(ballot.proposal_id, ballot.sequence)));
    }
    Ok(card_of(tx, job, event).await?.map(Redacted::Card))
}

/// Takes a ballot back whose voter redacted it; posts a redacted card again.
pub(crate) async fn redact(exec: &mut Exec<'_>, what: Redacted) -> Result<Option<Reply>, Stop> {
    match what {
        Redacted::Ballot(id, sequence) => cast::retract(exec, id, sequence).await,
        Redacted::Card(id) => post_again(exec, id).await.map(|()| None),
    }
}

/// Posts the card of an open proposal again: the vote goes on.
async fn post_again(exec: &mut Exec<'_>, id: Uuid) -> Result<(), Stop> {
    let mut proposal = locked(exec, id).await?;
    if !proposal.is_open() {
        return Ok(());
    }
    proposal.card = exec.ids.next();
    sqlx::query!(
        "UPDATE fleet.proposals SET card = $3 WHERE tenant_id = $1 AND id = $2",
        exec.tenant.as_str(),
        id,
        proposal.card
    )
    .execute(&mut *exec.tx)
    .await?;
    card::post(exec, &proposal).await
}
