//! `report spend`: sums of what was spent, and how well estimates held.

use fleet_policy::budget::learn::{CALIBRATED, Outcome, calibration};
use fleet_protocol::problem::Code;
use fleet_protocol::reply::{CalibrationView, SpendReportView, SpendRow};
use fleet_protocol::verbs::report as verbs;
use fleet_protocol::verbs::report::By;
use fleet_protocol::{Problem, Reply};

use super::{Exec, Stop};
use crate::db::time;

/// Rows of a report, the largest.
const LISTED: i64 = 100;

/// Sums spend.
pub(crate) async fn spend(exec: &mut Exec<'_>, args: &verbs::Spend) -> Result<Reply, Stop> {
    let by = args.by.unwrap_or(By::Mission);
    let since = match &args.since {
        Some(moment) => Some(
            moment
                .resolve(exec.now, exec.zone)
                .map_err(|e| Problem::new(Code::BadArgument, format!("--since {e}")))?,
        ),
        None => None,
    };
    let mission = match args.mission {
        Some(reference) => Some(exec.resolve(reference).await?),
        None => None,
    };
    let rows = sqlx::query!(
        r#"WITH spent AS (
               SELECT r.task_id, t.projected_tokens, r.added_tokens, r.added_cash_usd_micro,
                   coalesce((r.added_others ->> 'api_equivalent_usd_micro')::bigint, 0) AS api,
                   CASE $2 WHEN 'mission' THEN coalesce('m' || m.number || ' ' || m.title, 'no mission')
                       WHEN 'task' THEN 't' || t.number || ' ' || t.title
                       WHEN 'role' THEN t.role
                       WHEN 'model' THEN coalesce(nullif(r.model, ''), a.model, 'unknown model')
                       WHEN 'subscription' THEN coalesce(r.subscription, 'no account')
                       ELSE to_char(r.spent_at AT TIME ZONE $3, 'YYYY-MM-DD') END AS what
               FROM fleet.spend_reports r
               JOIN fleet.tasks t ON t.tenant_id = r.tenant_id AND t.id = r.task_id
               LEFT JOIN fleet.missions m ON m.tenant_id = t.tenant_id AND m.id = t.mission_id
               LEFT JOIN fleet.attempts a ON a.tenant_id = r.tenant_id AND a.task_id = r.task_id AND a.attempt = r.attempt
               WHERE r.tenant_id = $1 AND ($4::timestamptz IS NULL OR r.spent_at >= $4) AND ($5::uuid IS NULL OR t.mission_id = $5)),
           per_task AS (
               SELECT what, task_id, max(projected_tokens) AS projected, sum(added_tokens) AS tokens,
                   sum(added_cash_usd_micro) AS cash, sum(api) AS api FROM spent GROUP BY what, task_id)
           SELECT what AS "what!", count(*) AS "tasks!", sum(projected)::bigint AS projected, sum(tokens)::bigint AS "tokens!",
               sum(cash)::bigint AS "cash!", sum(api)::bigint AS "api!"
           FROM per_task GROUP BY what ORDER BY CASE WHEN $2 = 'day' THEN what END DESC, sum(tokens) DESC LIMIT $6"#,
        exec.tenant.as_str(),
        by.as_str(),
        exec.zone.iana_name().unwrap_or("UTC"),
        since.map(time) as _,
        mission,
        LISTED
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    let rows = rows.into_iter().map(|r| SpendRow {
        what: r.what,
        tasks: r.tasks.unsigned_abs(),
        projected_tokens: r.projected.map(i64::unsigned_abs),
        tokens: r.tokens.unsigned_abs(),
        cash_usd_micro: r.cash.unsigned_abs(),
        api_equivalent_usd_micro: r.api.unsigned_abs(),
    });
    Ok(Reply::SpendReport(SpendReportView {
        by: by.to_string(),
        rows: rows.collect(),
        calibration: calibrated(exec).await?,
    }))
}

/// How well estimates held over the last tasks.
async fn calibrated(exec: &mut Exec<'_>) -> Result<Option<CalibrationView>, Stop> {
    let last = i64::try_from(CALIBRATED).unwrap_or(i64::MAX);
    let rows = sqlx::query!(
        r#"SELECT p95 AS "p95!", granted AS "granted!", actual FROM fleet.task_actuals
           WHERE tenant_id = $1 AND unit = 'tokens' AND NOT censored AND p95 IS NOT NULL AND granted IS NOT NULL
           ORDER BY id DESC LIMIT $2"#,
        exec.tenant.as_str(),
        last
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    let outcomes: Vec<_> = rows
        .into_iter()
        .rev()
        .map(|r| Outcome {
            p95: r.p95.unsigned_abs(),
            granted: r.granted.unsigned_abs(),
            actual: r.actual.unsigned_abs(),
        })
        .collect();
    Ok(calibration(&outcomes).map(|c| CalibrationView {
        tasks: c.tasks as u64,
        p95_bp: c.p95_bp,
        granted_over_actual_bp: c.granted_over_actual_bp,
    }))
}
