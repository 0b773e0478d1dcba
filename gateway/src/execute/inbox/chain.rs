//! Causal chains (doctrine 10): to which one a message belongs, and whether it may go on.

use fleet_policy::chain::{Extent, Limits};
use fleet_protocol::Problem;
use fleet_protocol::event::Chain;
use fleet_protocol::problem::{Code, Place};
use uuid::Uuid;

use super::super::{ActingAgent, Exec, Stop};
use crate::{db, incident};

/// Where in which chain a message stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    pub(super) chain: Uuid,
    pub(super) hop: i32,
}

/// Takes a place in a chain for so many messages that an actor says now. What a person says begins a
/// chain. What an agent says belongs to the chain of the item that it answers, else to the one it
/// names and is part of, else to that of the last item it was handed; after a claim it begins one.
///
/// # Errors
/// [`Code::ChainStopped`] at a limit, which stops the chain and is told once.
pub(super) async fn enter(
    exec: &mut Exec<'_>,
    answered: Option<Link>,
    messages: i32,
) -> Result<Link, Stop> {
    let Some(me) = exec.actor.agent.clone() else {
        let by = exec.actor.principal.clone();
        let link = begin(exec, &by).await?;
        count(exec, link, messages).await?;
        return Ok(link);
    };
    let link = match (answered, exec.actor.chain.clone()) {
        (Some(before), _) => Link {
            hop: before.hop + 1,
            ..before
        },
        (None, Some(named)) => named_by(exec, &me, &named).await?,
        (None, None) => match current(exec, &me).await? {
            Some(link) => link,
            None => begin_as(exec, &me).await?,
        },
    };
    count(exec, link, messages).await?;
    Ok(link)
}

/// Counts tokens that an agent spent against the chain in which it acts.
pub(crate) async fn spent(exec: &mut Exec<'_>, agent: Uuid, tokens: u64) -> Result<(), Stop> {
    sqlx::query!(
        r#"UPDATE fleet.chains c SET tokens = c.tokens + $3 FROM fleet.agents a
           WHERE a.tenant_id = $1 AND a.id = $2 AND c.tenant_id = $1 AND c.id = a.chain_id"#,
        exec.tenant.as_str(),
        agent,
        tokens.cast_signed()
    )
    .execute(&mut *exec.tx)
    .await?;
    Ok(())
}

async fn current(exec: &mut Exec<'_>, me: &ActingAgent) -> Result<Option<Link>, Stop> {
    let row = sqlx::query!(
        "SELECT chain_id, chain_hop FROM fleet.agents WHERE tenant_id = $1 AND id = $2",
        exec.tenant.as_str(),
        me.id
    )
    .fetch_one(&mut *exec.tx)
    .await?;
    Ok(row.chain_id.map(|chain| Link {
        chain,
        hop: row.chain_hop,
    }))
}

/// The chain that an agent names: one in which it was handed something, no earlier than that.
async fn named_by(exec: &mut Exec<'_>, me: &ActingAgent, named: &Chain) -> Result<Link, Stop> {
    let handed = sqlx::query_scalar!(
        "SELECT max(hop) FROM fleet.items WHERE tenant_id = $1 AND chain_id = $2 AND agent_id = $3 AND deliveries > 0",
        exec.tenant.as_str(),
        named.id,
        me.id
    )
    .fetch_one(&mut *exec.tx)
    .await?;
    let said = i32::try_from(named.hop).unwrap_or(i32::MAX);
    match handed {
        Some(hop) => Ok(Link {
            chain: named.id,
            hop: said.max(hop + 1),
        }),
        None => Err(Problem::new(
            Code::Invalid,
            format!(
                "nothing of the chain {} was handed to {}",
                named.id, me.name
            ),
        )
        .remedy("leave the chain out; the fleet knows to which one it belongs")
        .at(Place::Path("chain.id".into()))
        .into()),
    }
}

/// A chain that an agent begins, and stays in.
async fn begin_as(exec: &mut Exec<'_>, agent: &ActingAgent) -> Result<Link, Stop> {
    let link = begin(exec, agent.name.as_str()).await?;
    sqlx::query!(
        "UPDATE fleet.agents SET chain_id = $3, chain_hop = 0 WHERE tenant_id = $1 AND id = $2",
        exec.tenant.as_str(),
        agent.id,
        link.chain
    )
    .execute(&mut *exec.tx)
    .await?;
    Ok(link)
}

async fn begin(exec: &mut Exec<'_>, by: &str) -> Result<Link, Stop> {
    let chain = exec.ids.next();
    sqlx::query!(
        "INSERT INTO fleet.chains (tenant_id, id, started_by, started_at) VALUES ($1, $2, $3, $4)",
        exec.tenant.as_str(),
        chain,
        by,
        db::time(exec.now)
    )
    .execute(&mut *exec.tx)
    .await?;
    Ok(Link { chain, hop: 0 })
}

/// A chain for one message of the fleet itself.
pub(super) async fn begin_for_fleet(exec: &mut Exec<'_>) -> Result<Link, Stop> {
    let link = begin(exec, "fleet").await?;
    count(exec, link, 1).await?;
    Ok(link)
}

/// Counts messages against the limits of their chain. At a limit the chain is stopped for good, and
/// that is kept although the message is refused.
async fn count(exec: &mut Exec<'_>, link: Link, messages: i32) -> Result<(), Stop> {
    let row = sqlx::query!(
        r#"SELECT c.messages, c.tokens, c.started_by, c.stop_reason, s.chain_hops, s.chain_messages, s.chain_tokens
           FROM fleet.chains c JOIN fleet.settings s ON s.tenant_id = c.tenant_id
           WHERE c.tenant_id = $1 AND c.id = $2 FOR UPDATE OF c"#,
        exec.tenant.as_str(),
        link.chain
    )
    .fetch_one(&mut *exec.tx)
    .await?;
    if let Some(reason) = row.stop_reason {
        return Err(stopped(&reason));
    }
    let limits = Limits {
        hops: row.chain_hops.unsigned_abs(),
        messages: row.chain_messages.unsigned_abs(),
        tokens: row.chain_tokens.unsigned_abs(),
    };
    let extent = Extent {
        hop: link.hop.unsigned_abs(),
        messages: row.messages.saturating_add(messages).unsigned_abs(),
        tokens: row.tokens.unsigned_abs(),
    };
    if let Err(limit) = limits.admit(extent) {
        let reason = format!("it reached {limit}, as far as a chain goes");
        stop(exec, link, &row.started_by, &reason).await?;
        return Err(stopped(&reason));
    }
    sqlx::query!(
        "UPDATE fleet.chains SET messages = messages + $3 WHERE tenant_id = $1 AND id = $2",
        exec.tenant.as_str(),
        link.chain,
        messages
    )
    .execute(&mut *exec.tx)
    .await?;
    Ok(())
}

fn stopped(reason: &str) -> Stop {
    Problem::new(
        Code::ChainStopped,
        format!("nothing more is said in this chain: {reason}"),
    )
    .remedy("do other work; what a person says, or a task that you claim, begins a new chain")
    .into()
}

/// Stops a chain, and tells who went round in it.
async fn stop(exec: &mut Exec<'_>, link: Link, began: &str, reason: &str) -> Result<(), Stop> {
    let among = sqlx::query_scalar!(
        r#"SELECT coalesce(string_agg(DISTINCT from_name, ', '), '') AS "among!" FROM fleet.items
           WHERE tenant_id = $1 AND chain_id = $2"#,
        exec.tenant.as_str(),
        link.chain
    )
    .fetch_one(&mut *exec.tx)
    .await?;
    sqlx::query!(
        "UPDATE fleet.chains SET stopped_at = $3, stop_reason = $4 WHERE tenant_id = $1 AND id = $2",
        exec.tenant.as_str(),
        link.chain,
        db::time(exec.now),
        reason
    )
    .execute(&mut *exec.tx)
    .await?;
    let detail = format!(
        "what {began} began goes round among {among}: {reason}. Nothing more is said in it. To go on, say something to one of them: !agent send --to NAME \"...\""
    );
    let raised = incident::Raised {
        rule: "chain.stopped",
        subject: &link.chain.to_string(),
        detail: &detail,
    };
    incident::open(exec.tx, exec.tenant, exec.ids, exec.now, &raised).await?;
    exec.keep_refused = true;
    Ok(())
}
