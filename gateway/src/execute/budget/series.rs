//! Series and their windows, as the register has them.

use fleet_policy::budget::{Totals, Window, containing};
use fleet_protocol::scalar::Name;
use fleet_protocol::verbs::budget::Unit;
use fleet_protocol::{Timestamp, reply::WindowView};
use jiff::SignedDuration;
use uuid::Uuid;

use crate::db::{instant, time};
use crate::execute::{Exec, Stop};

/// A series of a provider account with its present window.
#[derive(Debug, Clone)]
pub(in crate::execute) struct Series {
    pub(in crate::execute) id: Uuid,
    pub(in crate::execute) provider: Name,
    pub(in crate::execute) name: Name,
    pub(in crate::execute) unit: Unit,
    pub(in crate::execute) model: Option<String>,
    pub(in crate::execute) every: Option<SignedDuration>,
    pub(in crate::execute) limit: u64,
    pub(in crate::execute) alert_at: u8,
    pub(in crate::execute) source: String,
    pub(in crate::execute) held: u64,
}

/// A window that exists, or will exist as soon as something happens in it.
#[derive(Debug, Clone, Copy)]
pub(in crate::execute) struct Found {
    /// Its row; none for a window that nobody needed yet.
    pub(in crate::execute) id: Option<Uuid>,
    pub(in crate::execute) window: Window,
    pub(in crate::execute) committed: u64,
    pub(in crate::execute) presumed: u64,
}

impl Series {
    /// What counts against the limit in a window.
    pub(in crate::execute) fn totals(&self, found: &Found) -> Totals {
        Totals {
            committed: found.committed,
            held: self.held,
            presumed: found.presumed,
        }
    }

    /// Provider and window, as people name it: `claude weekly`.
    pub(in crate::execute) fn title(&self) -> String {
        format!("{} {}", self.provider, self.name)
    }

    /// The present window for people and programs.
    pub(in crate::execute) fn view(&self, found: &Found) -> WindowView {
        let resets_at = found.window.resets_at;
        WindowView {
            provider: self.provider.clone(),
            window: self.name.clone(),
            unit: self.unit,
            limit: self.limit,
            spent: found.committed,
            held: self.held,
            presumed: found.presumed,
            starts_at: found.window.starts_at,
            resets_at,
            alert_at: self.alert_at,
            source: self.source.clone(),
        }
    }
}

/// A stored word that this build does not know: the register was written by a newer one.
pub(in crate::execute) fn unreadable(what: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("the register holds an unknown {what}").into())
}

/// The series of a provider account, or of all, by name. With `lock` they stay as they are until the
/// transaction ends; they are locked in the order of their keys, so that two never wait for each other.
pub(in crate::execute) async fn read(
    exec: &mut Exec<'_>,
    provider: Option<&str>,
    lock: bool,
) -> Result<Vec<Series>, Stop> {
    if lock {
        sqlx::query!(
            "SELECT id FROM fleet.budget_series WHERE tenant_id = $1 AND subscription = coalesce($2, subscription) ORDER BY id FOR UPDATE",
            exec.tenant.as_str(),
            provider
        )
        .fetch_all(&mut *exec.tx)
        .await?;
    }
    let rows = sqlx::query!(
        r#"SELECT id, subscription AS "subscription!", name, unit, model, every_seconds, limit_amount, alert_at, source, held
           FROM fleet.budget_series WHERE tenant_id = $1 AND subscription = coalesce($2, subscription)
           ORDER BY subscription, name"#,
        exec.tenant.as_str(),
        provider
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    rows.into_iter()
        .map(|r| {
            Ok(Series {
                id: r.id,
                provider: r.subscription.parse().map_err(|_| unreadable("provider"))?,
                name: r.name.parse().map_err(|_| unreadable("window"))?,
                unit: Unit::from_word(&r.unit).ok_or_else(|| unreadable("unit"))?,
                model: r.model,
                every: r.every_seconds.map(SignedDuration::from_secs),
                limit: r.limit_amount.unsigned_abs(),
                alert_at: u8::try_from(r.alert_at).map_err(|_| unreadable("alert"))?,
                source: r.source,
                held: r.held.unsigned_abs(),
            })
        })
        .collect()
}

/// The window that contains an instant; none when the instant lies before the first. A window that
/// has no row yet is told, not made.
pub(in crate::execute) async fn find(
    exec: &mut Exec<'_>,
    series: &Series,
    at: Timestamp,
) -> Result<Option<Found>, Stop> {
    let last = sqlx::query!(
        r#"SELECT w.id, w.starts_at, w.resets_at, w.committed, w.presumed,
               (SELECT min(n.starts_at) FROM fleet.budget_windows n
                WHERE n.tenant_id = $1 AND n.series_id = $2 AND n.starts_at > $3) AS next_starts
           FROM fleet.budget_windows w
           WHERE w.tenant_id = $1 AND w.series_id = $2 AND w.starts_at <= $3
           ORDER BY w.starts_at DESC LIMIT 1"#,
        exec.tenant.as_str(),
        series.id,
        time(at) as _
    )
    .fetch_optional(&mut *exec.tx)
    .await?;
    let Some(last) = last else { return Ok(None) };
    let window = Window {
        starts_at: instant(last.starts_at),
        resets_at: last.resets_at.map(instant),
    };
    let Some(mut after) = containing(window, series.every, at) else {
        return Ok(Some(Found {
            id: Some(last.id),
            window,
            committed: last.committed.unsigned_abs(),
            presumed: last.presumed.unsigned_abs(),
        }));
    };
    // A window that was anchored anew may begin before the old schedule's window would end.
    if let Some(next) = last.next_starts.map(instant)
        && after.resets_at.is_none_or(|end| end > next)
    {
        after.resets_at = Some(next);
    }
    Ok(Some(Found {
        id: None,
        window: after,
        committed: 0,
        presumed: 0,
    }))
}

/// As [`find`], and makes the window's row where it is missing. The series must be locked.
pub(in crate::execute) async fn ensure(
    exec: &mut Exec<'_>,
    series: &Series,
    at: Timestamp,
) -> Result<Option<Found>, Stop> {
    let mut found = find(exec, series, at).await?;
    if let Some(found) = found.as_mut().filter(|f| f.id.is_none()) {
        found.id = Some(insert(exec, series.id, found.window).await?);
    }
    Ok(found)
}

/// Makes a window.
pub(in crate::execute) async fn insert(
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

/// Every series has a window: one is made with it.
pub(in crate::execute) fn must(found: Option<Found>) -> Result<Found, Stop> {
    Ok(found.ok_or(sqlx::Error::RowNotFound)?)
}
