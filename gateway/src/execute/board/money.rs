//! The money that an effect moves, and whether a person must approve it.

use fleet_policy::board::{self as policy, Money};
use fleet_protocol::Command;
use fleet_protocol::record::Content;
use fleet_protocol::verbs::board::Effect;
use fleet_protocol::verbs::budget::Unit;
use jiff::SignedDuration;

use crate::db::time;
use crate::execute::budget::gauge::{self, Which};
use crate::execute::budget::series;
use crate::execute::{Exec, Stop};

/// How far back what passed without a person is counted.
const WEEK: SignedDuration = SignedDuration::from_hours(7 * 24);

/// What an effect moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Moved {
    /// The provider account: a lift cannot be split over its windows to stay below the limit.
    pub(super) provider: Option<String>,
    pub(super) money: Money,
}

/// What an effect would move as limits are now.
pub(super) async fn moved(exec: &mut Exec<'_>, effect: Option<&Effect>) -> Result<Moved, Stop> {
    let (named, limit, unit) = match effect.map(|e| e.0.as_ref()) {
        Some(Command::BudgetSet(set)) => (set.series(), Some(set.limit.get()), Some(set.unit)),
        Some(Command::BudgetReset(reset)) => (reset.series(), None, None),
        _ => {
            return Ok(Moved {
                provider: None,
                money: Money::None,
            });
        }
    };
    let (scope, key) = series::scope(exec, named).await?;
    let all = gauge::read(exec, &Which::scopes([(scope, key.as_str())])).await?;
    let present = all
        .iter()
        .map(|g| &g.series)
        .find(|s| named.window.is_none_or(|w| s.name == *w));
    let before = present.map_or(0, |s| s.limit);
    let money = match (limit, unit.or(present.map(|s| s.unit))) {
        // A lower limit gives nobody anything.
        (Some(limit), Some(_)) if present.is_some() && limit <= before => Money::Known(0),
        (Some(limit), Some(Unit::CashUsdMicro | Unit::ApiEquivalentUsdMicro)) => {
            Money::Known(limit.saturating_sub(before))
        }
        (None, Some(Unit::CashUsdMicro | Unit::ApiEquivalentUsdMicro)) => Money::Known(before),
        _ => Money::Unknown,
    };
    Ok(Moved {
        provider: Some(named.to_string()),
        money,
    })
}

/// Whether a person must approve, with what passed without one on the same provider account in 7 days.
pub(super) async fn human_required(exec: &mut Exec<'_>, content: &Content) -> Result<bool, Stop> {
    if content.rule.human_above.is_none() {
        return Ok(false);
    }
    let moved = moved(exec, content.effect.as_ref()).await?;
    let since = exec.now.earlier(WEEK);
    let passed = sqlx::query_scalar!(
        r#"SELECT coalesce(sum(money_usd_micro), 0)::bigint AS "passed!" FROM fleet.decisions
           WHERE tenant_id = $1 AND provider = $2 AND NOT human AND effect_state = 'done' AND decided_at > $3"#,
        exec.tenant.as_str(),
        moved.provider,
        time(since) as _
    )
    .fetch_one(&mut *exec.tx)
    .await?;
    Ok(policy::human_required(
        &content.rule,
        moved.money,
        passed.unsigned_abs(),
    ))
}
