//! Claims: one task, one holder, one epoch.

use fleet_policy::bounds::{Context, WorkerBounds, Working};
use fleet_policy::lease::{Holder, Lease};
use fleet_policy::task::{Step, step};
use fleet_protocol::problem::Code;
use fleet_protocol::verbs::task::{self as verbs, TaskStatus};
use fleet_protocol::{Problem, Reply};
use uuid::Uuid;

use super::super::{ActingAgent, Exec, Stop, budget};
use super::row::{self, Row};
use super::write;
use crate::db;

/// How many tasks one claim tries while the budget refuses them (budget.md, "Ledger").
const CANDIDATES: usize = 3;

pub(crate) async fn claim(exec: &mut Exec<'_>, args: &verbs::Claim) -> Result<Reply, Stop> {
    // The row of switches is locked: claims see each other, and a pause is before or after each.
    let bounds = switches(exec).await?;
    let role = match exec.actor.agent.clone() {
        Some(agent) => Some(fit(exec, &agent, bounds).await?),
        None => None,
    };
    match args.task {
        Some(reference) => claim_this(exec, reference, role.as_deref()).await,
        None => claim_next(exec, role.as_deref()).await,
    }
}

async fn claim_this(
    exec: &mut Exec<'_>,
    reference: fleet_protocol::TaskRef,
    role: Option<&str>,
) -> Result<Reply, Stop> {
    let id = exec.resolve(reference).await?;
    let row = row::lock(exec, id).await?;
    check(exec, &row, role)?;
    match begin(exec, &row).await? {
        Begun::Yes(notes) => claimed(exec, row, notes).await,
        Begun::Queued(problem) => {
            exec.keep_refused = true;
            Err(problem.into())
        }
    }
}

async fn claim_next(exec: &mut Exec<'_>, role: Option<&str>) -> Result<Reply, Stop> {
    let mut refused: Vec<(Uuid, Option<String>)> = Vec::new();
    let mut first = None;
    while refused.len() < CANDIDATES {
        let Some(id) = next_ready(exec, role, &refused).await? else {
            break;
        };
        let row = row::load(exec, id).await?;
        let tried = (row.id, row.provider.as_ref().map(ToString::to_string));
        match begin(exec, &row).await? {
            Begun::Yes(notes) => return claimed(exec, row, notes).await,
            Begun::Queued(problem) => {
                first.get_or_insert(problem);
                refused.push(tried);
            }
        }
    }
    match first {
        Some(problem) => {
            exec.keep_refused = true;
            Err(problem.into())
        }
        None => Err(nothing_ready(role)),
    }
}

fn nothing_ready(role: Option<&str>) -> Stop {
    let whose = role
        .map(|r| format!(" for the role {r}"))
        .unwrap_or_default();
    Problem::new(Code::NothingReady, format!("nothing is ready{whose}"))
        .remedy("see what waits, and for what: !task list")
        .into()
}

/// Refuses while the fleet is paused (doctrine 13); else the bounds on workers.
async fn switches(exec: &mut Exec<'_>) -> Result<WorkerBounds, Stop> {
    let s = sqlx::query!(
        r#"SELECT paused, paused_by, pause_reason, workers_fleet, workers_role FROM fleet.settings
           WHERE tenant_id = $1 FOR UPDATE"#,
        exec.tenant.as_str()
    )
    .fetch_one(&mut *exec.tx)
    .await?;
    if s.paused {
        let by = s.paused_by.unwrap_or_default();
        let why = s.pause_reason.map(|r| format!(": {r}")).unwrap_or_default();
        return Err(
            Problem::new(Code::Paused, format!("the fleet is paused by {by}{why}"))
                .remedy("claim again when it goes on; an operator can type: !resume")
                .into(),
        );
    }
    Ok(WorkerBounds {
        fleet: s.workers_fleet.cast_unsigned(),
        role: s.workers_role.cast_unsigned(),
    })
}

/// Whether this agent may take another task at all; then its role.
async fn fit(
    exec: &mut Exec<'_>,
    agent: &ActingAgent,
    bounds: WorkerBounds,
) -> Result<String, Stop> {
    let me = sqlx::query!(
        "SELECT role, context_tokens FROM fleet.agents WHERE tenant_id = $1 AND id = $2",
        exec.tenant.as_str(),
        agent.id
    )
    .fetch_one(&mut *exec.tx)
    .await?;
    Context::of(me.context_tokens.map(i64::cast_unsigned)).admit()?;
    let working = sqlx::query!(
        r#"SELECT count(DISTINCT agent_id) AS "fleet!", count(DISTINCT agent_id) FILTER (WHERE role = $3) AS "role!"
           FROM fleet.attempts WHERE tenant_id = $1 AND ended_at IS NULL AND agent_id <> $2"#,
        exec.tenant.as_str(),
        agent.id,
        me.role
    )
    .fetch_one(&mut *exec.tx)
    .await?;
    let working = Working {
        fleet: working.fleet.cast_unsigned(),
        role: working.role.cast_unsigned(),
    };
    bounds.admit(working, &me.role)?;
    Ok(me.role)
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
    // Two statements, so that the plan of the first can use the index by role.
    let found = match role {
        Some(role) => sqlx::query_scalar!(
            r#"SELECT t.id FROM fleet.tasks t
               WHERE t.tenant_id = $1 AND t.status IN ('pending', 'queued', 'budget_paused') AND t.role = $4
                 AND t.id <> ALL ($2) AND (t.provider IS NULL OR t.provider <> ALL ($3))
                 AND NOT EXISTS (SELECT FROM fleet.task_dependencies d
                                 JOIN fleet.tasks o ON o.tenant_id = d.tenant_id AND o.id = d.depends_on
                                 WHERE d.tenant_id = t.tenant_id AND d.task_id = t.id AND o.status <> 'completed')
               ORDER BY t.priority DESC, t.number LIMIT 1 FOR UPDATE OF t SKIP LOCKED"#,
            tenant,
            &ids,
            &providers,
            role
        )
        .fetch_optional(&mut *exec.tx)
        .await?,
        None => sqlx::query_scalar!(
            r#"SELECT t.id FROM fleet.tasks t
               WHERE t.tenant_id = $1 AND t.status IN ('pending', 'queued', 'budget_paused')
                 AND t.id <> ALL ($2) AND (t.provider IS NULL OR t.provider <> ALL ($3))
                 AND NOT EXISTS (SELECT FROM fleet.task_dependencies d
                                 JOIN fleet.tasks o ON o.tenant_id = d.tenant_id AND o.id = d.depends_on
                                 WHERE d.tenant_id = t.tenant_id AND d.task_id = t.id AND o.status <> 'completed')
               ORDER BY t.priority DESC, t.number LIMIT 1 FOR UPDATE OF t SKIP LOCKED"#,
            tenant,
            &ids,
            &providers
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
    if !row.waits_for.is_empty() {
        let open: Vec<_> = row.waits_for.iter().map(|n| format!("t{n}")).collect();
        return Err(Problem::new(
            Code::Dependency,
            format!("{} waits for {}", row.short(), open.join(", ")),
        )
        .remedy(format!("{} must be completed first", open.join(", ")))
        .into());
    }
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
enum Begun {
    /// It runs; what the claimer should know.
    Yes(Vec<String>),
    /// It waits for budget now, and this is why and until when.
    Queued(Problem),
}

/// Begins an attempt, if the budget admits it. A refusal for the cap leaves the task `queued`;
/// nothing else of the try stays.
async fn begin(exec: &mut Exec<'_>, row: &Row) -> Result<Begun, Stop> {
    let said = exec.outbox.len();
    sqlx::raw_sql("SAVEPOINT candidate")
        .execute(&mut *exec.tx)
        .await?;
    // The attempt comes first: what the budget writes names its epoch.
    let attempt = write_attempt(exec, row).await?;
    match budget::admit(
        exec,
        row.id,
        attempt,
        row.provider.as_ref(),
        row.projected_tokens,
    )
    .await
    {
        Ok(granted) => {
            sqlx::raw_sql("RELEASE SAVEPOINT candidate")
                .execute(&mut *exec.tx)
                .await?;
            Ok(Begun::Yes(granted.notes))
        }
        Err(Stop::Refused(problem)) if problem.code == Code::BudgetCap => {
            sqlx::raw_sql("ROLLBACK TO SAVEPOINT candidate")
                .execute(&mut *exec.tx)
                .await?;
            exec.outbox.truncate(said);
            write::status(
                exec,
                row.id,
                TaskStatus::Queued,
                Some(&problem.detail),
                row.failures,
            )
            .await?;
            if row.status != TaskStatus::Queued {
                write::event(exec, row, "task.queued", Some(&problem.detail)).await?;
            }
            let detail = format!("{} is queued: {}", row.short(), problem.detail);
            Ok(Begun::Queued(Problem { detail, ..*problem }))
        }
        Err(stop) => Err(stop),
    }
}

/// Writes a new attempt under a new lease; its number.
async fn write_attempt(exec: &mut Exec<'_>, row: &Row) -> Result<i32, Stop> {
    let agent = exec.actor.agent.clone();
    let kind = if agent.is_some() {
        Holder::Agent
    } else {
        Holder::Person
    };
    let lease = Lease::claim(row.epoch.cast_unsigned(), kind, exec.now);
    let attempt = row.attempt + 1;
    let holder = agent
        .as_ref()
        .map_or(exec.actor.principal.clone(), |a| a.name.to_string());
    sqlx::query!(
        r#"INSERT INTO fleet.attempts (tenant_id, task_id, attempt, epoch, holder, agent_id, incarnation, role, started_at, lease_until)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"#,
        exec.tenant.as_str(),
        row.id,
        attempt,
        lease.epoch.cast_signed(),
        holder,
        agent.as_ref().map(|a| a.id),
        agent.as_ref().map(|a| a.incarnation.cast_signed()),
        row.role.as_str(),
        db::time(exec.now),
        lease.until.map(db::time) as Option<db::Time>,
    )
    .execute(&mut *exec.tx)
    .await?;
    sqlx::query!(
        r#"UPDATE fleet.tasks SET status = 'running', status_note = NULL, percent = NULL, attempt = $3, epoch = $4, updated_at = $5
           WHERE tenant_id = $1 AND id = $2"#,
        exec.tenant.as_str(),
        row.id,
        attempt,
        lease.epoch.cast_signed(),
        db::time(exec.now)
    )
    .execute(&mut *exec.tx)
    .await?;
    Ok(attempt)
}

async fn claimed(exec: &mut Exec<'_>, row: Row, notes: Vec<String>) -> Result<Reply, Stop> {
    let row = Row {
        attempt: row.attempt + 1,
        ..row
    };
    write::event(exec, &row, "task.started", None).await?;
    let what = format!("is claimed by {}", write::by(exec));
    write::remark(exec, &row, &what, None);
    write::answer(exec, row.id, "claimed", notes).await
}
