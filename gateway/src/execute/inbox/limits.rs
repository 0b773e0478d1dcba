//! `chain limits set` and `show`: how far a chain of messages goes (doctrine 10).

use fleet_protocol::problem::Code;
use fleet_protocol::reply::{ChainLimitsView, Changed};
use fleet_protocol::scalar::Count;
use fleet_protocol::verbs::chain as verbs;
use fleet_protocol::{Problem, Reply};

use crate::execute::{Exec, Stop, member};

/// Messages one behind the other, and in all, that an operator may allow; beyond these a limit is none.
const MOST: (u64, u64) = (1_000, 100_000);

pub(crate) async fn set(exec: &mut Exec<'_>, args: &verbs::Set) -> Result<Reply, Stop> {
    if args.hops.is_none() && args.messages.is_none() && args.tokens.is_none() {
        return Err(Problem::new(Code::BadArgument, "nothing to set")
            .remedy("say how far: !chain limits set --hops 16 --messages 200 --tokens 5M")
            .into());
    }
    let hops = within("--hops", args.hops, MOST.0)?;
    let messages = within("--messages", args.messages, MOST.1)?;
    within("--tokens", args.tokens, u64::MAX)?;
    let before = limits(exec).await?;
    sqlx::query!(
        "UPDATE fleet.settings SET chain_hops = coalesce($2, chain_hops), chain_messages = coalesce($3, chain_messages),
             chain_tokens = coalesce($4, chain_tokens)
         WHERE tenant_id = $1",
        exec.tenant.as_str(),
        hops,
        messages,
        args.tokens.map(Count::as_i64)
    )
    .execute(&mut *exec.tx)
    .await?;
    let now = limits(exec).await?;
    exec.dry_run = args.dry_run;
    let mut changed = Changed::to("set", now);
    changed.already = changed.now == before;
    if !changed.already {
        let detail = serde_json::json!({ "before": before, "now": changed.now });
        member::audit(exec, "chain.limits.set", "fleet", detail).await?;
    }
    Ok(Reply::ChainLimits(changed))
}

pub(crate) async fn show(exec: &mut Exec<'_>, _: &verbs::Show) -> Result<Reply, Stop> {
    Ok(Reply::ChainLimits(Changed::shown(limits(exec).await?)))
}

/// The number as the register takes it.
fn within(option: &str, given: Option<Count>, most: u64) -> Result<Option<i32>, Problem> {
    let Some(given) = given else { return Ok(None) };
    if given.get() == 0 || given.get() > most {
        let detail = format!("{option} {} is no limit", given.get());
        let remedy = match most {
            u64::MAX => "name at least 1".to_owned(),
            most => format!("name 1 to {most}"),
        };
        return Err(Problem::new(Code::BadArgument, detail).remedy(remedy));
    }
    Ok(i32::try_from(given.get()).ok())
}

async fn limits(exec: &mut Exec<'_>) -> Result<ChainLimitsView, Stop> {
    let s = sqlx::query!(
        "SELECT chain_hops, chain_messages, chain_tokens FROM fleet.settings WHERE tenant_id = $1",
        exec.tenant.as_str()
    )
    .fetch_one(&mut *exec.tx)
    .await?;
    Ok(ChainLimitsView {
        hops: s.chain_hops.cast_unsigned(),
        messages: s.chain_messages.cast_unsigned(),
        tokens: s.chain_tokens.cast_unsigned(),
    })
}
