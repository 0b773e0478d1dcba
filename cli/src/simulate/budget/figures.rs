//! What the month came to, against the truth of the providers.

use std::collections::{BTreeMap, BTreeSet};

use fleet_protocol::Reply;
use fleet_protocol::reply::{CalibrationView, WindowView};
use serde::Serialize;
use serde_json::json;

use super::agents::State;
use super::provider::{Instant, Spender, hours};
use super::world::World;
use crate::args::SimulateBudget;
use crate::error::CliError;

/// What was printed of a window, to be compared with what came.
#[derive(Debug, Clone, Copy)]
struct Printed {
    starts_at: Instant,
    /// At most this much may be spent by the next reports of the tasks that ran then; none: unbounded.
    bound: Option<u64>,
}

/// Collected while it runs.
#[derive(Debug, Default)]
pub(super) struct Measures {
    pub(super) commands: u64,
    pub(super) completed: u64,
    pub(super) handed_back: u64,
    pub(super) died: u64,
    pub(super) false_refusals: u64,
    pub(super) waits: Vec<Instant>,
    pub(super) calibrations: Vec<CalibrationView>,
    printed: BTreeMap<String, Printed>,
    /// Tasks that ran at the last print and have not reported since.
    due: BTreeSet<Spender>,
    /// Per account: spent beyond their grants since the last print by what it did not speak of, which
    /// is tasks that began later, and second reports.
    unforeseen: BTreeMap<usize, u64>,
    beyond_printed: u64,
    over: Mean,
    under: Mean,
    attempts: BTreeMap<Spender, (u64, u64)>,
}

/// A mean.
#[derive(Debug, Default, Clone, Copy)]
struct Mean {
    sum: f64,
    n: u64,
}

impl Mean {
    fn add(&mut self, value: f64) {
        self.sum += value;
        self.n += 1;
    }

    fn get(self) -> f64 {
        if self.n == 0 {
            0.0
        } else {
            self.sum / self.n as f64
        }
    }
}

impl Measures {
    /// An attempt has spent so much before and now of its grant.
    pub(super) fn spent(
        &mut self,
        account: usize,
        by: Spender,
        (before, now): (u64, u64),
        granted: u64,
    ) {
        self.attempts.insert(by, (now, granted));
        if !self.due.remove(&by) {
            let beyond = now.saturating_sub(granted.max(before));
            *self.unforeseen.entry(account).or_default() += beyond;
        }
    }

    /// Every window was printed while these attempts ran.
    pub(super) fn printed_for(&mut self, running: BTreeSet<Spender>) {
        self.due = running;
        self.unforeseen.clear();
    }

    /// Compares what is printed of a window now, and what was printed before, with the provider's count.
    pub(super) fn sample(&mut self, account: usize, window: &WindowView, truth: u64, waits: bool) {
        let starts_at = window.starts_at.as_millis();
        if let Some(before) = self
            .printed
            .get(&window.title())
            .filter(|p| p.starts_at == starts_at)
            && let Some(bound) = before.bound
        {
            let unforeseen = self.unforeseen.get(&account).copied().unwrap_or(0);
            self.beyond_printed += truth.saturating_sub(bound.saturating_add(unforeseen));
        }
        let used = window.used();
        let bound = window
            .worst_beyond
            .map(|worst| window.limit.max(used) + worst);
        self.printed
            .insert(window.title(), Printed { starts_at, bound });
        let (Some(planned), Some(allowance)) = (window.planned, window.allowance) else {
            return;
        };
        let share = |n: u64| n as f64 / window.limit.max(1) as f64;
        self.over.add(share(truth.saturating_sub(allowance)));
        if waits {
            self.under.add(share(planned.saturating_sub(truth)));
        }
    }
}

/// The figures of a run.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Figures {
    tasks: usize,
    /// Work over what the limits allow.
    pub(super) demand: f64,
    overspend_beyond_bound: u64,
    leaked_holds: usize,
    false_refusals: u64,
    unserved_fit: usize,
    utilisation: f64,
    pacing_error_over: f64,
    pacing_error_under: f64,
    calibration_p95: f64,
    granted_over_actual: f64,
    queue_wait_p50_s: i64,
    queue_wait_p99_s: i64,
    completed: u64,
    handed_back: u64,
    died: u64,
    commands: u64,
    audit: Vec<String>,
    /// Wall time.
    pub(super) seconds: f64,
}

impl Figures {
    /// Which figures miss what they must reach (budget.md, "To prove").
    pub(super) fn missed(&self, args: &SimulateBudget) -> Vec<&'static str> {
        let learned = self.completed >= 200;
        let rules = [
            ("overspend_beyond_bound", self.overspend_beyond_bound == 0),
            ("leaked_holds", self.leaked_holds == 0),
            ("false_refusals", self.false_refusals == 0),
            ("unserved_fit", args.demand > 0.5 || self.unserved_fit == 0),
            ("utilisation", args.demand < 3.0 || self.utilisation >= 0.9),
            ("pacing_error_over", self.pacing_error_over < 0.05),
            ("pacing_error_under", self.pacing_error_under < 0.05),
            (
                "calibration_p95",
                !learned || (0.90..=0.99).contains(&self.calibration_p95),
            ),
            (
                "granted_over_actual",
                !learned || self.granted_over_actual <= 3.0,
            ),
        ];
        rules
            .into_iter()
            .filter(|(_, reached)| !reached)
            .map(|(name, _)| name)
            .collect()
    }

    pub(super) fn text(&self, missed: &[&str]) -> String {
        let lines = serde_json::to_string_pretty(self).unwrap_or_default();
        if missed.is_empty() {
            format!("{lines}\nevery figure is reached")
        } else {
            format!("{lines}\nmissed: {}", missed.join(", "))
        }
    }
}

fn quantile(sorted: &[Instant], permille: usize) -> i64 {
    let at = (sorted.len() * permille / 1_000).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or(0) / 1_000
}

impl World {
    /// Ends the month: leases run out, every total is audited, and the figures are drawn.
    pub(super) async fn finish(&mut self) -> Result<Figures, CliError> {
        let Reply::Audited(audit) = self.ask(json!({ "budget.audit": {} })).await? else {
            return Err(CliError::Internal("an audit".into()));
        };
        let leaked = audit
            .differences
            .iter()
            .filter(|d| d.contains("that are over"));
        let leaked_holds = leaked.count();
        let mut waits = self.measures.waits.clone();
        waits.sort_unstable();
        let calibrations = &self.measures.calibrations;
        let mean = |of: &dyn Fn(&CalibrationView) -> f64| {
            let sum: f64 = calibrations.iter().map(of).sum();
            sum / calibrations.len().max(1) as f64
        };
        let busy = |a: &super::agents::Agent| matches!(a.state, State::Working(_) | State::Dead);
        let running = self.agents.iter().filter(|a| busy(a)).count();
        let open = self
            .jobs
            .iter()
            .filter(|(n, j)| j.done_at.is_none() && self.fits(**n));
        let open = open.count();
        Ok(Figures {
            tasks: self.jobs.len(),
            demand: 0.0,
            overspend_beyond_bound: self.beyond_promise() + self.measures.beyond_printed,
            leaked_holds,
            false_refusals: self.measures.false_refusals,
            unserved_fit: open.saturating_sub(running),
            utilisation: self.utilisation(),
            pacing_error_over: self.measures.over.get(),
            pacing_error_under: self.measures.under.get(),
            calibration_p95: mean(&|c| c.p95_bp as f64 / 10_000.0),
            granted_over_actual: mean(&|c| c.granted_over_actual_bp.unwrap_or(0) as f64 / 10_000.0),
            queue_wait_p50_s: quantile(&waits, 500),
            queue_wait_p99_s: quantile(&waits, 990),
            completed: self.measures.completed,
            handed_back: self.measures.handed_back,
            died: self.measures.died,
            commands: self.measures.commands,
            audit: audit.differences,
            seconds: 0.0,
        })
    }

    /// Spend of every provider's window beyond `limit + sum of max(0, actual - granted)`.
    fn beyond_promise(&self) -> u64 {
        let windows = self
            .accounts
            .iter()
            .flat_map(|a| &a.limits)
            .flat_map(|l| l.windows.iter().map(move |w| (l.limit, w)));
        windows
            .map(|(limit, window)| {
                let attempts = window
                    .by
                    .keys()
                    .filter_map(|by| self.measures.attempts.get(by));
                let excess: u64 = attempts
                    .map(|(spent, granted)| spent.saturating_sub(*granted))
                    .sum();
                window.spent.saturating_sub(limit + excess)
            })
            .sum()
    }

    /// Spent of what the weekly limits allowed until now.
    fn utilisation(&self) -> f64 {
        let end = self.start + i64::from(self.days) * hours(24);
        let (mut spent, mut allowed) = (0.0, 0.0);
        for limit in self.accounts.iter().filter_map(|a| a.limits.last()) {
            for window in &limit.windows {
                let length = (window.ends - window.starts).max(1) as f64;
                let gone = (end.min(window.ends) - window.starts) as f64;
                spent += window.spent as f64;
                allowed += limit.limit as f64 * gone / length;
            }
        }
        if allowed > 0.0 { spent / allowed } else { 0.0 }
    }
}
