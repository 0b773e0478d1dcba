//! The verbs of `agent`: one name, one Matrix user, one incarnation at a time.

use fleet_policy::bounds::{CONTEXT_CAP, Context};
use fleet_protocol::document::{bold, text};
use fleet_protocol::outbox::Attention;
use fleet_protocol::problem::Code;
use fleet_protocol::reply::{AgentView, Changed};
use fleet_protocol::scalar::Name;
use fleet_protocol::verbs::agent as verbs;
use fleet_protocol::{Document, Problem, Reply, Timestamp};
use uuid::Uuid;

use super::task::{free_all, known, lose_leases};
use super::{Exec, Room, Stop, Subject, notice};
use crate::db;

mod register;
mod token;

pub(crate) use register::register;
pub(crate) use token::{revoke, token};

/// Seconds after which an agent of which nothing is heard counts as silent. Who holds no task is heard when it asks its inbox,
/// too: it has nothing to report.
pub(super) const SILENT_AFTER: i64 = 300;

pub(crate) async fn heartbeat(exec: &mut Exec<'_>, args: &verbs::Heartbeat) -> Result<Reply, Stop> {
    let Some(me) = exec.actor.agent.clone() else {
        return Err(
            Problem::new(Code::NotYourself, "only a registered agent has a heartbeat")
                .remedy("register first: agent register NAME --role ROLE --host HOST")
                .into(),
        );
    };
    let before = sqlx::query_scalar!(
        "SELECT context_tokens FROM fleet.agents WHERE tenant_id = $1 AND id = $2 FOR UPDATE",
        exec.tenant.as_str(),
        me.id
    )
    .fetch_one(&mut *exec.tx)
    .await?;
    sqlx::query!(
        "UPDATE fleet.agents SET heartbeat_at = $3, context_tokens = coalesce($4, context_tokens) WHERE tenant_id = $1 AND id = $2",
        exec.tenant.as_str(),
        me.id,
        db::time(exec.now),
        args.context_tokens.map(|n| n.as_i64())
    )
    .execute(&mut *exec.tx)
    .await?;
    let before = Context::of(before.map(i64::cast_unsigned));
    let now = Context::of(args.context_tokens.map(u64::from));
    if args.context_tokens.is_some() && before.worth_telling(now) {
        tell_context(
            exec,
            me.id,
            &me.name,
            now,
            args.context_tokens.map_or(0, u64::from),
        );
    }
    answer(exec, &me.name, "heard", Vec::new()).await
}

fn tell_context(exec: &mut Exec<'_>, id: Uuid, name: &Name, context: Context, tokens: u64) {
    let (attention, then) = match context {
        Context::Full => (
            Attention::Loud,
            "it gets no new task until it registers anew with a fresh context",
        ),
        Context::NearlyFull | Context::Roomy => (Attention::Quiet, "plan a fresh incarnation"),
    };
    let document = Document::new().paragraph([
        bold(name.as_str()),
        text(format!(
            " has {tokens} of {CONTEXT_CAP} tokens in its context; {then}"
        )),
    ]);
    exec.say(
        Room::Key("ops"),
        notice(attention, document),
        None,
        Some((Subject::Agent, id)),
    );
}

pub(crate) async fn retire(exec: &mut Exec<'_>, args: &verbs::Retire) -> Result<Reply, Stop> {
    let is_retired = sqlx::query_scalar!(
        r#"SELECT retired_at IS NOT NULL AS "retired!" FROM fleet.agents WHERE tenant_id = $1 AND name = $2"#,
        exec.tenant.as_str(),
        args.name.as_str()
    )
    .fetch_optional(&mut *exec.tx)
    .await?
    .ok_or_else(|| missing(&args.name))?;
    if is_retired {
        let now = one(exec, &args.name).await?;
        return Ok(Reply::Agent(Changed {
            already: true,
            ..Changed::to("retired", now)
        }));
    }
    let notes = end(exec, &args.name, "agent.retire", "the agent was retired").await?;
    answer(exec, &args.name, "retired", notes).await
}

/// Ends an agent's leases and its time here; one sentence for each task it held.
async fn end(
    exec: &mut Exec<'_>,
    name: &Name,
    action: &str,
    why: &str,
) -> Result<Vec<String>, Stop> {
    let id = sqlx::query_scalar!(
        "SELECT id FROM fleet.agents WHERE tenant_id = $1 AND name = $2 FOR UPDATE",
        exec.tenant.as_str(),
        name.as_str()
    )
    .fetch_optional(&mut *exec.tx)
    .await?
    .ok_or_else(|| missing(name))?;
    let lost = lose_leases(exec, id, why).await?;
    sqlx::query!(
        "UPDATE fleet.agents SET retired_at = coalesce(retired_at, $3) WHERE tenant_id = $1 AND id = $2",
        exec.tenant.as_str(),
        id,
        db::time(exec.now) as _
    )
    .execute(&mut *exec.tx)
    .await?;
    let detail = serde_json::json!({ "lost": lost });
    super::member::audit(exec, action, name.as_str(), detail).await?;
    let freed = free_all(exec, id, &format!("{name}: {why}")).await?;
    let no_longer = lost.into_iter().map(|t| format!("{t} is no longer held"));
    let open = freed
        .into_iter()
        .map(|t| format!("{t} is no longer kept for it"));
    Ok(no_longer.chain(open).collect())
}

pub(crate) async fn list(exec: &mut Exec<'_>, args: &verbs::List) -> Result<Reply, Stop> {
    Ok(Reply::Agents(views(exec, None, args.all).await?))
}

pub(crate) async fn show(exec: &mut Exec<'_>, args: &verbs::Show) -> Result<Reply, Stop> {
    Ok(Reply::Agent(Changed::shown(one(exec, &args.name).await?)))
}

fn missing(name: &Name) -> Problem {
    Problem::new(Code::NotFound, format!("there is no agent {name}"))
        .remedy("see the agents with: !agent list --all")
}

async fn answer(
    exec: &mut Exec<'_>,
    name: &Name,
    change: &str,
    notes: Vec<String>,
) -> Result<Reply, Stop> {
    let now = one(exec, name).await?;
    Ok(Reply::Agent(Changed {
        notes,
        ..Changed::to(change, now)
    }))
}

async fn one(exec: &mut Exec<'_>, name: &Name) -> Result<AgentView, Stop> {
    Ok(views(exec, Some(name), true)
        .await?
        .pop()
        .ok_or_else(|| missing(name))?)
}

/// Agents with what they hold: the task claimed first.
pub(super) async fn views(
    exec: &mut Exec<'_>,
    name: Option<&Name>,
    retired: bool,
) -> Result<Vec<AgentView>, Stop> {
    let rows = sqlx::query!(
        r#"SELECT g.name, g.role, g.host, g.runtime, g.model, g.user_id, g.incarnation, g.context_tokens, g.heartbeat_at,
                  greatest(g.heartbeat_at, CASE WHEN h.number IS NULL THEN g.listened_at END) AS heard_at,
                  g.retired_at IS NOT NULL AS "retired!", h.number AS "task?", h.lease_until AS "lease_until?",
                  (SELECT count(*) FROM fleet.items i
                   WHERE i.tenant_id = g.tenant_id AND i.agent_id = g.id AND i.acknowledged_at IS NULL) AS "unread!",
                  coalesce(today.tokens, 0) AS "spent_today!"
           FROM fleet.agents g
           LEFT JOIN LATERAL (
               SELECT t.number, a.lease_until FROM fleet.attempts a
               JOIN fleet.tasks t ON t.tenant_id = a.tenant_id AND t.id = a.task_id
               WHERE a.tenant_id = g.tenant_id AND a.agent_id = g.id AND a.ended_at IS NULL
               ORDER BY a.started_at LIMIT 1) h ON true
           LEFT JOIN (
               SELECT s.agent_id, sum(r.added_tokens)::bigint AS tokens FROM fleet.spend_reports r
               JOIN fleet.attempts s ON s.tenant_id = r.tenant_id AND s.task_id = r.task_id AND s.attempt = r.attempt
               WHERE r.tenant_id = $1 AND r.spent_at >= $4 GROUP BY s.agent_id) today ON today.agent_id = g.id
           WHERE g.tenant_id = $1 AND ($2::text IS NULL OR g.name = $2) AND ($3 OR g.retired_at IS NULL)
           ORDER BY g.name"#,
        exec.tenant.as_str(),
        name.map(|n| n.as_str()),
        retired,
        db::time(midnight(exec))
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    rows.into_iter()
        .map(|r| {
            let heartbeat_at = r.heartbeat_at.map(db::instant);
            let age = heartbeat_at.map(|at| seconds_since(at, exec.now));
            let heard = r
                .heard_at
                .map(|at| seconds_since(db::instant(at), exec.now));
            let silent = heard.is_none_or(|s| s >= SILENT_AFTER.cast_unsigned());
            let state = match (r.retired, silent, r.task) {
                (true, _, _) => "retired",
                (false, true, _) => "silent",
                (false, false, Some(_)) => "working",
                (false, false, None) => "idle",
            };
            Ok(AgentView {
                name: known("name", r.name.parse().ok())?,
                role: known("role", r.role.parse().ok())?,
                host: known("host", r.host.parse().ok())?,
                runtime: r
                    .runtime
                    .map(|v| known("runtime", v.parse().ok()))
                    .transpose()?,
                model: r
                    .model
                    .map(|v| known("model", v.parse().ok()))
                    .transpose()?,
                user: known("user_id", r.user_id.parse().ok())?,
                incarnation: r.incarnation.cast_unsigned(),
                state: state.to_owned(),
                task: r.task.map(|n| format!("t{n}")),
                lease_until: r.lease_until.map(db::instant),
                context_tokens: r.context_tokens.map(i64::cast_unsigned),
                heartbeat_at,
                heartbeat_age: age,
                unread: r.unread.cast_unsigned(),
                spent_today: r.spent_today.cast_unsigned(),
            })
        })
        .collect()
}

/// When today began in the tenant's zone.
fn midnight(exec: &Exec<'_>) -> Timestamp {
    let today = exec.zone.to_datetime(exec.now.0).date().at(0, 0, 0, 0);
    // Where a day begins an hour late, it begins then.
    let began = exec.zone.to_ambiguous_timestamp(today).compatible();
    Timestamp(began.unwrap_or(exec.now.0))
}

fn seconds_since(at: Timestamp, now: Timestamp) -> u64 {
    u64::try_from(now.0.duration_since(at.0).as_secs()).unwrap_or(0)
}
