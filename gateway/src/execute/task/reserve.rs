//! A task that was given to one agent by name is kept for it: until it claims, is retired or is not heard any more.

use fleet_policy::task::{Step, step};
use fleet_protocol::Problem;
use fleet_protocol::outbox::Attention;
use fleet_protocol::problem::Code;
use fleet_protocol::reply::TaskView;
use fleet_protocol::scalar::Name;
use uuid::Uuid;

use super::super::{Exec, Stop};
use super::row::{self, Row};
use super::{dispatch, write};
use crate::db;

/// The agent for which a task is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reserved {
    pub(super) agent: Uuid,
    pub(super) name: Name,
}

/// Offers a task that can be claimed now, apart from the budget: to one agent by name, for which it is kept from then
/// on, or to whoever of its role comes first. The task with all that its holder must know.
///
/// # Errors
/// The state does not allow a claim, what it waits for is not done, or it is for another role.
pub(in super::super) async fn offer(
    exec: &mut Exec<'_>,
    task: Uuid,
    (agent, name, role): (Uuid, &Name, &Name),
    is_named: bool,
) -> Result<TaskView, Stop> {
    let row = row::lock(exec, task).await?;
    step(Step::Claim, row.status, row.party(exec), row.tries())?;
    row.done_before()?;
    if row.role != *role {
        return Err(Problem::new(
            Code::WrongRole,
            format!(
                "{} is for the role {}; {name} has the role {role}",
                row.short(),
                row.role
            ),
        )
        .remedy(format!(
            "give it to an agent of that role: --to {}",
            row.role
        ))
        .into());
    }
    let to = is_named.then(|| Reserved {
        agent,
        name: name.clone(),
    });
    if to.is_some() || row.reserved.is_some() {
        keep(exec, &row, to.as_ref()).await?;
    }
    let row = Row {
        reserved: to,
        ..row
    };
    dispatch::briefed(exec, row, true).await
}

/// Keeps a task for one agent, or for nobody. A claim of somebody else that waits for budget with it waits no more.
pub(super) async fn keep(
    exec: &mut Exec<'_>,
    row: &Row,
    to: Option<&Reserved>,
) -> Result<(), Stop> {
    sqlx::query!(
        r#"WITH given_up AS (
               UPDATE fleet.budget_queue SET agent_id = NULL, incarnation = NULL, person = NULL
               WHERE tenant_id = $1 AND task_id = $2 AND $3::uuid IS NOT NULL AND agent_id IS DISTINCT FROM $3)
           UPDATE fleet.tasks SET reserved_agent = $3, reserved_at = CASE WHEN $3 IS NOT NULL THEN $4::timestamptz END
           WHERE tenant_id = $1 AND id = $2"#,
        exec.tenant.as_str(),
        row.id,
        to.map(|r| r.agent),
        db::time(exec.now)
    )
    .execute(&mut *exec.tx)
    .await?;
    match to {
        Some(to) => write::event(exec, row, "task.assigned", Some(to.name.as_str())).await,
        None => write::event(exec, row, "task.unassigned", None).await,
    }
}

/// Refuses a claim of a task that is kept for another.
pub(super) fn check(exec: &Exec<'_>, row: &Row) -> Result<(), Problem> {
    let me = exec.actor.agent.as_ref().map(|a| a.id);
    let Some(other) = row.reserved.as_ref().filter(|r| Some(r.agent) != me) else {
        return Ok(());
    };
    let (short, role) = (row.short(), &row.role);
    Err(Problem::new(
        Code::Reserved,
        format!("{short} was given to {} and is kept for it", other.name),
    )
    .remedy(format!(
        "take another one: !task claim; or who assigns gives it to any {role}: !agent delegate {short} --to {role}"
    )))
}

/// Ends the reservation of a task if its agent is gone; called by the sweep.
pub(crate) async fn lost(exec: &mut Exec<'_>, task: Uuid) -> Result<(), Stop> {
    let row = row::lock(exec, task).await?;
    let Some(kept) = row.reserved.clone() else {
        return Ok(());
    };
    let is_lost = sqlx::query_scalar!(
        r#"SELECT a.retired_at IS NOT NULL OR greatest(a.heartbeat_at, a.listened_at, t.reserved_at) <= $3
                  AND NOT EXISTS (SELECT FROM fleet.attempts h
                                  WHERE h.tenant_id = $1 AND h.agent_id = a.id AND h.ended_at IS NULL) AS "lost!"
           FROM fleet.tasks t JOIN fleet.agents a ON a.tenant_id = t.tenant_id AND a.id = t.reserved_agent
           WHERE t.tenant_id = $1 AND t.id = $2"#,
        exec.tenant.as_str(),
        task,
        db::time(lost_before(exec.now))
    )
    .fetch_one(&mut *exec.tx)
    .await?;
    if is_lost {
        let why = format!("{} has not been heard since", kept.name);
        free(exec, &row, &why).await?;
    }
    Ok(())
}

/// Who was heard last before this instant is lost.
pub(crate) fn lost_before(now: fleet_protocol::Timestamp) -> fleet_protocol::Timestamp {
    now.earlier(jiff::SignedDuration::from_secs(
        super::super::agent::SILENT_AFTER,
    ))
}

/// Ends every reservation of an agent that is retired; the short forms of the tasks.
pub(in super::super) async fn free_all(
    exec: &mut Exec<'_>,
    agent: Uuid,
    why: &str,
) -> Result<Vec<String>, Stop> {
    let ids = sqlx::query_scalar!(
        "SELECT id FROM fleet.tasks WHERE tenant_id = $1 AND reserved_agent = $2 ORDER BY id",
        exec.tenant.as_str(),
        agent
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    let mut freed = Vec::new();
    for id in ids {
        let row = row::lock(exec, id).await?;
        if row.reserved.as_ref().is_some_and(|r| r.agent == agent) {
            freed.push(row.short());
            free(exec, &row, why).await?;
        }
    }
    Ok(freed)
}

async fn free(exec: &mut Exec<'_>, row: &Row, why: &str) -> Result<(), Stop> {
    keep(exec, row, None).await?;
    let what = format!("may be claimed by any {} again", row.role);
    write::tell(exec, row, &what, Attention::Quiet, Some(why)).await
}
