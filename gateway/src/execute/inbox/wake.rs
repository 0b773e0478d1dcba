//! No agent of a role is idle while work of the role is ready (doctrine 12): who listens is told, as many as can take some.

use std::collections::BTreeMap;

use fleet_policy::bounds::{CONTEXT_CAP, WorkerBounds};
use fleet_policy::wake::{self, Role};
use fleet_protocol::Timestamp;
use fleet_protocol::verbs::inbox::Class;
use jiff::SignedDuration;
use uuid::Uuid;

use super::super::{Exec, Stop};
use super::put::{Said, Speaker, put};
use super::{chain, delegation, take};
use crate::db;

/// Time since it last asked its inbox within which an agent listens. A call waits 25 seconds.
const LISTENS: SignedDuration = SignedDuration::from_secs(60);
/// Time that it listens before it is told: who works from task to task claims by itself.
const RESTS: SignedDuration = SignedDuration::from_secs(2);
/// Agents that one look tells; the next one, a second later, goes on.
const MOST: usize = 20;
/// Time that an agent has to try a claim before another is told in its place.
const ANSWERS: SignedDuration = SignedDuration::from_secs(60);
/// Time until an agent that did not try is told again.
const AGAIN: SignedDuration = SignedDuration::from_secs(300);
/// Ready tasks of one role that are counted.
const COUNTED: i64 = 100;

/// Who asked its inbox after this instant listens.
pub(crate) fn listening_since(now: Timestamp) -> Timestamp {
    now.earlier(LISTENS)
}

/// Who was told before this instant may be told again.
pub(crate) fn again_before(now: Timestamp) -> Timestamp {
    now.earlier(AGAIN)
}

/// A role of which agents can be told, and which: those that were told the longest ago first.
struct Waiting {
    name: String,
    counts: Role,
    idle: Vec<Uuid>,
}

/// Tells idle agents of what is ready; called by the sweep.
pub(crate) async fn wake(exec: &mut Exec<'_>) -> Result<(), Stop> {
    // Two looks at once would tell twice as many.
    sqlx::query!(
        r#"SELECT pg_advisory_xact_lock(hashtextextended('wake ' || $1, 0)) AS "lock!: ()""#,
        exec.tenant.as_str()
    )
    .fetch_one(&mut *exec.tx)
    .await?;
    let fleet = sqlx::query!(
        r#"SELECT paused, workers_fleet, workers_role,
                  (SELECT count(DISTINCT agent_id) FROM fleet.attempts a
                   WHERE a.tenant_id = $1 AND a.ended_at IS NULL) AS "working!",
                  (SELECT count(*) FROM fleet.idle_agents i WHERE i.tenant_id = $1 AND i.woken_at > $2) AS "answering!"
           FROM fleet.settings WHERE tenant_id = $1"#,
        exec.tenant.as_str(),
        db::time(exec.now.earlier(ANSWERS))
    )
    .fetch_one(&mut *exec.tx)
    .await?;
    if fleet.paused {
        return Ok(());
    }
    let bounds = WorkerBounds {
        fleet: fleet.workers_fleet.cast_unsigned(),
        role: fleet.workers_role.cast_unsigned(),
    };
    let mut busy = (fleet.working + fleet.answering).cast_unsigned();
    let mut chosen = BTreeMap::new();
    for role in waiting(exec).await? {
        let told = wake::count(bounds, busy, role.counts);
        busy += told;
        let told = usize::try_from(told).unwrap_or(usize::MAX);
        let words = words(&role.name, role.counts.ready);
        chosen.extend(
            role.idle
                .into_iter()
                .take(told)
                .map(|id| (id, words.clone())),
        );
    }
    // In the order of their keys, as everybody locks agents.
    for (agent, words) in chosen.into_iter().take(MOST) {
        notify(exec, agent, &words).await?;
    }
    Ok(())
}

async fn waiting(exec: &mut Exec<'_>) -> Result<Vec<Waiting>, Stop> {
    let rows = sqlx::query!(
        r#"SELECT i.role AS "role!",
                  coalesce(array_agg(i.id ORDER BY i.woken_at NULLS FIRST, i.name)
                      FILTER (WHERE i.listened_at > $2 AND i.listened_at <= $7 AND NOT i.is_told
                              AND (i.woken_at IS NULL OR i.woken_at <= $4)), '{}') AS "idle!",
                  count(*) FILTER (WHERE i.woken_at > $3) AS "answering!",
                  (SELECT count(DISTINCT a.agent_id) FROM fleet.attempts a
                   WHERE a.tenant_id = $1 AND a.ended_at IS NULL AND a.role = i.role) AS "working!",
                  (SELECT count(*) FROM (SELECT FROM fleet.open_tasks t
                   WHERE t.tenant_id = $1 AND t.role = i.role LIMIT $6) AS counted) AS "ready!"
           FROM fleet.idle_agents i
           WHERE i.tenant_id = $1 AND (i.listened_at > $2 OR i.woken_at > $3) AND coalesce(i.context_tokens, 0) < $5
           GROUP BY i.role ORDER BY i.role"#,
        exec.tenant.as_str(),
        db::time(listening_since(exec.now)),
        db::time(exec.now.earlier(ANSWERS)),
        db::time(again_before(exec.now)),
        CONTEXT_CAP.cast_signed(),
        COUNTED,
        db::time(exec.now.earlier(RESTS))
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|r| Waiting {
            name: r.role,
            counts: Role {
                ready: r.ready.cast_unsigned(),
                working: r.working.cast_unsigned(),
                answering: r.answering.cast_unsigned(),
                idle: r.idle.len() as u64,
            },
            idle: r.idle,
        })
        .collect())
}

fn words(role: &str, ready: u64) -> String {
    let tasks = match ready {
        1 => "1 task is".to_owned(),
        n if n >= COUNTED.unsigned_abs() => format!("{n} tasks or more are"),
        n => format!("{n} tasks are"),
    };
    format!(
        "{tasks} ready for the role {role}. Take the next one: task claim. Nothing is kept for you: who claims first has it."
    )
}

/// Puts the notice into the agent's inbox; no room hears of it.
async fn notify(exec: &mut Exec<'_>, agent: Uuid, words: &str) -> Result<(), Stop> {
    let Some(to) = delegation::reach(exec, agent).await? else {
        return Ok(());
    };
    let said = Said {
        by: Speaker::fleet()?,
        text: words,
        class: Class::Actionable,
        task: None,
        reply_to: None,
        link: chain::begin_for_fleet(exec).await?,
    };
    let item = put(exec, &to, &said, None).await?;
    sqlx::query!(
        "UPDATE fleet.agents SET woken_at = $3, woken_item = $4 WHERE tenant_id = $1 AND id = $2",
        exec.tenant.as_str(),
        agent,
        db::time(exec.now),
        item
    )
    .execute(&mut *exec.tx)
    .await?;
    Ok(())
}

/// What agents say from now on begins chains: they took up work that somebody planned.
pub(crate) async fn begin_anew(exec: &mut Exec<'_>, agents: &[Uuid]) -> Result<(), Stop> {
    answered(exec, agents, true).await.map(drop)
}

/// An agent tried to claim and found nothing; it is told of the next. Whether it had been told anything.
pub(crate) async fn tried(exec: &mut Exec<'_>, agent: Uuid) -> Result<bool, Stop> {
    answered(exec, &[agent], false).await
}

/// A try to claim answers what agents were told of ready work. Where they took some, chains begin, and they listen
/// again only when they next ask.
async fn answered(exec: &mut Exec<'_>, agents: &[Uuid], begins: bool) -> Result<bool, Stop> {
    let told = sqlx::query_scalar!(
        r#"WITH before AS (SELECT woken_item FROM fleet.agents WHERE tenant_id = $1 AND id = ANY ($2) AND woken_item IS NOT NULL),
                after AS (
                    UPDATE fleet.agents SET woken_at = NULL, woken_item = NULL,
                        chain_id = CASE WHEN NOT $3 THEN chain_id END, chain_hop = CASE WHEN $3 THEN 0 ELSE chain_hop END,
                        listened_at = CASE WHEN NOT $3 THEN listened_at END
                    WHERE tenant_id = $1 AND id = ANY ($2) AND (woken_at IS NOT NULL OR $3 AND (chain_id IS NOT NULL OR listened_at IS NOT NULL)))
           SELECT woken_item AS "item!" FROM before"#,
        exec.tenant.as_str(),
        agents,
        begins
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    if !told.is_empty() {
        take::acknowledge(exec, &told).await?;
    }
    Ok(!told.is_empty())
}

/// Whether an item told of work that is gone by now.
pub(super) async fn is_over(exec: &mut Exec<'_>, item: Uuid) -> Result<bool, Stop> {
    let over = sqlx::query_scalar!(
        r#"SELECT NOT EXISTS (SELECT FROM fleet.open_tasks t WHERE t.tenant_id = $1 AND t.role = a.role) AS "over!"
           FROM fleet.agents a WHERE a.tenant_id = $1 AND a.woken_item = $2"#,
        exec.tenant.as_str(),
        item
    )
    .fetch_optional(&mut *exec.tx)
    .await?;
    Ok(over == Some(true))
}
