//! What waits for budget starts by itself when it fits, and sooner by an operator's word.

use fleet_policy::bounds::WorkerBounds;
use fleet_policy::budget::queue::Look;
use fleet_protocol::Problem;
use fleet_protocol::outbox::Attention;
use fleet_protocol::problem::Code;
use fleet_protocol::verbs::task::{self as verbs, TaskStatus};
use fleet_protocol::{Reply, Timestamp};
use jiff::SignedDuration;
use uuid::Uuid;

use super::super::budget::{self, Claimer};
use super::super::{Exec, Stop, inbox};
use super::claim::{self, Begun, Stays, Waits};
use super::fit;
use super::row::{self, Row};
use super::{dispatch, write};

/// Tasks that one look starts; what is left is due at once again.
const STARTED: usize = 50;
/// While the fleet is paused the queue is looked at so often.
const PAUSED_LOOK: SignedDuration = SignedDuration::from_secs(30);

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
        Some(claimer) => vec![let_go(exec, &row, &claimer).await?],
        None => vec!["It starts past pacing and queue when it is claimed.".to_owned()],
    };
    write::answer(exec, id, "let go first", notes).await
}

/// Lets a task go for the claim that waits with it; what became of it, as a sentence.
async fn let_go(exec: &mut Exec<'_>, row: &Row, claimer: &Claimer) -> Result<String, Stop> {
    let bounds = match fit::switches(exec).await {
        Ok(switches) => switches.bounds,
        Err(Stop::Refused(problem)) => return Ok(problem.detail),
        Err(stop) => return Err(stop),
    };
    Ok(match started(exec, row, Some(claimer), bounds).await? {
        Looked::Begun => format!("It runs now, held by {}.", name(claimer)),
        Looked::Waits(stays) => stays.problem.detail,
        Looked::Kept(problem) => problem.detail,
    })
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

/// What became of a look at a waiting task.
enum Looked {
    /// It runs, or is ready to be claimed.
    Begun,
    /// It waits for budget.
    Waits(Box<Stays>),
    /// Something else keeps it.
    Kept(Box<Problem>),
}

/// Starts a waiting task for the claim that waits with it, if everything else but the budget admits it
/// too. Without a claim it only becomes ready.
async fn started(
    exec: &mut Exec<'_>,
    row: &Row,
    claimer: Option<&Claimer>,
    bounds: WorkerBounds,
) -> Result<Looked, Stop> {
    let holder = match claimer {
        Some(Claimer::Agent(agent)) => match fit::fit(exec, agent, bounds).await {
            Ok(fit) => Some(fit.holder),
            Err(Stop::Refused(problem)) => return Ok(Looked::Kept(problem)),
            Err(stop) => return Err(stop),
        },
        Some(Claimer::Person(_)) | None => None,
    };
    let work = row.work(holder);
    let waits = claimer.map_or(Waits::No, |_| Waits::Yes);
    let (begun, notes) = match claim::begin(exec, row, &work, claimer, waits).await? {
        Begun::No(stays) => return Ok(Looked::Waits(stays)),
        Begun::Yes(begun, notes) => (begun, notes),
    };
    let Some(claimer) = claimer else {
        return Ok(Looked::Begun);
    };
    let since = row.queued_at;
    let row = &*begun;
    let waited = since.map_or_else(String::new, |at| {
        let seconds = exec.now.0.duration_since(at.0).as_secs().unsigned_abs();
        format!(" after waiting {}", fleet_protocol::time::span(seconds))
    });
    let what = format!("starts by itself{waited}, held by {}", name(claimer));
    let note = (!notes.is_empty()).then(|| notes.join(" "));
    write::tell(exec, row, &what, Attention::Quiet, note.as_deref()).await?;
    if let Claimer::Agent(agent) = claimer
        && let Some(to) = inbox::reach(exec, agent.id).await?
    {
        let task = dispatch::briefed(exec, row.clone(), true).await?;
        inbox::begun(exec, &to, row.id, &task).await?;
    }
    Ok(Looked::Begun)
}

/// Looks at the queue of the tenant in order, and starts what fits; called by the sweep. Of tasks that ask
/// for the same only the first that waits is looked at: the others wait behind it.
pub(crate) async fn look(exec: &mut Exec<'_>) -> Result<(), Stop> {
    // The switch row comes first, as with every claim: two looks, or a look and a claim, take turns.
    let bounds = match fit::switches(exec).await {
        Ok(switches) => switches.bounds,
        Err(Stop::Refused(_)) => return later(exec).await,
        Err(stop) => return Err(stop),
    };
    budget::nudged(exec).await?;
    let (mut begun, mut seen, mut behind) = (0, Look::default(), Vec::new());
    for queued in budget::in_order(exec).await? {
        if let Some(eta) = seen.covers(&queued.lane, queued.need) {
            behind.push((queued.task, eta));
            continue;
        }
        if begun == STARTED {
            budget::nudge(exec).await?;
            break;
        }
        let row = row::lock(exec, queued.task).await?;
        if !is_waiting(row.status) {
            budget::leave(exec, &[queued.task]).await?;
            continue;
        }
        let before = exec.outbox.len();
        let looked = match started(exec, &row, queued.claimer.as_ref(), bounds).await {
            // Nobody pays for it as things are; the others need not wait for that.
            Err(Stop::Refused(problem)) => Looked::Kept(problem),
            looked => looked?,
        };
        match looked {
            Looked::Begun => {
                begun += 1;
                continue;
            }
            Looked::Waits(stays) if stays.is_common => {
                seen.waits(queued.lane, queued.need, stays.eta);
            }
            Looked::Waits(_) => {}
            Looked::Kept(_) => again(exec, queued.task).await?,
        }
        exec.outbox.truncate(before);
    }
    budget::stay(exec, &behind).await
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
    let at = exec
        .now
        .0
        .checked_add(PAUSED_LOOK)
        .map_or(exec.now, Timestamp);
    budget::nudged(exec).await?;
    budget::nudge_at(exec, at).await?;
    sqlx::query!(
        "UPDATE fleet.budget_queue SET look_at = $3 WHERE tenant_id = $1 AND look_at <= $2",
        exec.tenant.as_str(),
        crate::db::time(exec.now) as _,
        crate::db::time(at) as _
    )
    .execute(&mut *exec.tx)
    .await?;
    Ok(())
}
