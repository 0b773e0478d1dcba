//! Bad input: one clear outcome each.

use fleet_protocol::Timestamp;
use jiff::SignedDuration;
use jiff::civil::date;
use jiff::tz::TimeZone;

use super::core_tests::{TERMS, gauge, need};
use super::estimate::{Cost, Price, cost};
use super::hold::{spent_at, worst_case};
use super::ladder::{Candidate, Decision, Fit, Need, Reason, Terms, decide, fit};
use super::learn::Samples;
use super::meter::{Knowledge, Reading, level, rate};
use super::pacing::{Pace, Paced, Pacing, pacing};
use super::recurrence::{Present, Rule, Succession, SuccessionError, present};
use super::watch::{Alarm, Watched, alarms};
use super::{Usage, Window};

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

fn berlin() -> TimeZone {
    TimeZone::get("Europe/Berlin").unwrap()
}

fn instant(text: &str) -> Timestamp {
    Timestamp(text.parse().unwrap())
}

#[test]
fn skipped_and_doubled_readings_have_one_instant() {
    let rule = |h, m| Rule::parse("FREQ=DAILY", date(2026, 3, 1).at(h, m, 0, 0), berlin()).unwrap();
    // 02:30 does not exist on 29 March: moved past the gap, 03:30 CEST.
    let spring = rule(2, 30).around(instant("2026-03-28T12:00:00Z")).unwrap();
    assert_eq!(spring.resets_at, Some(instant("2026-03-29T01:30:00Z")));
    // 02:30 happens twice on 25 October: the first, CEST.
    let autumn = rule(2, 30).around(instant("2026-10-24T12:00:00Z")).unwrap();
    assert_eq!(autumn.resets_at, Some(instant("2026-10-25T00:30:00Z")));
    // The day of the change is 25 hours long.
    let long = rule(0, 0).around(instant("2026-10-25T12:00:00Z")).unwrap();
    let hours = long.resets_at.unwrap().as_millis() - long.starts_at.as_millis();
    assert_eq!(hours, 25 * 3_600_000);
}

#[test]
fn rules_that_cannot_be_kept_are_refused() {
    let first = date(2026, 1, 1).at(0, 0, 0, 0);
    for text in [
        "",
        "FREQ=SECONDLY",
        "FREQ=HOURLY",
        "FREQ=DAILY;UNTIL=20270101T000000Z",
        "FREQ=DAILY\nEXRULE:FREQ=DAILY",
    ] {
        let refused = Rule::parse(text, first, berlin());
        assert!(
            matches!(refused, Err(SuccessionError::Unsupported(_))),
            "{text}: {refused:?}"
        );
    }
    for text in ["FREQ=DAILY;INTERVAL=x", "FREQ=WEEKLY;BYDAY=XX"] {
        let refused = Rule::parse(text, first, berlin());
        assert!(
            matches!(refused, Err(SuccessionError::Rule(_))),
            "{text}: {refused:?}"
        );
    }
    let ends = Rule::parse("FREQ=DAILY;COUNT=3", first, berlin()).unwrap();
    assert_eq!(
        ends.around(instant("2026-06-01T00:00:00Z")),
        Err(SuccessionError::NoOccurrence)
    );
    assert_eq!(
        ends.around(instant("2025-06-01T00:00:00Z")),
        Err(SuccessionError::NoOccurrence)
    );
}

#[test]
fn a_manual_reset_that_keeps_the_schedule_leaves_no_gap() {
    let rule = Rule::parse(
        "FREQ=WEEKLY;BYDAY=MO",
        date(2026, 1, 5).at(9, 0, 0, 0),
        berlin(),
    )
    .unwrap();
    let scheduled = rule.around(instant("2026-01-14T00:00:00Z")).unwrap();
    let cut = instant("2026-01-14T10:00:00Z");
    let last = Window {
        resets_at: Some(cut),
        ..scheduled
    };
    let next = Window {
        starts_at: cut,
        resets_at: scheduled.resets_at,
    };
    let made = present(
        &Succession::Rule(rule),
        Some(last),
        instant("2026-01-14T11:00:00Z"),
        true,
    );
    assert_eq!(made, Ok(Present::Made(next)));
}

#[test]
fn a_clock_that_went_back_and_lengths_of_nothing_admit_nothing() {
    let last = Window {
        starts_at: at(1_000),
        resets_at: Some(at(2_000)),
    };
    let every = |s| Succession::Every(SignedDuration::from_secs(s));
    assert_eq!(
        present(&every(5), Some(last), at(999), true),
        Err(SuccessionError::BeforePresent)
    );
    for seconds in [0, -1, i64::MAX] {
        assert_eq!(
            present(&every(seconds), Some(last), at(3_000), true),
            Err(SuccessionError::Length)
        );
    }
    let first_use = Succession::AfterFirstUse(SignedDuration::from_hours(5));
    assert_eq!(
        present(&first_use, Some(last), at(3_000), false),
        Ok(Present::AwaitingUse)
    );
}

#[test]
fn a_price_of_zero_is_known_and_no_price_is_above_every_limit() {
    let usage = Usage {
        input: 1,
        output: 1,
        ..Usage::default()
    };
    let free = Price {
        input: 0,
        output: 0,
        cache_write: 0,
        cache_read: 0,
    };
    assert_eq!(cost(usage, Some(free)), Cost::Known(0));
    assert_eq!(cost(usage, None), Cost::Unknown);
    assert_eq!(
        cost(usage, Some(Price { input: 1, ..free })),
        Cost::Known(1)
    );
    let huge = Usage {
        input: u64::MAX,
        ..Usage::default()
    };
    assert_eq!(
        cost(
            huge,
            Some(Price {
                input: u64::MAX,
                ..free
            })
        ),
        Cost::Unknown
    );
    let unpriced = Need {
        grant: None,
        ..need(1)
    };
    assert_eq!(
        fit(&gauge("s", 100, 0, 0), unpriced, true, at(0)),
        Fit::Never(Reason::Unpriced)
    );
}

#[test]
fn spend_belongs_between_grant_and_receipt() {
    for (metered, received, expected) in [
        (Some(at(50)), 60, 50),
        // Metered before the grant, in the future; received before the grant: the clock went back.
        (Some(at(5)), 60, 10),
        (Some(at(99)), 60, 60),
        (None, 60, 60),
        (None, 5, 10),
    ] {
        assert_eq!(spent_at(metered, at(10), at(received)), at(expected));
    }
}

#[test]
fn three_kinds_of_not_knowing() {
    let candidate = |series| Candidate {
        subscription: "a".to_owned(),
        rung: 0,
        sticky: false,
        series,
    };
    assert_eq!(
        decide(&[candidate(vec![])], TERMS, at(0)),
        Decision::Ungoverned
    );
    assert_eq!(decide(&[], TERMS, at(0)), Decision::NoCandidate);
    let unknown = |running, strict| {
        let g = super::ladder::Gauge {
            knowledge: Knowledge::Unknown,
            running,
            strict,
            ..gauge("s", 100, 0, 0)
        };
        fit(
            &g,
            Need {
                grant: None,
                p50: 0,
                learned: false,
            },
            false,
            at(0),
        )
    };
    assert_eq!(unknown(0, false), Fit::Fits);
    assert_eq!(unknown(1, false), Fit::Wait(Reason::Unknown, None));
    assert_eq!(unknown(0, true), Fit::Never(Reason::StrictUnknown));
    let failed = super::ladder::Gauge {
        knowledge: Knowledge::Failed,
        ..gauge("s", 100, 0, 0)
    };
    assert_eq!(
        fit(&failed, need(1), true, at(0)),
        Fit::Wait(Reason::CheckFailed, None)
    );
}

#[test]
fn a_closed_series_reopens_by_itself() {
    let g = super::ladder::Gauge {
        closed_until: Some(at(100)),
        ..gauge("s", 100, 0, 0)
    };
    assert_eq!(
        fit(&g, need(1), true, at(99)),
        Fit::Wait(Reason::Closed, Some(at(100)))
    );
    assert_eq!(fit(&g, need(1), true, at(100)), Fit::Fits);
}

#[test]
fn the_ladder_goes_down_for_the_cap_only_as_far_as_it_must() {
    let on = |rung, limit| Candidate {
        subscription: "a".to_owned(),
        rung,
        sticky: false,
        series: vec![(gauge("s", limit, 0, 0), need(50))],
    };
    let full = [on(0, 10), on(1, 10), on(3, 100)];
    assert_eq!(
        decide(&full, TERMS, at(0)),
        Decision::Downgrade(2, Reason::Cap)
    );
    let pinned = Terms {
        pinned: true,
        ..TERMS
    };
    assert!(
        matches!(decide(&full, pinned, at(0)), Decision::Refuse(b) if b.reason == Reason::NeverFits)
    );
}

#[test]
fn every_reason_is_read_back() {
    for word in [
        "cap",
        "pacing",
        "closed",
        "unknown",
        "strict_unknown",
        "unpriced",
        "never_fits",
        "check_failed",
        "behind",
    ] {
        assert_eq!(Reason::from_word(word).map(Reason::as_str), Some(word));
    }
}

#[test]
fn windows_without_an_end_or_too_short_are_capped_only() {
    let paced = Paced {
        spent: 99,
        new: 99,
        running: 1,
        ..Paced::default()
    };
    for end in [None, Some(at(899_999))] {
        let w = Window {
            starts_at: at(0),
            resets_at: end,
        };
        assert_eq!(
            pacing(100, w, Pace::default(), paced, at(1)),
            Pacing::Unpaced
        );
    }
    let w = Window {
        starts_at: at(0),
        resets_at: Some(at(900_000)),
    };
    assert!(matches!(
        pacing(100, w, Pace::default(), paced, at(1)),
        Pacing::Wait(_)
    ));
    // Catching up late in a window is bounded: 4/24 of the limit and the burst in 1/24.
    let late = Paced {
        spent: 10,
        new: 2,
        recent: 20,
        running: 1,
        in_flight: 0,
    };
    assert_eq!(
        pacing(100, w, Pace::default(), late, at(800_000)),
        Pacing::Wait(at(837_500))
    );
}

#[test]
fn a_reading_is_never_replaced_by_zero() {
    let reading = Reading {
        used_bp: 4_000,
        read_at: at(0),
        since: 2_000_000,
        before: 10_000_000,
    };
    let known = level(Some(reading), Some(100), 60_000, at(60_000));
    assert_eq!(
        (known.used_bp, known.external_bp, known.knowledge),
        (4_200, 3_000, Knowledge::Known)
    );
    for (now, r) in [(60_001, Some(100)), (-1, Some(100)), (1, None)] {
        let l = level(Some(reading), r, 60_000, at(now));
        assert_eq!(l.knowledge, Knowledge::Unknown);
        assert!(l.used_bp >= 4_000);
    }
    assert_eq!(level(None, Some(1), 1, at(0)).knowledge, Knowledge::Unknown);
    assert_eq!(rate(&[(5, 0)]), None);
    assert_eq!(
        rate(&[(10, 1_000_000), (11, 1_000_000), (900, 1_000_000)]),
        Some(11)
    );
}

#[test]
fn a_run_cut_short_counts_only_above_the_p95() {
    let mut samples = Samples::from_rows(1..=20);
    assert!(!samples.push_censored(20) && samples.len() == 20);
    assert!(samples.push_censored(21) && samples.len() == 21);
    assert!(!Samples::default().push_censored(5));
}

#[test]
fn the_bound_is_stated_in_advance() {
    assert_eq!(worst_case(&[Some(3_000), Some(3_000)]), Some(6_000));
    assert_eq!(worst_case(&[Some(3_000), None]), None);
}

#[test]
fn alerts_hold_when_their_rule_says_so() {
    let day = 86_400_000;
    let w = Watched {
        window: Window {
            starts_at: at(0),
            resets_at: Some(at(day)),
        },
        limit: 1_000,
        spent: 810,
        in_flight: 0,
        waiting: (0, 0),
        spread: 0,
        is_advisory: false,
        read: None,
        short: (0, 3_600_000),
        pace: Pace::default(),
        is_paced: false,
        alert_at: 95,
    };
    assert_eq!(alarms(w, at(day / 2)), [Alarm::Reached(80)]);
    assert_eq!(
        alarms(w, at(day / 5 * 4)),
        [],
        "not ahead of plan by more than the burst"
    );
    assert_eq!(
        alarms(Watched { spent: 950, ..w }, at(day - 1)),
        [Alarm::Reached(95)]
    );
    assert_eq!(
        alarms(Watched { spent: 1_000, ..w }, at(day - 1)),
        [Alarm::Reached(100)]
    );
    let calm = Watched { spent: 100, ..w };
    let forecast = Watched {
        in_flight: 600,
        waiting: (450, 3),
        ..calm
    };
    assert_eq!(alarms(forecast, at(day / 2)), [Alarm::WillNotRun(1)]);
    let burning = Watched {
        short: (300, 3_600_000),
        ..calm
    };
    assert_eq!(
        alarms(burning, at(day / 2)),
        [Alarm::BurnRate(at(day / 2 + 3 * 3_600_000))]
    );
    assert_eq!(
        alarms(
            Watched {
                short: (300, 3_599_999),
                ..burning
            },
            at(day / 2)
        ),
        []
    );
}

#[test]
fn an_advisory_limit_is_forecast_and_a_meter_that_nobody_reads_is_told() {
    let w = Watched {
        window: Window {
            starts_at: at(0),
            resets_at: Some(at(86_400_000)),
        },
        limit: 1_000,
        spent: 400,
        in_flight: 300,
        waiting: (0, 0),
        spread: 200,
        is_advisory: true,
        read: None,
        short: (0, 3_600_000),
        pace: Pace::default(),
        is_paced: true,
        alert_at: 95,
    };
    let alarms = |w| alarms(w, at(50_000_000));
    // 400 + 300 + 200 x 1.523
    assert_eq!(alarms(w), [Alarm::WillCross(1_004)]);
    assert_eq!(alarms(Watched { spread: 190, ..w }), []);
    let metered = Watched {
        is_advisory: false,
        ..w
    };
    assert_eq!(alarms(metered), [], "the cap holds");
    let read = |at_ms, most| Watched {
        spread: 0,
        read: Some((at(at_ms), most)),
        ..w
    };
    assert_eq!(alarms(read(40_000_000, 10_000_000)), []);
    let stale = alarms(read(39_999_999, 10_000_000));
    assert_eq!(stale, [Alarm::Stale(at(39_999_999))]);
}
