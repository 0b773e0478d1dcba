//! Writing the ledger: every change of a total is one row of it.

use fleet_policy::budget::{Hold, Movement, commit};
use fleet_protocol::Timestamp;
use uuid::Uuid;

use super::series::Series;
use crate::db::{Time, instant, time};
use crate::execute::{Exec, Stop};

/// An attempt's hold in a series.
#[derive(Debug, Clone, Copy)]
pub(in crate::execute) struct Held {
    pub(in crate::execute) granted: u64,
    pub(in crate::execute) hold: Hold,
    pub(in crate::execute) presumed_at: Option<Timestamp>,
}

/// A row to append.
#[derive(Debug, Clone, Copy)]
pub(in crate::execute) struct Row<'a> {
    pub(in crate::execute) kind: &'a str,
    pub(in crate::execute) task: Uuid,
    pub(in crate::execute) attempt: i32,
    pub(in crate::execute) moved: Movement,
    /// The instant whose window it changes.
    pub(in crate::execute) at: Timestamp,
    pub(in crate::execute) report: Option<Uuid>,
    pub(in crate::execute) late: bool,
    pub(in crate::execute) estimated: bool,
    pub(in crate::execute) reason: Option<&'a str>,
}

/// Appends a row; one that moves nothing is left out.
pub(in crate::execute) async fn append(
    exec: &mut Exec<'_>,
    series: Uuid,
    row: Row<'_>,
) -> Result<(), Stop> {
    if row.moved == Movement::default() && row.kind != "hold" {
        return Ok(());
    }
    let at: Time = time(row.at);
    let now: Time = time(exec.now);
    sqlx::query_scalar!(
        r#"SELECT 1 AS "done!" FROM fleet.ledger_append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)"#,
        row.kind,
        series,
        row.task,
        row.attempt,
        row.moved.committed,
        row.moved.held,
        row.moved.presumed,
        at as _,
        now as _,
        exec.admission,
        row.report,
        row.late,
        row.estimated,
        row.reason
    )
    .fetch_one(&mut *exec.tx)
    .await?;
    Ok(())
}

/// The hold of an attempt in a series.
pub(in crate::execute) async fn held(
    exec: &mut Exec<'_>,
    series: Uuid,
    task: Uuid,
    attempt: i32,
) -> Result<Option<Held>, Stop> {
    let row = sqlx::query!(
        "SELECT granted, remaining, presumed, presumed_at FROM fleet.holds WHERE tenant_id = $1 AND series_id = $2 AND task_id = $3 AND attempt = $4",
        exec.tenant.as_str(),
        series,
        task,
        attempt
    )
    .fetch_optional(&mut *exec.tx)
    .await?;
    Ok(row.map(|r| Held {
        granted: r.granted.unsigned_abs(),
        hold: Hold {
            remaining: r.remaining.unsigned_abs(),
            presumed: r.presumed.unsigned_abs(),
        },
        presumed_at: r.presumed_at.map(instant),
    }))
}

/// Commits spend to a series: it uses up the attempt's hold, then replaces what was presumed, in the
/// window in which it was presumed.
pub(in crate::execute) async fn spend(
    exec: &mut Exec<'_>,
    series: &Series,
    added: u64,
    row: Row<'_>,
) -> Result<(), Stop> {
    super::series::ensure(exec, series, row.at).await?;
    let held = held(exec, series.id, row.task, row.attempt).await?;
    let (moved, _) = commit(held.map(|h| h.hold).unwrap_or_default(), added);
    let presumed = Movement {
        presumed: moved.presumed,
        ..Movement::default()
    };
    let moved = Movement {
        presumed: 0,
        ..moved
    };
    append(exec, series.id, Row { moved, ..row }).await?;
    if let Some(at) = held.and_then(|h| h.presumed_at) {
        let kind = "settle";
        append(
            exec,
            series.id,
            Row {
                kind,
                moved: presumed,
                at,
                ..row
            },
        )
        .await?;
    }
    Ok(())
}
