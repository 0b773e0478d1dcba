//! What waits for budget starts by itself when it fits, and sooner by an operator's word.

use fleet_protocol::Problem;
use fleet_protocol::Reply;
use fleet_protocol::outbox::Attention;
use fleet_protocol::problem::Code;
use fleet_protocol::verbs::task::{self as verbs, TaskStatus};
use uuid::Uuid;

use super::super::budget::{self, Claimer};
use super::super::{Exec, Stop};
use super::claim::{self, Begun, Waits};
use super::row::{self, Row};
use super::write;

/// Tasks that one look starts; what is left is due at once again.
const STARTED: usize = 50;

/// Lets a waiting task start past pacing and queue, never past the cap.
pub(crate) async fn start(exec: &mut Exec<'_>, args: &verbs::Start) -> Result<Reply, Stop> {
    let id = exec.resolve(args.task).await?;
    let row = row::lock(exec, id).await?;
    if !is_waiting(row.status) {
        return Err(Problem::new(
            Code::WrongState,
            format!("{} is {} and waits for nothing", row.short(), row.status),
        )
        .remedy("only a task that is pending, queued or budget_paused can be let go first")
        .into());
    }
    sqlx::query!(
        "UPDATE fleet.tasks SET start_now_by = $3 WHERE tenant_id = $1 AND id = $2",
        exec.tenant.as_str(),
        id,
        exec.actor.principal
    )
    .execute(&mut *exec.tx)
    .await?;
    write::event(exec, &row, "task.start", None).await?;
    let row = row::load(exec, id).await?;
    let claimer = budget::in_order(exec)
        .await?
        .into_iter()
        .find(|q| q.task == id)
        .and_then(|q| q.claimer);
    let notes = match claimer {
        Some(claimer) => match started(exec, &row, &claimer).await? {
            None => vec![format!("It runs now, held by {}.", name(&claimer))],
            Some(problem) => vec![problem.detail],
        },
        None => vec!["It starts past pacing and queue when it is claimed.".to_owned()],
    };
    write::answer(exec, id, "let go first", notes).await
}

fn is_waiting(status: TaskStatus) -> bool {
    matches!(
        status,
        TaskStatus::Pending | TaskStatus::Queued | TaskStatus::BudgetPaused
    )
}

fn name(claimer: &Claimer) -> String {
    match claimer {
        Claimer::Agent(agent) => agent.name.to_string(),
        Claimer::Person(person) => person.clone(),
    }
}

/// Starts a waiting task for the claim that waits with it, if everything else but the budget admits it
/// too; else why not.
async fn started(
    exec: &mut Exec<'_>,
    row: &Row,
    claimer: &Claimer,
) -> Result<Option<Problem>, Stop> {
    let bounds = match claim::switches(exec).await {
        Ok(bounds) => bounds,
        Err(Stop::Refused(problem)) => return Ok(Some(*problem)),
        Err(stop) => return Err(stop),
    };
    if let Claimer::Agent(agent) = claimer {
        match claim::fit(exec, agent, bounds).await {
            Ok(_) => {}
            Err(Stop::Refused(problem)) => return Ok(Some(*problem)),
            Err(stop) => return Err(stop),
        }
    }
    let since = row.queued_at;
    match claim::begin(exec, row, Some(claimer), Waits::Yes).await? {
        Begun::No(problem) => Ok(Some(problem)),
        Begun::Yes(notes) => {
            let row = row::load(exec, row.id).await?;
            write::event(exec, &row, "task.started", None).await?;
            let waited = since.map_or_else(String::new, |at| {
                let seconds = exec.now.0.duration_since(at.0).as_secs().unsigned_abs();
                format!(" after waiting {}", fleet_protocol::time::span(seconds))
            });
            let what = format!("starts by itself{waited}, held by {}", name(claimer));
            let note = (!notes.is_empty()).then(|| notes.join(" "));
            write::tell(exec, &row, &what, Attention::Quiet, note.as_deref()).await?;
            Ok(None)
        }
    }
}

/// Looks at the whole queue of the tenant in order, and starts what fits; called by the sweep.
pub(crate) async fn look(exec: &mut Exec<'_>) -> Result<(), Stop> {
    let mut begun = 0;
    // The switch row comes first, as with every claim: two looks, or a look and a claim, take turns.
    if let Err(stop) = claim::switches(exec).await {
        return match stop {
            Stop::Refused(_) => later(exec).await,
            Stop::Database(_) => Err(stop),
        };
    }
    for queued in budget::in_order(exec).await? {
        let row = row::lock(exec, queued.task).await?;
        if !is_waiting(row.status) {
            budget::leave(exec, queued.task).await?;
            continue;
        }
        if begun == STARTED {
            return Ok(());
        }
        let before = exec.outbox.len();
        let stayed = match &queued.claimer {
            Some(claimer) => started(exec, &row, claimer).await?.is_some(),
            None => matches!(
                claim::begin(exec, &row, None, Waits::No).await?,
                Begun::No(_)
            ),
        };
        if stayed {
            exec.outbox.truncate(before);
            again(exec, queued.task).await?;
        } else {
            begun += 1;
        }
    }
    Ok(())
}

/// A task that stayed for another reason than the budget is looked at again in a while.
async fn again(exec: &mut Exec<'_>, task: Uuid) -> Result<(), Stop> {
    sqlx::query!(
        "UPDATE fleet.budget_queue SET look_at = $3 + interval '30 seconds' WHERE tenant_id = $1 AND task_id = $2 AND look_at <= $3",
        exec.tenant.as_str(),
        task,
        crate::db::time(exec.now) as _
    )
    .execute(&mut *exec.tx)
    .await?;
    Ok(())
}

/// While the fleet is paused nothing starts; it is looked at again in a while.
async fn later(exec: &mut Exec<'_>) -> Result<(), Stop> {
    sqlx::query!(
        "UPDATE fleet.budget_queue SET look_at = $2 + interval '30 seconds' WHERE tenant_id = $1 AND look_at <= $2",
        exec.tenant.as_str(),
        crate::db::time(exec.now) as _
    )
    .execute(&mut *exec.tx)
    .await?;
    Ok(())
}
