//! Spend that was recorded before its window or its limit existed.

use fleet_policy::budget::{Movement, Window};
use fleet_protocol::Timestamp;
use fleet_protocol::verbs::budget::Unit;
use uuid::Uuid;

use super::gauge::{self, Which};
use super::ledger::{self, Row};
use super::series::Series;
use super::window;
use crate::db::{instant, time};
use crate::execute::{Exec, Stop, spend};

/// Spend that was recorded before there was a limit counts in the window it belongs to.
pub(super) async fn charge_known(
    exec: &mut Exec<'_>,
    series: Uuid,
    first: Option<Window>,
) -> Result<(), Stop> {
    let Some(first) = first else { return Ok(()) };
    let gauged = gauge::read(exec, &Which::ids(vec![series])).await?;
    let Some(gauged) = gauged.into_iter().next() else {
        return Ok(());
    };
    let s = &gauged.series;
    let known = sqlx::query!(
        r#"SELECT r.id, r.task_id, r.attempt, r.model, r.added_tokens, r.added_cash_usd_micro, r.added_others, r.spent_at, r.late, r.estimated
           FROM fleet.spend_reports r
           JOIN fleet.tasks t ON t.tenant_id = r.tenant_id AND t.id = r.task_id
           LEFT JOIN fleet.attempts a ON a.tenant_id = r.tenant_id AND a.task_id = r.task_id AND a.attempt = r.attempt
           LEFT JOIN fleet.missions m ON m.tenant_id = t.tenant_id AND m.id = t.mission_id
           WHERE r.tenant_id = $1 AND r.spent_at >= $2 AND CASE $3
               WHEN 'subscription' THEN r.subscription = $4 WHEN 'role' THEN t.role = $4
               WHEN 'agent' THEN a.holder = $4 ELSE 'm' || m.number = $4 END
           ORDER BY r.id"#,
        exec.tenant.as_str(),
        time(first.starts_at) as _,
        s.scope.as_str(),
        s.key.as_str()
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    let mut rows = Vec::new();
    for spent in known {
        let is_of_model = s.model.as_ref().is_none_or(|m| m.as_str() == spent.model);
        let committed = match s.unit {
            _ if !is_of_model => 0,
            Unit::Tokens => spent.added_tokens,
            Unit::CashUsdMicro => spent.added_cash_usd_micro,
            unit => spend::other(&spent.added_others, unit),
        };
        let moved = Movement {
            committed,
            ..Movement::default()
        };
        rows.push(Row {
            at: instant(spent.spent_at),
            report: Some(spent.id),
            late: spent.late,
            estimated: spent.estimated,
            reason: Some("spent before the limit was set"),
            ..Row::new(exec, "commit", s.id, (spent.task_id, spent.attempt), moved)
        });
    }
    ledger::append(exec, &rows).await
}

/// A reset several lengths ago leaves windows between it and the present one; spend that lies there must
/// find them.
pub(super) async fn windows_of_spend(
    exec: &mut Exec<'_>,
    series: &Series,
    from: Timestamp,
) -> Result<(), Stop> {
    let instants = sqlx::query_scalar!(
        "SELECT DISTINCT at FROM fleet.ledger WHERE tenant_id = $1 AND series_id = $2 AND at >= $3 AND (committed <> 0 OR presumed <> 0)
         ORDER BY at",
        exec.tenant.as_str(),
        series.id,
        time(from) as _
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    for at in instants {
        window::ensure(exec, series, instant(at)).await?;
    }
    Ok(())
}
