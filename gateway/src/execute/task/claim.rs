//! Claims: one task, one holder, one epoch.

mod begun;
mod ready;
mod together;

use fleet_policy::task::{Step, step};
use fleet_protocol::problem::Code;
use fleet_protocol::verbs::task::{self as verbs, TaskStatus};
use fleet_protocol::{Problem, Reply};
use uuid::Uuid;

use super::super::budget::{self, Claimer, Verdict};
use super::super::{Exec, Stop, inbox};
use super::fit::{Fit, fit, switches};
use super::row::{self, Row};
use super::{dispatch, replan, reserve, write};
use begun::Start;
use ready::Whose;
pub(crate) use together::{Asking, claim_all};

/// How many tasks one claim tries while the budget refuses them (budget.md, "Ledger").
const CANDIDATES: usize = 3;

pub(crate) async fn claim(exec: &mut Exec<'_>, args: &verbs::Claim) -> Result<Reply, Stop> {
    let bounds = switches(exec).await?.bounds;
    let fit = match exec.actor.agent.clone() {
        Some(agent) => Some(fit(exec, &agent, bounds).await?),
        None => None,
    };
    match args.task {
        Some(reference) => claim_this(exec, reference, fit).await,
        None => claim_next(exec, fit).await,
    }
}

async fn claim_this(
    exec: &mut Exec<'_>,
    reference: fleet_protocol::TaskRef,
    fit: Option<Fit>,
) -> Result<Reply, Stop> {
    let id = exec.resolve(reference).await?;
    let row = row::lock(exec, id).await?;
    check(exec, &row, fit.as_ref().map(|f| f.role.as_str()))?;
    let claimer = claimer(exec);
    let work = row.work(fit.map(|f| f.holder));
    match begin(exec, &row, &work, Some(&claimer), Waits::Yes).await? {
        Begun::Yes(row, notes) => claimed(exec, *row, notes).await,
        Begun::No(problem) => in_vain(exec, problem).await,
    }
}

/// Nothing begins; what was found out is kept, and that it was tried answers what the agent was told of ready work.
async fn in_vain(exec: &mut Exec<'_>, problem: Box<Problem>) -> Result<Reply, Stop> {
    exec.keep_refused = true;
    if let Some(agent) = exec.actor.agent.as_ref().map(|a| a.id) {
        inbox::tried(exec, agent).await?;
    }
    Err(Stop::Refused(problem))
}

/// Who asks, as somebody whose claim may wait.
fn claimer(exec: &Exec<'_>) -> Claimer {
    match &exec.actor.agent {
        Some(agent) => Claimer::Agent(agent.clone()),
        None => Claimer::Person(exec.actor.principal.clone()),
    }
}

async fn claim_next(exec: &mut Exec<'_>, fit: Option<Fit>) -> Result<Reply, Stop> {
    let (role, holder) = fit.map(|f| (f.role, f.holder)).unzip();
    let role = role.as_deref();
    let mut refused: Vec<(Uuid, Option<String>)> = Vec::new();
    let mut first = None;
    // Who waits with one task does not wait with another: only the first one keeps the claim.
    let (claimer, mut waits) = (claimer(exec), Waits::Yes);
    while refused.len() < CANDIDATES {
        let whose = Whose::of(exec);
        let Some(&id) = ready::next(exec, role, &whose, &refused, 1).await?.first() else {
            break;
        };
        let row = row::load(exec, id).await?;
        let tried = (row.id, row.provider.as_ref().map(ToString::to_string));
        let work = row.work(holder.clone());
        match begin(exec, &row, &work, Some(&claimer), waits).await? {
            Begun::Yes(row, notes) => return claimed(exec, *row, notes).await,
            Begun::No(problem) => {
                first.get_or_insert(problem);
                refused.push(tried);
                waits = Waits::No;
            }
        }
    }
    match first {
        Some(problem) => in_vain(exec, problem).await,
        None => replan::nothing_ready(exec, role).await,
    }
}

/// Whether this task may be claimed, apart from the budget.
fn check(exec: &Exec<'_>, row: &Row, role: Option<&str>) -> Result<(), Stop> {
    if let Some(held) = row.held.as_ref() {
        let until = held
            .until
            .map(|u| format!("; the lease ends {}", exec.reader().moment(u)))
            .unwrap_or_default();
        return Err(Problem::new(
            Code::Held,
            format!("{} holds {}{until}", held.holder, row.short()),
        )
        .remedy("take another one: !task claim")
        .into());
    }
    step(Step::Claim, row.status, row.party(exec), row.tries())?;
    row.done_before()?;
    reserve::check(exec, row)?;
    match role {
        Some(role) if role != row.role.as_str() => Err(Problem::new(
            Code::WrongRole,
            format!(
                "{} is for the role {}; yours is {role}",
                row.short(),
                row.role
            ),
        )
        .remedy("take the next one of your role: !task claim")
        .into()),
        _ => Ok(()),
    }
}

/// What became of a try to begin an attempt.
pub(super) enum Begun {
    /// It runs, as the task is now; what the claimer should know.
    Yes(Box<Row>, Vec<String>),
    /// It waits for budget now, or never gets any.
    No(Box<Problem>),
}

/// Whether a claim stays with a task that must wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waits {
    Yes,
    No,
}

/// Begins an attempt of somebody, if the budget admits it. Without a claimer the task only becomes ready.
pub(super) async fn begin(
    exec: &mut Exec<'_>,
    row: &Row,
    work: &budget::Work,
    claimer: Option<&Claimer>,
    waits: Waits,
) -> Result<Begun, Stop> {
    let verdict = budget::decide(exec, work).await?;
    act(exec, row, work, claimer, waits, verdict).await
}

/// Does what the budget decided.
pub(super) async fn act(
    exec: &mut Exec<'_>,
    row: &Row,
    work: &budget::Work,
    claimer: Option<&Claimer>,
    waits: Waits,
    verdict: Verdict,
) -> Result<Begun, Stop> {
    let waiting = claimer.filter(|_| waits == Waits::Yes);
    match verdict {
        Verdict::Go(plan) => {
            let (row, notes) = run(exec, row, claimer, work, &plan).await?;
            Ok(Begun::Yes(Box::new(row), notes))
        }
        Verdict::Wait(waits) => {
            let stay = Stay {
                row,
                work,
                waits: &waits,
                claimer: waiting,
            };
            stay_all(exec, std::slice::from_ref(&stay)).await?;
            Ok(Begun::No(Box::new(named(row, "is queued", &waits.problem))))
        }
        Verdict::Never(refused) => {
            budget::refused(exec, work, &refused).await?;
            let problem = &refused.problem;
            write::status(
                exec,
                row.id,
                TaskStatus::Blocked,
                Some(&problem.detail),
                row.failures,
            )
            .await?;
            write::event(exec, row, "task.blocked", Some(&problem.detail)).await?;
            Ok(Begun::No(Box::new(named(row, "is refused", problem))))
        }
    }
}

/// A task that must wait.
pub(super) struct Stay<'a> {
    pub(super) row: &'a Row,
    pub(super) work: &'a budget::Work,
    pub(super) waits: &'a budget::Waits,
    /// Whose claim waits with it from now on; none: whoever waits with it already.
    pub(super) claimer: Option<&'a Claimer>,
}

impl Stay<'_> {
    fn status(&self) -> TaskStatus {
        match self.row.status {
            TaskStatus::BudgetPaused => TaskStatus::BudgetPaused,
            _ => TaskStatus::Queued,
        }
    }

    fn note(&self) -> &str {
        &self.waits.problem.detail
    }
}

/// Puts tasks into the queue, or keeps them there, each with the reason.
pub(super) async fn stay_all(exec: &mut Exec<'_>, all: &[Stay<'_>]) -> Result<(), Stop> {
    let puts = all.iter().map(|stay| budget::Put {
        work: stay.work,
        waits: stay.waits,
        claimer: stay.claimer,
    });
    budget::put(exec, &puts.collect::<Vec<_>>()).await?;
    let is_new = |s: &&Stay<'_>| s.row.status != s.status();
    let changed = all
        .iter()
        .filter(|s| is_new(s) || s.row.note.as_deref() != Some(s.note()));
    let changed: Vec<_> = changed.map(|s| (s.row.id, s.status(), s.note())).collect();
    write::waiting(exec, &changed).await?;
    for stay in all.iter().filter(is_new) {
        write::event(exec, stay.row, "task.queued", Some(stay.note())).await?;
    }
    Ok(())
}

/// The problem with the task's name, and the task in the lines to type.
fn named(row: &Row, what: &str, problem: &Problem) -> Problem {
    let short = row.short();
    Problem {
        detail: format!("{short} {what}: {}", problem.detail),
        remedy: problem.remedy.as_ref().map(|r| r.replace("TASK", &short)),
        ..problem.clone()
    }
}

/// Starts an attempt as planned.
async fn run(
    exec: &mut Exec<'_>,
    row: &Row,
    claimer: Option<&Claimer>,
    work: &budget::Work,
    plan: &budget::Plan,
) -> Result<(Row, Vec<String>), Stop> {
    let Some(claimer) = claimer else {
        budget::leave(exec, &[row.id]).await?;
        write::status(exec, row.id, TaskStatus::Pending, None, row.failures).await?;
        write::event(exec, row, "task.ready", None).await?;
        let ready = Row {
            status: TaskStatus::Pending,
            note: None,
            ..row.clone()
        };
        return Ok((ready, Vec::new()));
    };
    let (start, begun) = Start::new(exec, row, claimer, work, plan);
    let mut notes = start.notes();
    notes.extend(budget::hint(exec, plan.ungoverned()).await?);
    begun::write(exec, vec![start]).await?;
    Ok((begun, notes))
}

/// The answer to a claim.
async fn claimed(exec: &mut Exec<'_>, row: Row, notes: Vec<String>) -> Result<Reply, Stop> {
    remark(exec, &row);
    dispatch::answer(exec, row, "claimed", notes).await
}

fn remark(exec: &mut Exec<'_>, row: &Row) {
    let what = format!("is claimed by {}", write::by(exec));
    write::remark(exec, row, &what, None);
}
