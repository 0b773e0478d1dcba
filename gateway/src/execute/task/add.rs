//! New tasks, and what tasks wait for.

use fleet_policy::gate;
use fleet_policy::task::{Step, circle, step};
use fleet_protocol::problem::Code;
use fleet_protocol::verbs::task::{self as verbs, TaskType};
use fleet_protocol::{Problem, Reply};
use uuid::Uuid;

use super::super::{Exec, Stop};
use super::row::{self, Row};
use super::write;
use crate::db;

/// The role that may claim a task unless another is named.
const ROLE: &str = "code";
/// Priority unless another is named.
const PRIORITY: i16 = 50;
/// Attempts unless another number is named.
const ATTEMPTS: i32 = 3;
/// Seconds that pacing may make a task wait before its model is lowered instead, unless named.
const MAX_WAIT: i32 = 1_800;

pub(crate) async fn add(exec: &mut Exec<'_>, args: &verbs::Add) -> Result<Reply, Stop> {
    gate::check(&args.gates)?;
    let mission = match args.mission {
        Some(reference) => Some(open_mission(exec, reference).await?),
        None => None,
    };
    let attempts = match args.max_attempts {
        None => ATTEMPTS,
        Some(n) => i32::try_from(n.as_i64())
            .ok()
            .filter(|n| (1..=100).contains(n))
            .ok_or_else(|| {
                Problem::new(Code::Invalid, format!("{n} attempts are not possible"))
                    .remedy("name 1 to 100 attempts")
            })?,
    };
    let (mission_id, mission) = mission.unzip();
    let row = Row {
        mission,
        ..insert(exec, args, mission_id, attempts).await?
    };
    if args.depends_on.is_empty() {
        return Ok(write::answer_with(exec, row, "added", Vec::new()));
    }
    for on in &args.depends_on {
        let on = exec.resolve(*on).await?;
        if !insert_dependency(exec, row.id, on).await? {
            // Named twice, or not there: a full id has not been looked up yet.
            row::load(exec, on).await?;
        }
    }
    write::answer(exec, row.id, "added", Vec::new()).await
}

/// Writes a task and the first line of its history, in one round trip.
async fn insert(
    exec: &mut Exec<'_>,
    args: &verbs::Add,
    mission: Option<Uuid>,
    max_attempts: i32,
) -> Result<Row, Stop> {
    let id = exec.ids.next();
    let task_type = args.task_type.unwrap_or(TaskType::Coding);
    let priority = args.priority.map_or(PRIORITY, |p| i16::from(p.get()));
    let projected_tokens = args.projected_tokens.map(|n| n.as_i64());
    let max_wait = args
        .max_wait
        .map_or(MAX_WAIT, |l| i32::try_from(l.seconds()).unwrap_or(i32::MAX));
    let written = sqlx::query!(
        r#"WITH added AS (
               INSERT INTO fleet.tasks (tenant_id, id, number, mission_id, title, brief, task_type, role, priority, provider,
                                        projected_tokens, max_attempts, created_by, created_at, updated_at, model, model_pinned,
                                        max_wait_seconds, quality_gates)
               VALUES ($1, $2, fleet.next_number((SELECT ordinal FROM fleet.tenants WHERE tenant_id = $1), 'task'),
                       $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13, $16, $17, $18, $19)
               RETURNING number, role
           ), noted AS (
               INSERT INTO fleet.task_events (tenant_id, task_id, at, event, by, admission)
               VALUES ($1, $2, $13, 'task.added', $14, $15)
           ), planned AS (
               UPDATE fleet.settings SET replan_asked_at = NULL WHERE tenant_id = $1 AND replan_asked_at IS NOT NULL
           )
           SELECT number, role FROM added"#,
        exec.tenant.as_str(),
        id,
        mission,
        args.title.as_str(),
        args.brief.as_ref().map(|b| b.as_str()),
        task_type.as_str(),
        args.role.as_ref().map_or(ROLE, |r| r.as_str()),
        priority,
        args.provider.as_ref().map(|p| p.as_str()),
        projected_tokens,
        max_attempts,
        exec.actor.principal,
        db::time(exec.now),
        write::by(exec),
        exec.admission,
        args.model.as_ref().map(|m| m.as_str()),
        args.pin_model,
        max_wait,
        (!args.gates.is_empty()).then(|| serde_json::json!(args.gates)),
    )
    .fetch_one(&mut *exec.tx)
    .await?;
    let role = row::known("role", written.role.parse().ok())?;
    Ok(Row {
        number: written.number,
        title: args.title.as_str().to_owned(),
        task_type,
        priority,
        provider: args.provider.clone(),
        projected_tokens,
        model: args.model.clone(),
        is_pinned: args.pin_model,
        max_wait_seconds: max_wait,
        max_attempts,
        ..Row::new(id, role)
    })
}

async fn open_mission(
    exec: &mut Exec<'_>,
    reference: fleet_protocol::MissionRef,
) -> Result<(Uuid, i32), Stop> {
    let id = exec.resolve(reference).await?;
    // The lock keeps the mission from being closed while a task joins it.
    let found = sqlx::query!(
        r#"SELECT number, closed_at IS NOT NULL AS "closed!" FROM fleet.missions WHERE tenant_id = $1 AND id = $2 FOR SHARE"#,
        exec.tenant.as_str(),
        id
    )
    .fetch_optional(&mut *exec.tx)
    .await?;
    match found {
        Some(m) if !m.closed => Ok((id, m.number)),
        Some(_) => Err(
            Problem::new(Code::WrongState, format!("mission {reference} is closed"))
                .remedy("open a new one: !mission new \"...\"")
                .into(),
        ),
        None => {
            Err(Problem::new(Code::NotFound, format!("there is no mission {reference}")).into())
        }
    }
}

async fn insert_dependency(exec: &mut Exec<'_>, task: Uuid, on: Uuid) -> Result<bool, Stop> {
    let inserted = sqlx::query!(
        r#"INSERT INTO fleet.task_dependencies (tenant_id, task_id, depends_on)
           SELECT $1, $2, id FROM fleet.tasks WHERE tenant_id = $1 AND id = $3 ON CONFLICT DO NOTHING"#,
        exec.tenant.as_str(),
        task,
        on
    )
    .execute(&mut *exec.tx)
    .await?;
    Ok(inserted.rows_affected() > 0)
}

pub(crate) async fn depend(exec: &mut Exec<'_>, args: &verbs::Depend) -> Result<Reply, Stop> {
    let (id, on) = (exec.resolve(args.task).await?, exec.resolve(args.on).await?);
    if id == on {
        return Err(Problem::new(Code::Dependency, "a task cannot wait for itself").into());
    }
    // Two dependencies added at once could close a circle that neither sees: one after the other.
    sqlx::query!(
        r#"SELECT pg_advisory_xact_lock(hashtextextended('task_dependencies ' || $1, 0)) AS "lock!: ()""#,
        exec.tenant.as_str()
    )
    .fetch_one(&mut *exec.tx)
    .await?;
    let row = row::lock(exec, id).await?;
    let other = row::load(exec, on).await?;
    step(Step::Depend, row.status, row.party(exec), row.tries())?;
    let short = other.short();
    let (changed, change, event) = if args.remove {
        (
            remove_dependency(exec, id, on).await?,
            "freed",
            "task.dependency.removed",
        )
    } else {
        refuse_circle(exec, &row, &other).await?;
        (
            insert_dependency(exec, id, on).await?,
            "made to wait",
            "task.dependency.added",
        )
    };
    if changed {
        write::event(exec, &row, event, Some(&short)).await?;
    }
    let note = match (args.remove, changed) {
        (false, true) => format!("it waits for {short}"),
        (false, false) => format!("it waited for {short} already"),
        (true, true) => format!("it no longer waits for {short}"),
        (true, false) => format!("it did not wait for {short}"),
    };
    write::answer(exec, id, change, vec![note]).await
}

async fn remove_dependency(exec: &mut Exec<'_>, task: Uuid, on: Uuid) -> Result<bool, Stop> {
    let removed = sqlx::query!(
        "DELETE FROM fleet.task_dependencies WHERE tenant_id = $1 AND task_id = $2 AND depends_on = $3",
        exec.tenant.as_str(),
        task,
        on
    )
    .execute(&mut *exec.tx)
    .await?;
    Ok(removed.rows_affected() > 0)
}

/// Refuses a dependency that would make tasks wait for each other.
async fn refuse_circle(exec: &mut Exec<'_>, task: &Row, on: &Row) -> Result<(), Stop> {
    // Everything the new one waits for, however far.
    let edges = sqlx::query!(
        r#"WITH RECURSIVE reach (id) AS (
               SELECT $2::uuid
               UNION
               SELECT d.depends_on FROM reach r JOIN fleet.task_dependencies d ON d.tenant_id = $1 AND d.task_id = r.id
           )
           SELECT t.number AS waits, o.number AS waited_for FROM reach r
           JOIN fleet.task_dependencies d ON d.tenant_id = $1 AND d.task_id = r.id
           JOIN fleet.tasks t ON t.tenant_id = $1 AND t.id = d.task_id
           JOIN fleet.tasks o ON o.tenant_id = $1 AND o.id = d.depends_on"#,
        exec.tenant.as_str(),
        on.id
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    let edges: Vec<_> = edges.into_iter().map(|e| (e.waits, e.waited_for)).collect();
    let Some(path) = circle(task.number, on.number, &edges) else {
        return Ok(());
    };
    let path: Vec<_> = [task.number]
        .into_iter()
        .chain(path)
        .map(|n| format!("t{n}"))
        .collect();
    Err(Problem::new(
        Code::Dependency,
        format!(
            "these tasks would wait for each other: {}",
            path.join(" → ")
        ),
    )
    .remedy("remove one of these dependencies first: !task depend TASK --on TASK --remove")
    .into())
}
