//! The life of a task: which step is allowed in which status and to whom, and what comes after it
//! (doctrine, "Register content"; doctrine 12 for dependencies).

use std::collections::{BTreeMap, BTreeSet};

use fleet_protocol::Problem;
use fleet_protocol::problem::Code;
use fleet_protocol::verbs::task::TaskStatus;

/// A step in a task's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Somebody takes it.
    Claim,
    /// The holder keeps it for another lease.
    Renew,
    /// The holder says how far it is.
    Progress,
    /// The holder finishes it.
    Complete,
    /// The holder gives this attempt up.
    Fail,
    /// Somebody holds it back.
    Block,
    /// Somebody lets it go on.
    Unblock,
    /// The holder hands it back.
    Release,
    /// Somebody puts it before the operators.
    Escalate,
    /// A person decides what was asked.
    Answer,
    /// Somebody gives it up for good.
    Cancel,
    /// Somebody makes it ready again.
    Retry,
    /// Somebody changes what it waits for.
    Depend,
    /// Its lease has ended.
    Expire,
}

impl Step {
    /// The verb in messages.
    pub fn verb(self) -> &'static str {
        match self {
            Self::Claim => "claim",
            Self::Renew => "renew",
            Self::Progress => "report progress on",
            Self::Complete => "complete",
            Self::Fail => "fail",
            Self::Block => "block",
            Self::Unblock => "unblock",
            Self::Release => "release",
            Self::Escalate => "escalate",
            Self::Answer => "answer",
            Self::Cancel => "cancel",
            Self::Retry => "retry",
            Self::Depend => "change what is waited for by",
            Self::Expire => "expire",
        }
    }

    /// The statuses in which the step is possible.
    fn from(self) -> &'static [TaskStatus] {
        use TaskStatus::{
            Blocked, BudgetPaused, Cancelled, Escalated, Failed, Gated, Pending, Queued, Running,
        };
        match self {
            Self::Claim => &[Pending, Queued, BudgetPaused],
            Self::Renew | Self::Progress | Self::Fail | Self::Release | Self::Expire => &[Running],
            Self::Complete => &[Running, Gated],
            Self::Block => &[Pending, Running, Queued, BudgetPaused],
            Self::Escalate => &[Pending, Running, Queued, BudgetPaused, Blocked],
            Self::Answer => &[Failed, Escalated],
            Self::Unblock => &[Blocked],
            Self::Cancel => &[
                Pending,
                Running,
                Gated,
                Failed,
                Escalated,
                Blocked,
                Queued,
                BudgetPaused,
            ],
            Self::Retry => &[Failed, Escalated, Cancelled],
            Self::Depend => &[Pending, Blocked, Queued, BudgetPaused],
        }
    }

    /// Who may take the step on a task that somebody holds.
    fn allows(self, party: Party) -> bool {
        match self {
            Self::Renew | Self::Progress | Self::Complete | Self::Fail => party == Party::Holder,
            Self::Release => matches!(party, Party::Holder | Party::Operator),
            Self::Block | Self::Escalate => party != Party::OtherAgent,
            Self::Answer
            | Self::Cancel
            | Self::Claim
            | Self::Unblock
            | Self::Retry
            | Self::Depend
            | Self::Expire => true,
        }
    }
}

/// Who takes a step, as the task sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Party {
    /// Who holds the task.
    Holder,
    /// An agent that does not hold it; it never acts for another (doctrine 10).
    OtherAgent,
    /// A person who does not hold it.
    Member,
    /// A person who may take work from others.
    Operator,
}

/// How often a task was tried in vain, and how often it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tries {
    /// Attempts that failed or whose lease ended; handing back is no failure.
    pub failed: u32,
    /// Attempts allowed, at least 1.
    pub max: u32,
}

impl Tries {
    /// The tries after one more failure.
    #[must_use]
    pub fn and_one_failed(self) -> Self {
        Self {
            failed: self.failed.saturating_add(1),
            ..self
        }
    }

    /// Whether another attempt is allowed.
    pub fn left(self) -> bool {
        self.failed < self.max
    }
}

/// Decides a step: the status after it.
///
/// # Errors
/// [`Code::WrongState`] when the status does not allow the step; [`Code::Held`] when somebody else
/// holds the task.
pub fn step(
    step: Step,
    status: TaskStatus,
    party: Party,
    tries: Tries,
) -> Result<TaskStatus, Problem> {
    if step == Step::Claim && status == TaskStatus::Running {
        return Err(held(step));
    }
    if !step.from().contains(&status) {
        return Err(wrong_state(step, status));
    }
    if matches!(status, TaskStatus::Running | TaskStatus::Gated) && !step.allows(party) {
        return Err(held(step));
    }
    Ok(match step {
        Step::Claim => TaskStatus::Running,
        Step::Renew | Step::Progress | Step::Depend => status,
        Step::Complete => TaskStatus::Completed,
        Step::Fail if !tries.and_one_failed().left() => TaskStatus::Failed,
        Step::Expire if !tries.and_one_failed().left() => TaskStatus::Escalated,
        Step::Fail | Step::Expire | Step::Release | Step::Unblock | Step::Retry | Step::Answer => {
            TaskStatus::Pending
        }
        Step::Escalate => TaskStatus::Escalated,
        Step::Block => TaskStatus::Blocked,
        Step::Cancel => TaskStatus::Cancelled,
    })
}

fn held(step: Step) -> Problem {
    Problem::new(
        Code::Held,
        format!(
            "somebody else holds the task; you cannot {} it",
            step.verb()
        ),
    )
    .remedy("its holder can hand it back (task release), or an operator can do so for them")
}

fn wrong_state(step: Step, status: TaskStatus) -> Problem {
    let allowed: Vec<_> = step.from().iter().map(|s| s.as_str()).collect();
    let problem = Problem::new(
        Code::WrongState,
        format!(
            "the task is {status}; you can {} a task that is {}",
            step.verb(),
            allowed.join(", ")
        ),
    );
    match status {
        TaskStatus::Failed | TaskStatus::Escalated | TaskStatus::Cancelled => {
            problem.remedy("make it ready again first: task retry")
        }
        TaskStatus::Blocked => problem.remedy("let it go on first: task unblock"),
        TaskStatus::Pending | TaskStatus::Queued | TaskStatus::BudgetPaused => {
            problem.remedy("claim it first: task claim")
        }
        TaskStatus::Running | TaskStatus::Gated | TaskStatus::Completed => problem,
    }
}

/// Whether a status is an end: nothing more happens unless a person wants it.
pub fn is_end(status: TaskStatus) -> bool {
    matches!(
        status,
        TaskStatus::Completed | TaskStatus::Failed | TaskStatus::Cancelled
    )
}

/// Whether a task may be claimed now: it waits, and all it depends on is done (doctrine 12).
pub fn is_ready(status: TaskStatus, depends_on: &[TaskStatus]) -> bool {
    Step::Claim.from().contains(&status) && depends_on.iter().all(|s| *s == TaskStatus::Completed)
}

/// The circle that the dependency of `task` on `on` would close, as a path from `on` back to `task`;
/// `None` when it closes none. `edges` are (waits, waited for) pairs.
pub fn circle<T: Copy + Ord>(task: T, on: T, edges: &[(T, T)]) -> Option<Vec<T>> {
    let mut next: BTreeMap<T, Vec<T>> = BTreeMap::new();
    for (waits, waited_for) in edges {
        next.entry(*waits).or_default().push(*waited_for);
    }
    let mut seen = BTreeSet::from([on]);
    let mut paths = vec![vec![on]];
    while let Some(path) = paths.pop() {
        let at = *path.last()?;
        if at == task {
            return Some(path);
        }
        for further in next
            .get(&at)
            .into_iter()
            .flatten()
            .filter(|n| seen.insert(**n))
        {
            paths.push(path.iter().copied().chain([*further]).collect());
        }
    }
    None
}

#[cfg(test)]
mod tests;
