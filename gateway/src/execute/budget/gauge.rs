//! What an admission, a status and an alert see of a series: one statement for all of them.

use std::collections::{BTreeMap, BTreeSet};

use fleet_policy::budget::Window;
use fleet_policy::budget::estimate::Estimate;
use fleet_policy::budget::ladder::{Ahead, Gauge};
use fleet_policy::budget::meter::{self, Knowledge};
use fleet_policy::budget::pacing::Pace;
use fleet_protocol::scalar::Name;
use fleet_protocol::verbs::budget::{Scope, Unit};
use jiff::SignedDuration;
use uuid::Uuid;

use super::reading;
use super::series::{Follows, Series, unreadable};
use super::window::{self, Found, Last};
use crate::db::{instant, time};
use crate::execute::{Exec, Stop};

/// Which series are read.
#[derive(Debug, Clone, Default)]
pub(in crate::execute) struct Which {
    /// By key; none: any.
    pub(super) ids: Option<Vec<Uuid>>,
    /// By scope and key of the scope, side by side; none: any.
    pub(super) scopes: Option<Vec<String>>,
    pub(super) keys: Option<Vec<String>>,
    /// Whether what was spent lately matters, which an admission needs.
    pub(super) recent: bool,
}

impl Which {
    pub(in crate::execute) fn ids(ids: Vec<Uuid>) -> Self {
        Self {
            ids: Some(ids),
            ..Self::default()
        }
    }

    pub(in crate::execute) fn scopes<'a>(
        scopes: impl IntoIterator<Item = (Scope, &'a str)>,
    ) -> Self {
        let (scopes, keys) = scopes
            .into_iter()
            .map(|(scope, key)| (scope.as_str().to_owned(), key.to_owned()))
            .unzip();
        Self {
            scopes: Some(scopes),
            keys: Some(keys),
            ..Self::default()
        }
    }

    /// The scopes of all of them.
    pub(super) fn any(all: impl IntoIterator<Item = Self>) -> Self {
        let mut pairs = BTreeSet::new();
        for which in all {
            let (scopes, keys) = (
                which.scopes.into_iter().flatten(),
                which.keys.into_iter().flatten(),
            );
            pairs.extend(scopes.zip(keys));
        }
        let (scopes, keys) = pairs.into_iter().unzip();
        Self {
            scopes: Some(scopes),
            keys: Some(keys),
            ..Self::default()
        }
    }

    pub(super) fn with_recent(self) -> Self {
        Self {
            recent: true,
            ..self
        }
    }
}

/// A series with its present window and all that counts there.
#[derive(Debug, Clone)]
pub(in crate::execute) struct Gauged {
    pub(in crate::execute) series: Series,
    /// None when the check failed: nothing is admitted.
    pub(in crate::execute) found: Option<Found>,
    /// The highest limit in force: the series' own and its lifts.
    pub(in crate::execute) limit: u64,
    /// Pacing is lifted at present.
    pub(in crate::execute) is_unpaced: bool,
    /// Tasks running in the series.
    pub(in crate::execute) running: u64,
    pub(in crate::execute) kept_free: u64,
    pub(in crate::execute) in_flight: u64,
    pub(in crate::execute) recent: u64,
    /// Beyond the limit at worst before the next reports; none: unbounded.
    pub(in crate::execute) worst: Option<u64>,
    /// Of a reading: the level in basis points that our ledger does not explain, and all of it.
    pub(in crate::execute) level: Option<meter::Level>,
}

impl Gauged {
    /// The present window; for a series whose check failed, an empty one.
    pub(in crate::execute) fn window(&self) -> Window {
        self.found.map_or(
            Window {
                starts_at: self.series.checked_at,
                resets_at: None,
            },
            |f| f.window,
        )
    }

    /// Committed, presumed and external use.
    pub(in crate::execute) fn spent(&self) -> u64 {
        match self.level {
            Some(level) => level.used_bp,
            None => self
                .found
                .map_or(0, |f| f.committed.saturating_add(f.presumed)),
        }
    }

    /// How much is known.
    pub(in crate::execute) fn knowledge(&self) -> Knowledge {
        match (self.found, self.level) {
            (None, _) => Knowledge::Failed,
            (Some(_), Some(level)) => level.knowledge,
            (Some(_), None) => Knowledge::Known,
        }
    }

    /// Data of the pacing rule; none where it does not apply.
    pub(in crate::execute) fn pace(&self, medians: &Medians) -> Option<Pace> {
        let is_paced = self.series.is_paced && !self.is_unpaced;
        is_paced.then(|| Pace {
            burst_bp: self.series.burst_bp,
            median_task: medians.get(&self.series.unit).copied().unwrap_or(0),
            ..Pace::default()
        })
    }

    /// Counts a hold that is taken in it, as the register will have it.
    pub(super) fn take(&mut self, granted: u64, estimate: Estimate, most_per_report: Option<u64>) {
        self.series.held = self.series.held.saturating_add(granted);
        self.running += 1;
        self.kept_free = (self.kept_free).saturating_add(estimate.p80.saturating_sub(granted));
        self.in_flight = self.in_flight.saturating_add(estimate.p50);
        self.worst = self
            .worst
            .zip(most_per_report)
            .map(|(worst, most)| worst.saturating_add(most));
    }

    /// As the core sees it.
    pub(super) fn gauge(&self, medians: &Medians, ahead: Ahead) -> Gauge {
        Gauge {
            series: self.series.id.to_string(),
            window: self.window(),
            limit: self.limit,
            spent: self.spent(),
            held: self.series.held,
            kept_free: self.kept_free,
            in_flight: self.in_flight,
            recent: self.recent,
            running: self.running,
            knowledge: self.knowledge(),
            closed_until: self.series.closed_until,
            pace: self.pace(medians),
            strict: self.series.is_strict,
            ahead,
        }
    }
}

/// The median task in each unit, over all kinds of work.
pub(in crate::execute) type Medians = BTreeMap<Unit, u64>;

/// The medians of the last tasks.
pub(super) async fn medians(exec: &mut Exec<'_>) -> Result<Medians, Stop> {
    let rows = sqlx::query!(
        r#"SELECT unit AS "unit!", percentile_disc(0.5) WITHIN GROUP (ORDER BY actual) AS "median!", count(*) AS "n!"
           FROM (SELECT unit, actual FROM fleet.task_actuals WHERE tenant_id = $1 AND NOT censored ORDER BY id DESC LIMIT 256) last
           GROUP BY unit"#,
        exec.tenant.as_str()
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    let enough = fleet_policy::budget::learn::ENOUGH as i64;
    Ok(rows
        .into_iter()
        .filter(|r| r.n >= enough)
        .filter_map(|r| Some((Unit::from_word(&r.unit)?, r.median.unsigned_abs())))
        .collect())
}

/// Reads series by account and name, each with its present window, as they are in this transaction.
pub(in crate::execute) async fn read(
    exec: &mut Exec<'_>,
    which: &Which,
) -> Result<Vec<Gauged>, Stop> {
    let rows = sqlx::query!(
        r#"SELECT s.id, s.scope, s.scope_key, s.name, s.unit, s.model, s.meter, s.succession, s.every_seconds, s.rule, s.rule_first,
               s.rule_zone, s.limit_amount, s.alert_at, s.source, s.last_checked_at, s.held, s.paced, s.burst_bp, s.strict,
               s.stale_seconds, s.closed_until,
               w.id AS "window?", w.starts_at AS "starts_at?", w.resets_at AS "resets_at?", w.committed AS "committed?",
               w.presumed AS "presumed?",
               (SELECT min(n.starts_at) FROM fleet.budget_windows n
                WHERE n.tenant_id = s.tenant_id AND n.series_id = s.id AND n.starts_at > $2) AS next_starts,
               lift.amount AS "lifted!", lift.no_pacing AS "no_pacing!",
               open.running AS "running!", open.kept_free AS "kept_free!", open.in_flight AS "in_flight!",
               open.worst + lost.worst AS "worst!", open.unmetered + lost.unmetered AS "unmetered!", recent.spent AS "recent!"
           FROM fleet.budget_series s
           LEFT JOIN LATERAL (SELECT * FROM fleet.budget_windows w
               WHERE w.tenant_id = s.tenant_id AND w.series_id = s.id AND w.starts_at <= $2
               ORDER BY w.starts_at DESC LIMIT 1) w ON true
           CROSS JOIN LATERAL (SELECT coalesce(sum(l.amount), 0)::bigint AS amount, coalesce(bool_or(l.no_pacing), false) AS no_pacing
               FROM fleet.budget_lifts l
               WHERE l.tenant_id = s.tenant_id AND l.series_id = s.id AND l.starts_at <= $2 AND l.until > $2) lift
           CROSS JOIN LATERAL (SELECT count(*) AS running, coalesce(sum(greatest(h.p80 - h.granted, 0)), 0)::bigint AS kept_free,
                   coalesce(sum(greatest(h.p50 - (h.granted - h.remaining), 0)), 0)::bigint AS in_flight,
                   coalesce(sum(h.most_per_report), 0)::bigint AS worst, count(*) FILTER (WHERE h.most_per_report IS NULL) AS unmetered
               FROM fleet.holds h WHERE h.tenant_id = s.tenant_id AND h.series_id = s.id AND h.ended_at IS NULL) open
           CROSS JOIN LATERAL (SELECT coalesce(sum(greatest(h.most_per_report - h.presumed, 0)), 0)::bigint AS worst,
                   count(*) FILTER (WHERE h.most_per_report IS NULL) AS unmetered
               FROM fleet.holds h WHERE h.tenant_id = s.tenant_id AND h.series_id = s.id AND h.lost_at >= w.starts_at) lost
           CROSS JOIN LATERAL (SELECT coalesce(sum(l.committed + l.presumed), 0)::bigint AS spent FROM fleet.ledger l
               WHERE $6 AND l.tenant_id = s.tenant_id AND l.series_id = s.id AND l.at >= w.starts_at AND l.at <= $2
                 AND l.at > $2 - (w.resets_at - w.starts_at) / 24 AND (l.committed <> 0 OR l.presumed <> 0)) recent
           WHERE s.tenant_id = $1 AND ($3::uuid[] IS NULL OR s.id = ANY ($3))
             AND ($4::text[] IS NULL OR (s.scope, s.scope_key) IN (SELECT * FROM unnest($4, $5::text[])))
           ORDER BY s.scope DESC, s.scope_key, s.name"#,
        exec.tenant.as_str(),
        time(exec.now) as _,
        which.ids.as_deref() as _,
        which.scopes.as_deref() as _,
        which.keys.as_deref() as _,
        which.recent
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    let now = exec.now;
    let mut all = Vec::with_capacity(rows.len());
    for r in rows {
        let follows = match (
            r.succession.as_str(),
            r.every_seconds,
            r.rule,
            r.rule_first,
            r.rule_zone,
        ) {
            ("every", Some(s), ..) => Follows::Every(SignedDuration::from_secs(s)),
            ("after_first_use", Some(s), ..) => {
                Follows::AfterFirstUse(SignedDuration::from_secs(s))
            }
            ("rule", _, Some(rule), Some(first), Some(zone)) => Follows::Rule { rule, first, zone },
            _ => Follows::Open,
        };
        let name = |text: String, what| text.parse::<Name>().map_err(|_| unreadable(what));
        let series = Series {
            id: r.id,
            scope: Scope::from_word(&r.scope).ok_or_else(|| unreadable("scope"))?,
            key: name(r.scope_key, "scope")?,
            name: name(r.name, "window")?,
            unit: Unit::from_word(&r.unit).ok_or_else(|| unreadable("unit"))?,
            model: r.model.map(|m| name(m, "model")).transpose()?,
            is_reading: r.meter == "reading",
            follows,
            limit: r.limit_amount.unsigned_abs(),
            alert_at: u8::try_from(r.alert_at).map_err(|_| unreadable("alert"))?,
            source: r.source,
            checked_at: instant(r.last_checked_at),
            held: r.held.unsigned_abs(),
            is_paced: r.paced,
            burst_bp: r.burst_bp.unsigned_abs(),
            is_strict: r.strict,
            stale_seconds: r.stale_seconds,
            closed_until: r.closed_until.map(instant).filter(|until| *until > now),
        };
        let found = r.window.zip(r.starts_at).map(|(id, starts_at)| Found {
            id: Some(id),
            window: Window {
                starts_at: instant(starts_at),
                resets_at: r.resets_at.map(instant),
            },
            committed: r.committed.unwrap_or_default().unsigned_abs(),
            presumed: r.presumed.unwrap_or_default().unsigned_abs(),
        });
        let last = Last {
            found,
            next_starts: r.next_starts.map(instant),
        };
        let present = window::at(&series, last, now, false).ok();
        // What was spent lately was spent in a window that is over.
        let is_over = present.is_some_and(|f| f.id.is_none());
        all.push(Gauged {
            limit: series.limit.saturating_add(r.lifted.unsigned_abs()),
            is_unpaced: r.no_pacing,
            running: r.running.unsigned_abs(),
            kept_free: r.kept_free.unsigned_abs(),
            in_flight: r.in_flight.unsigned_abs(),
            recent: if is_over { 0 } else { r.recent.unsigned_abs() },
            worst: (r.unmetered == 0).then_some(r.worst.unsigned_abs()),
            level: None,
            found: present,
            series,
        });
    }
    reading::levels(exec, &mut all).await?;
    Ok(all)
}

/// Locks series in the order of their keys, so that two never wait for each other.
pub(super) async fn lock(exec: &mut Exec<'_>, ids: &[Uuid]) -> Result<(), Stop> {
    sqlx::query!(
        "SELECT id FROM fleet.budget_series WHERE tenant_id = $1 AND id = ANY ($2) ORDER BY id FOR UPDATE",
        exec.tenant.as_str(),
        ids
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    Ok(())
}

/// Locks the series in which an attempt holds something, in the order of their keys; which they are.
pub(super) async fn lock_held(
    exec: &mut Exec<'_>,
    task: Uuid,
    attempt: i32,
) -> Result<Vec<Uuid>, Stop> {
    let locked = sqlx::query_scalar!(
        "SELECT s.id FROM fleet.budget_series s WHERE s.tenant_id = $1 AND s.id IN (
             SELECT h.series_id FROM fleet.holds h WHERE h.tenant_id = $1 AND h.task_id = $2 AND h.attempt = $3)
         ORDER BY s.id FOR UPDATE OF s",
        exec.tenant.as_str(),
        task,
        attempt
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    Ok(locked)
}

/// Locks the series of scopes in the order of their keys.
pub(in crate::execute) async fn lock_scopes(
    exec: &mut Exec<'_>,
    which: &Which,
) -> Result<(), Stop> {
    sqlx::query!(
        "SELECT id FROM fleet.budget_series WHERE tenant_id = $1 AND (scope, scope_key) IN (SELECT * FROM unnest($2::text[], $3::text[]))
         ORDER BY id FOR UPDATE",
        exec.tenant.as_str(),
        which.scopes.as_deref().unwrap_or_default() as _,
        which.keys.as_deref().unwrap_or_default() as _
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    Ok(())
}
