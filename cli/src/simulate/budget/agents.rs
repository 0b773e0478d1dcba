//! Synthetic agents and the work they do.

use fleet_protocol::event::{AgentIdentity, LeaseClaim};
use fleet_protocol::scalar::UserId;

use super::provider::Instant;
use super::world::user;
use crate::error::CliError;

/// A task, as the simulation knows it.
#[derive(Debug, Clone)]
pub(super) struct Job {
    /// Tokens it really needs.
    pub(super) size: u64,
    /// Tokens of it that are done and kept.
    pub(super) done: u64,
    /// Since when it waits for budget.
    pub(super) queued_at: Option<Instant>,
    /// When it was completed.
    pub(super) done_at: Option<Instant>,
}

impl Job {
    pub(super) fn new(size: u64) -> Self {
        Self {
            size,
            done: 0,
            queued_at: None,
            done_at: None,
        }
    }
}

/// What an agent works on.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) task: u32,
    pub(super) attempt: u32,
    pub(super) lease: LeaseClaim,
    pub(super) lease_until: Instant,
    /// Place of the account among the accounts.
    pub(super) account: usize,
    pub(super) granted: u64,
    /// Spent in this attempt, and reported of it.
    pub(super) spent: u64,
    pub(super) reported: u64,
    /// What the present step will spend.
    pub(super) planned: u64,
    /// Tokens in a minute.
    pub(super) rate: u64,
    /// Asked for more in vain: it hands back after this step.
    pub(super) hands_back: bool,
    /// Dies in the present step.
    pub(super) dies: bool,
    /// Does not ask before it spends more than granted.
    pub(super) is_bursty: bool,
}

/// What an agent does.
#[derive(Debug, Clone)]
pub(super) enum State {
    Idle,
    /// Its claim waits for budget.
    Waiting,
    Working(Box<Run>),
    Dead,
}

/// An agent.
#[derive(Debug, Clone)]
pub(super) struct Agent {
    pub(super) name: String,
    pub(super) role: &'static str,
    pub(super) user: UserId,
    /// Which life of it acts; none before it has registered.
    pub(super) identity: Option<AgentIdentity>,
    pub(super) state: State,
    /// Counts its runs, so that a step of an earlier one does nothing.
    pub(super) run: u64,
    /// What it owes a report of since it died: the task, its attempt, tokens.
    pub(super) owes: Option<(u32, u32, u64)>,
}

impl Agent {
    pub(super) fn new(name: &str, role: &'static str) -> Result<Self, CliError> {
        Ok(Self {
            user: user(name)?,
            name: name.to_owned(),
            role,
            identity: None,
            state: State::Idle,
            run: 0,
            owes: None,
        })
    }
}
