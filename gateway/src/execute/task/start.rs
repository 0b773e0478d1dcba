//! What waits for budget starts sooner by an operator's word.

use fleet_policy::bounds::WorkerBounds;
use fleet_protocol::outbox::Attention;
use fleet_protocol::problem::Code;
use fleet_protocol::verbs::task::{self as verbs, TaskStatus};
use fleet_protocol::{Problem, Reply};

use super::super::budget::{self, Claimer};
use super::super::{Exec, Stop, inbox};
use super::claim::{self, Begun, Waits};
use super::fit;
use super::row::{self, Row};
use super::{dispatch, write};

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
        Looked::Stays(problem) => problem.detail,
    })
}

pub(super) fn is_waiting(status: TaskStatus) -> bool {
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

/// What became of a task that was let go.
enum Looked {
    /// It runs, or is ready to be claimed.
    Begun,
    /// The budget or something else keeps it.
    Stays(Box<Problem>),
}

/// Starts a waiting task for the claim that waits with it, if everything else but the budget admits it
/// too. Without a claim it only becomes ready.
async fn started(
    exec: &mut Exec<'_>,
    row: &Row,
    claimer: Option<&Claimer>,
    bounds: WorkerBounds,
) -> Result<Looked, Stop> {
    let holder = match claimer.and_then(Claimer::agent) {
        Some(agent) => match fit::fit(exec, agent, bounds).await {
            Ok(fit) => Some(fit.holder),
            Err(Stop::Refused(problem)) => return Ok(Looked::Stays(problem)),
            Err(stop) => return Err(stop),
        },
        None => None,
    };
    let work = row.work(holder);
    let waits = claimer.map_or(Waits::No, |_| Waits::Yes);
    let begun = claim::begin(exec, row, &work, claimer, waits).await?;
    let stays = told(exec, row, claimer, begun).await?;
    Ok(stays.map_or(Looked::Begun, Looked::Stays))
}

/// Tells who waited for a task that it begins; why it stays, where it does.
pub(super) async fn told(
    exec: &mut Exec<'_>,
    row: &Row,
    claimer: Option<&Claimer>,
    begun: Begun,
) -> Result<Option<Box<Problem>>, Stop> {
    let (begun, notes) = match begun {
        Begun::No(problem) => return Ok(Some(problem)),
        Begun::Yes(begun, notes) => (begun, notes),
    };
    let Some(claimer) = claimer else {
        return Ok(None);
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
    Ok(None)
}
