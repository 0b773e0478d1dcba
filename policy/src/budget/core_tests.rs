//! Properties of budget.md, "To prove".

use fleet_protocol::Timestamp;
use jiff::SignedDuration;
use jiff::civil::date;
use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::hold::{Room, first_tranche};
use super::ladder::{
    Ahead, Candidate, Decision, Fit, Gauge, Need, Reason, Terms, decide, fit, headroom,
};
use super::learn::{Outcome, Samples, calibration, estimate};
use super::meter::Knowledge;
use super::pacing::{Pace, Paced, Pacing, burst, pacing, planned};
use super::queue::{Blocked, Look, Waiting, ahead, effective_priority, place};
use super::recurrence::{Present, Rule, Succession, present};
use super::route::key;
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
        ahead: Ahead::default(),
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
    start_now: false,
    max_wait_ms: 1_800_000,
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
                subscription: "a".to_owned(), rung: 0, sticky: false,
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
            subscription: format!("s{i}"), rung: *rung, sticky: false,
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
        let newer = queued + later + (other - priority).max(0) * 3_600_000 + 3_600_000;
        let [old, new] = [(1, priority, queued), (2, other, newer)]
            .map(|(task, priority, ms)| Waiting { task, priority, queued_at: at(ms) });
        let now = at(newer + later);
        prop_assert!(effective_priority(old, now) >= effective_priority(new, now));
        prop_assert!(place(old, now) < place(new, now));
    }

    #[test]
    fn who_passes_leaves_the_head_its_room(head in 1..1_000_u64, own in 1..1_000_u64, held in 0..1_000_u64, spent in 0..1_000_u64, now in prop_oneof![0..DAY, DAY - 3_600_000..DAY], paced: bool) {
        let wait = |task, p50: u64| Waiting { task, priority: i64::from(p50 == 0), queued_at: at(0) };
        let me = Waiting { task: 9, ..wait(9, 0) };
        let reason = if paced { Reason::Pacing } else { Reason::Cap };
        let first = Blocked { waiting: Waiting { priority: 5, ..wait(1, 1) }, reason, need: head, p50: head };
        let g = Gauge { running: 1, ..gauge("s", 1_000, spent, held) };
        let free = fit(&g, need(own), false, at(now));
        let behind = fit(&Gauge { ahead: ahead(&[first], me, at(now)), ..g.clone() }, need(own), false, at(now));
        // A reservation never lets anything in, and what passes leaves room for the head.
        prop_assert!(free == Fit::Fits || behind == free);
        if behind == Fit::Fits && !paced && DAY - now < 3_600_000 {
            prop_assert!(held + own + head <= 1_000);
        }
        if behind == Fit::Fits && paced {
            let w = window(DAY);
            let plan = planned(1_000, w, Pace::default(), at(now)).unwrap();
            prop_assert!(spent + head + own <= plan + burst(1_000, Pace::default()));
        }
    }

    #[test]
    fn a_top_up_takes_no_more_than_is_left_for_the_older(limit in 0..1_000_u64, spent in 0..1_000_u64, held in 0..1_000_u64, kept in 0..1_000_u64, amount in 0..1_000_u64) {
        let room = Room { limit, spent, held, kept_for_older: kept };
        prop_assert_eq!(room.admits(amount), amount == 0 || spent + held + kept + amount <= limit);
    }

    #[test]
    fn routing_does_not_depend_on_the_order_of_rows(limits in prop::collection::vec(1..1_000_u64, 1..6), shift in 0..6_usize) {
        let mut candidates: Vec<_> = limits.iter().enumerate().map(|(i, l)| Candidate {
            subscription: format!("s{i}"), rung: 0, sticky: false,
            series: vec![(gauge("s", *l, l / 2, 0), need(10))],
        }).collect();
        let best = |all: &[Candidate]| all.iter().min_by_key(|c| key(c, at(DAY / 2))).unwrap().subscription.clone();
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
    fn the_reason_of_a_full_window_is_the_cap(over in 0..1_000_u64) {
        // A limit set below what is spent admits nothing and waits for the reset.
        let g = gauge("s", 1_000, 1_000 + over, 0);
        prop_assert_eq!(fit(&g, need(1), true, at(0)), Fit::Wait(Reason::Cap, Some(at(DAY))));
    }
}

proptest! {
    /// Whoever is not looked at needs at least as much as one of its lane that was seen to wait.
    #[test]
    fn a_look_covers_only_what_needs_as_much(
        seen in prop::collection::vec((0_u8..3, 0_u64..100), 0..20), lane in 0_u8..3, need in 0_u64..100,
    ) {
        let mut look = Look::default();
        for (lane, need) in &seen {
            look.waits(*lane, *need, None);
        }
        let is_covered = seen.iter().any(|(l, n)| *l == lane && *n <= need);
        prop_assert_eq!(look.covers(&lane, need).is_some(), is_covered);
    }
}
