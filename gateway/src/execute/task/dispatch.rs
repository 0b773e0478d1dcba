//! What goes with a task to whoever takes it up: context is reset between tasks, so a dispatch carries persona,
//! mission and task anew (doctrine 14).

use std::collections::BTreeMap;

use fleet_protocol::Reply;
use fleet_protocol::reply::{Changed, Dispatch, Escalation, HandedBack, MissionBrief, TaskView};
use fleet_protocol::role::{self, Role};
use fleet_protocol::scalar::Name;
use fleet_protocol::verbs::task::TaskStatus;
use serde_json::Value;
use uuid::Uuid;

use super::super::files::unusable;
use super::super::{Exec, Stop, Subject};
use super::row::{self, Row, known};
use crate::db;

/// The answer to who took a task up: everything that is needed to begin.
pub(super) async fn answer(
    exec: &mut Exec<'_>,
    row: Row,
    change: &str,
    notes: Vec<String>,
) -> Result<Reply, Stop> {
    exec.about(Subject::Task, row.id);
    let is_agent = exec.actor.agent.is_some();
    Ok(said(briefed(exec, row, is_agent).await?, change, notes))
}

/// The answer with a task that is briefed.
pub(super) fn said(task: TaskView, change: &str, notes: Vec<String>) -> Reply {
    Reply::Task(Changed {
        notes,
        ..Changed::to(change, task)
    })
}

/// A task with all that its holder must know; who the holder is and what the mission is for, where that is an agent.
pub(super) async fn briefed(
    exec: &mut Exec<'_>,
    row: Row,
    is_agent: bool,
) -> Result<TaskView, Stop> {
    let views = briefed_all(exec, vec![(row, is_agent)]).await?;
    views
        .into_iter()
        .next()
        .ok_or(sqlx::Error::RowNotFound.into())
}

/// The same of several tasks, in their order.
pub(super) async fn briefed_all(
    exec: &mut Exec<'_>,
    rows: Vec<(Row, bool)>,
) -> Result<Vec<TaskView>, Stop> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = rows.iter().map(|(row, _)| row.id).collect();
    let found = sqlx::query!(
        r#"SELECT t.brief, t.escalation_reason, t.escalation_answer, t.answered_by,
                  m.number AS "mission?", m.title AS "title?", m.goal, f.yaml AS "role?",
                  b.holder AS "holder?", b.attempt AS "attempt?", b.ended_at AS "ended_at?", b.handed_back AS "handed_back?"
           FROM unnest($2::uuid[]) WITH ORDINALITY AS wanted (id, place)
           JOIN fleet.tasks t ON t.tenant_id = $1 AND t.id = wanted.id
           LEFT JOIN fleet.missions m ON m.tenant_id = t.tenant_id AND m.id = t.mission_id
           LEFT JOIN fleet.files f ON f.tenant_id = t.tenant_id AND f.kind = 'role' AND f.name = t.role
           LEFT JOIN LATERAL (
               SELECT a.holder, a.attempt, a.ended_at, a.handed_back FROM fleet.attempts a
               WHERE a.tenant_id = t.tenant_id AND a.task_id = t.id AND a.handed_back IS NOT NULL
               ORDER BY a.attempt DESC LIMIT 1) b ON true
           ORDER BY wanted.place"#,
        exec.tenant.as_str(),
        &ids
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    if found.len() != rows.len() {
        return Err(sqlx::Error::RowNotFound.into());
    }
    let mut views = Vec::with_capacity(rows.len());
    for (found, (row, is_agent)) in found.into_iter().zip(rows) {
        let dispatch = match is_agent {
            true => Some(Box::new(Dispatch {
                role: role_of(&row.role, found.role.as_deref())?,
                mission: found
                    .mission
                    .zip(found.title)
                    .map(|(number, title)| MissionBrief {
                        id: format!("m{number}"),
                        title,
                        goal: found.goal,
                    }),
            })),
            false => None,
        };
        let waits = row.status == TaskStatus::Escalated;
        let escalation = found.escalation_reason.map(|reason| Escalation {
            reason,
            answer: found.escalation_answer,
            answered_by: found.answered_by,
        });
        let left = found
            .holder
            .zip(found.attempt)
            .zip(found.ended_at)
            .zip(found.handed_back);
        views.push(TaskView {
            brief: found.brief,
            handed_back: left
                .map(|(((by, attempt), at), stored)| handed_back(by, attempt, at, stored))
                .transpose()?,
            escalation: escalation.filter(|e| waits || e.answer.is_some()),
            dispatch,
            ..row::view_with_gates(row)
        });
    }
    Ok(views)
}

/// The fleet's own file of a role, else the built-in one; without what only the fleet needs to know of it.
fn role_of(name: &Name, own: Option<&str>) -> Result<Option<Role>, Stop> {
    let role = match own {
        Some(yaml) => Some(Role::read(yaml)),
        None => role::built_in_role(name).transpose(),
    };
    let role = role.transpose().map_err(unusable)?;
    Ok(role.map(|role| Role {
        room: None,
        may_command: Vec::new(),
        ..role
    }))
}

fn handed_back(by: String, attempt: i32, at: db::Time, stored: Value) -> Result<HandedBack, Stop> {
    Ok(HandedBack {
        by,
        at: db::instant(at),
        attempt: attempt.unsigned_abs(),
        result: known("handed_back", serde_json::from_value(stored).ok())?,
    })
}

/// What was handed back last of those tasks that are not done, by their short forms.
pub(super) async fn left_behind(
    exec: &mut Exec<'_>,
    ids: &[Uuid],
) -> Result<BTreeMap<String, HandedBack>, Stop> {
    let rows = sqlx::query!(
        r#"SELECT DISTINCT ON (t.number) t.number, a.holder, a.attempt, a.ended_at AS "ended_at!", a.handed_back AS "handed_back!"
           FROM fleet.attempts a JOIN fleet.tasks t ON t.tenant_id = a.tenant_id AND t.id = a.task_id
           WHERE a.tenant_id = $1 AND a.task_id = ANY ($2) AND a.handed_back IS NOT NULL AND t.ended_at IS NULL
           ORDER BY t.number, a.attempt DESC"#,
        exec.tenant.as_str(),
        ids
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    rows.into_iter()
        .map(|r| {
            let left = handed_back(r.holder, r.attempt, r.ended_at, r.handed_back)?;
            Ok((format!("t{}", r.number), left))
        })
        .collect()
}
