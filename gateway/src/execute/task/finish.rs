//! The ends of an attempt, and the ways back.

use fleet_policy::task::{Party, Step, step};
use fleet_protocol::Reply;
use fleet_protocol::outbox::Attention;
use fleet_protocol::verbs::task::{self as verbs, TaskStatus};
use uuid::Uuid;

use super::super::budget::{self, Settle};
use super::super::{Exec, Stop};
use super::row::{self, Row};
use super::{gate, hand_back, write};

/// A task about to take a step: locked, its lease checked, the step allowed.
pub(super) struct Stepping {
    pub(super) row: Row,
    pub(super) party: Party,
    pub(super) next: TaskStatus,
}

pub(super) async fn take(
    exec: &mut Exec<'_>,
    task: fleet_protocol::TaskRef,
    wanted: Step,
) -> Result<Stepping, Stop> {
    let id = exec.resolve(task).await?;
    let row = row::lock(exec, id).await?;
    write::fence(exec, &row).await?;
    let party = row.party(exec);
    let next = step(wanted, row.status, party, row.tries())?;
    Ok(Stepping { row, party, next })
}

/// Ends the attempt in force and settles its budget; what the budget has to say.
pub(super) async fn end(
    exec: &mut Exec<'_>,
    row: &Row,
    outcome: &str,
    settle: Settle,
) -> Result<Vec<String>, Stop> {
    if row.held.is_none() {
        return Ok(Vec::new());
    }
    write::end_attempt(exec, row.id, outcome).await?;
    budget::settle(exec, row.id, row.attempt, settle).await
}

/// How the budget of an attempt is settled that ends without a result: who ends their own work has
/// reported; who is interrupted may have spent what nobody knows yet.
pub(super) fn interrupted(party: Party) -> Settle {
    if party == Party::Holder {
        Settle::Release
    } else {
        Settle::Presume
    }
}

pub(crate) async fn complete(exec: &mut Exec<'_>, args: &verbs::Complete) -> Result<Reply, Stop> {
    let at = take(exec, args.task, Step::Complete).await?;
    gate::passed(&at.row)?;
    let settle = match (args.tokens, &args.unknown_spend) {
        (Some(tokens), _) => Settle::Tokens(tokens.as_i64()),
        (None, Some(reason)) => Settle::Unknown(reason.to_string()),
        (None, None) => Settle::Actual,
    };
    let mut notes = end(exec, &at.row, "completed", settle).await?;
    let summary = args.summary.as_ref().map(|s| s.as_str());
    let files: Vec<String> = args.files_changed.iter().map(ToString::to_string).collect();
    write::completed(exec, at.row.id, summary, &files).await?;
    write::event(exec, &at.row, "task.completed", summary).await?;
    notes.extend(freed(exec, at.row.id).await?);
    if let Some(agent) = exec.actor.agent.as_ref().map(|a| a.name.to_string()) {
        write::tell(
            exec,
            &at.row,
            &format!("completed by {agent}"),
            Attention::Quiet,
            summary,
        )
        .await?;
    }
    write::answer(exec, at.row.id, "completed", notes).await
}

/// Tasks that waited for this one only, each as a sentence.
async fn freed(exec: &mut Exec<'_>, id: Uuid) -> Result<Vec<String>, Stop> {
    let numbers = sqlx::query_scalar!(
        r#"SELECT t.number FROM fleet.task_dependencies d
           JOIN fleet.tasks t ON t.tenant_id = d.tenant_id AND t.id = d.task_id
           WHERE d.tenant_id = $1 AND d.depends_on = $2 AND t.status IN ('pending', 'queued', 'budget_paused')
             AND NOT EXISTS (SELECT FROM fleet.task_dependencies e
                             JOIN fleet.tasks o ON o.tenant_id = e.tenant_id AND o.id = e.depends_on
                             WHERE e.tenant_id = d.tenant_id AND e.task_id = t.id AND o.status <> 'completed')
           ORDER BY t.number"#,
        exec.tenant.as_str(),
        id
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    Ok(numbers
        .into_iter()
        .map(|n| format!("t{n} is ready now"))
        .collect())
}

pub(crate) async fn fail(exec: &mut Exec<'_>, args: &verbs::Fail) -> Result<Reply, Stop> {
    let at = take(exec, args.task, Step::Fail).await?;
    let notes = end(exec, &at.row, "failed", interrupted(at.party)).await?;
    let reason = args.reason.as_str();
    write::status(exec, at.row.id, at.next, Some(reason), at.row.failures + 1).await?;
    write::event(exec, &at.row, "task.failed", Some(reason)).await?;
    if at.next == TaskStatus::Failed {
        let why = format!("all attempts are used, and the last one failed: {reason}");
        hand_back::raise(exec, &at.row, &why).await?;
    } else {
        write::event(exec, &at.row, "retry.scheduled", None).await?;
    }
    write::answer(
        exec,
        at.row.id,
        "failed",
        with_tries(&at.row, at.next, notes),
    )
    .await
}

fn with_tries(row: &Row, next: TaskStatus, mut notes: Vec<String>) -> Vec<String> {
    let left = row.max_attempts - row.failures - 1;
    notes.push(match next {
        TaskStatus::Pending if left == 1 => "1 attempt is left; it is ready again".to_owned(),
        TaskStatus::Pending => format!("{left} attempts are left; it is ready again"),
        _ => format!(
            "no attempt is left; a person can type: !task retry {}",
            row.short()
        ),
    });
    notes
}

pub(crate) async fn block(exec: &mut Exec<'_>, args: &verbs::Block) -> Result<Reply, Stop> {
    let at = take(exec, args.task, Step::Block).await?;
    let notes = end(exec, &at.row, "blocked", interrupted(at.party)).await?;
    let reason = args.reason.as_str();
    budget::leave(exec, &[at.row.id]).await?;
    write::status(exec, at.row.id, at.next, Some(reason), at.row.failures).await?;
    write::event(exec, &at.row, "task.blocked", Some(reason)).await?;
    if exec.actor.agent.is_some() {
        write::tell(exec, &at.row, "is blocked", Attention::Loud, Some(reason)).await?;
    }
    write::answer(exec, at.row.id, "blocked", notes).await
}

pub(crate) async fn unblock(exec: &mut Exec<'_>, args: &verbs::Unblock) -> Result<Reply, Stop> {
    let at = take(exec, args.task, Step::Unblock).await?;
    write::status(exec, at.row.id, at.next, None, at.row.failures).await?;
    write::event(exec, &at.row, "task.unblocked", None).await?;
    write::answer(exec, at.row.id, "unblocked", Vec::new()).await
}

pub(crate) async fn cancel(exec: &mut Exec<'_>, args: &verbs::Cancel) -> Result<Reply, Stop> {
    let at = take(exec, args.task, Step::Cancel).await?;
    let mut notes = end(exec, &at.row, "cancelled", interrupted(at.party)).await?;
    let reason = args.reason.as_ref().map(|r| r.as_str());
    budget::leave(exec, &[at.row.id]).await?;
    write::status(exec, at.row.id, at.next, reason, at.row.failures).await?;
    write::event(exec, &at.row, "task.cancelled", reason).await?;
    hand_back::settled(exec, &at.row).await?;
    notes.extend(waiting(exec, &at.row).await?);
    write::answer(exec, at.row.id, "cancelled", notes).await
}

/// Tasks that wait for this one for nothing now, as one sentence.
async fn waiting(exec: &mut Exec<'_>, row: &Row) -> Result<Option<String>, Stop> {
    let numbers = sqlx::query_scalar!(
        r#"SELECT t.number FROM fleet.task_dependencies d
           JOIN fleet.tasks t ON t.tenant_id = d.tenant_id AND t.id = d.task_id
           WHERE d.tenant_id = $1 AND d.depends_on = $2 AND t.status NOT IN ('completed', 'failed', 'cancelled')
           ORDER BY t.number"#,
        exec.tenant.as_str(),
        row.id
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    let names: Vec<_> = numbers.iter().map(|n| format!("t{n}")).collect();
    Ok(numbers.first().map(|n| {
        format!(
            "still waiting for it: {}; free each with: !task depend t{n} --on {} --remove",
            names.join(", "),
            row.short()
        )
    }))
}

pub(crate) async fn retry(exec: &mut Exec<'_>, args: &verbs::Retry) -> Result<Reply, Stop> {
    let at = take(exec, args.task, Step::Retry).await?;
    // A person decided: the attempts are counted anew.
    write::status(exec, at.row.id, at.next, None, 0).await?;
    write::event(exec, &at.row, "retry.scheduled", None).await?;
    hand_back::settled(exec, &at.row).await?;
    write::answer(exec, at.row.id, "made ready again", Vec::new()).await
}

/// Ends the lease of a task if it has run out; called by the sweep.
pub(crate) async fn expire(exec: &mut Exec<'_>, id: Uuid) -> Result<(), Stop> {
    let row = row::lock(exec, id).await?;
    if row.lease().is_some_and(|l| l.has_ended(exec.now)) {
        lose(exec, row, "expired", "its lease ended").await?;
    }
    Ok(())
}

/// Takes away all that an agent holds: it was restarted or retired. The short forms of its tasks.
pub(in super::super) async fn lose_leases(
    exec: &mut Exec<'_>,
    agent: Uuid,
    why: &str,
) -> Result<Vec<String>, Stop> {
    let ids = sqlx::query_scalar!(
        "SELECT task_id FROM fleet.attempts WHERE tenant_id = $1 AND agent_id = $2 AND ended_at IS NULL ORDER BY task_id",
        exec.tenant.as_str(),
        agent
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    let mut lost = Vec::new();
    for id in ids {
        let row = row::lock(exec, id).await?;
        if row.held.as_ref().is_some_and(|h| h.agent == Some(agent)) {
            lost.push(row.short());
            lose(exec, row, "retired", why).await?;
        }
    }
    Ok(lost)
}

async fn lose(exec: &mut Exec<'_>, row: Row, outcome: &str, why: &str) -> Result<(), Stop> {
    let next = step(Step::Expire, row.status, Party::Operator, row.tries())?;
    end(exec, &row, outcome, Settle::Presume).await?;
    write::status(exec, row.id, next, Some(why), row.failures + 1).await?;
    if next == TaskStatus::Escalated {
        write::event(exec, &row, "task.escalated", Some(why)).await?;
        let why = format!("{why}, and no attempt is left");
        hand_back::raise(exec, &row, &why).await
    } else {
        write::event(exec, &row, "retry.scheduled", Some(why)).await
    }
}
