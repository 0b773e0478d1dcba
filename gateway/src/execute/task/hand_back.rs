//! Work that its holder cannot finish: handed back, or put before the operators, with what there is so far.

use fleet_policy::hand_back;
use fleet_policy::task::Step;
use fleet_protocol::problem::Code;
use fleet_protocol::verbs::hand_back::HandBack;
use fleet_protocol::verbs::task::{self as verbs, TaskStatus};
use fleet_protocol::{Problem, Reply};
use uuid::Uuid;

use super::super::{Exec, Stop, budget, inbox};
use super::finish::{end, interrupted, take};
use super::reserve::{self, Reserved};
use super::row::{self, Row};
use super::{claim, dispatch, write};
use crate::incident;

/// The rule of the incident that a task needs a person.
const ESCALATED: &str = "task.escalated";

pub(crate) async fn release(exec: &mut Exec<'_>, args: &verbs::Release) -> Result<Reply, Stop> {
    let at = take(exec, args.task, Step::Release).await?;
    keep(exec, &at.row, args.result.as_ref()).await?;
    let notes = end(exec, &at.row, "released", interrupted(at.party)).await?;
    let reason = args.reason.as_ref().map(|r| r.as_str());
    let handed_back = at.row.held.as_ref().is_some_and(|h| h.is_handing_back);
    if handed_back {
        return paused(exec, at.row, reason, notes).await;
    }
    write::status(exec, at.row.id, at.next, reason, at.row.failures).await?;
    write::event(exec, &at.row, "task.released", reason).await?;
    write::answer(exec, at.row.id, "released", notes).await
}

/// Keeps with the attempt in force what there is so far.
async fn keep(exec: &mut Exec<'_>, row: &Row, result: Option<&HandBack>) -> Result<(), Stop> {
    let Some(result) = result else {
        return Ok(());
    };
    hand_back::check(result)?;
    if row.held.is_none() {
        return Err(Problem::new(
            Code::WrongState,
            format!("nobody holds {}, so there is no result of it", row.short()),
        )
        .remedy("leave --result out")
        .into());
    }
    sqlx::query!(
        "UPDATE fleet.attempts SET handed_back = $3 WHERE tenant_id = $1 AND task_id = $2 AND ended_at IS NULL",
        exec.tenant.as_str(),
        row.id,
        serde_json::json!(result)
    )
    .execute(&mut *exec.tx)
    .await?;
    Ok(())
}

/// Handed back because no more could be granted: its partial result is kept, and it is ready again by
/// itself as soon as the budget admits it.
async fn paused(
    exec: &mut Exec<'_>,
    row: Row,
    reason: Option<&str>,
    mut notes: Vec<String>,
) -> Result<Reply, Stop> {
    write::status(exec, row.id, TaskStatus::BudgetPaused, reason, row.failures).await?;
    write::event(exec, &row, "task.paused", reason).await?;
    let row = row::load(exec, row.id).await?;
    let work = row.work(None);
    if let claim::Begun::No(problem) =
        claim::begin(exec, &row, &work, None, claim::Waits::No).await?
    {
        notes.push(problem.detail);
    }
    write::answer(exec, row.id, "released", notes).await
}

/// Puts a task before the operators; it waits for their answer.
pub(crate) async fn escalate(exec: &mut Exec<'_>, args: &verbs::Escalate) -> Result<Reply, Stop> {
    let at = take(exec, args.task, Step::Escalate).await?;
    keep(exec, &at.row, args.result.as_ref()).await?;
    let mut notes = end(exec, &at.row, "escalated", interrupted(at.party)).await?;
    let reason = args.reason.as_str();
    budget::leave(exec, &[at.row.id]).await?;
    write::status(exec, at.row.id, at.next, Some(reason), at.row.failures).await?;
    write::event(exec, &at.row, "task.escalated", Some(reason)).await?;
    let asks = format!("{} asks: {reason}", write::by(exec));
    raise(exec, &at.row, &asks).await?;
    notes.push("The operators are asked, and it waits for their answer.".to_owned());
    write::answer(exec, at.row.id, "escalated", notes).await
}

/// Calls the operators in their room, once while the task needs them.
pub(super) async fn raise(exec: &mut Exec<'_>, row: &Row, why: &str) -> Result<(), Stop> {
    let short = row.short();
    let detail = detail(&row.title, &short, why);
    let raised = incident::Raised {
        rule: ESCALATED,
        subject: &short,
        detail: &detail,
    };
    incident::open(exec.tx, exec.tenant, exec.ids, exec.now, &raised).await?;
    Ok(())
}

/// What the operators read: why it stands still, and what lets it go on.
fn detail(title: &str, short: &str, why: &str) -> String {
    let why = why.trim_end_matches('.');
    let stop = if why.ends_with(['?', '!']) { "" } else { "." };
    format!(
        "{title} – {why}{stop} It goes on with your answer: !task answer {short} \"...\", or as it is: !task retry {short}. To give it up: !task cancel {short}"
    )
}

/// The operators are not needed any more.
pub(super) async fn settled(exec: &mut Exec<'_>, row: &Row) -> Result<(), Stop> {
    let short = row.short();
    let about = (ESCALATED, short.as_str());
    incident::resolve(exec.tx, exec.tenant, exec.ids, exec.now, about).await?;
    Ok(())
}

/// Answers what was asked: the task is ready again, for the agent that asked if it is still there.
pub(crate) async fn answer(exec: &mut Exec<'_>, args: &verbs::Answer) -> Result<Reply, Stop> {
    let id = exec.resolve(args.task).await?;
    // Agents are locked before tasks, as by a claim.
    let asker = match asker(exec, id).await? {
        Some(agent) => inbox::reach(exec, agent).await?,
        None => None,
    };
    let at = take(exec, args.task, Step::Answer).await?;
    sqlx::query!(
        "UPDATE fleet.tasks SET escalation_reason = coalesce($3, escalation_reason), escalation_answer = $4, answered_by = $5
         WHERE tenant_id = $1 AND id = $2",
        exec.tenant.as_str(),
        id,
        at.row.note,
        args.text.as_str(),
        exec.actor.principal
    )
    .execute(&mut *exec.tx)
    .await?;
    // A person decided: the attempts are counted anew.
    write::status(exec, id, at.next, None, 0).await?;
    write::event(exec, &at.row, "task.answered", Some(args.text.as_str())).await?;
    settled(exec, &at.row).await?;
    let Some(asker) = asker.filter(|a| a.role == at.row.role) else {
        let note = format!("Any {} may take it now.", at.row.role);
        return write::answer(exec, id, "answered", vec![note]).await;
    };
    let kept = Reserved {
        agent: asker.id,
        name: asker.name.clone(),
    };
    reserve::keep(exec, &at.row, Some(&kept)).await?;
    let row = row::load(exec, id).await?;
    let task = dispatch::briefed(exec, row, true).await?;
    inbox::give(exec, &asker, id, &task).await?;
    let note = format!("{} is told, and it is kept for it.", asker.name);
    write::answer(exec, id, "answered", vec![note]).await
}

/// The agent that put the task before the operators.
async fn asker(exec: &mut Exec<'_>, task: Uuid) -> Result<Option<Uuid>, Stop> {
    let asker = sqlx::query_scalar!(
        r#"SELECT CASE WHEN outcome = 'escalated' THEN agent_id END FROM fleet.attempts
           WHERE tenant_id = $1 AND task_id = $2 ORDER BY attempt DESC LIMIT 1"#,
        exec.tenant.as_str(),
        task
    )
    .fetch_optional(&mut *exec.tx)
    .await?;
    Ok(asker.flatten())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_ends_as_it_was_written() {
        for (why, expected) in [
            (
                "code-1 asks: Which key?",
                "Sign it – code-1 asks: Which key? It goes on",
            ),
            (
                "no attempt is left",
                "Sign it – no attempt is left. It goes on",
            ),
            (
                "it failed: no disk.",
                "Sign it – it failed: no disk. It goes on",
            ),
        ] {
            let said = detail("Sign it", "t1", why);
            assert!(said.starts_with(expected), "{said}");
        }
    }
}
