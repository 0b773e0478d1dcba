//! Writing the ledger: every change of a total is one row of it.

use fleet_policy::budget::estimate::Estimate;
use fleet_policy::budget::{Hold, Movement, commit};
use fleet_protocol::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::gauge::Gauged;
use super::window;
use crate::db::{instant, time};
use crate::execute::{Exec, Stop};

/// An attempt's hold in a series.
#[derive(Debug, Clone, Copy)]
pub(in crate::execute) struct Held {
    pub(in crate::execute) series: Uuid,
    pub(in crate::execute) granted: u64,
    pub(in crate::execute) hold: Hold,
    pub(in crate::execute) presumed_at: Option<Timestamp>,
    pub(in crate::execute) p50: u64,
}

/// A row to append, as the ledger's function reads it.
#[derive(Debug, Clone, Serialize)]
pub(in crate::execute) struct Row<'a> {
    pub(in crate::execute) kind: &'a str,
    pub(in crate::execute) series: Uuid,
    pub(in crate::execute) task: Uuid,
    pub(in crate::execute) attempt: i32,
    pub(in crate::execute) committed: i64,
    pub(in crate::execute) held: i64,
    pub(in crate::execute) presumed: i64,
    /// The instant whose window it changes.
    pub(in crate::execute) at: Timestamp,
    pub(in crate::execute) report: Option<Uuid>,
    pub(in crate::execute) late: bool,
    pub(in crate::execute) estimated: bool,
    pub(in crate::execute) reason: Option<&'a str>,
    pub(in crate::execute) p50: u64,
    pub(in crate::execute) p80: u64,
    /// None for a guess.
    pub(in crate::execute) p95: Option<u64>,
    pub(in crate::execute) most: Option<u64>,
    /// The request that causes it.
    pub(in crate::execute) admission: Uuid,
}

impl<'a> Row<'a> {
    /// A movement of an attempt in a series, now.
    pub(in crate::execute) fn new(
        exec: &Exec<'_>,
        kind: &'a str,
        series: Uuid,
        (task, attempt): (Uuid, i32),
        moved: Movement,
    ) -> Self {
        Self {
            kind,
            series,
            task,
            attempt,
            committed: moved.committed,
            held: moved.held,
            presumed: moved.presumed,
            at: exec.now,
            report: None,
            late: false,
            estimated: false,
            reason: None,
            p50: 0,
            p80: 0,
            p95: None,
            most: None,
            admission: exec.admission,
        }
    }

    /// With what the attempt is expected to need, for a hold.
    pub(super) fn expecting(self, estimate: Estimate, most: Option<u64>) -> Self {
        Self {
            p50: estimate.p50,
            p80: estimate.p80,
            p95: estimate.learned.then_some(estimate.p95),
            most,
            ..self
        }
    }

    /// Whether it adds to what is spent.
    pub(super) fn spends(&self) -> bool {
        self.committed > 0 || self.presumed > 0
    }

    fn moves(&self) -> bool {
        self.kind == "hold" || (self.committed, self.held, self.presumed) != (0, 0, 0)
    }
}

/// Appends rows in one statement; those that move nothing are left out.
pub(in crate::execute) async fn append(exec: &mut Exec<'_>, rows: &[Row<'_>]) -> Result<(), Stop> {
    let rows: Vec<_> = rows.iter().filter(|row| row.moves()).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let rows = crate::journal::encode(&rows)?;
    sqlx::query_scalar!(
        r#"SELECT 1 AS "done!" FROM fleet.ledger_append($1, $2)"#,
        rows,
        time(exec.now) as _
    )
    .fetch_one(&mut *exec.tx)
    .await?;
    Ok(())
}

/// The holds of an attempt, in the order of their series.
pub(in crate::execute) async fn held(
    exec: &mut Exec<'_>,
    task: Uuid,
    attempt: i32,
) -> Result<Vec<Held>, Stop> {
    let rows = sqlx::query!(
        "SELECT series_id, granted, remaining, presumed, presumed_at, p50 FROM fleet.holds
         WHERE tenant_id = $1 AND task_id = $2 AND attempt = $3 ORDER BY series_id",
        exec.tenant.as_str(),
        task,
        attempt
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|r| Held {
            series: r.series_id,
            granted: r.granted.unsigned_abs(),
            hold: Hold {
                remaining: r.remaining.unsigned_abs(),
                presumed: r.presumed.unsigned_abs(),
            },
            presumed_at: r.presumed_at.map(instant),
            p50: r.p50.unsigned_abs(),
        })
        .collect())
}

/// The rows with which spend is committed to a series: it uses up the attempt's hold, then replaces what
/// was presumed, in the window in which it was presumed.
pub(in crate::execute) async fn spent<'a>(
    exec: &mut Exec<'_>,
    gauged: &Gauged,
    held: Option<&Held>,
    added: u64,
    row: Row<'a>,
) -> Result<Vec<Row<'a>>, Stop> {
    let in_present = gauged
        .found
        .is_some_and(|f| f.id.is_some() && f.window.contains(row.at));
    if !in_present {
        window::ensure(exec, &gauged.series, row.at).await?;
    }
    let (moved, _) = commit(held.map(|h| h.hold).unwrap_or_default(), added);
    let settled = Row {
        kind: "settle",
        committed: 0,
        held: 0,
        presumed: moved.presumed,
        at: held.and_then(|h| h.presumed_at).unwrap_or(row.at),
        ..row.clone()
    };
    let spent = Row {
        committed: moved.committed,
        held: moved.held,
        presumed: 0,
        ..row
    };
    Ok(vec![spent, settled])
}
