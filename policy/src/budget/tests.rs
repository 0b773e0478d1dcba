use fleet_protocol::Timestamp;
use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1_000)
}

fn length(seconds: i64) -> Option<SignedDuration> {
    Some(SignedDuration::from_secs(seconds))
}

#[test]
fn cache_reads_count_a_tenth() {
    let usage = Usage {
        input: 100,
        output: 20,
        cache_write: 3,
        cache_read: 49,
    };
    assert_eq!(usage.tokens(), 127);
}

#[test]
fn without_a_length_the_next_window_has_no_end() {
    let last = Window {
        starts_at: at(0),
        resets_at: Some(at(10)),
    };
    let next = Window {
        starts_at: at(10),
        resets_at: None,
    };
    assert_eq!(containing(last, None, at(10)), Some(next));
    assert_eq!(containing(last, None, at(9)), None);
    assert_eq!(containing(next, length(5), at(99)), None);
}

/// What may happen to an attempt.
#[derive(Debug, Clone, Copy)]
enum Step {
    Report(u64),
    Release,
    Presume,
    Unknown,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..200_000_u64).prop_map(Step::Report),
        1 => Just(Step::Release),
        1 => Just(Step::Presume),
        1 => Just(Step::Unknown),
    ]
}

proptest! {
    #[test]
    fn movements_conserve_what_was_granted(grant in 0..100_000_u64, steps in prop::collection::vec(step(), 0..20)) {
        let (mut hold, mut reported) = (Hold { remaining: grant, presumed: 0 }, 0_u64);
        let mut sum = Movement { held: grant.cast_signed(), ..Movement::default() };
        let mut released = 0_u64;
        for step in steps {
            let before = hold;
            let (moved, left) = match step {
                Step::Report(total) => {
                    let delta = added(total, reported);
                    reported += delta;
                    commit(hold, delta)
                }
                Step::Release => { released += before.remaining; release(hold) }
                Step::Presume => presume(hold),
                Step::Unknown => settle_unknown(hold),
            };
            hold = left;
            sum.committed += moved.committed;
            sum.held += moved.held;
            sum.presumed += moved.presumed;
            // The totals are what the hold says, never less than nothing.
            prop_assert_eq!(sum.held, hold.remaining.cast_signed());
            prop_assert_eq!(sum.presumed, hold.presumed.cast_signed());
            prop_assert!(sum.committed >= reported.cast_signed());
            // Nothing of the grant disappears but by release.
            let accounted = sum.committed + sum.held + sum.presumed + released.cast_signed();
            prop_assert!(accounted >= grant.cast_signed());
        }
    }

    #[test]
    fn readings_in_any_order_and_number_commit_the_largest(readings in prop::collection::vec(0..1_000_000_u64, 1..30)) {
        let committed = readings.iter().fold(0, |c, r| c + added(*r, c));
        prop_assert_eq!(Some(committed), readings.iter().copied().max());
    }

    #[test]
    fn successors_contain_the_instant_and_never_overlap(every in 1..1_000_000_i64, first in 0..10_000_000_i64, second in 0..10_000_000_i64) {
        let last = Window { starts_at: at(-5), resets_at: Some(at(0)) };
        let [a, b] = [first, second].map(|t| (t, containing(last, length(every), at(t)).unwrap()));
        prop_assert!(a.1.contains(at(a.0)) && b.1.contains(at(b.0)));
        prop_assert!(a.1 == b.1 || !a.1.overlaps(b.1));
        prop_assert!(!a.1.overlaps(last));
    }
}
