//! Locks of several claims at once.

use fleet_protocol::TaskRef;
use fleet_protocol::ids::Ref;
use fleet_protocol::scalar::Name;

use crate::db::Tx;

/// Locks what claims lock, in the order in which each of them does: the fleet's switches, the tasks that are named,
/// every limit. Whoever has one of these and wants another of them takes them in the same order, so that two never
/// wait for each other; a claim that names no task passes over what is locked.
pub(crate) async fn lock_for(
    tx: &mut Tx,
    tenant: &Name,
    named: impl Iterator<Item = TaskRef>,
) -> Result<(), sqlx::Error> {
    let (mut ids, mut numbers) = (Vec::new(), Vec::new());
    for reference in named {
        match reference {
            Ref::Id(id, _) => ids.push(id),
            Ref::Short(number) => numbers.extend(i32::try_from(number)),
            // Only a message that stands somewhere means a task without naming it.
            Ref::This => {}
        }
    }
    sqlx::query!(
        "SELECT tenant_id FROM fleet.settings WHERE tenant_id = $1 FOR UPDATE",
        tenant.as_str()
    )
    .fetch_one(&mut **tx)
    .await?;
    sqlx::query!(
        "SELECT id FROM fleet.tasks WHERE tenant_id = $1 AND (id = ANY ($2) OR number = ANY ($3)) ORDER BY id FOR UPDATE",
        tenant.as_str(),
        &ids,
        &numbers
    )
    .fetch_all(&mut **tx)
    .await?;
    sqlx::query!(
        "SELECT id FROM fleet.budget_series WHERE tenant_id = $1 ORDER BY id FOR UPDATE",
        tenant.as_str()
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(())
}
