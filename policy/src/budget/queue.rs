//! Order of the queue, and what its heads reserve (budget.md, "Queue").

use std::collections::BTreeMap;

use fleet_protocol::Timestamp;

use super::ladder::{Ahead, Reason};

/// A task that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// Its number.
    pub task: i64,
    /// Higher is sooner.
    pub priority: i64,
    /// Since when; a task that comes now waits since now.
    pub queued_at: Timestamp,
}

/// `priority + whole hours waited`; a clock that went back counts as no wait.
pub fn effective_priority(waiting: Waiting, now: Timestamp) -> i64 {
    let waited = now
        .as_millis()
        .saturating_sub(waiting.queued_at.as_millis());
    waiting.priority.saturating_add(waited.max(0) / 3_600_000)
}

/// The sort key of the queue: effective priority, then the time of queueing, then the task.
pub fn place(waiting: Waiting, now: Timestamp) -> (std::cmp::Reverse<i64>, Timestamp, i64) {
    let priority = std::cmp::Reverse(effective_priority(waiting, now));
    (priority, waiting.queued_at, waiting.task)
}

/// A task that a series keeps waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blocked {
    /// The task.
    pub waiting: Waiting,
    /// Why.
    pub reason: Reason,
    /// What it would hold in the series.
    pub need: u64,
    /// Its median there.
    pub p50: u64,
}

/// What is reserved in a series in front of `task`: the first of those that wait there and come before
/// it. Only the head reserves; whoever is behind the head has its own turn to be the head.
pub fn ahead(blocked: &[Blocked], task: Waiting, now: Timestamp) -> Ahead {
    let before = blocked
        .iter()
        .filter(|b| b.waiting.task != task.task && place(b.waiting, now) < place(task, now));
    let Some(head) = before.min_by_key(|b| place(b.waiting, now)) else {
        return Ahead::default();
    };
    match head.reason {
        Reason::Pacing | Reason::Behind => Ahead {
            for_pacing: head.p50,
            for_cap: 0,
        },
        Reason::Cap => Ahead {
            for_pacing: 0,
            for_cap: head.need,
        },
        // Who waits for knowledge or for the provider gains nothing by others waiting too.
        _ => Ahead::default(),
    }
}

/// What one look through the queue has found to wait, by lane: tasks of a lane ask for the same, and
/// differ only in how much they need. An admission makes room for nobody, so within one look whoever needs
/// at least as much as one of its lane that waits waits too.
#[derive(Debug, Clone)]
pub struct Look<L> {
    waiting: BTreeMap<L, (u64, Option<Timestamp>)>,
}

impl<L> Default for Look<L> {
    fn default() -> Self {
        Self {
            waiting: BTreeMap::new(),
        }
    }
}

impl<L: Ord> Look<L> {
    /// A task of a lane waits, with its need and its ETA.
    pub fn waits(&mut self, lane: L, need: u64, eta: Option<Timestamp>) {
        let least = self.waiting.entry(lane).or_insert((need, eta));
        if need < least.0 {
            *least = (need, eta);
        }
    }

    /// Whether a task need not be looked at; then the ETA of the one that stands for it.
    pub fn covers(&self, lane: &L, need: u64) -> Option<Option<Timestamp>> {
        let (least, eta) = self.waiting.get(lane)?;
        (need >= *least).then_some(*eta)
    }
}
