//! What waits for budget, and what starts by itself when it fits.

use fleet_policy::budget::ladder::Reason;
use fleet_policy::budget::queue::{Blocked, Waiting, place};
use fleet_protocol::reply::WaitingView;
use fleet_protocol::scalar::Name;
use fleet_protocol::verbs::budget as verbs;
use fleet_protocol::{Reply, Timestamp};
use jiff::SignedDuration;
use uuid::Uuid;

use super::admission::{Refused, Work};
use super::series::unreadable;
use super::{decision, price, words};
use crate::db::{instant, time};
use crate::execute::task::known;
use crate::execute::{ActingAgent, Exec, Stop};

mod put;

pub(crate) use put::{Put, put};

/// A task without an ETA is looked at again after this.
const AGAIN: SignedDuration = SignedDuration::from_mins(5);
/// Tasks looked at in one look.
const MOST: i64 = 500;

/// Who waits with a claim.
#[derive(Debug, Clone)]
pub(crate) enum Claimer {
    /// An agent; dies with its incarnation.
    Agent(ActingAgent),
    /// A person.
    Person(String),
}

/// When a task is looked at again, if nothing changes before.
fn look_at(now: Timestamp, eta: Option<Timestamp>) -> Timestamp {
    let again = now.0.checked_add(AGAIN).map_or(now, Timestamp);
    eta.filter(|at| *at > now).unwrap_or(again)
}

/// Writes down that a task is refused.
pub(crate) async fn refused(
    exec: &mut Exec<'_>,
    work: &Work,
    refused: &Refused,
) -> Result<(), Stop> {
    leave(exec, &[work.id]).await?;
    if refused.reason == Reason::Unpriced {
        let model = work.model.as_ref().or(work.ceiling()).map(Name::as_str);
        price::missing(exec, model).await?;
    }
    let new = decision::New {
        task: work.id,
        attempt: None,
        outcome: "refused",
        account: None,
        model: None,
        reason: Some(format!(
            "{} ({})",
            refused.problem.detail,
            refused.reason.as_str()
        )),
        series: Some(refused.title.clone()),
        eta: None,
        inputs: refused.inputs.clone(),
    };
    decision::write(exec, new).await
}

/// Takes tasks out of the queue.
pub(crate) async fn leave(exec: &mut Exec<'_>, tasks: &[Uuid]) -> Result<(), Stop> {
    sqlx::query!(
        "DELETE FROM fleet.budget_queue WHERE tenant_id = $1 AND task_id = ANY ($2)",
        exec.tenant.as_str(),
        tasks
    )
    .execute(&mut *exec.tx)
    .await?;
    Ok(())
}

/// An agent waits with one claim at most: none once it works, the newest while it waits. What it waited
/// with before stays in the queue.
pub(crate) async fn waits_no_more(
    exec: &mut Exec<'_>,
    agents: &[Uuid],
    but_with: Option<Uuid>,
) -> Result<(), Stop> {
    sqlx::query!(
        "UPDATE fleet.budget_queue SET agent_id = NULL, incarnation = NULL
         WHERE tenant_id = $1 AND agent_id = ANY ($2) AND task_id IS DISTINCT FROM $3",
        exec.tenant.as_str(),
        agents,
        but_with
    )
    .execute(&mut *exec.tx)
    .await?;
    Ok(())
}

/// Something changed that may let a waiting task start: the queue is looked at with the next look.
pub(crate) async fn nudge(exec: &mut Exec<'_>) -> Result<(), Stop> {
    nudge_at(exec, exec.now).await
}

/// The queue is looked at again at an instant, whatever its tasks wait for.
pub(crate) async fn nudge_at(exec: &mut Exec<'_>, at: Timestamp) -> Result<(), Stop> {
    sqlx::query!(
        "INSERT INTO fleet.budget_nudges (tenant_id, at) SELECT $1, $2
         WHERE EXISTS (SELECT FROM fleet.budget_queue WHERE tenant_id = $1)",
        exec.tenant.as_str(),
        time(at) as _
    )
    .execute(&mut *exec.tx)
    .await?;
    Ok(())
}

/// A look begins: what it was asked for is seen to by it.
pub(crate) async fn nudged(exec: &mut Exec<'_>) -> Result<(), Stop> {
    sqlx::query!(
        "DELETE FROM fleet.budget_nudges WHERE tenant_id = $1 AND at <= $2",
        exec.tenant.as_str(),
        time(exec.now) as _
    )
    .execute(&mut *exec.tx)
    .await?;
    Ok(())
}

/// Tasks stay that were not looked at, because one that stands for them stayed: not before its ETA.
pub(crate) async fn stay(
    exec: &mut Exec<'_>,
    tasks: &[(Uuid, Option<Timestamp>)],
) -> Result<(), Stop> {
    if tasks.is_empty() {
        return Ok(());
    }
    let (ids, etas): (Vec<Uuid>, Vec<Option<Timestamp>>) = tasks.iter().copied().unzip();
    let etas: Vec<Option<i64>> = etas
        .into_iter()
        .map(|at| at.map(Timestamp::as_millis))
        .collect();
    sqlx::query!(
        "UPDATE fleet.budget_queue q SET look_at = $4,
             eta = CASE WHEN s.eta IS NOT NULL THEN greatest(q.eta, to_timestamp(s.eta / 1000.0)) END
         FROM unnest($2::uuid[], $3::bigint[]) AS s (task_id, eta)
         WHERE q.tenant_id = $1 AND q.task_id = s.task_id AND q.look_at <= $5",
        exec.tenant.as_str(),
        &ids,
        &etas as _,
        time(look_at(exec.now, None)) as _,
        time(exec.now) as _
    )
    .execute(&mut *exec.tx)
    .await?;
    Ok(())
}

impl Claimer {
    /// The agent, where it is one.
    pub(crate) fn agent(&self) -> Option<&ActingAgent> {
        match self {
            Self::Agent(agent) => Some(agent),
            Self::Person(_) => None,
        }
    }
}

/// A waiting task, in the order of the queue.
#[derive(Debug, Clone)]
pub(crate) struct Queued {
    pub(crate) task: Uuid,
    pub(crate) claimer: Option<Claimer>,
    pub(crate) lane: Lane,
    /// What it would hold, as last looked at.
    pub(crate) need: u64,
    /// What it waited for then, under which limit.
    pub(super) blocked: Option<(Uuid, Blocked)>,
}

/// What tasks have in common that ask for the same: who would pay, with what, and for which work.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Lane {
    task_type: String,
    role: String,
    mission: Option<Uuid>,
    provider: Option<String>,
    model: Option<String>,
    is_pinned: bool,
    projected: Option<i64>,
    max_wait_seconds: i32,
    is_let_go: bool,
    /// The ceiling of who would hold it; none while nobody would.
    ceiling: Option<Option<String>>,
}

/// The whole queue in order. A claim whose agent was started anew or retired is gone; the task stays.
pub(crate) async fn in_order(exec: &mut Exec<'_>) -> Result<Vec<Queued>, Stop> {
    let rows = sqlx::query!(
        r#"SELECT q.task_id, q.queued_at, q.incarnation, q.person, q.reason, q.series_id, q.need, q.p50, t.number, t.priority, t.task_type, t.role, t.mission_id,
               t.provider, t.model, t.model_pinned, t.projected_tokens, t.max_wait_seconds, t.start_now_by IS NOT NULL AS "is_let_go!",
               a.id AS "agent_id?", a.name AS "agent?", a.host AS "host?", a.incarnation AS "present?", a.model AS "ceiling?"
           FROM fleet.budget_queue q JOIN fleet.tasks t ON t.tenant_id = q.tenant_id AND t.id = q.task_id
           LEFT JOIN fleet.agents a ON a.tenant_id = q.tenant_id AND a.id = q.agent_id AND a.retired_at IS NULL
           WHERE q.tenant_id = $1 ORDER BY t.priority DESC, q.queued_at LIMIT $2"#,
        exec.tenant.as_str(),
        MOST
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    let mut queue = Vec::with_capacity(rows.len());
    for r in rows {
        let waiting = Waiting {
            task: i64::from(r.number),
            priority: i64::from(r.priority),
            queued_at: instant(r.queued_at),
        };
        let lives = r.present.is_some() && r.present == r.incarnation;
        let agent = match (r.agent_id, r.agent, r.host, r.present) {
            (Some(id), Some(name), Some(host), Some(incarnation)) if lives => {
                Some(Claimer::Agent(ActingAgent {
                    id,
                    name: name.parse().map_err(|_| unreadable("agent"))?,
                    host: host.parse().map_err(|_| unreadable("host"))?,
                    incarnation: incarnation.cast_unsigned(),
                }))
            }
            _ => None,
        };
        let claimer = agent.or(r.person.map(Claimer::Person));
        let lane = Lane {
            task_type: r.task_type,
            role: r.role,
            mission: r.mission_id,
            provider: r.provider,
            model: r.model,
            is_pinned: r.model_pinned,
            projected: r.projected_tokens,
            max_wait_seconds: r.max_wait_seconds,
            is_let_go: r.is_let_go,
            ceiling: claimer.as_ref().map(|_| r.ceiling),
        };
        let need = r.need.unsigned_abs();
        let blocked = r.series_id.zip(Reason::from_word(&r.reason));
        let queued = Queued {
            task: r.task_id,
            claimer,
            lane,
            need,
            blocked: blocked.map(|(series, reason)| {
                let blocked = Blocked {
                    waiting,
                    reason,
                    need,
                    p50: r.p50.unsigned_abs(),
                };
                (series, blocked)
            }),
        };
        queue.push((place(waiting, exec.now), queued));
    }
    queue.sort_by_key(|(place, _)| *place);
    Ok(queue.into_iter().map(|(_, queued)| queued).collect())
}

/// Shows every waiting task: its place, what binds it, when, and what would free it.
pub(crate) async fn show(exec: &mut Exec<'_>, _: &verbs::Queue) -> Result<Reply, Stop> {
    let rows = sqlx::query!(
        r#"SELECT q.queued_at, q.reason, q.eta, q.person, t.number, t.priority, t.title, t.status_note, a.name AS "agent?",
               coalesce(CASE WHEN s.scope = 'subscription' THEN '' ELSE s.scope || ' ' END || s.scope_key || ' ' || s.name, '') AS "binding!"
           FROM fleet.budget_queue q JOIN fleet.tasks t ON t.tenant_id = q.tenant_id AND t.id = q.task_id
           LEFT JOIN fleet.agents a ON a.tenant_id = q.tenant_id AND a.id = q.agent_id AND a.retired_at IS NULL
                AND a.incarnation = q.incarnation
           LEFT JOIN fleet.budget_series s ON s.tenant_id = q.tenant_id AND s.id = q.series_id
           WHERE q.tenant_id = $1 ORDER BY t.priority DESC, q.queued_at LIMIT $2"#,
        exec.tenant.as_str(),
        MOST
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    let mut waiting = Vec::with_capacity(rows.len());
    for r in rows {
        let reason = known("reason", Reason::from_word(&r.reason))?;
        let key = Waiting {
            task: i64::from(r.number),
            priority: i64::from(r.priority),
            queued_at: instant(r.queued_at),
        };
        let task = format!("t{}", r.number);
        let view = WaitingView {
            title: r.title,
            place: 0,
            since: instant(r.queued_at),
            claimed_by: r.agent.or(r.person),
            binding: r.binding,
            because: reason.as_str().to_owned(),
            reason: r.status_note.unwrap_or(r.reason),
            eta: r.eta.map(instant),
            remedy: words::what_frees(reason).replace("TASK", &task),
            task,
        };
        waiting.push((place(key, exec.now), view));
    }
    waiting.sort_by_key(|(place, _)| *place);
    let numbered = waiting
        .into_iter()
        .zip(1..)
        .map(|((_, view), place)| WaitingView { place, ..view });
    Ok(Reply::Queue(numbered.collect()))
}
