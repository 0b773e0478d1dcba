//! Appending to a proposal's record, under its lock.

use fleet_policy::board::{canonical_form, link};
use fleet_protocol::Timestamp;
use fleet_protocol::record::{Act, Entry};

use super::read::Proposal;
use crate::execute::{Exec, Stop};

/// Appends what happened; the proposal, locked by the caller, then has it. Returns its sequence.
pub(super) async fn append(
    exec: &mut Exec<'_>,
    proposal: &mut Proposal,
    at: Timestamp,
    act: Act,
) -> Result<u64, Stop> {
    let json = |e: serde_json::Error| sqlx::Error::Encode(e.into());
    let sequence = proposal.entries.len() as u64 + 1;
    let entry = Entry {
        sequence,
        at,
        by: exec.actor.principal.clone(),
        event: exec.place.event.clone(),
        act,
    };
    let hash = link(&proposal.head, &entry).map_err(json)?;
    let mut bare = entry.clone();
    let (word, statement) = match &mut bare.act {
        Act::Cast(ballot) => ("cast", ballot.statement.take()),
        Act::Withdraw { .. } => ("withdraw", None),
        Act::Retract { .. } => ("retract", None),
        Act::Extend { .. } => ("extend", None),
        Act::Suspend { .. } => ("suspend", None),
        Act::Restore { .. } => ("restore", None),
        Act::Decide(_) => ("decide", None),
    };
    let statement = statement.map(serde_json::to_value).transpose();
    let number = i32::try_from(sequence).map_err(|e| sqlx::Error::Encode(e.into()))?;
    sqlx::query!(
        r#"WITH entry AS (
               INSERT INTO fleet.entries (tenant_id, proposal_id, sequence, act, content, statement, event_id, hash, admission)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9))
           UPDATE fleet.proposals SET entries = $3, chain_head = $8 WHERE tenant_id = $1 AND id = $2"#,
        exec.tenant.as_str(),
        proposal.id,
        number,
        word,
        canonical_form(&bare).map_err(json)?,
        statement.map_err(json)?,
        exec.place.event,
        hash.as_slice(),
        exec.admission
    )
    .execute(&mut *exec.tx)
    .await?;
    proposal.entries.push(entry);
    proposal.head = hash.to_vec();
    Ok(sequence)
}
