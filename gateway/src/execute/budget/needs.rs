//! What a task is expected to need, in every unit that governs it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fleet_policy::budget::DEFAULT_ESTIMATE;
use fleet_policy::budget::estimate::{Cost, Estimate, Price, cost};
use fleet_policy::budget::hold::first_tranche;
use fleet_policy::budget::ladder::{Gauge, Need, headroom};
use fleet_policy::budget::learn::{Samples, estimate};
use fleet_protocol::scalar::Name;
use fleet_protocol::verbs::budget::Unit;

use super::gauge::Gauged;
use super::{price, reading};
use crate::execute::{Exec, Stop};

/// A task, as far as learning tells tasks apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind<'a> {
    pub(super) task_type: &'a str,
    pub(super) role: &'a str,
    pub(super) model: Option<&'a Name>,
    /// What its author promised, in tokens.
    pub(super) projected: Option<u64>,
    /// What it has spent already, in tokens.
    pub(super) spent: u64,
    /// One turn at the context its agent reported, in tokens.
    pub(super) turn: u64,
}

/// What was learned of a kind of task in a unit.
#[derive(Debug, Clone, Default)]
struct Learned {
    own: Samples,
    parent: Samples,
    most_per_report: Option<u64>,
}

/// What a task needs, in every unit.
#[derive(Debug, Clone, Default)]
pub(super) struct Needs {
    by_unit: Arc<BTreeMap<Unit, Learned>>,
    price: Option<Price>,
    projected: Option<u64>,
    spent: u64,
    turn: u64,
}

/// Reads what was learned of kinds of tasks in units; each kind once.
pub(super) async fn read(
    exec: &mut Exec<'_>,
    kinds: &[Kind<'_>],
    units: &BTreeSet<Unit>,
) -> Result<Vec<Needs>, Stop> {
    let told_apart: BTreeSet<_> = kinds.iter().map(Kind::key).collect();
    let learned = learned(exec, &told_apart, units).await?;
    let is_priced =
        units.contains(&Unit::ApiEquivalentUsdMicro) || units.contains(&Unit::CashUsdMicro);
    let mut prices = BTreeMap::new();
    for model in kinds.iter().filter_map(|k| k.model).filter(|_| is_priced) {
        if !prices.contains_key(model) {
            prices.insert(model, price::of(exec, model).await?);
        }
    }
    let needs = kinds.iter().map(|kind| Needs {
        by_unit: learned.get(&kind.key()).cloned().unwrap_or_default(),
        price: kind.model.and_then(|m| prices.get(m).copied()).flatten(),
        projected: kind.projected,
        spent: kind.spent,
        turn: kind.turn,
    });
    Ok(needs.collect())
}

/// What learning tells tasks apart by: type, role, model.
type Key<'a> = (&'a str, &'a str, &'a str);

impl<'a> Kind<'a> {
    fn key(&self) -> Key<'a> {
        (
            self.task_type,
            self.role,
            self.model.map_or("", Name::as_str),
        )
    }
}

async fn learned<'a>(
    exec: &mut Exec<'_>,
    kinds: &BTreeSet<Key<'a>>,
    units: &BTreeSet<Unit>,
) -> Result<BTreeMap<Key<'a>, Arc<BTreeMap<Unit, Learned>>>, Stop> {
    let units: Vec<String> = units.iter().map(|u| u.as_str().to_owned()).collect();
    let column = |of: fn(&Key<'a>) -> &'a str| -> Vec<String> {
        kinds.iter().map(|k| of(k).to_owned()).collect()
    };
    let rows = sqlx::query!(
        r#"SELECT k.place AS "place!", u.unit AS "unit!", own.actuals AS "own!", kind.actuals AS "parent!",
               coalesce(own.most, kind.most) AS most
           FROM unnest($2::text[], $3::text[], $4::text[]) WITH ORDINALITY AS k (task_type, role, model, place)
           CROSS JOIN unnest($5::text[]) AS u (unit)
           CROSS JOIN LATERAL (SELECT coalesce(array_agg(s.actual ORDER BY s.id), '{}') AS actuals, max(s.most_per_report) AS most FROM (
               SELECT id, actual, most_per_report FROM fleet.task_actuals a
               WHERE a.tenant_id = $1 AND a.task_type = k.task_type AND a.unit = u.unit AND a.role = k.role AND a.model = k.model
               ORDER BY a.id DESC LIMIT 256) s) own
           CROSS JOIN LATERAL (SELECT coalesce(array_agg(s.actual ORDER BY s.id), '{}') AS actuals, max(s.most_per_report) AS most FROM (
               SELECT id, actual, most_per_report FROM fleet.task_actuals a
               WHERE a.tenant_id = $1 AND a.task_type = k.task_type AND a.unit = u.unit
               ORDER BY a.id DESC LIMIT 256) s) kind"#,
        exec.tenant.as_str(),
        &column(|k| k.0),
        &column(|k| k.1),
        &column(|k| k.2),
        &units
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    let samples = |rows: Vec<i64>| Samples::from_rows(rows.into_iter().map(i64::unsigned_abs));
    let places: Vec<Key<'a>> = kinds.iter().copied().collect();
    let mut all: BTreeMap<Key<'a>, BTreeMap<Unit, Learned>> = BTreeMap::new();
    for r in rows {
        let place = usize::try_from(r.place - 1).unwrap_or(usize::MAX);
        if let (Some(key), Some(unit)) = (places.get(place), Unit::from_word(&r.unit)) {
            let learned = Learned {
                own: samples(r.own),
                parent: samples(r.parent),
                most_per_report: r.most.map(i64::unsigned_abs),
            };
            all.entry(*key).or_default().insert(unit, learned);
        }
    }
    Ok(all.into_iter().map(|(k, l)| (k, Arc::new(l))).collect())
}

/// What a task needs of one series.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) need: Need,
    pub(super) estimate: Estimate,
    pub(super) most_per_report: Option<u64>,
}

impl Needs {
    /// In the unit of a series. No refusal rests on a guess, so that one is cut to what is left.
    pub(super) fn of(&self, gauged: &Gauged, gauge: &Gauge, rate: Option<u64>) -> Wanted {
        let unit = gauged.series.unit;
        let most = self.by_unit.get(&unit).and_then(|l| l.most_per_report);
        let estimate = match unit {
            Unit::Tokens => Some(self.tokens(gauged.limit)),
            Unit::BasisPoints => rate.map(|rate| self.level(gauged.limit, rate)),
            Unit::CashUsdMicro | Unit::ApiEquivalentUsdMicro => self.money(unit, gauged.limit),
            Unit::Messages | Unit::Credits | Unit::ComputeSeconds => {
                Some(self.learned(unit, u64::MAX, gauged.limit))
            }
        };
        let Some(estimate) = estimate else {
            let unknown = Estimate::guess(1, 1);
            return Wanted {
                need: Need {
                    grant: None,
                    p50: 0,
                    learned: false,
                },
                estimate: unknown,
                most_per_report: most,
            };
        };
        let turn = if unit == Unit::Tokens { self.turn } else { 0 };
        let is_promised = unit == Unit::Tokens && self.projected.is_some();
        let grant = if is_promised {
            estimate.p50
        } else if estimate.learned {
            first_tranche(estimate.p50, turn)
        } else {
            estimate.p50.min(headroom(gauge)).max(1)
        };
        Wanted {
            need: Need {
                grant: Some(grant),
                p50: estimate.p50,
                learned: estimate.learned,
            },
            estimate,
            most_per_report: most,
        }
    }

    fn learned(&self, unit: Unit, default: u64, limit: u64) -> Estimate {
        match self.by_unit.get(&unit) {
            Some(l) => estimate(&l.own, &l.parent, default, limit),
            None => Estimate::guess(default, limit),
        }
    }

    /// Tokens of the task.
    pub(super) fn tokens(&self, limit: u64) -> Estimate {
        match self.projected {
            Some(n) => Estimate::promised(n),
            None => self
                .learned(Unit::Tokens, DEFAULT_ESTIMATE, limit)
                .after(self.spent),
        }
    }

    fn level(&self, limit: u64, rate: u64) -> Estimate {
        let tokens = self.tokens(u64::MAX);
        let of = |n| reading::converted(n, rate).min(limit.max(1));
        Estimate {
            p50: of(tokens.p50),
            p80: of(tokens.p80),
            p95: of(tokens.p95),
            learned: false,
        }
    }

    /// Money: as learned, else as the tokens would cost at the price of output; none without a price.
    fn money(&self, unit: Unit, limit: u64) -> Option<Estimate> {
        let learned = self.learned(unit, u64::MAX, limit);
        if learned.learned {
            return Some(learned);
        }
        let usage = fleet_policy::budget::Usage {
            output: self.tokens(u64::MAX).p50,
            ..fleet_policy::budget::Usage::default()
        };
        match cost(usage, self.price) {
            Cost::Known(n) => Some(Estimate::guess(n.max(1), limit)),
            Cost::Unknown => None,
        }
    }
}
