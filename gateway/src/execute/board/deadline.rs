//! What time does to a vote: reminder, extension, early and declared end.

use fleet_policy::board::{EARLY_NOTICE, PATIENCE, late_quorum_end, may_end};
use fleet_protocol::Timestamp;
use fleet_protocol::record::{Act, EndedBy, Extension, Outcome};
use uuid::Uuid;

use super::end::{self, Why};
use super::read::{Proposal, locked};
use super::{card, chain};
use crate::db::{instant, time};
use crate::execute::{Exec, Stop};

/// Does what is due on a proposal; called by the sweep, which may see it twice.
pub(crate) async fn due(exec: &mut Exec<'_>, id: Uuid) -> Result<(), Stop> {
    let mut proposal = locked(exec, id).await?;
    if !proposal.is_open() {
        return Ok(());
    }
    let read = read_up_to(exec, &proposal).await?;
    let (ends_at, _) = proposal.end();
    if may_end(ends_at, exec.now, read) {
        let ended = proposal.outcome();
        return end::end(exec, proposal, ended, Why::new(EndedBy::Time)).await;
    }
    if let Some(early) = proposal.early_at
        && may_end(early, exec.now, read)
    {
        return end_early(exec, proposal).await;
    }
    if exec.now.0 >= later(ends_at, PATIENCE).0 {
        return wait_for_room(exec, &mut proposal).await;
    }
    if !proposal.reminded && exec.now >= proposal.remind_at && exec.now < ends_at {
        remind(exec, &proposal).await?;
    }
    Ok(())
}

/// How far the card's room was read; none for a room that no bot has made yet.
async fn read_up_to(
    exec: &mut Exec<'_>,
    proposal: &Proposal,
) -> Result<Option<Option<Timestamp>>, Stop> {
    let room = sqlx::query!(
        "SELECT read_up_to, room_id FROM fleet.rooms WHERE tenant_id = $1 AND id = $2",
        exec.tenant.as_str(),
        proposal.room
    )
    .fetch_one(&mut *exec.tx)
    .await?;
    Ok(room.room_id.map(|_| room.read_up_to.map(instant)))
}

/// Ends a vote early, if that still holds.
async fn end_early(exec: &mut Exec<'_>, mut proposal: Proposal) -> Result<(), Stop> {
    let ended = proposal.outcome();
    if proposal.settled() == Some(ended.outcome) {
        return end::end(exec, proposal, ended, Why::new(EndedBy::Settled)).await;
    }
    look(exec, &mut proposal).await?;
    card::refresh(exec, &proposal);
    Ok(())
}

/// Announces an early end, or calls it off, as the ballots stand now.
pub(super) async fn look(exec: &mut Exec<'_>, proposal: &mut Proposal) -> Result<(), Stop> {
    let settled: Option<Outcome> = proposal.settled();
    let early = match (settled, proposal.early_at) {
        (None, _) => None,
        (Some(_), Some(announced)) => Some(announced),
        (Some(_), None) => Some(later(exec.now, EARLY_NOTICE)),
    };
    if early == proposal.early_at {
        return Ok(());
    }
    sqlx::query!(
        "UPDATE fleet.proposals SET early_at = $3 WHERE tenant_id = $1 AND id = $2",
        exec.tenant.as_str(),
        proposal.id,
        early.map(time) as _
    )
    .execute(&mut *exec.tx)
    .await?;
    proposal.early_at = early;
    Ok(())
}

/// Extends a vote whose quorum came in the last tenth of its time.
pub(super) async fn extend_for_late_quorum(
    exec: &mut Exec<'_>,
    proposal: &mut Proposal,
    at: Timestamp,
) -> Result<(), Stop> {
    let reached = proposal.tally().has_quorum(&proposal.content.rule);
    match late_quorum_end(&proposal.content, &proposal.entries, at).filter(|_| reached) {
        Some(to) => extend(exec, proposal, to, Extension::LateQuorum).await,
        None => Ok(()),
    }
}

/// Extends a vote whose room could not be read up to its end: an outage of ours decides nothing.
async fn wait_for_room(exec: &mut Exec<'_>, proposal: &mut Proposal) -> Result<(), Stop> {
    let first = proposal.end().1 != Some(Extension::RoomUnread);
    let to = later(exec.now, PATIENCE);
    extend(exec, proposal, to, Extension::RoomUnread).await?;
    if first {
        let said = format!(
            "{} is extended to {}: this room could not be read up to its end, and votes on their way must count.",
            proposal.short(),
            exec.reader().clock(to)
        );
        card::say(exec, proposal, &said);
    }
    card::refresh(exec, proposal);
    Ok(())
}

async fn extend(
    exec: &mut Exec<'_>,
    proposal: &mut Proposal,
    to: Timestamp,
    why: Extension,
) -> Result<(), Stop> {
    let at = exec.now;
    chain::append(exec, proposal, at, Act::Extend { to, why }).await?;
    sqlx::query!(
        "UPDATE fleet.proposals SET ends_at = $3 WHERE tenant_id = $1 AND id = $2",
        exec.tenant.as_str(),
        proposal.id,
        time(to) as _
    )
    .execute(&mut *exec.tx)
    .await?;
    Ok(())
}

/// Reminds those who have not voted, once.
async fn remind(exec: &mut Exec<'_>, proposal: &Proposal) -> Result<(), Stop> {
    sqlx::query!(
        "UPDATE fleet.proposals SET reminded = true WHERE tenant_id = $1 AND id = $2",
        exec.tenant.as_str(),
        proposal.id
    )
    .execute(&mut *exec.tx)
    .await?;
    card::remind(exec, proposal).await
}

/// A whole number of milliseconds later, as the record keeps instants.
fn later(at: Timestamp, by: jiff::SignedDuration) -> Timestamp {
    let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(at.as_millis().saturating_add(by))
}
