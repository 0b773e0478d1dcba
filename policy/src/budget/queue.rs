//! Order of the queue, reservations of its heads, and who may pass (budget.md, "Queue").

use std::collections::BTreeMap;

use fleet_protocol::Timestamp;

/// A task that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The task.
    pub task: i64,
    /// Higher is sooner.
    pub priority: i64,
    /// Since when.
    pub queued_at: Timestamp,
    /// What it would hold in each series that governs it.
    pub needs: BTreeMap<String, u64>,
    /// Series it does not fit now; empty: it fits.
    pub blocked: Vec<String>,
}

/// Whether a waiting task starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// It starts now.
    Start,
    /// It does not fit these series.
    Blocked(Vec<String>),
    /// It fits, but would move the ETA of the head of a series.
    Behind {
        /// The head.
        head: i64,
        /// The series.
        series: String,
    },
}

/// `priority + whole hours waited`; a clock that went back counts as no wait.
pub fn effective_priority(waiting: &Waiting, now: Timestamp) -> i64 {
    let waited = now
        .as_millis()
        .saturating_sub(waiting.queued_at.as_millis());
    waiting.priority.saturating_add(waited.max(0) / 3_600_000)
}

/// The queue in order: effective priority, then the time of queueing, then the task.
pub fn ordered(mut queue: Vec<Waiting>, now: Timestamp) -> Vec<Waiting> {
    queue.sort_by_key(|w| {
        (
            std::cmp::Reverse(effective_priority(w, now)),
            w.queued_at,
            w.task,
        )
    });
    queue
}

/// Whose turn it is, for each task in order. `free_now` is the headroom of each series, from which
/// starts are deducted; `free_at_eta` is what each blocked series will have at the ETA of its head.
///
/// The first task blocked by a series is its head and reserves its need there. A task behind it
/// passes only where `head's need + own need <= free at the ETA`; what passes is deducted. A
/// series without a stated headroom is not limited.
pub fn turns(
    queue: &[Waiting],
    mut free_now: BTreeMap<String, u64>,
    mut free_at_eta: BTreeMap<String, u64>,
) -> Vec<(i64, Turn)> {
    let mut heads: BTreeMap<&str, (i64, u64)> = BTreeMap::new();
    let mut all = Vec::with_capacity(queue.len());
    for waiting in queue {
        let short = |s: &&String| {
            let need = waiting.needs.get(*s).copied().unwrap_or(0);
            waiting.blocked.contains(s) || free_now.get(*s).is_some_and(|free| need > *free)
        };
        let blocked: Vec<_> = waiting.needs.keys().filter(short).cloned().collect();
        if !blocked.is_empty() {
            for (series, need) in waiting.needs.iter().filter(|(s, _)| blocked.contains(s)) {
                heads.entry(series).or_insert((waiting.task, *need));
            }
            all.push((waiting.task, Turn::Blocked(blocked)));
            continue;
        }
        let behind = waiting.needs.iter().find_map(|(series, need)| {
            let (head, reserved) = heads.get(series.as_str())?;
            let free = free_at_eta.get(series).copied().unwrap_or(0);
            (reserved.saturating_add(*need) > free).then(|| (*head, series.clone()))
        });
        if let Some((head, series)) = behind {
            all.push((waiting.task, Turn::Behind { head, series }));
            continue;
        }
        for (series, need) in &waiting.needs {
            for free in [&mut free_now, &mut free_at_eta] {
                if let Some(free) = free.get_mut(series) {
                    *free = free.saturating_sub(*need);
                }
            }
        }
        all.push((waiting.task, Turn::Start));
    }
    all
}
