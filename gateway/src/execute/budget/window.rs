//! Windows of a series: found, and made by whoever needs them first.

use fleet_policy::budget::Window;
use fleet_policy::budget::recurrence::{Present, SuccessionError, present};
use fleet_protocol::Timestamp;
use uuid::Uuid;

use super::series::Series;
use crate::db::{instant, time};
use crate::execute::{Exec, Stop};

/// A window that exists, or will exist as soon as something happens in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::execute) struct Found {
    /// Its row; none for a window that nobody needed yet.
    pub(in crate::execute) id: Option<Uuid>,
    pub(in crate::execute) window: Window,
    pub(in crate::execute) committed: u64,
    pub(in crate::execute) presumed: u64,
}

/// The last window that began at or before an instant, and where the next one begins.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Last {
    pub(super) found: Option<Found>,
    pub(super) next_starts: Option<Timestamp>,
}

/// The window of an instant. With `is_use` it is one that something is spent in; without, a window
/// that begins with its first use is told as if it began now.
///
/// # Errors
/// When no window can be named; then nothing is admitted.
pub(super) fn at(
    series: &Series,
    last: Last,
    instant: Timestamp,
    is_use: bool,
) -> Result<Found, SuccessionError> {
    let succession = series.follows.succession()?;
    let before = last.found.map(|f| f.window);
    let made = match present(&succession, before, instant, is_use)? {
        Present::Kept(_) => return last.found.ok_or(SuccessionError::BeforePresent),
        Present::Made(window) => window,
        Present::AwaitingUse => match present(&succession, before, instant, true)? {
            Present::Made(window) => window,
            Present::Kept(_) | Present::AwaitingUse => return Err(SuccessionError::NoOccurrence),
        },
    };
    // A window that was anchored anew may begin before the old schedule's window would end.
    let end = match (made.resets_at, last.next_starts) {
        (Some(end), Some(next)) => Some(end.min(next)),
        (end, next) => end.or(next),
    };
    Ok(Found {
        id: None,
        window: Window {
            resets_at: end,
            ..made
        },
        committed: 0,
        presumed: 0,
    })
}

/// The last window at or before an instant.
pub(super) async fn last(exec: &mut Exec<'_>, series: Uuid, at: Timestamp) -> Result<Last, Stop> {
    let row = sqlx::query!(
        r#"SELECT w.id AS "id?", w.starts_at AS "starts_at?", w.resets_at AS "resets_at?", w.committed AS "committed?", w.presumed AS "presumed?",
               (SELECT min(n.starts_at) FROM fleet.budget_windows n
                WHERE n.tenant_id = $1 AND n.series_id = $2 AND n.starts_at > $3) AS next_starts
           FROM (SELECT) AS one
           LEFT JOIN LATERAL (SELECT * FROM fleet.budget_windows w WHERE w.tenant_id = $1 AND w.series_id = $2 AND w.starts_at <= $3
                              ORDER BY w.starts_at DESC LIMIT 1) w ON true"#,
        exec.tenant.as_str(),
        series,
        time(at) as _
    )
    .fetch_one(&mut *exec.tx)
    .await?;
    let found = row.id.zip(row.starts_at).map(|(id, starts_at)| Found {
        id: Some(id),
        window: Window {
            starts_at: instant(starts_at),
            resets_at: row.resets_at.map(instant),
        },
        committed: row.committed.unwrap_or_default().unsigned_abs(),
        presumed: row.presumed.unwrap_or_default().unsigned_abs(),
    });
    Ok(Last {
        found,
        next_starts: row.next_starts.map(instant),
    })
}

/// The window in which something is spent at an instant, made where it is missing. The series must be
/// locked. None before the first window: what was spent then belongs to none.
pub(super) async fn ensure(
    exec: &mut Exec<'_>,
    series: &Series,
    spent_at: Timestamp,
) -> Result<Option<Found>, Stop> {
    let last = last(exec, series.id, spent_at).await?;
    let Ok(mut found) = at(series, last, spent_at, true) else {
        return Ok(None);
    };
    if found.id.is_none() {
        found.id = Some(insert(exec, series.id, found.window).await?);
    }
    Ok(Some(found))
}

/// Makes a window.
pub(super) async fn insert(
    exec: &mut Exec<'_>,
    series: Uuid,
    window: Window,
) -> Result<Uuid, Stop> {
    let id = exec.ids.next();
    sqlx::query!(
        "INSERT INTO fleet.budget_windows (tenant_id, id, series_id, starts_at, resets_at) VALUES ($1, $2, $3, $4, $5)",
        exec.tenant.as_str(),
        id,
        series,
        time(window.starts_at) as _,
        window.resets_at.map(time) as _
    )
    .execute(&mut *exec.tx)
    .await?;
    Ok(id)
}
