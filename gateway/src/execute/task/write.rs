//! What the steps of a task's life write: its status, the end of an attempt, its history.

use fleet_protocol::document::{bold, text};
use fleet_protocol::outbox::{Attention, Message};
use fleet_protocol::problem::Code;
use fleet_protocol::reply::{Changed, Reply};
use fleet_protocol::verbs::task::TaskStatus;
use fleet_protocol::{Document, Problem};
use uuid::Uuid;

use super::super::{Exec, Room, Stop, Subject, notice};
use super::row::{self, Row};
use crate::{db, incident};

/// Refuses a write that names another lease than the one in force (doctrine 11). An agent must name
/// its lease; a person need not.
pub(super) async fn fence(exec: &mut Exec<'_>, row: &Row) -> Result<(), Stop> {
    let Some(claim) = exec.actor.lease.clone() else {
        let holds = row
            .held
            .as_ref()
            .and_then(|h| h.agent)
            .is_some_and(|a| exec.actor.agent.as_ref().is_some_and(|me| me.id == a));
        return match holds {
            true => Err(Problem::new(
                Code::StaleEpoch,
                format!("the write names no lease on {}", row.short()),
            )
            .remedy("send the lease with it: {\"task\": ..., \"epoch\": ...} as the claim answered")
            .into()),
            false => Ok(()),
        };
    };
    if exec.resolve(claim.task).await? != row.id {
        return Err(Problem::new(
            Code::Invalid,
            format!("the lease named is not one on {}", row.short()),
        )
        .into());
    }
    let Some(lease) = row.lease() else {
        return Err(Problem::new(
            Code::StaleEpoch,
            format!(
                "nobody holds {} any more; its last epoch was {}",
                row.short(),
                row.epoch
            ),
        )
        .remedy("stop this work, report its spend, and claim again: task claim")
        .into());
    };
    lease.check(claim.epoch, exec.now)?;
    let stale = row
        .held
        .as_ref()
        .and_then(|h| h.incarnation)
        .zip(exec.actor.agent.as_ref());
    match stale {
        Some((of_lease, me)) if of_lease.cast_unsigned() != me.incarnation => Err(Problem::new(
            Code::StaleIncarnation,
            "the lease belongs to another incarnation of this agent",
        )
        .into()),
        _ => Ok(()),
    }
}

/// Sets a task's status and what is said of it; `failures` only grows or starts anew by a retry.
pub(super) async fn status(
    exec: &mut Exec<'_>,
    id: Uuid,
    status: TaskStatus,
    note: Option<&str>,
    failures: i32,
) -> Result<(), Stop> {
    let ended = fleet_policy::task::is_end(status).then_some(db::time(exec.now));
    let escalation = (status == TaskStatus::Escalated).then_some(note).flatten();
    let error = (status == TaskStatus::Failed).then_some(note).flatten();
    sqlx::query!(
        r#"UPDATE fleet.tasks SET status = $3, status_note = $4, failures = $5, updated_at = $6, ended_at = $7,
                  escalation_reason = coalesce($8, escalation_reason), error = coalesce($9, error),
                  escalation_answer = CASE WHEN $8 IS NULL THEN escalation_answer END,
                  answered_by = CASE WHEN $8 IS NULL THEN answered_by END,
                  reserved_agent = CASE WHEN $7::timestamptz IS NULL THEN reserved_agent END,
                  reserved_at = CASE WHEN $7 IS NULL THEN reserved_at END
           WHERE tenant_id = $1 AND id = $2"#,
        exec.tenant.as_str(),
        id,
        status.as_str(),
        note,
        failures,
        db::time(exec.now),
        ended as Option<db::Time>,
        escalation,
        error,
    )
    .execute(&mut *exec.tx)
    .await?;
    Ok(())
}

/// Tasks wait: each with its state and the reason.
pub(super) async fn waiting(
    exec: &mut Exec<'_>,
    all: &[(Uuid, TaskStatus, &str)],
) -> Result<(), Stop> {
    if all.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = all.iter().map(|(id, ..)| *id).collect();
    let statuses: Vec<String> = all.iter().map(|(_, s, _)| s.as_str().to_owned()).collect();
    let notes: Vec<String> = all.iter().map(|(.., note)| (*note).to_owned()).collect();
    sqlx::query!(
        "UPDATE fleet.tasks t SET status = n.status, status_note = n.note, updated_at = $2
         FROM unnest($3::uuid[], $4::text[], $5::text[]) AS n (id, status, note) WHERE t.tenant_id = $1 AND t.id = n.id",
        exec.tenant.as_str(),
        db::time(exec.now) as _,
        &ids,
        &statuses,
        &notes
    )
    .execute(&mut *exec.tx)
    .await?;
    Ok(())
}

/// A task is done.
pub(super) async fn completed(
    exec: &mut Exec<'_>,
    id: Uuid,
    summary: Option<&str>,
    files: &[String],
) -> Result<(), Stop> {
    sqlx::query!(
        "UPDATE fleet.tasks SET status = 'completed', status_note = $3, summary = $3, files_changed = $4, percent = 100,
             updated_at = $5, ended_at = $5
         WHERE tenant_id = $1 AND id = $2",
        exec.tenant.as_str(),
        id,
        summary,
        files,
        db::time(exec.now)
    )
    .execute(&mut *exec.tx)
    .await?;
    Ok(())
}

/// Ends the attempt that is in force, if there is one.
pub(super) async fn end_attempt(exec: &mut Exec<'_>, id: Uuid, outcome: &str) -> Result<(), Stop> {
    sqlx::query!(
        "UPDATE fleet.attempts SET ended_at = $3, outcome = $4 WHERE tenant_id = $1 AND task_id = $2 AND ended_at IS NULL",
        exec.tenant.as_str(),
        id,
        db::time(exec.now),
        outcome
    )
    .execute(&mut *exec.tx)
    .await?;
    Ok(())
}

/// Whom a task's history names for a step: an agent by its name.
pub(super) fn by<'e>(exec: &'e Exec<'_>) -> &'e str {
    exec.actor
        .agent
        .as_ref()
        .map_or(exec.actor.principal.as_str(), |a| a.name.as_str())
}

/// Adds to a task's history.
pub(super) async fn event(
    exec: &mut Exec<'_>,
    row: &Row,
    event: &str,
    note: Option<&str>,
) -> Result<(), Stop> {
    sqlx::query!(
        r#"INSERT INTO fleet.task_events (tenant_id, task_id, at, event, attempt, by, note, admission)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"#,
        exec.tenant.as_str(),
        row.id,
        db::time(exec.now),
        event,
        (row.attempt > 0).then_some(row.attempt),
        by(exec),
        note,
        exec.admission
    )
    .execute(&mut *exec.tx)
    .await?;
    Ok(())
}

/// The answer: the task as it is now, and what was done.
pub(super) async fn answer(
    exec: &mut Exec<'_>,
    id: Uuid,
    change: &str,
    notes: Vec<String>,
) -> Result<Reply, Stop> {
    let row = row::load(exec, id).await?;
    Ok(answer_with(exec, row, change, notes))
}

/// The same of a task that was loaded since it was changed.
pub(super) fn answer_with(
    exec: &mut Exec<'_>,
    row: Row,
    change: &str,
    notes: Vec<String>,
) -> Reply {
    exec.about(Subject::Task, row.id);
    Reply::Task(Changed {
        notes,
        ..Changed::to(change, row::view(row))
    })
}

/// Says in the room `tasks` what became of a task; loud when a person must do something.
pub(super) async fn tell(
    exec: &mut Exec<'_>,
    row: &Row,
    what: &str,
    attention: Attention,
    note: Option<&str>,
) -> Result<(), Stop> {
    let mentions = if attention == Attention::Loud {
        incident::operators(exec.tx, exec.tenant).await?
    } else {
        Vec::new()
    };
    let message = Message {
        mentions,
        ..said(row, what, attention, note)
    };
    let about = Some((Subject::Task, row.id));
    exec.say(Room::Key("tasks"), message, None, about);
    Ok(())
}

/// Says it where the room `tasks` is verbose.
pub(super) fn remark(exec: &mut Exec<'_>, row: &Row, what: &str, note: Option<&str>) {
    let message = said(row, what, Attention::Quiet, note);
    exec.remark(Room::Key("tasks"), message, (Subject::Task, row.id));
}

fn said(row: &Row, what: &str, attention: Attention, note: Option<&str>) -> Message {
    let mut document =
        Document::new().paragraph([bold(row.short()), text(format!(" {} {what}", row.title))]);
    if let Some(note) = note {
        document = document.paragraph([text(note)]);
    }
    Message {
        twin: serde_json::json!({ "task": row.short(), "what": what }),
        ..notice(attention, document)
    }
}
