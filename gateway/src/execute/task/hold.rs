//! What the holder of a task says while working: it keeps the lease, it tells how far it is.

use fleet_policy::task::{Step, step};
use fleet_protocol::Reply;
use fleet_protocol::verbs::task as verbs;
use uuid::Uuid;

use super::super::{Exec, Stop, budget};
use super::fit;
use super::row::{self, Row};
use super::write;
use crate::db;

pub(crate) async fn renew(exec: &mut Exec<'_>, args: &verbs::Renew) -> Result<Reply, Stop> {
    let row = held(exec, args.task, Step::Renew).await?;
    extend(exec, &row).await?;
    write::answer(exec, row.id, "renewed", Vec::new()).await
}

pub(crate) async fn progress(exec: &mut Exec<'_>, args: &verbs::Progress) -> Result<Reply, Stop> {
    let row = held(exec, args.task, Step::Progress).await?;
    // Who says how far it is is alive: that counts as a renewal.
    extend(exec, &row).await?;
    let note = args.note.as_ref().map(|n| n.as_str());
    sqlx::query!(
        r#"UPDATE fleet.tasks SET percent = coalesce($3, percent), status_note = coalesce($4, status_note), updated_at = $5
           WHERE tenant_id = $1 AND id = $2"#,
        exec.tenant.as_str(),
        row.id,
        args.percent.map(|p| i16::from(p.get())),
        note,
        db::time(exec.now)
    )
    .execute(&mut *exec.tx)
    .await?;
    let said = match (args.percent, note) {
        (Some(percent), Some(note)) => Some(format!("{percent}: {note}")),
        (Some(percent), None) => Some(percent.to_string()),
        (None, note) => note.map(str::to_owned),
    };
    write::event(exec, &row, "task.progress", said.as_deref()).await?;
    write::remark(exec, &row, "progresses", said.as_deref());
    write::answer(exec, row.id, "updated", Vec::new()).await
}

/// A task that somebody works on under a lease in force.
pub(crate) struct Running {
    pub(crate) id: Uuid,
    pub(crate) number: i32,
    pub(crate) attempt: i32,
    pub(crate) work: budget::Work,
}

/// The task, locked, whose grant its holder wants to change. A stale epoch is refused (doctrine 11).
pub(crate) async fn running(
    exec: &mut Exec<'_>,
    task: fleet_protocol::TaskRef,
) -> Result<Running, Stop> {
    let row = held(exec, task, Step::Progress).await?;
    let agent = match exec.actor.agent.clone() {
        Some(agent) => Some(fit::holder(exec, &agent).await?),
        None => None,
    };
    Ok(Running {
        id: row.id,
        number: row.number,
        attempt: row.attempt,
        work: row.work(agent),
    })
}

/// The task, locked, with the sender as its holder under a lease in force.
pub(super) async fn held(
    exec: &mut Exec<'_>,
    task: fleet_protocol::TaskRef,
    wanted: Step,
) -> Result<Row, Stop> {
    let id = exec.resolve(task).await?;
    let row = row::lock(exec, id).await?;
    write::fence(exec, &row).await?;
    step(wanted, row.status, row.party(exec), row.tries())?;
    Ok(row)
}

pub(super) async fn extend(exec: &mut Exec<'_>, row: &Row) -> Result<(), Stop> {
    let Some(until) = row.lease().map(|l| l.renew(exec.now)).and_then(|l| l.until) else {
        return Ok(());
    };
    sqlx::query!(
        "UPDATE fleet.attempts SET lease_until = $3 WHERE tenant_id = $1 AND task_id = $2 AND ended_at IS NULL",
        exec.tenant.as_str(),
        row.id,
        db::time(until)
    )
    .execute(&mut *exec.tx)
    .await?;
    Ok(())
}
