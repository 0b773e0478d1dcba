//! Properties of budget.md, "To prove".

use std::collections::BTreeMap;

use fleet_protocol::Timestamp;
use jiff::SignedDuration;
use jiff::civil::date;
use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::hold::{Ask, TopUp, first_tranche, top_ups};
use super::ladder::{Candidate, Decision, Fit, Gauge, Need, Reason, Terms, decide, fit, headroom};
use super::learn::{Outcome, Samples, calibration, estimate};
use super::meter::Knowledge;
use super::pacing::{Pace, Paced, Pacing, burst, pacing, planned};
use super::queue::{Turn, Waiting, effective_priority, ordered, turns};
use super::recurrence::{Present, Rule, Succession, present};
use super::route::key;
use super::watch::spread;
use super::window::Window;

const DAY: i64 = 86_400_000;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

fn window(length: i64) -> Window {
    Window {
        starts_at: at(0),
        resets_at: Some(at(length)),
    }
}

pub(super) fn gauge(series: &str, limit: u64, spent: u64, held: u64) -> Gauge {
    Gauge {
        series: series.to_owned(),
        window: window(DAY),
        limit,
        spent,
        held,
        kept_free: 0,
        in_flight: 0,
        recent: 0,
        running: u64::from(held > 0),
        knowledge: Knowledge::Known,
        closed_until: None,
        pace: Some(Pace::default()),
        strict: false,
    }
}

pub(super) fn need(grant: u64) -> Need {
    Need {
        grant: Some(grant),
        p50: grant,
        learned: true,
    }
}

pub(super) const TERMS: Terms = Terms {
    asked: 0,
    ceiling: 0,
    pinned: false,
    dispatch: true,
    start_now: false,
    max_wait_ms: 1_800_000,
    paused_mission: false,
};

fn rule(text: &str, zone: &str) -> Rule {
    let first = date(2026, 1, 1).at(2, 30, 0, 0);
    Rule::parse(text, first, TimeZone::get(zone).unwrap()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn windows_never_overlap_across_clock_changes(
        zone in prop::sample::select(vec!["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"]),
        text in prop::sample::select(vec!["FREQ=DAILY", "FREQ=WEEKLY;BYDAY=SU", "FREQ=MONTHLY", "FREQ=DAILY;INTERVAL=3"]),
        mut hours in prop::collection::vec(1_000..9_500_i64, 2..8),
    ) {
        let succession = Succession::Rule(rule(text, zone));
        let start = "2026-01-01T00:00:00Z".parse::<jiff::Timestamp>().unwrap();
        hours.sort_unstable();
        let (mut last, mut all) = (None, Vec::<Window>::new());
        for hour in hours {
            let now = Timestamp(start + SignedDuration::from_hours(hour));
            match present(&succession, last, now, true).unwrap() {
                Present::Kept(w) => prop_assert!(w.contains(now)),
                Present::Made(w) => {
                    prop_assert!(w.contains(now));
                    prop_assert!(all.iter().all(|old| !old.overlaps(w)));
                    all.push(w);
                    last = Some(w);
                }
                Present::AwaitingUse => prop_assert!(false),
            }
        }
    }

    #[test]
    fn neighbours_of_a_rule_touch(zone in prop::sample::select(vec!["Europe/Berlin", "America/New_York"]), hour in 1_000..9_500_i64) {
        let rule = rule("FREQ=DAILY", zone);
        let start = "2026-01-01T00:00:00Z".parse::<jiff::Timestamp>().unwrap();
        let first = rule.around(Timestamp(start + SignedDuration::from_hours(hour))).unwrap();
        let next = rule.around(first.resets_at.unwrap()).unwrap();
        prop_assert_eq!(Some(next.starts_at), first.resets_at);
    }
}

proptest! {
    #[test]
    fn first_use_windows_hold_their_use_and_never_overlap(length in 1..100_000_i64, mut uses in prop::collection::vec(0..10_000_000_i64, 1..30)) {
        let succession = Succession::AfterFirstUse(SignedDuration::from_secs(length));
        uses.sort_unstable();
        let mut last: Option<Window> = None;
        for used in uses {
            if let Present::Made(w) = present(&succession, last, at(used), true).unwrap() {
                prop_assert_eq!(w.starts_at, at(used));
                prop_assert!(last.is_none_or(|l| !l.overlaps(w)));
                last = Some(w);
            }
            prop_assert!(last.unwrap().contains(at(used)));
        }
    }

    #[test]
    fn the_plan_grows_evenly_to_the_limit(limit in 0..1_u64 << 53, a in 0..DAY, b in 0..DAY) {
        let of = |t| planned(limit, window(DAY), Pace::default(), at(t)).unwrap();
        prop_assert!(of(a.min(b)) <= of(a.max(b)));
        prop_assert_eq!((of(0), of(DAY), of(2 * DAY)), (0, limit, limit));
        prop_assert!(of(a) + of(DAY - a) <= limit && of(a) + of(DAY - a) + 1 >= limit);
    }

    #[test]
    fn a_pacing_eta_is_the_first_instant_that_admits(limit in 1_000..1_u64 << 40, part in 0..100_u64, new in 1..100_u64, now in 0..DAY) {
        let paced = Paced { spent: limit / 100 * part, new: limit / 1_000 * new, running: 1, ..Paced::default() };
        let decided = |t| pacing(limit, window(DAY), Pace::default(), Paced { recent: 0, ..paced }, at(t));
        if let Pacing::Wait(eta) = decided(now) {
            prop_assert!(eta > at(now));
            if eta < at(DAY) && !matches!(decided(eta.as_millis()), Pacing::Within) {
                // Only the bound on catching up still holds it.
                prop_assert!(paced.new > limit / 6 + burst(limit, Pace::default()));
            }
            let before = paced.spent + paced.new > planned(limit, window(DAY), Pace::default(), at(eta.as_millis() - 1)).unwrap() + burst(limit, Pace::default());
            prop_assert!(before || paced.new > limit / 6);
        }
    }

    #[test]
    fn an_idle_window_not_ahead_of_plan_never_waits(limit in 0..1_u64 << 53, now in 0..DAY, share in 0..=100_u64, new in any::<u64>(), recent in any::<u64>()) {
        let plan = planned(limit, window(DAY), Pace::default(), at(now)).unwrap();
        let paced = Paced { spent: plan / 100 * share, new, recent, ..Paced::default() };
        prop_assert_eq!(pacing(limit, window(DAY), Pace::default(), paced, at(now)), Pacing::Idle);
    }

    #[test]
    fn nothing_is_admitted_above_headroom_of_any_series(
        limits in prop::collection::vec(0..100_000_u64, 1..4),
        steps in prop::collection::vec((1..20_000_u64, 0..DAY, any::<bool>()), 1..60),
    ) {
        let mut series: Vec<_> = limits.iter().enumerate().map(|(i, l)| gauge(&format!("s{i}"), *l, 0, 0)).collect();
        for (grant, now, start_now) in steps {
            let candidate = Candidate {
                subscription: "a".to_owned(), rung: 0, other_provider: false,
                series: series.iter().map(|g| (g.clone(), need(grant))).collect(),
            };
            let room = series.iter().map(headroom).min().unwrap();
            let decision = decide(&[candidate], Terms { start_now, ..TERMS }, at(now));
            if decision == Decision::Admit(0) {
                prop_assert!(grant <= room);
                for g in &mut series { g.held += grant; g.running += 1; }
            }
            prop_assert!(series.iter().all(|g| g.held <= g.limit));
        }
    }

    #[test]
    fn no_refusal_rests_on_a_guess_and_start_now_never_passes_the_cap(limit in 0..1_000_u64, spent in 0..1_500_u64, grant in 0..2_000_u64, now in 0..DAY, learned: bool) {
        let n = Need { learned, ..need(grant) };
        let g = gauge("s", limit, spent, 0);
        let (usual, pushed) = (fit(&g, n, false, at(now)), fit(&g, n, true, at(now)));
        prop_assert!(learned || !matches!(usual, Fit::Never(_)));
        prop_assert_eq!(pushed == Fit::Fits, grant.max(1) <= headroom(&g) && !matches!(usual, Fit::Never(_)));
    }

    #[test]
    fn never_above_the_ceiling(rungs in prop::collection::vec((0..4_usize, 0..1_000_u64), 1..8), asked in 0..4_usize, ceiling in 0..4_usize, pinned: bool) {
        let candidates: Vec<_> = rungs.iter().enumerate().map(|(i, (rung, limit))| Candidate {
            subscription: format!("s{i}"), rung: *rung, other_provider: false,
            series: vec![(gauge("s", *limit, 0, 0), need(500))],
        }).collect();
        let top = asked.max(ceiling);
        match decide(&candidates, Terms { asked, ceiling, pinned, ..TERMS }, at(0)) {
            Decision::Admit(i) => prop_assert_eq!(candidates[i].rung, top),
            Decision::Downgrade(i, _) => {
                prop_assert!(!pinned && candidates[i].rung > top);
                let higher = candidates.iter().filter(|c| c.rung >= top && c.rung < candidates[i].rung);
                prop_assert!(higher.into_iter().all(|c| c.series[0].0.limit < 500), "a higher one fits");
            }
            _ => prop_assert!(!candidates.iter().any(|c| c.rung == top && c.series[0].0.limit >= 500)),
        }
    }

    #[test]
    fn who_waits_long_enough_goes_before_everyone_newer(priority in -5..5_i64, other in -5..5_i64, queued in 0..DAY, later in 0..DAY) {
        let one = |task, priority, queued_at| Waiting { task, priority, queued_at: at(queued_at), needs: BTreeMap::new(), blocked: vec![] };
        let newer = queued + later + (other - priority).max(0) * 3_600_000 + 3_600_000;
        let queue = vec![one(2, other, newer), one(1, priority, queued)];
        let now = at(newer + later);
        prop_assert!(effective_priority(&queue[1], now) >= effective_priority(&queue[0], now));
        prop_assert_eq!(ordered(queue, now)[0].task, 1);
    }

    #[test]
    fn who_passes_leaves_the_head_its_room(needs in prop::collection::vec((1..100_u64, any::<bool>()), 1..20), now_free in 0..200_u64, more in 0..200_u64) {
        let queue: Vec<_> = needs.iter().enumerate().map(|(i, (n, blocked))| Waiting {
            task: i64::try_from(i).unwrap(), priority: 0, queued_at: at(0),
            needs: BTreeMap::from([("s".to_owned(), *n)]),
            blocked: if *blocked { vec!["s".to_owned()] } else { vec![] },
        }).collect();
        let free = |n| BTreeMap::from([("s".to_owned(), n)]);
        let decided = turns(&queue, free(now_free), free(now_free + more));
        prop_assert_eq!(decided.len(), queue.len());
        let started: u64 = decided.iter().filter(|t| t.1 == Turn::Start).map(|t| needs[usize::try_from(t.0).unwrap()].0).sum();
        prop_assert!(started <= now_free);
        let head = decided.iter().position(|t| matches!(t.1, Turn::Blocked(_)));
        let passed = head.is_some_and(|h| decided[h..].iter().any(|t| t.1 == Turn::Start));
        prop_assert!(!passed || started + needs[head.unwrap()].0 <= now_free + more);
    }

    #[test]
    fn top_ups_grant_no_more_than_is_free_and_oldest_first(asks in prop::collection::vec((0..1_000_i64, 0..500_u64), 0..20), free in 0..3_000_u64) {
        let asks: Vec<_> = asks.iter().enumerate().map(|(task, (s, amount))| Ask { task, started_at: at(*s), amount: *amount }).collect();
        let (served, left) = top_ups(asks.clone(), free);
        let granted: u64 = served.iter().map(|(_, t)| if let TopUp::Granted(n) = t { *n } else { 0 }).sum();
        prop_assert_eq!(granted + left, free);
        prop_assert!(served.windows(2).all(|w| asks[w[0].0].started_at <= asks[w[1].0].started_at));
        prop_assert!(served.iter().all(|(i, t)| *t != TopUp::HandBack || asks[*i].amount > left));
    }

    #[test]
    fn routing_does_not_depend_on_the_order_of_rows(limits in prop::collection::vec(1..1_000_u64, 1..6), shift in 0..6_usize) {
        let mut candidates: Vec<_> = limits.iter().enumerate().map(|(i, l)| Candidate {
            subscription: format!("s{i}"), rung: 0, other_provider: false,
            series: vec![(gauge("s", *l, l / 2, 0), need(10))],
        }).collect();
        let best = |all: &[Candidate]| all.iter().min_by_key(|c| key(c, None, at(DAY / 2))).unwrap().subscription.clone();
        let before = best(&candidates);
        let by = shift % candidates.len();
        candidates.rotate_left(by);
        prop_assert_eq!(before, best(&candidates));
    }

    #[test]
    fn quantiles_are_ordered_samples_and_guesses_are_small(rows in prop::collection::vec(0..1_u64 << 50, 0..300), default in 1..1_u64 << 40, limit in 10..1_u64 << 50) {
        let samples = Samples::from_rows(rows.iter().copied());
        let e = estimate(&samples, &Samples::default(), default, limit);
        prop_assert!(e.p50 <= e.p80 && e.p80 <= e.p95);
        prop_assert_eq!(e.learned, rows.len() >= 20);
        if e.learned { prop_assert!(rows.contains(&e.p95)); } else { prop_assert!(e.p95 <= limit / 10 && e.p95 <= default); }
    }

    #[test]
    fn estimates_of_a_steady_source_are_calibrated(seed in any::<u64>()) {
        // A fixed multiplicative generator: the property must hold for any start of the sequence.
        let mut state = seed | 1;
        let mut draw = || { state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1); (state >> 33) % 100_000 };
        let mut samples = Samples::from_rows((0..256).map(|_| draw()));
        let outcomes: Vec<_> = (0..100).map(|_| {
            let p95 = samples.quantile(95).unwrap();
            let actual = draw();
            samples.push(actual);
            Outcome { p95, granted: first_tranche(samples.quantile(50).unwrap(), 0), actual }
        }).collect();
        let c = calibration(&outcomes).unwrap();
        prop_assert!(c.p95_bp >= 8_000, "{c:?}");
    }

    #[test]
    fn a_spread_commit_is_neither_lost_nor_made(n in 0..1_u64 << 53, start in 0..DAY, length in 0..DAY, cut in 0..2 * DAY) {
        let covers = (at(start), at(start + length));
        let (past, future) = (at(-1), at(3 * DAY));
        prop_assert_eq!(spread(n, covers, past, at(cut)) + spread(n, covers, at(cut), future), n);
    }

    #[test]
    fn the_reason_of_a_full_window_is_the_cap(over in 0..1_000_u64) {
        // A limit set below what is spent admits nothing and waits for the reset.
        let g = gauge("s", 1_000, 1_000 + over, 0);
        prop_assert_eq!(fit(&g, need(1), true, at(0)), Fit::Wait(Reason::Cap, Some(at(DAY))));
    }
}
