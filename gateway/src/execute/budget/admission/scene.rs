//! What a decision rests on: series as they stand, and what waits for them.

use std::collections::{BTreeMap, BTreeSet};

use fleet_policy::budget::ladder::{Ahead, Candidate, Gauge, Reason};
use fleet_policy::budget::queue::{Blocked, Waiting, ahead};
use fleet_protocol::Timestamp;
use fleet_protocol::scalar::Name;
use fleet_protocol::verbs::budget::{Scope, Unit};
use uuid::Uuid;

use super::super::gauge::{self, Gauged, Medians, Which};
use super::super::needs::{Needs, Wanted};
use super::super::offer::Offer;
use super::super::reading;
use super::{Work, grant};
use crate::execute::{Exec, Stop};

/// All that a decision rests on.
pub(super) struct Scene {
    pub(super) gauges: Vec<Gauged>,
    pub(super) medians: Medians,
    blocked: BTreeMap<Uuid, Vec<Blocked>>,
    rates: BTreeMap<Uuid, Option<u64>>,
}

/// Reads it, unlocked.
pub(super) async fn read(exec: &mut Exec<'_>, which: &Which) -> Result<Scene, Stop> {
    let gauges = gauge::read(exec, which).await?;
    if gauges.is_empty() {
        return Ok(Scene {
            gauges,
            medians: Medians::new(),
            blocked: BTreeMap::new(),
            rates: BTreeMap::new(),
        });
    }
    let medians = gauge::medians(exec).await?;
    let mut rates = BTreeMap::new();
    for g in gauges.iter().filter(|g| g.series.is_reading) {
        rates.insert(g.series.id, reading::rate(exec, g.series.id).await?);
    }
    let ids: Vec<Uuid> = gauges.iter().map(|g| g.series.id).collect();
    Ok(Scene {
        blocked: blocked(exec, &ids).await?,
        gauges,
        medians,
        rates,
    })
}

/// What waits for which series in front of all others: only the head reserves.
async fn blocked(
    exec: &mut Exec<'_>,
    series: &[Uuid],
) -> Result<BTreeMap<Uuid, Vec<Blocked>>, Stop> {
    let rows = sqlx::query!(
        r#"SELECT DISTINCT ON (q.series_id) q.series_id AS "series!", q.reason, q.need, q.p50, q.queued_at, t.number, t.priority
           FROM fleet.budget_queue q JOIN fleet.tasks t ON t.tenant_id = q.tenant_id AND t.id = q.task_id
           WHERE q.tenant_id = $1 AND q.series_id = ANY ($2)
           ORDER BY q.series_id, t.priority + floor(extract(epoch FROM greatest($3 - q.queued_at, interval '0')) / 3600) DESC,
               q.queued_at, t.number"#,
        exec.tenant.as_str(),
        series,
        crate::db::time(exec.now) as _
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    let mut blocked: BTreeMap<Uuid, Vec<Blocked>> = BTreeMap::new();
    for r in rows {
        let Some(reason) = Reason::from_word(&r.reason) else {
            continue;
        };
        blocked.entry(r.series).or_default().push(Blocked {
            waiting: Waiting {
                task: i64::from(r.number),
                priority: i64::from(r.priority),
                queued_at: crate::db::instant(r.queued_at),
            },
            reason,
            need: r.need.unsigned_abs(),
            p50: r.p50.unsigned_abs(),
        });
    }
    Ok(blocked)
}

impl Scene {
    /// Whether no limit of the agent alone is among them.
    pub(super) fn is_common(&self, agent: Option<&Name>) -> bool {
        let is_agents = |g: &Gauged| g.series.scope == Scope::Agent && Some(&g.series.key) == agent;
        !self.gauges.iter().any(is_agents)
    }

    /// The units of the series, and tokens, in which work is learned.
    pub(super) fn units(&self) -> BTreeSet<Unit> {
        let units = self.gauges.iter().map(|g| g.series.unit);
        units.chain([Unit::Tokens]).collect()
    }

    /// Counts what a plan holds, for the decisions after it.
    pub(super) fn take(&mut self, holds: &[(Gauged, Wanted)]) {
        for (gauged, wanted) in holds {
            let same = |g: &&mut Gauged| g.series.id == gauged.series.id;
            if let Some(gauge) = self.gauges.iter_mut().find(same) {
                gauge.take(grant(wanted), wanted.estimate, wanted.most_per_report);
            }
        }
    }

    /// A task waits for what is said, and for nothing else.
    pub(super) fn waits(&mut self, series: Uuid, blocked: Blocked) {
        self.leaves(blocked.waiting.task);
        self.blocked.entry(series).or_default().push(blocked);
    }

    /// A task waits no more.
    pub(super) fn leaves(&mut self, task: i64) {
        for blocked in self.blocked.values_mut() {
            blocked.retain(|b| b.waiting.task != task);
        }
    }

    pub(super) fn gauge(&self, now: Timestamp, work: &Work, place: usize) -> Gauge {
        let gauged = &self.gauges[place];
        let before = self.blocked.get(&gauged.series.id);
        let ahead = before.map_or_else(Ahead::default, |b| ahead(b, work.waiting(now), now));
        gauged.gauge(&self.medians, ahead)
    }

    pub(super) fn wanted(&self, gauge: &Gauge, place: usize, needs: &Needs) -> Wanted {
        let gauged = &self.gauges[place];
        let rate = self.rates.get(&gauged.series.id).copied().flatten();
        needs.of(gauged, gauge, rate)
    }

    pub(super) fn candidate(
        &self,
        now: Timestamp,
        work: &Work,
        offer: &Offer,
        needs: &Needs,
    ) -> Candidate {
        let series = offer.series.iter().map(|place| {
            let gauge = self.gauge(now, work, *place);
            let need = self.wanted(&gauge, *place, needs).need;
            (gauge, need)
        });
        Candidate {
            subscription: offer
                .account
                .as_ref()
                .map_or(String::new(), ToString::to_string),
            rung: offer.rung,
            sticky: work.ran_on.is_some() && work.ran_on == offer.account,
            series: series.collect(),
        }
    }
}
