//! What was spent, as sums of what was reported.

use std::collections::{BTreeMap, BTreeSet};

use fleet_protocol::verbs::budget::Unit;
use uuid::Uuid;

use crate::execute::{Exec, Stop};

/// Units in which something was reported of an attempt.
pub(in crate::execute) async fn reported_units(
    exec: &mut Exec<'_>,
    task: Uuid,
    attempt: i32,
) -> Result<BTreeSet<Unit>, Stop> {
    let row = sqlx::query!(
        r#"SELECT count(*) > 0 AS "any!", coalesce(bool_or(cash_usd_micro > 0), false) AS "cash!",
               coalesce((SELECT array_agg(DISTINCT k) FROM fleet.spend_reports o, jsonb_object_keys(o.others) AS k
                         WHERE o.tenant_id = $1 AND o.task_id = $2 AND o.attempt = $3), '{}') AS "others!"
           FROM fleet.spend_reports WHERE tenant_id = $1 AND task_id = $2 AND attempt = $3"#,
        exec.tenant.as_str(),
        task,
        attempt
    )
    .fetch_one(&mut *exec.tx)
    .await?;
    let mut units: BTreeSet<Unit> = row
        .others
        .iter()
        .filter_map(|w| Unit::from_word(w))
        .collect();
    if row.any {
        units.insert(Unit::Tokens);
    }
    if row.cash {
        units.insert(Unit::CashUsdMicro);
    }
    Ok(units)
}

/// What a task has spent in all its attempts, per unit that was reported.
pub(in crate::execute) async fn actuals(
    exec: &mut Exec<'_>,
    task: Uuid,
) -> Result<Vec<(Unit, u64)>, Stop> {
    let rows = sqlx::query!(
        r#"SELECT coalesce(sum(added_tokens), 0)::bigint AS "tokens!", coalesce(sum(added_cash_usd_micro), 0)::bigint AS "cash!",
               coalesce(jsonb_agg(added_others) FILTER (WHERE added_others <> '{}'), '[]') AS "others!"
           FROM fleet.spend_reports WHERE tenant_id = $1 AND task_id = $2"#,
        exec.tenant.as_str(),
        task
    )
    .fetch_one(&mut *exec.tx)
    .await?;
    let mut sums: BTreeMap<Unit, u64> = BTreeMap::new();
    for part in rows.others.as_array().into_iter().flatten() {
        for (word, n) in part.as_object().into_iter().flatten() {
            if let (Some(unit), Some(n)) = (Unit::from_word(word), n.as_u64()) {
                let sum = sums.entry(unit).or_default();
                *sum = sum.saturating_add(n);
            }
        }
    }
    sums.insert(Unit::Tokens, rows.tokens.unsigned_abs());
    sums.insert(Unit::CashUsdMicro, rows.cash.unsigned_abs());
    Ok(sums.into_iter().collect())
}

/// An amount of a unit in a stored object of amounts.
pub(in crate::execute) fn other(amounts: &serde_json::Value, unit: Unit) -> i64 {
    let n = amounts
        .get(unit.as_str())
        .and_then(serde_json::Value::as_i64);
    n.unwrap_or(0)
}

/// Tokens of a task, or of one attempt, in all.
pub(in crate::execute) async fn total(
    exec: &mut Exec<'_>,
    task: Uuid,
    attempt: Option<i32>,
) -> Result<u64, Stop> {
    let sum = sqlx::query_scalar!(
        r#"SELECT coalesce(sum(added_tokens), 0)::bigint AS "sum!" FROM fleet.spend_reports
           WHERE tenant_id = $1 AND task_id = $2 AND attempt = coalesce($3, attempt)"#,
        exec.tenant.as_str(),
        task,
        attempt
    )
    .fetch_one(&mut *exec.tx)
    .await?;
    Ok(sum.unsigned_abs())
}
