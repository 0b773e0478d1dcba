//! Claims: one task, one holder, one epoch.

use fleet_policy::lease::{Holder, Lease};
use fleet_policy::task::{Step, step};
use fleet_protocol::problem::Code;
use fleet_protocol::scalar::Name;
use fleet_protocol::verbs::task::{self as verbs, TaskStatus};
use fleet_protocol::{Problem, Reply, Timestamp};
use uuid::Uuid;

use super::super::budget::{self, Claimer, Verdict};
use super::super::{Exec, Stop, inbox};
use super::fit::{Fit, fit, former, switches};
use super::row::{self, Row};
use super::{dispatch, replan, reserve, write};
use crate::db;

/// How many tasks one claim tries while the budget refuses them (budget.md, "Ledger").
const CANDIDATES: usize = 3;

pub(crate) async fn claim(exec: &mut Exec<'_>, args: &verbs::Claim) -> Result<Reply, Stop> {
    // The row of switches is locked: claims see each other, and a pause is before or after each.
    let bounds = switches(exec).await?;
    let fit = match exec.actor.agent.clone() {
        Some(agent) => {
            let fit = fit(exec, &agent, bounds).await?;
            if fit.incarnation != agent.incarnation {
                return Err(former(&agent).into());
            }
            Some(fit)
        }
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
        Begun::No(stays) => {
            exec.keep_refused = true;
            Err(stays.problem.into())
        }
    }
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
        let Some(id) = next_ready(exec, role, &refused).await? else {
            break;
        };
        let row = row::load(exec, id).await?;
        let tried = (row.id, row.provider.as_ref().map(ToString::to_string));
        let work = row.work(holder.clone());
        match begin(exec, &row, &work, Some(&claimer), waits).await? {
            Begun::Yes(row, notes) => return claimed(exec, *row, notes).await,
            Begun::No(stays) => {
                first.get_or_insert(stays.problem);
                refused.push(tried);
                waits = Waits::No;
            }
        }
    }
    match first {
        Some(problem) => {
            exec.keep_refused = true;
            Err(problem.into())
        }
        None => replan::nothing_ready(exec, role).await,
    }
}

/// The most urgent ready task, locked; one that another transaction has locked is passed over.
async fn next_ready(
    exec: &mut Exec<'_>,
    role: Option<&str>,
    refused: &[(Uuid, Option<String>)],
) -> Result<Option<Uuid>, Stop> {
    let ids: Vec<Uuid> = refused.iter().map(|(id, _)| *id).collect();
    // What shares the account of a refused one would be refused as well.
    let providers: Vec<String> = refused.iter().filter_map(|(_, p)| p.clone()).collect();
    let tenant = exec.tenant.as_str();
    // A task with which somebody else waits is theirs.
    let agent = exec.actor.agent.as_ref().map(|a| a.id);
    let person = agent.is_none().then(|| exec.actor.principal.clone());
    let person = person.as_deref();
    // Two statements, so that the plan of the first can use the index by role.
    let found = match role {
        Some(role) => sqlx::query_scalar!(
            r#"SELECT t.id FROM fleet.tasks t
               WHERE t.tenant_id = $1 AND t.status IN ('pending', 'queued', 'budget_paused') AND t.role = $4
                 AND t.id <> ALL ($2) AND (t.provider IS NULL OR t.provider <> ALL ($3))
                 AND NOT EXISTS (SELECT FROM fleet.budget_queue q WHERE q.tenant_id = t.tenant_id AND q.task_id = t.id
                                 AND (q.agent_id IS DISTINCT FROM $5 OR q.person IS DISTINCT FROM $6)
                                 AND (q.agent_id IS NOT NULL OR q.person IS NOT NULL))
                 AND (t.reserved_agent IS NULL OR t.reserved_agent = $5)
                 AND NOT EXISTS (SELECT FROM fleet.task_dependencies d
                                 JOIN fleet.tasks o ON o.tenant_id = d.tenant_id AND o.id = d.depends_on
                                 WHERE d.tenant_id = t.tenant_id AND d.task_id = t.id AND o.status <> 'completed')
               ORDER BY t.priority DESC, t.number LIMIT 1 FOR UPDATE OF t SKIP LOCKED"#,
            tenant,
            &ids,
            &providers,
            role,
            agent,
            person
        )
        .fetch_optional(&mut *exec.tx)
        .await?,
        None => sqlx::query_scalar!(
            r#"SELECT t.id FROM fleet.tasks t
               WHERE t.tenant_id = $1 AND t.status IN ('pending', 'queued', 'budget_paused')
                 AND t.id <> ALL ($2) AND (t.provider IS NULL OR t.provider <> ALL ($3))
                 AND NOT EXISTS (SELECT FROM fleet.budget_queue q WHERE q.tenant_id = t.tenant_id AND q.task_id = t.id
                                 AND (q.agent_id IS DISTINCT FROM $4 OR q.person IS DISTINCT FROM $5)
                                 AND (q.agent_id IS NOT NULL OR q.person IS NOT NULL))
                 AND (t.reserved_agent IS NULL OR t.reserved_agent = $4)
                 AND NOT EXISTS (SELECT FROM fleet.task_dependencies d
                                 JOIN fleet.tasks o ON o.tenant_id = d.tenant_id AND o.id = d.depends_on
                                 WHERE d.tenant_id = t.tenant_id AND d.task_id = t.id AND o.status <> 'completed')
               ORDER BY t.priority DESC, t.number LIMIT 1 FOR UPDATE OF t SKIP LOCKED"#,
            tenant,
            &ids,
            &providers,
            agent,
            person
        )
        .fetch_optional(&mut *exec.tx)
        .await?,
    };
    Ok(found)
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
    No(Box<Stays>),
}

/// Why a task does not begin.
pub(super) struct Stays {
    pub(super) problem: Problem,
    /// Until when it waits, where that is known.
    pub(super) eta: Option<Timestamp>,
    /// Whether only what it shares with others of its lane keeps it.
    pub(super) is_common: bool,
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
    let waiting = claimer.filter(|_| waits == Waits::Yes);
    match budget::decide(exec, work).await? {
        Verdict::Go(plan) => {
            let (row, notes) = run(exec, row, claimer, work, &plan).await?;
            Ok(Begun::Yes(Box::new(row), notes))
        }
        Verdict::Wait(waits) => {
            budget::put(exec, work, &waits, waiting).await?;
            let problem = &waits.problem;
            let waiting = match row.status {
                TaskStatus::BudgetPaused => TaskStatus::BudgetPaused,
                _ => TaskStatus::Queued,
            };
            if row.status != waiting || row.note.as_ref() != Some(&problem.detail) {
                write::status(exec, row.id, waiting, Some(&problem.detail), row.failures).await?;
            }
            if row.status != waiting {
                write::event(exec, row, "task.queued", Some(&problem.detail)).await?;
            }
            Ok(Begun::No(Box::new(Stays {
                problem: named(row, "is queued", problem),
                eta: waits.eta,
                is_common: waits.is_common,
            })))
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
            Ok(Begun::No(Box::new(Stays {
                problem: named(row, "is refused", problem),
                eta: None,
                is_common: false,
            })))
        }
    }
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

/// Starts an attempt as planned. The attempt comes first: what the budget writes names its epoch.
async fn run(
    exec: &mut Exec<'_>,
    row: &Row,
    claimer: Option<&Claimer>,
    work: &budget::Work,
    plan: &budget::Plan,
) -> Result<(Row, Vec<String>), Stop> {
    let Some(claimer) = claimer else {
        budget::leave(exec, row.id).await?;
        write::status(exec, row.id, TaskStatus::Pending, None, row.failures).await?;
        write::event(exec, row, "task.ready", None).await?;
        let ready = Row {
            status: TaskStatus::Pending,
            note: None,
            ..row.clone()
        };
        return Ok((ready, Vec::new()));
    };
    if let Claimer::Agent(agent) = claimer {
        budget::waits_no_more(exec, agent.id, None).await?;
        inbox::begin_anew(exec, agent.id).await?;
    }
    let row = write_attempt(exec, row, claimer, plan).await?;
    let granted = budget::take(exec, work, row.attempt, plan).await?;
    if row.queued_at.is_some() {
        budget::leave(exec, row.id).await?;
    }
    let row = Row {
        queued_at: None,
        granted_tokens: granted.tokens.map(u64::cast_signed),
        ..row
    };
    Ok((row, granted.notes))
}

/// Writes a new attempt under a new lease; the task with it.
async fn write_attempt(
    exec: &mut Exec<'_>,
    row: &Row,
    claimer: &Claimer,
    plan: &budget::Plan,
) -> Result<Row, Stop> {
    let (agent, holder, kind) = match claimer {
        Claimer::Agent(agent) => (Some(agent), agent.name.to_string(), Holder::Agent),
        Claimer::Person(name) => (None, name.clone(), Holder::Person),
    };
    let lease = Lease::claim(row.epoch.cast_unsigned(), kind, exec.now);
    let attempt = row.attempt + 1;
    sqlx::query!(
        r#"WITH begun AS (
               INSERT INTO fleet.attempts (tenant_id, task_id, attempt, epoch, holder, agent_id, incarnation, role, started_at, lease_until,
                   subscription, model)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12))
           UPDATE fleet.tasks SET status = 'running', status_note = NULL, percent = NULL, attempt = $3, epoch = $4, updated_at = $9,
               start_now_by = NULL, reserved_agent = NULL, reserved_at = NULL
           WHERE tenant_id = $1 AND id = $2"#,
        exec.tenant.as_str(),
        row.id,
        attempt,
        lease.epoch.cast_signed(),
        holder,
        agent.map(|a| a.id),
        agent.map(|a| a.incarnation.cast_signed()),
        row.role.as_str(),
        db::time(exec.now),
        lease.until.map(db::time) as Option<db::Time>,
        plan.account.as_ref().map(Name::as_str),
        plan.model.as_ref().map(Name::as_str),
    )
    .execute(&mut *exec.tx)
    .await?;
    Ok(Row {
        status: TaskStatus::Running,
        note: None,
        percent: None,
        attempt,
        epoch: lease.epoch.cast_signed(),
        start_now_by: None,
        reserved: None,
        ran_on: plan.account.clone(),
        held: Some(row::Held {
            holder,
            agent: agent.map(|a| a.id),
            incarnation: agent.map(|a| a.incarnation.cast_signed()),
            until: lease.until,
            model: plan.model.clone(),
            is_handing_back: false,
        }),
        ..row.clone()
    })
}

async fn claimed(exec: &mut Exec<'_>, row: Row, notes: Vec<String>) -> Result<Reply, Stop> {
    write::event(exec, &row, "task.started", None).await?;
    let what = format!("is claimed by {}", write::by(exec));
    write::remark(exec, &row, &what, None);
    dispatch::answer(exec, row, "claimed", notes).await
}
