//! Properties of tally, outcome and early end.

use proptest::prelude::*;

use super::*;

fn verdict() -> impl Strategy<Value = Verdict> {
    prop::sample::select(Verdict::ALL.to_vec())
}

/// A board whose seats may share holders.
fn board(most: usize) -> impl Strategy<Value = Vec<FrozenSeat>> {
    let one = (
        1..5_u16,
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        0..4_usize,
    );
    prop::collection::vec(one, 1..most).prop_map(|all| {
        all.into_iter()
            .enumerate()
            .map(
                |(i, (weight, may_veto, human, proposer, holder))| FrozenSeat {
                    holder: format!("@u{holder}:test").parse().unwrap(),
                    may_veto,
                    human,
                    proposer,
                    ..seat(i, weight)
                },
            )
            .collect()
    })
}

fn rule() -> impl Strategy<Value = Rule> {
    let threshold = prop_oneof![
        Just(Threshold::Majority),
        (1..=4_u16).prop_map(|of| Threshold::AtLeast { of, out_of: 4 }),
    ];
    let default = prop::sample::select(ByDefault::ALL.to_vec());
    (0..=100_u8, threshold, default, 1..3_u8, any::<bool>()).prop_map(
        |(quorum, threshold, default, principals, two_keys)| Rule {
            quorum,
            threshold,
            default,
            principals,
            two_keys,
            human_above: None,
        },
    )
}

/// Casts, withdrawals and retractions in a sequence.
fn history() -> impl Strategy<Value = Vec<Entry>> {
    let act = (0..10_u8, 0..7_usize, verdict(), any::<bool>(), 1..20_u64);
    prop::collection::vec(act, 0..20).prop_map(|acts| {
        acts.into_iter()
            .zip(1..)
            .map(|((kind, index, verdict, reasoned, of), n)| match kind {
                0 => entry(
                    n,
                    Act::Withdraw {
                        seat: format!("s{index}").parse().unwrap(),
                    },
                ),
                1 => entry(n, Act::Retract { of }),
                _ => cast(n, index, verdict, reasoned),
            })
            .collect()
    })
}

/// Every way in which the seats that have no ballot may vote, or stay silent.
fn completions(seats: &[FrozenSeat], entries: &[Entry]) -> Vec<Vec<Entry>> {
    let open: Vec<usize> = stand(seats, entries)
        .iter()
        .enumerate()
        .filter(|(_, s)| s.ballot.is_none())
        .map(|(i, _)| i)
        .collect();
    open.iter().fold(vec![entries.to_vec()], |all, index| {
        let mut longer = all.clone();
        for verdict in Verdict::ALL {
            let n = 1_000 + *index as u64;
            let ballot = cast(n, *index, *verdict, true);
            longer.extend(
                all.iter()
                    .map(|entries| [entries.as_slice(), std::slice::from_ref(&ballot)].concat()),
            );
        }
        longer
    })
}

proptest! {
    /// Both ways: what is settled cannot come out otherwise, and what is open can; where silence would
    /// approve, nothing is settled before the end.
    #[test]
    fn a_vote_is_settled_exactly_when_no_completion_can_change_it(
        seats in board(5), entries in history(), rule in rule(), human in any::<bool>(),
    ) {
        let ends: Vec<Ended> = completions(&seats, &entries)
            .iter()
            .map(|all| decide(&seats, all, &rule, human))
            .collect();
        let (first, silence) = (ends[0].outcome, ends[0].by_default && ends[0].outcome == Outcome::Approved);
        let is_one = ends.iter().all(|e| e.outcome == first) && (!silence || ends.len() == 1);
        let one = is_one.then_some(first);
        let now = tally(&seats, &stand(&seats, &entries));
        prop_assert_eq!(settled(&now, &rule, human), one);
    }

    /// The order in which entries are looked at changes nothing: their sequence does.
    #[test]
    fn the_order_of_reading_does_not_matter(
        seats in board(7), entries in history(), rule in rule(), seed in any::<prop::sample::Index>(),
    ) {
        let mut turned = entries.clone();
        if !turned.is_empty() {
            let by = seed.index(turned.len());
            turned.rotate_left(by);
            turned.reverse();
        }
        prop_assert_eq!(
            tally(&seats, &stand(&seats, &turned)),
            tally(&seats, &stand(&seats, &entries))
        );
        prop_assert_eq!(
            decide(&seats, &turned, &rule, false),
            decide(&seats, &entries, &rule, false)
        );
    }

    /// No seat counts twice, and nothing is cast beyond what there is.
    #[test]
    fn no_ballot_counts_twice(seats in board(7), entries in history()) {
        let tally = tally(&seats, &stand(&seats, &entries));
        let all: u32 = seats.iter().map(|s| u32::from(s.weight)).sum();
        prop_assert_eq!(tally.total, all);
        let voted: u32 = seats.iter().zip(stand(&seats, &entries))
            .filter(|(_, s)| s.ballot.is_some())
            .map(|(seat, _)| u32::from(seat.weight))
            .sum();
        prop_assert_eq!(tally.cast(), voted);
    }

    /// A withdrawal makes a seat as if it had never voted.
    #[test]
    fn a_withdrawn_seat_is_as_if_it_had_not_voted(seats in board(7), entries in history()) {
        let mut withdrawn = entries.clone();
        withdrawn.push(entry(1_000, Act::Withdraw { seat: seats[0].title.clone() }));
        let without: Vec<Entry> = entries.into_iter()
            .filter(|e| !matches!(&e.act, Act::Cast(b) if b.seat == seats[0].title))
            .collect();
        prop_assert_eq!(
            tally(&seats, &stand(&seats, &withdrawn)),
            tally(&seats, &stand(&seats, &without))
        );
    }
}
