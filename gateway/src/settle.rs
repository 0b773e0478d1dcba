//! What the bot reports of outbox rows: that it is about to send them, and what became of them.

use fleet_protocol::Timestamp;
use fleet_protocol::api::Settled;
use fleet_protocol::outbox::Settlement;
use fleet_protocol::scalar::Name;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{Ids, db, incident};

/// Notes that a device is about to send rows, for the first time or instead of another device.
pub(crate) async fn attempts(
    tx: &mut PgConnection,
    tenant: &Name,
    device: &str,
    rows: &[Uuid],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"UPDATE fleet.outbox SET device = $2, attempts = attempts + 1,
               first_attempt_at = CASE WHEN device = $2 THEN first_attempt_at ELSE $4 END
           WHERE tenant_id = $1 AND id = ANY ($3) AND state IN ('pending', 'parked')"#,
        tenant.as_str(),
        device,
        rows,
        db::time(now),
    )
    .execute(&mut *tx)
    .await
    .map(drop)
}

/// Stores what became of rows. A row that is settled already keeps what it has.
pub(crate) async fn settle(
    tx: &mut PgConnection,
    tenant: &Name,
    ids: &dyn Ids,
    rows: &[Settled],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let (mut sent, mut events) = (Vec::new(), Vec::new());
    for settled in rows {
        match &settled.settlement {
            Settlement::Sent { event_id } => {
                sent.push(settled.row);
                events.push(event_id.clone());
            }
            Settlement::Dead { reason } => dead(tx, tenant, ids, settled.row, reason, now).await?,
            Settlement::Parked { reason } => parked(tx, tenant, settled.row, reason).await?,
        }
    }
    if sent.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        r#"UPDATE fleet.outbox o SET state = 'sent', event_id = s.event_id, settled_at = $4, reason = NULL
           FROM unnest($2::uuid[], $3::text[]) AS s (id, event_id)
           WHERE o.tenant_id = $1 AND o.id = s.id AND o.state IN ('pending', 'parked')"#,
        tenant.as_str(),
        &sent,
        &events,
        db::time(now),
    )
    .execute(&mut *tx)
    .await?;
    incident::posted(tx, tenant, ids, now, &sent).await
}

/// The homeserver will never take it: so nothing can edit it, react to it or pin it either.
async fn dead(
    tx: &mut PgConnection,
    tenant: &Name,
    ids: &dyn Ids,
    row: Uuid,
    reason: &str,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let settled = sqlx::query!(
        r#"UPDATE fleet.outbox o SET state = 'dead', settled_at = $3, reason = $4
           FROM fleet.rooms r
           WHERE o.tenant_id = $1 AND o.id = $2 AND o.state IN ('pending', 'parked') AND r.tenant_id = $1 AND r.id = o.room
           RETURNING coalesce(r.key, r.room_id, r.id::text) AS "room!""#,
        tenant.as_str(),
        row,
        db::time(now),
        reason,
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(settled) = settled else {
        return Ok(());
    };
    sqlx::query!(
        r#"UPDATE fleet.outbox SET state = 'superseded', settled_at = $3, reason = 'what it relates to was never sent'
           WHERE tenant_id = $1 AND target_row = $2 AND state = 'pending' AND NOT post ? 'message' AND NOT post ? 'receipt'"#,
        tenant.as_str(),
        row,
        db::time(now),
    )
    .execute(&mut *tx)
    .await?;
    let detail = format!(
        "a message could not be posted in {}: {reason}. It is row {row} of the outbox",
        settled.room
    );
    let raised = incident::Raised {
        rule: incident::DEAD,
        subject: &settled.room,
        detail: &detail,
    };
    incident::open(tx, tenant, ids, now, &raised)
        .await
        .map(drop)
}

/// The bot is not in the room: kept until it is.
async fn parked(
    tx: &mut PgConnection,
    tenant: &Name,
    row: Uuid,
    reason: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE fleet.outbox SET state = 'parked', reason = $3 WHERE tenant_id = $1 AND id = $2 AND state = 'pending'",
        tenant.as_str(),
        row,
        reason,
    )
    .execute(&mut *tx)
    .await
    .map(drop)
}
