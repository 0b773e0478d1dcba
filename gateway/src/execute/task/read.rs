//! Reading tasks.

use fleet_protocol::Reply;
use fleet_protocol::reply::{Changed, TaskEventView, TaskList, TaskView};
use fleet_protocol::verbs::task as verbs;
use uuid::Uuid;

use super::super::{Exec, Stop, Subject};
use super::{dispatch, row};
use crate::db;

/// Tasks listed unless another number is named, and at most.
const LISTED: (i64, i64) = (20, 200);
/// Events of one task's history that are shown: the newest.
const HISTORY: i64 = 50;

pub(crate) async fn list(exec: &mut Exec<'_>, args: &verbs::List) -> Result<Reply, Stop> {
    let mission = match args.mission {
        Some(reference) => Some(exec.resolve(reference).await?),
        None => None,
    };
    let agent = exec.actor.agent.as_ref().map(|a| a.id);
    let found = sqlx::query!(
        r#"SELECT t.id, count(*) OVER () AS "total!" FROM fleet.tasks t
           WHERE t.tenant_id = $1
             AND ($2::text IS NULL AND t.status NOT IN ('completed', 'failed', 'cancelled') OR t.status = $2)
             AND ($3::uuid IS NULL OR t.mission_id = $3)
             AND (NOT $4 OR t.status IN ('pending', 'queued', 'budget_paused')
                AND (t.reserved_agent IS NULL OR t.reserved_agent = $6) AND NOT EXISTS (
                    SELECT FROM fleet.task_dependencies d
                    JOIN fleet.tasks o ON o.tenant_id = d.tenant_id AND o.id = d.depends_on
                    WHERE d.tenant_id = t.tenant_id AND d.task_id = t.id AND o.status <> 'completed'))
             AND (NOT $5 OR EXISTS (
                    SELECT FROM fleet.attempts a
                    WHERE a.tenant_id = t.tenant_id AND a.task_id = t.id AND a.ended_at IS NULL
                      AND CASE WHEN $6::uuid IS NULL THEN a.agent_id IS NULL AND a.holder = $7 ELSE a.agent_id = $6 END))
           ORDER BY t.priority DESC, t.number LIMIT $8"#,
        exec.tenant.as_str(),
        args.status.map(|s| s.as_str()),
        mission,
        args.ready,
        args.mine,
        agent,
        exec.actor.principal,
        args.limit.map_or(LISTED.0, |n| n.as_i64().clamp(1, LISTED.1)),
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    let total = found.first().map_or(0, |f| f.total.cast_unsigned());
    let ids: Vec<_> = found.iter().map(|f| f.id).collect();
    let tasks = views(exec, &ids).await?;
    Ok(Reply::Tasks(TaskList { tasks, total }))
}

pub(crate) async fn show(exec: &mut Exec<'_>, args: &verbs::Show) -> Result<Reply, Stop> {
    let id = exec.resolve(args.task).await?;
    let row = row::load(exec, id).await?;
    exec.about(Subject::Task, id);
    let is_agent = exec.actor.agent.is_some();
    let task = dispatch::briefed(exec, row, is_agent).await?;
    let history = sqlx::query!(
        r#"SELECT at AS "at!", event AS "event!", by AS "by!", note FROM (
               SELECT event_id, at, event, by, note FROM fleet.task_events
               WHERE tenant_id = $1 AND task_id = $2 ORDER BY event_id DESC LIMIT $3) AS newest
           ORDER BY event_id"#,
        exec.tenant.as_str(),
        id,
        HISTORY
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    let history = history
        .into_iter()
        .map(|e| TaskEventView {
            at: db::instant(e.at),
            event: e.event,
            by: e.by,
            note: e.note,
        })
        .collect();
    Ok(Reply::Task(Changed::shown(TaskView { history, ..task })))
}

/// Tasks by their keys, in the order of the keys.
async fn views(exec: &mut Exec<'_>, ids: &[Uuid]) -> Result<Vec<TaskView>, Stop> {
    let rows = row::load_all(exec, ids).await?;
    Ok(rows.into_iter().map(row::view_with_gates).collect())
}

/// The same with what was handed back of those that are not done.
pub(in super::super) async fn views_with_results(
    exec: &mut Exec<'_>,
    ids: &[Uuid],
) -> Result<Vec<TaskView>, Stop> {
    let mut left = dispatch::left_behind(exec, ids).await?;
    let tasks = views(exec, ids).await?.into_iter();
    Ok(tasks
        .map(|task| TaskView {
            handed_back: left.remove(&task.id),
            ..task
        })
        .collect())
}
