//! Taking from an inbox: handed out until acknowledged, the oldest first.

use fleet_protocol::problem::Code;
use fleet_protocol::verbs::inbox as verbs;
use fleet_protocol::verbs::member::GrantRole;
use fleet_protocol::{Problem, Reply};
use uuid::Uuid;

use super::super::{ActingAgent, Exec, Stop};
use super::{UNANSWERED, tell, view};
use crate::{db, incident};

/// Items that one call takes unless it says how many, and at most.
const TAKEN: (i64, i64) = (1, 50);
/// Items that are listed.
const LISTED: i64 = 50;

/// Hands out what waits: what was not handed out before, what an earlier incarnation had, and what was
/// not acknowledged for too long.
pub(crate) async fn next(exec: &mut Exec<'_>, args: &verbs::Next) -> Result<Reply, Stop> {
    let me = me(exec)?;
    let limit = args.limit.map_or(TAKEN.0, |n| n.as_i64().clamp(1, TAKEN.1));
    // What the agent says next is because of what it is handed: of several, the furthest counts.
    let ids = sqlx::query_scalar!(
        r#"WITH next AS (
               SELECT i.id FROM fleet.items i
               WHERE i.tenant_id = $1 AND i.agent_id = $2 AND i.acknowledged_at IS NULL
                 AND (i.visible_at <= $4::timestamptz OR i.handed_to < $3)
               ORDER BY i.number LIMIT $5 FOR UPDATE),
           taken AS (
               UPDATE fleet.items i SET deliveries = i.deliveries + 1, handed_to = $3,
                   visible_at = $4 + make_interval(secs => s.inbox_visible_seconds)
               FROM next n, fleet.settings s
               WHERE i.tenant_id = $1 AND i.id = n.id AND s.tenant_id = $1
               RETURNING i.id, i.number, i.chain_id, i.hop),
           furthest AS (SELECT chain_id, hop FROM taken ORDER BY hop DESC, number DESC LIMIT 1),
           heard AS (
               UPDATE fleet.agents a SET listened_at = $4, chain_id = coalesce(f.chain_id, a.chain_id),
                   chain_hop = coalesce(f.hop + 1, a.chain_hop)
               FROM (SELECT) AS asks LEFT JOIN furthest f ON true
               WHERE a.tenant_id = $1 AND a.id = $2
                 AND (f.chain_id IS NOT NULL OR a.listened_at IS NULL OR a.listened_at <= $4 - interval '10 seconds'))
           SELECT id FROM taken"#,
        exec.tenant.as_str(),
        me.id,
        me.incarnation.cast_signed(),
        db::time(exec.now),
        limit
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    Ok(Reply::Items(view::load(exec, &ids).await?))
}

fn me(exec: &Exec<'_>) -> Result<ActingAgent, Stop> {
    exec.actor.agent.clone().ok_or_else(|| {
        Problem::new(Code::NotYourself, "only a registered agent has an inbox")
            .remedy("register first, or see an agent's: agent inbox NAME")
            .into()
    })
}

/// Acknowledges items of one's own inbox; a person may do it for an agent.
pub(crate) async fn ack(exec: &mut Exec<'_>, args: &verbs::Ack) -> Result<Reply, Stop> {
    let mut ids = Vec::with_capacity(args.items.len());
    for reference in &args.items {
        ids.push(exec.resolve(*reference).await?);
    }
    let is_person = exec.actor.roles.iter().any(|r| *r >= GrantRole::Member);
    let me = exec.actor.agent.as_ref().map(|a| a.id);
    let foreign = sqlx::query!(
        r#"SELECT number, to_name FROM fleet.items
           WHERE tenant_id = $1 AND id = ANY ($2) AND agent_id IS DISTINCT FROM $3 LIMIT 1"#,
        exec.tenant.as_str(),
        &ids,
        me
    )
    .fetch_optional(&mut *exec.tx)
    .await?;
    if let Some(foreign) = foreign.filter(|_| me.is_some() || !is_person) {
        return Err(Problem::new(
            Code::NotYourself,
            format!(
                "n{} is in the inbox of {}, not in yours",
                foreign.number, foreign.to_name
            ),
        )
        .remedy("acknowledge what was handed to you")
        .into());
    }
    acknowledge(exec, &ids).await?;
    Ok(Reply::Items(view::load(exec, &ids).await?))
}

/// Acknowledges items; what was an incident is over. What is acknowledged already stays as it is.
pub(super) async fn acknowledge(exec: &mut Exec<'_>, ids: &[Uuid]) -> Result<(), Stop> {
    let done = sqlx::query!(
        r#"UPDATE fleet.items SET acknowledged_at = $3, due_at = NULL
           WHERE tenant_id = $1 AND id = ANY ($2) AND acknowledged_at IS NULL
           RETURNING id, number, to_name, reminded_at IS NOT NULL AS "reminded!", is_followed"#,
        exec.tenant.as_str(),
        ids,
        db::time(exec.now)
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    for item in done {
        if item.reminded {
            let subject = subject(&item.to_name, item.number);
            let about = (UNANSWERED, subject.as_str());
            incident::resolve(exec.tx, exec.tenant, exec.ids, exec.now, about).await?;
        }
        if item.is_followed {
            tell::follow(exec, item.id).await?;
        }
    }
    Ok(())
}

/// What the incident of an unacknowledged item is about.
pub(super) fn subject(agent: &str, number: i32) -> String {
    format!("{agent} n{number}")
}

/// Lists an inbox without taking anything.
pub(crate) async fn list(exec: &mut Exec<'_>, args: &verbs::Inbox) -> Result<Reply, Stop> {
    let agent = match &args.agent {
        None => me(exec)?.id,
        Some(name) => sqlx::query_scalar!(
            "SELECT id FROM fleet.agents WHERE tenant_id = $1 AND name = $2",
            exec.tenant.as_str(),
            name.as_str()
        )
        .fetch_optional(&mut *exec.tx)
        .await?
        .ok_or_else(|| {
            Problem::new(Code::NotFound, format!("there is no agent {name}"))
                .remedy("see the agents with: !agent list --all")
        })?,
    };
    let ids = sqlx::query_scalar!(
        r#"SELECT id FROM fleet.items WHERE tenant_id = $1 AND agent_id = $2 AND ($3 OR acknowledged_at IS NULL)
           ORDER BY CASE WHEN $3 THEN -number ELSE number END LIMIT $4"#,
        exec.tenant.as_str(),
        agent,
        args.all,
        LISTED
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    Ok(Reply::Items(view::load(exec, &ids).await?))
}
