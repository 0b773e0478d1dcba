//! The verbs of `mission`: goals that group tasks and carry projected and actual spend (doctrine 7).

use fleet_protocol::problem::Code;
use fleet_protocol::reply::{Changed, MissionView};
use fleet_protocol::verbs::mission as verbs;
use fleet_protocol::verbs::task::TaskStatus;
use fleet_protocol::{Problem, Reply};
use uuid::Uuid;

use super::task::known;
use super::{Exec, Stop, Subject};
use crate::db;

/// Missions that are listed, the newest.
const LISTED: i64 = 50;

pub(crate) async fn new(exec: &mut Exec<'_>, args: &verbs::New) -> Result<Reply, Stop> {
    let id = exec.ids.next();
    sqlx::query!(
        r#"INSERT INTO fleet.missions (tenant_id, id, number, title, goal, projected_tokens, created_by, created_at)
           VALUES ($1, $2, fleet.next_number((SELECT ordinal FROM fleet.tenants WHERE tenant_id = $1), 'mission'), $3, $4, $5, $6, $7)"#,
        exec.tenant.as_str(),
        id,
        args.title.as_str(),
        args.goal.as_ref().map(|g| g.as_str()),
        args.projected_tokens.map(|n| n.as_i64()),
        exec.actor.principal,
        db::time(exec.now)
    )
    .execute(&mut *exec.tx)
    .await?;
    answer(exec, id, Some("opened"), false).await
}

pub(crate) async fn close(exec: &mut Exec<'_>, args: &verbs::Close) -> Result<Reply, Stop> {
    let id = exec.resolve(args.mission).await?;
    let closed = sqlx::query_scalar!(
        r#"SELECT closed_at IS NOT NULL AS "closed!" FROM fleet.missions WHERE tenant_id = $1 AND id = $2 FOR UPDATE"#,
        exec.tenant.as_str(),
        id
    )
    .fetch_optional(&mut *exec.tx)
    .await?
    .ok_or_else(|| missing(id))?;
    if closed {
        return answer(exec, id, Some("closed"), true).await;
    }
    refuse_open_tasks(exec, id).await?;
    sqlx::query!(
        "UPDATE fleet.missions SET closed_at = $3, closed_by = $4, summary = $5 WHERE tenant_id = $1 AND id = $2",
        exec.tenant.as_str(),
        id,
        db::time(exec.now),
        exec.actor.principal,
        args.summary.as_ref().map(|s| s.as_str())
    )
    .execute(&mut *exec.tx)
    .await?;
    answer(exec, id, Some("closed"), false).await
}

async fn refuse_open_tasks(exec: &mut Exec<'_>, id: Uuid) -> Result<(), Stop> {
    let open = sqlx::query!(
        r#"SELECT number, status FROM fleet.tasks
           WHERE tenant_id = $1 AND mission_id = $2 AND status NOT IN ('completed', 'failed', 'cancelled')
           ORDER BY number"#,
        exec.tenant.as_str(),
        id
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    if open.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = open
        .iter()
        .take(20)
        .map(|t| format!("t{} ({})", t.number, t.status))
        .collect();
    let more = open.len().saturating_sub(names.len());
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    Err(Problem::new(
        Code::WrongState,
        format!("the mission has open tasks: {}{more}", names.join(", ")),
    )
    .remedy("complete them, or give each up with: !task cancel TASK")
    .into())
}

pub(crate) async fn list(exec: &mut Exec<'_>, args: &verbs::List) -> Result<Reply, Stop> {
    let ids = sqlx::query_scalar!(
        "SELECT id FROM fleet.missions WHERE tenant_id = $1 AND ($2 OR closed_at IS NULL) ORDER BY number DESC LIMIT $3",
        exec.tenant.as_str(),
        args.all,
        LISTED
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    let mut missions = Vec::with_capacity(ids.len());
    for id in ids {
        missions.push(MissionView {
            goal: None,
            ..view(exec, id).await?
        });
    }
    Ok(Reply::Missions(missions))
}

pub(crate) async fn show(exec: &mut Exec<'_>, args: &verbs::Show) -> Result<Reply, Stop> {
    let id = exec.resolve(args.mission).await?;
    answer(exec, id, None, false).await
}

async fn answer(
    exec: &mut Exec<'_>,
    id: Uuid,
    change: Option<&str>,
    already: bool,
) -> Result<Reply, Stop> {
    let now = view(exec, id).await?;
    exec.about(Subject::Mission, id);
    Ok(Reply::Mission(Changed {
        change: change.map(str::to_owned),
        already,
        now,
        notes: Vec::new(),
    }))
}

fn missing(id: Uuid) -> Problem {
    Problem::new(Code::NotFound, format!("there is no mission {id}"))
        .remedy("see what there is with: !mission list")
}

pub(super) async fn view(exec: &mut Exec<'_>, id: Uuid) -> Result<MissionView, Stop> {
    let m = sqlx::query!(
        r#"SELECT number, title, goal, projected_tokens, summary, closed_at IS NULL AS "open!",
                  (SELECT coalesce(sum(r.added_tokens), 0)::bigint FROM fleet.tasks t
                   JOIN fleet.spend_reports r ON r.tenant_id = t.tenant_id AND r.task_id = t.id
                   WHERE t.tenant_id = m.tenant_id AND t.mission_id = m.id) AS "actual!"
           FROM fleet.missions m WHERE tenant_id = $1 AND id = $2"#,
        exec.tenant.as_str(),
        id
    )
    .fetch_optional(&mut *exec.tx)
    .await?
    .ok_or_else(|| missing(id))?;
    Ok(MissionView {
        id: format!("m{}", m.number),
        title: m.title,
        goal: m.goal,
        open: m.open,
        tasks: by_status(exec, Some(id)).await?,
        projected_tokens: m.projected_tokens.map(i64::cast_unsigned),
        actual_tokens: m.actual.cast_unsigned(),
        summary: m.summary,
    })
}

/// Tasks of a mission, or of the whole fleet, by status; only statuses that occur, in their order.
pub(super) async fn by_status(
    exec: &mut Exec<'_>,
    mission: Option<Uuid>,
) -> Result<Vec<(TaskStatus, u64)>, Stop> {
    let counts = sqlx::query!(
        r#"SELECT status, count(*) AS "n!" FROM fleet.tasks
           WHERE tenant_id = $1 AND ($2::uuid IS NULL OR mission_id = $2) GROUP BY status"#,
        exec.tenant.as_str(),
        mission
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    let counts: Result<Vec<_>, Stop> = counts
        .into_iter()
        .map(|c| {
            Ok((
                known("status", TaskStatus::from_word(&c.status))?,
                c.n.cast_unsigned(),
            ))
        })
        .collect();
    let mut counts = counts?;
    counts.sort_unstable_by_key(|(status, _)| *status);
    Ok(counts)
}
