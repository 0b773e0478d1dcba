//! What a crew's processes have said, and whether it can be.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::worker::Said;

/// What became of the work, as the agents tell it.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// How long each claim took that was answered.
    pub(super) claims: Vec<Duration>,
    /// To whom a task was granted under an epoch.
    granted: BTreeMap<(String, u64), usize>,
    completed: BTreeSet<String>,
    heard: BTreeSet<usize>,
    /// Grants of one epoch to two agents, and tasks that were completed twice.
    pub(super) doubled: usize,
}

impl Tally {
    /// Counts what the agent with this place says.
    pub(super) fn add(&mut self, agent: usize, said: Said) {
        match said {
            Said::Claimed { task, epoch, us } => {
                self.claims.push(Duration::from_micros(us));
                let before = self.granted.insert((task, epoch), agent);
                self.doubled += usize::from(before.is_some());
            }
            Said::Completed { task } => {
                self.doubled += usize::from(!self.completed.insert(task));
            }
            Said::Refused { .. } => {}
            Said::Heard { .. } => {
                self.heard.insert(agent);
            }
        }
    }

    /// How many tasks were completed, by the agents' words.
    pub(super) fn completed(&self) -> usize {
        self.completed.len()
    }

    /// How many of these agents have heard nothing.
    pub(super) fn deaf(&self, agents: impl IntoIterator<Item = usize>) -> usize {
        let deaf = agents.into_iter().filter(|a| !self.heard.contains(a));
        deaf.count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claimed(task: &str, epoch: u64) -> Said {
        Said::Claimed {
            task: task.into(),
            epoch,
            us: 1_000,
        }
    }

    fn completed(task: &str) -> Said {
        Said::Completed { task: task.into() }
    }

    #[test]
    fn a_task_may_be_claimed_again_but_not_under_the_same_epoch_nor_completed_twice() {
        let mut tally = Tally::default();
        tally.add(0, claimed("t1", 1));
        tally.add(1, claimed("t1", 2));
        tally.add(1, completed("t1"));
        assert_eq!((tally.doubled, tally.completed()), (0, 1));
        tally.add(2, claimed("t1", 2));
        assert_eq!(tally.doubled, 1, "one epoch for two");
        tally.add(2, completed("t1"));
        assert_eq!((tally.doubled, tally.completed()), (2, 1));
        tally.add(3, Said::Refused { task: "t1".into() });
        assert_eq!(tally.doubled, 2, "a refusal is as it should be");
    }

    #[test]
    fn who_heard_nothing_is_deaf() {
        let mut tally = Tally::default();
        tally.add(1, Said::Heard { item: "i1".into() });
        assert_eq!(tally.deaf([0, 1, 2]), 2);
    }

    #[test]
    fn what_a_process_says_is_read_again() {
        for said in [
            claimed("t1", 3),
            completed("t1"),
            Said::Heard { item: "x".into() },
        ] {
            let line = serde_json::to_string(&said).unwrap();
            assert_eq!(serde_json::from_str::<Said>(&line).unwrap(), said);
        }
    }
}
