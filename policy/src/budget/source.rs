//! Which meter counts when several tell of one attempt (budget.md, "Ledger"): spend is charged once, and a
//! difference is told.

use fleet_protocol::verbs::spend::Meter;

/// What a meter said so far of an attempt, in one unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// The meter.
    pub meter: Meter,
    /// Its totals of other sessions and models, added up.
    pub others: u64,
    /// Its highest total of the session and model in question; 0: none.
    pub mine: u64,
}

/// A difference below this many tokens is no difference.
const LEAST: u64 = 1_000;
/// The share of the higher total, in percent, that the lower one must reach.
const AGREE_PERCENT: u64 = 95;

/// The total of an attempt once `by` says `now` of the session and model in question: the most trusted
/// meter's totals, each session and model at its highest. A less trusted one adds nothing, a total that
/// went back adds nothing, and a meter that has nothing to say of a unit (0) does not count in it.
pub fn total(told: &[Told], by: Meter, now: u64) -> u64 {
    let has_said = |t: &&Told| t.others > 0 || t.mine > 0;
    let best = told.iter().filter(has_said).map(|t| t.meter).min();
    let mine = if now > 0 { Some(by) } else { None };
    let Some(best) = best.into_iter().chain(mine).min() else {
        return 0;
    };
    let known = told.iter().find(|t| t.meter == best);
    let (others, before) = known.map_or((0, 0), |t| (t.others, t.mine));
    let now = if best == by { now } else { 0 };
    others.saturating_add(before.max(now))
}

/// The meter that `by` contradicts, with its total. Totals only grow, so a later one that lies below an
/// earlier one of another meter by more than 5 % and 1,000 tokens cannot both be true; one that lies above
/// may just be newer. `is_whole`: `by` speaks of the attempt, not of one session and model.
pub fn contradicted(told: &[Told], by: Meter, now: u64, is_whole: bool) -> Option<(Meter, u64)> {
    let of = |t: &Told| match is_whole {
        true => t.others.saturating_add(t.mine),
        false => t.mine,
    };
    let highest = told
        .iter()
        .filter(|t| t.meter != by)
        .map(|t| (t.meter, of(t)))
        .max_by_key(|(_, n)| *n)?;
    let (_, n) = highest;
    let is_below = u128::from(now) * 100 < u128::from(n) * u128::from(AGREE_PERCENT);
    (now > 0 && is_below && n - now >= LEAST).then_some(highest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(meter: Meter, others: u64, mine: u64) -> Told {
        Told {
            meter,
            others,
            mine,
        }
    }

    #[test]
    fn the_most_trusted_meter_counts_alone() {
        use Meter::{Agent, Transcript};
        for (known, by, now, expected) in [
            (vec![], Agent, 5, 5),
            (vec![], Transcript, 0, 0),
            (vec![told(Agent, 100, 50)], Agent, 40, 150),
            (vec![told(Agent, 100, 50)], Agent, 60, 160),
            (vec![told(Agent, 100, 50)], Transcript, 70, 70),
            (vec![told(Agent, 100, 50)], Transcript, 0, 150),
            (
                vec![told(Agent, 0, 90), told(Transcript, 30, 40)],
                Agent,
                500,
                70,
            ),
        ] {
            assert_eq!(total(&known, by, now), expected, "{known:?} {by} {now}");
        }
    }

    #[test]
    fn only_a_later_and_lower_total_contradicts() {
        let transcript = [told(Meter::Transcript, 3_000, 20_000)];
        let says = |now, is_whole| contradicted(&transcript, Meter::Agent, now, is_whole);
        assert_eq!(says(18_999, false), Some((Meter::Transcript, 20_000)));
        assert_eq!(says(19_000, false), None, "within 5 %");
        assert_eq!(says(21_849, true), Some((Meter::Transcript, 23_000)));
        assert_eq!(says(90_000, true), None, "a higher one is newer");
        assert_eq!(says(0, true), None, "nothing said is no total");
        let few = [told(Meter::Transcript, 0, 1_500)];
        assert_eq!(contradicted(&few, Meter::Agent, 501, true), None);
    }

    proptest! {
        /// Whatever the order and the meters, what is added never exceeds the highest total of one meter,
        /// and a repetition adds nothing.
        #[test]
        fn no_spend_is_charged_twice(steps in prop::collection::vec((0..3_usize, 0..3_usize, 0..1_000_u64), 1..40)) {
            let mut known = [[0_u64; 3]; 3];
            let (mut charged, mut highest) = (0_u64, 0);
            for (meter, session, now) in steps {
                for _ in 0..2 {
                    let told: Vec<Told> = Meter::ALL.iter().zip(known).map(|(m, sessions)| Told {
                        meter: *m,
                        mine: sessions[session],
                        others: sessions.iter().sum::<u64>() - sessions[session],
                    }).collect();
                    let total = total(&told, Meter::ALL[meter], now);
                    charged += total.saturating_sub(charged);
                    known[meter][session] = known[meter][session].max(now);
                    highest = known.iter().map(|s| s.iter().sum()).max().unwrap_or(0).max(highest);
                    prop_assert!(charged <= highest);
                }
            }
        }
    }
}
