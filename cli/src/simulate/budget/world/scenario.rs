//! What is simulated: the work of the month, the accounts that pay for it, and the agents that do it.

use jiff::tz::TimeZone;
use serde_json::json;

use super::super::agents::Agent;
use super::super::internal;
use super::super::provider::{Account, Instant, Limit, Schedule, hours};
use super::{Event, World};
use crate::error::CliError;

/// Zones of the weekly resets, one after the other.
pub(super) const ZONES: [&str; 3] = ["Europe/Berlin", "America/New_York", "Asia/Tokyo"];
/// Subscriptions.
pub(super) const ACCOUNTS: usize = 5;
/// Agents of each role.
const AGENTS: usize = 8;
/// Kinds of work: type, role, median tokens.
pub(in super::super) const KINDS: [(&str, &str, f64); 3] = [
    ("coding", "code", 60_000.0),
    ("review", "review", 25_000.0),
    ("research", "research", 45_000.0),
];
/// Spread of the sizes: the 95th percentile is 2.3 times the median.
const SIGMA: f64 = 0.5;
/// A 5-hour limit is at least so many of the largest median task, however small the month is.
const TASKS_AT_LEAST: u64 = 5;

impl World {
    /// Draws sizes and arrivals: bursts of a few tasks, over all days but the last.
    pub(super) fn draw(&mut self, tasks: u32) {
        let span = f64::from(self.days.saturating_sub(1).max(1)) * hours(24) as f64;
        let mut at = 0.0;
        let mut burst = 0;
        for n in 0..tasks as usize {
            let kind = self.chance.below(KINDS.len() as u64) as usize;
            let size = self.chance.log_normal(KINDS[kind].2, SIGMA).max(500.0);
            self.sizes.push((kind, size as u64));
            if burst == 0 {
                burst = 1 + self.chance.below(7);
                let mean = 4.0 * span / f64::from(tasks.max(1));
                at = f64::min(at + self.chance.exponential(mean), span);
            }
            burst -= 1;
            self.at(at as Instant, Event::Arrive(n));
        }
    }

    /// Accounts of one pool, each with a 5-hour and a weekly limit, sized so that the demand is met.
    pub(super) async fn open_accounts(&mut self, demand: f64) -> Result<(), CliError> {
        let total: u64 = self.sizes.iter().map(|(_, size)| size).sum();
        let month = f64::from(self.days) * hours(24) as f64;
        let firsts: Vec<Instant> = (0..ACCOUNTS)
            .map(|i| hours(24 * 2 + 29 * i as i64))
            .collect();
        let weeks: f64 = firsts
            .iter()
            .map(|first| 1.0 + (month - *first as f64).max(0.0) / hours(168) as f64)
            .sum();
        let weekly = (total as f64 / demand / weeks) as u64;
        for (i, first) in firsts.into_iter().enumerate() {
            let account = self.open_account(i, self.start + first, weekly).await?;
            self.accounts.push(account);
        }
        let names: Vec<&str> = self.accounts.iter().map(|a| a.name.as_str()).collect();
        let pool = json!({ "subscription.pool": { "names": names, "pool": "pool" } });
        self.order(pool).await?;
        Ok(())
    }

    async fn open_account(
        &mut self,
        i: usize,
        first: Instant,
        weekly: u64,
    ) -> Result<Account, CliError> {
        let name = format!("account-{i}");
        let zone_name = ZONES[i % ZONES.len()];
        let zone = TimeZone::get(zone_name).map_err(internal)?;
        let first = jiff::Timestamp::from_millisecond(first).map_err(internal)?;
        self.order(json!({ "subscription.add": { "name": name, "provider": "synthetic" } }))
            .await?;
        self.order(json!({ "budget.set": { "provider": name, "window": "weekly", "limit": weekly, "unit": "tokens",
            "reset_at": first.to_string(), "rule": "FREQ=WEEKLY", "zone": zone_name } }))
            .await?;
        let largest = KINDS.iter().map(|(_, _, median)| *median as u64).max();
        let short = (weekly / 20).max(largest.unwrap_or(0) * TASKS_AT_LEAST);
        let begins_with_use = i >= ACCOUNTS - 2;
        let mut set = json!({ "provider": name, "window": "5h", "limit": short, "unit": "tokens", "every": "5h" });
        if begins_with_use {
            set["after_first_use"] = json!(true);
        }
        self.order(json!({ "budget.set": set })).await?;
        let schedule = if begins_with_use {
            Schedule::FirstUse { length: hours(5) }
        } else {
            Schedule::Fixed {
                from: self.start,
                length: hours(5),
            }
        };
        Ok(Account {
            name,
            limits: vec![
                Limit::new("5h", short, schedule, self.start),
                Limit::new(
                    "weekly",
                    weekly,
                    Schedule::Weekly { first, zone },
                    self.start,
                ),
            ],
        })
    }

    pub(super) async fn register_agents(&mut self) -> Result<(), CliError> {
        for (_, role, _) in KINDS {
            for n in 1..=AGENTS {
                let agent = Agent::new(&format!("{role}-{n}"), role)?;
                self.order(json!({ "member.add": { "user": agent.user, "role": "agent" } }))
                    .await?;
                self.agents.push(agent);
                self.register(self.agents.len() - 1).await?;
            }
        }
        let workers = (KINDS.len() * AGENTS) as u16;
        self.door
            .bound_workers(workers, AGENTS as u16)
            .await
            .map_err(|e| CliError::service("the gateway", &e))
    }
}
