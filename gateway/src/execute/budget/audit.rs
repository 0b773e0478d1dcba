//! `budget audit`: every total recomputed from the ledger in one snapshot, and compared.

use fleet_protocol::Reply;
use fleet_protocol::document::number;
use fleet_protocol::reply::AuditView;
use fleet_protocol::verbs::budget as verbs;

use crate::execute::{Exec, Stop};

/// Differences that are told.
const TOLD: i64 = 50;

/// Every total that is not the sum of its rows, in words.
pub(super) async fn differences(exec: &mut Exec<'_>) -> Result<Vec<String>, Stop> {
    let differences = sqlx::query!(
        r#"SELECT what AS "what!", stored AS "stored!", derived AS "derived!" FROM (
               SELECT s.scope_key || ' ' || s.name || ', held' AS what, s.held AS stored,
                   (SELECT coalesce(sum(l.held), 0)::bigint FROM fleet.ledger l WHERE l.tenant_id = $1 AND l.series_id = s.id) AS derived
               FROM fleet.budget_series s WHERE s.tenant_id = $1
               UNION ALL
               SELECT s.scope_key || ' ' || s.name || ', held by attempts', s.held,
                   (SELECT coalesce(sum(h.remaining), 0)::bigint FROM fleet.holds h WHERE h.tenant_id = $1 AND h.series_id = s.id)
               FROM fleet.budget_series s WHERE s.tenant_id = $1
               UNION ALL
               SELECT s.scope_key || ' ' || s.name || ', held by attempts that are over', 0,
                   (SELECT coalesce(sum(h.remaining), 0)::bigint FROM fleet.holds h
                    WHERE h.tenant_id = $1 AND h.series_id = s.id AND h.ended_at IS NOT NULL)
               FROM fleet.budget_series s WHERE s.tenant_id = $1
               UNION ALL
               SELECT s.scope_key || ' ' || s.name || total.what || w.starts_at, total.stored, total.derived
               FROM fleet.budget_windows w JOIN fleet.budget_series s ON s.tenant_id = w.tenant_id AND s.id = w.series_id
               CROSS JOIN LATERAL (SELECT coalesce(sum(l.committed), 0)::bigint AS committed, coalesce(sum(l.presumed), 0)::bigint AS presumed
                   FROM fleet.ledger l
                   WHERE l.tenant_id = $1 AND l.series_id = w.series_id AND l.at >= w.starts_at
                     AND (w.resets_at IS NULL OR l.at < w.resets_at) AND (l.committed <> 0 OR l.presumed <> 0)) sums
               CROSS JOIN LATERAL (VALUES (', spent from ', w.committed, sums.committed),
                   (', presumed from ', w.presumed, sums.presumed)) total (what, stored, derived)
               WHERE w.tenant_id = $1) compared
           WHERE stored <> derived LIMIT $2"#,
        exec.tenant.as_str(),
        TOLD
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    let in_words = differences.into_iter().map(|d| {
        format!(
            "{}: {} is kept, {} is the sum of the rows",
            d.what,
            number(d.stored.unsigned_abs()),
            number(d.derived.unsigned_abs())
        )
    });
    Ok(in_words.collect())
}

/// Recomputes and compares.
pub(crate) async fn audit(exec: &mut Exec<'_>, _: &verbs::Audit) -> Result<Reply, Stop> {
    let differences = differences(exec).await?;
    let counts = sqlx::query!(
        r#"SELECT (SELECT count(*) FROM fleet.budget_series WHERE tenant_id = $1) AS "series!",
               (SELECT count(*) FROM fleet.budget_windows WHERE tenant_id = $1) AS "windows!",
               (SELECT count(*) FROM fleet.holds WHERE tenant_id = $1) AS "holds!",
               (SELECT count(*) FROM fleet.ledger WHERE tenant_id = $1) AS "rows!""#,
        exec.tenant.as_str()
    )
    .fetch_one(&mut *exec.tx)
    .await?;
    Ok(Reply::Audited(AuditView {
        series: counts.series.unsigned_abs(),
        windows: counts.windows.unsigned_abs(),
        holds: counts.holds.unsigned_abs(),
        rows: counts.rows.unsigned_abs(),
        differences,
    }))
}
