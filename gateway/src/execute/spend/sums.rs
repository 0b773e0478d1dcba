//! What was spent, as sums of what was reported.

use std::collections::{BTreeMap, BTreeSet};

use fleet_protocol::verbs::budget::Unit;
use uuid::Uuid;

use crate::execute::{Exec, Stop};

/// What was reported of an attempt.
pub(in crate::execute) struct Reported {
    /// Units in which something was reported; tokens by any report, be it of zero.
    pub(in crate::execute) units: BTreeSet<Unit>,
    /// Tokens in all.
    pub(in crate::execute) tokens: u64,
}

/// Reads what was reported of an attempt.
pub(in crate::execute) async fn reported(
    exec: &mut Exec<'_>,
    task: Uuid,
    attempt: i32,
) -> Result<Reported, Stop> {
    let row = sqlx::query!(
        r#"SELECT count(*) > 0 AS "any!", coalesce(bool_or(cash_usd_micro > 0), false) AS "cash!",
               coalesce(sum(added_tokens), 0)::bigint AS "tokens!",
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
    Ok(Reported {
        units,
        tokens: row.tokens.unsigned_abs(),
    })
}

/// A task that came to its end, as learning sees it.
pub(in crate::execute) struct Actual {
    pub(in crate::execute) task_type: String,
    pub(in crate::execute) role: String,
    /// Of the attempt; empty where none is known.
    pub(in crate::execute) model: String,
    /// The most tokens that one report of the attempt added.
    pub(in crate::execute) most: Option<i64>,
    /// What was spent in all attempts, per unit that was reported.
    pub(in crate::execute) spent: BTreeMap<Unit, u64>,
}

/// Reads what a task came to, with the attempt that ended it.
pub(in crate::execute) async fn actual(
    exec: &mut Exec<'_>,
    task: Uuid,
    attempt: i32,
) -> Result<Actual, Stop> {
    let row = sqlx::query!(
        r#"SELECT t.task_type, t.role, coalesce(a.model, '') AS "model!", r.most, r.tokens AS "tokens!", r.cash AS "cash!", r.others AS "others!"
           FROM fleet.tasks t LEFT JOIN fleet.attempts a ON a.tenant_id = $1 AND a.task_id = t.id AND a.attempt = $3
           CROSS JOIN LATERAL (
               SELECT max(r.added_tokens) FILTER (WHERE r.attempt = $3 AND NOT r.estimated) AS most,
                   coalesce(sum(r.added_tokens), 0)::bigint AS tokens, coalesce(sum(r.added_cash_usd_micro), 0)::bigint AS cash,
                   coalesce(jsonb_agg(r.added_others) FILTER (WHERE r.added_others <> '{}'), '[]') AS others
               FROM fleet.spend_reports r WHERE r.tenant_id = $1 AND r.task_id = $2) r
           WHERE t.tenant_id = $1 AND t.id = $2"#,
        exec.tenant.as_str(),
        task,
        attempt
    )
    .fetch_one(&mut *exec.tx)
    .await?;
    let mut spent: BTreeMap<Unit, u64> = BTreeMap::new();
    for part in row.others.as_array().into_iter().flatten() {
        for (word, n) in part.as_object().into_iter().flatten() {
            if let (Some(unit), Some(n)) = (Unit::from_word(word), n.as_u64()) {
                let sum = spent.entry(unit).or_default();
                *sum = sum.saturating_add(n);
            }
        }
    }
    spent.insert(Unit::Tokens, row.tokens.unsigned_abs());
    spent.insert(Unit::CashUsdMicro, row.cash.unsigned_abs());
    Ok(Actual {
        task_type: row.task_type,
        role: row.role,
        model: row.model,
        most: row.most,
        spent,
    })
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
