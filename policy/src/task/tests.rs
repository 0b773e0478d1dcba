use std::collections::BTreeSet;

use fleet_protocol::problem::Code;
use fleet_protocol::verbs::task::TaskStatus::{self, *};
use proptest::prelude::*;

use super::{Party, Step, Tries, circle, is_end, is_ready, step};

const STEPS: &[Step] = &[
    Step::Claim,
    Step::Renew,
    Step::Progress,
    Step::Complete,
    Step::Fail,
    Step::Block,
    Step::Unblock,
    Step::Release,
    Step::Escalate,
    Step::Answer,
    Step::Cancel,
    Step::Retry,
    Step::Depend,
    Step::Expire,
];
const PARTIES: &[Party] = &[
    Party::Holder,
    Party::OtherAgent,
    Party::Member,
    Party::Operator,
];
const FRESH: Tries = Tries { failed: 0, max: 3 };

fn after(s: Step, status: TaskStatus, party: Party, tries: Tries) -> Result<TaskStatus, Code> {
    step(s, status, party, tries).map_err(|p| p.code)
}

#[test]
fn the_table_of_steps_by_the_holder() {
    let refused = Err(Code::WrongState);
    let columns = [
        Pending,
        Running,
        Gated,
        Completed,
        Failed,
        Escalated,
        Blocked,
        Queued,
        BudgetPaused,
        Cancelled,
    ];
    let same = |s: TaskStatus| -> Result<TaskStatus, Code> { Ok(s) };
    let x = refused;
    let run = Ok(Running);
    let pend = Ok(Pending);
    let asks = Ok(Escalated);
    let table: &[(Step, [Result<TaskStatus, Code>; 10])] = &[
        (
            Step::Claim,
            [run, Err(Code::Held), x, x, x, x, x, run, run, x],
        ),
        (Step::Renew, [x, run, x, x, x, x, x, x, x, x]),
        (Step::Progress, [x, run, x, x, x, x, x, x, x, x]),
        (
            Step::Complete,
            [x, Ok(Completed), Ok(Completed), x, x, x, x, x, x, x],
        ),
        (Step::Fail, [x, pend, x, x, x, x, x, x, x, x]),
        (
            Step::Block,
            [
                Ok(Blocked),
                Ok(Blocked),
                x,
                x,
                x,
                x,
                x,
                Ok(Blocked),
                Ok(Blocked),
                x,
            ],
        ),
        (Step::Unblock, [x, x, x, x, x, x, pend, x, x, x]),
        (Step::Release, [x, pend, x, x, x, x, x, x, x, x]),
        (
            Step::Escalate,
            [asks, asks, x, x, x, x, asks, asks, asks, x],
        ),
        (Step::Answer, [x, x, x, x, pend, pend, x, x, x, x]),
        (
            Step::Cancel,
            [
                Ok(Cancelled),
                Ok(Cancelled),
                Ok(Cancelled),
                x,
                Ok(Cancelled),
                Ok(Cancelled),
                Ok(Cancelled),
                Ok(Cancelled),
                Ok(Cancelled),
                x,
            ],
        ),
        (Step::Retry, [x, x, x, x, pend, pend, x, x, x, pend]),
        (
            Step::Depend,
            [
                same(Pending),
                x,
                x,
                x,
                x,
                x,
                same(Blocked),
                same(Queued),
                same(BudgetPaused),
                x,
            ],
        ),
        (Step::Expire, [x, pend, x, x, x, x, x, x, x, x]),
    ];
    for (s, row) in table {
        for (status, expected) in columns.iter().zip(row) {
            assert_eq!(
                after(*s, *status, Party::Holder, FRESH),
                *expected,
                "{s:?} in {status}"
            );
        }
    }
}

#[test]
fn others_may_not_write_to_held_work() {
    let held = Err(Code::Held);
    for s in [Step::Renew, Step::Progress, Step::Complete, Step::Fail] {
        for party in [Party::OtherAgent, Party::Member, Party::Operator] {
            assert_eq!(after(s, Running, party, FRESH), held, "{s:?} by {party:?}");
        }
    }
    assert_eq!(after(Step::Release, Running, Party::Member, FRESH), held);
    assert_eq!(
        after(Step::Release, Running, Party::Operator, FRESH),
        Ok(Pending)
    );
    assert_eq!(after(Step::Block, Running, Party::OtherAgent, FRESH), held);
    assert_eq!(
        after(Step::Escalate, Running, Party::OtherAgent, FRESH),
        held
    );
    assert_eq!(
        after(Step::Block, Running, Party::Member, FRESH),
        Ok(Blocked)
    );
    assert_eq!(
        after(Step::Block, Pending, Party::OtherAgent, FRESH),
        Ok(Blocked)
    );
}

#[test]
fn the_last_failure_fails_and_the_last_expiry_calls_a_person() {
    let last = Tries { failed: 2, max: 3 };
    assert_eq!(
        after(
            Step::Fail,
            Running,
            Party::Holder,
            Tries { failed: 1, max: 3 }
        ),
        Ok(Pending)
    );
    assert_eq!(after(Step::Fail, Running, Party::Holder, last), Ok(Failed));
    assert_eq!(
        after(Step::Expire, Running, Party::Operator, last),
        Ok(Escalated)
    );
    assert_eq!(
        after(Step::Release, Running, Party::Holder, last),
        Ok(Pending),
        "handing back is no failure"
    );
}

#[test]
fn readiness_needs_every_dependency_completed() {
    assert!(is_ready(Pending, &[]));
    assert!(is_ready(Queued, &[Completed, Completed]));
    assert!(!is_ready(Pending, &[Completed, Cancelled]));
    assert!(!is_ready(Pending, &[Running]));
    assert!(!is_ready(Blocked, &[]));
    assert!(!is_ready(Running, &[]));
}

#[test]
fn a_circle_is_named_by_its_path() {
    let edges = [(2, 1), (3, 2), (4, 3)];
    assert_eq!(circle(1, 4, &edges), Some(vec![4, 3, 2, 1]));
    assert_eq!(circle(4, 1, &edges), None);
    assert_eq!(circle(1, 1, &[]), Some(vec![1]), "nothing waits for itself");
}

proptest! {
    #[test]
    fn only_retrying_answering_or_cancelling_leaves_an_end(
        s in prop::sample::select(STEPS),
        party in prop::sample::select(PARTIES),
        status in prop::sample::select(TaskStatus::ALL),
        failed in 0_u32..5,
        max in 1_u32..5,
    ) {
        let decided = after(s, status, party, Tries { failed, max });
        if is_end(status) && let Ok(next) = decided {
            prop_assert!(matches!(s, Step::Retry | Step::Answer | Step::Cancel), "{s:?} left {status} for {next}");
        }
        if let Ok(Running) = decided {
            prop_assert!(status == Running || s == Step::Claim, "only a claim starts work");
        }
    }

    #[test]
    fn edges_that_close_no_circle_leave_an_order(wanted in prop::collection::vec((0_u8..12, 0_u8..12), 0..60)) {
        let mut edges: Vec<(u8, u8)> = Vec::new();
        for (task, on) in wanted {
            if circle(task, on, &edges).is_none() {
                edges.push((task, on));
            }
        }
        // Taking away what waits for nothing, again and again, must end with nothing left.
        let mut left: BTreeSet<u8> = (0..12).collect();
        while !left.is_empty() {
            let ready: Vec<u8> = left.iter().copied().filter(|n| !edges.iter().any(|(w, on)| w == n && left.contains(on))).collect();
            prop_assert!(!ready.is_empty(), "{left:?} wait for each other");
            left.retain(|n| !ready.contains(n));
        }
    }
}
