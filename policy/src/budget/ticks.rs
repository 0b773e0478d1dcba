//! Where a time axis is marked, and with which words.

use fleet_protocol::Timestamp;
use jiff::tz::TimeZone;
use jiff::{ToSpan as _, ZonedDateTime};

/// Marks on an axis at most.
const MOST: usize = 5;
/// Hours between marks of a short axis.
const HOURS: [i64; 5] = [1, 2, 3, 6, 12];
/// Milliseconds of an hour and of a day.
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// Full hours or midnights of a zone's clocks between two instants, at most five, each with a short label: the
/// time within a day or two, the day within weeks, the date beyond.
pub fn ticks(from: Timestamp, to: Timestamp, zone: &TimeZone) -> Vec<(Timestamp, String)> {
    let length = to.as_millis().saturating_sub(from.as_millis()).max(1);
    let fits = |step: i64| length / step < MOST as i64;
    let hours = HOURS.into_iter().find(|h| fits(h * HOUR_MS));
    let days = length / DAY_MS / MOST as i64 + 1;
    let step = match hours {
        Some(hours) => hours.hours(),
        None => days.days(),
    };
    let format = match (hours, days) {
        (Some(_), _) => "%H:%M",
        (None, 1..7) => "%a %-d",
        (None, _) => "%-d %b",
    };
    let midnight = ZonedDateTime::new(from.0, zone.clone())
        .date()
        .at(0, 0, 0, 0);
    let mut marks = Vec::new();
    let mut civil = Some(midnight);
    while let Some(at) = civil {
        civil = at.checked_add(step).ok();
        // A wall clock that is skipped has no mark.
        let Ok(instant) = zone.to_timestamp(at).map(Timestamp) else {
            continue;
        };
        if instant > to || marks.len() == MOST {
            break;
        }
        if instant >= from {
            let there = ZonedDateTime::new(instant.0, zone.clone());
            marks.push((instant, there.strftime(format).to_string()));
        }
    }
    marks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(from: &str, to: &str) -> Vec<String> {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let at = |text: &str| Timestamp(text.parse().unwrap());
        ticks(at(from), at(to), &zone)
            .into_iter()
            .map(|(at, label)| format!("{} {label}", at.0))
            .collect()
    }

    #[test]
    fn marks_are_full_hours_midnights_or_dates_of_the_zone() {
        assert_eq!(
            marks("2026-11-23T12:10:00Z", "2026-11-23T17:10:00Z"),
            [
                "2026-11-23T13:00:00Z 14:00",
                "2026-11-23T15:00:00Z 16:00",
                "2026-11-23T17:00:00Z 18:00"
            ]
        );
        // Over the end of summer time, at midnight of either clock.
        assert_eq!(
            marks("2026-10-23T09:00:00Z", "2026-10-30T09:00:00Z"),
            [
                "2026-10-24T22:00:00Z Sun 25",
                "2026-10-26T23:00:00Z Tue 27",
                "2026-10-28T23:00:00Z Thu 29"
            ]
        );
        assert_eq!(
            marks("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"),
            [
                "2026-11-07T23:00:00Z 8 Nov",
                "2026-11-14T23:00:00Z 15 Nov",
                "2026-11-21T23:00:00Z 22 Nov",
                "2026-11-28T23:00:00Z 29 Nov"
            ]
        );
        assert_eq!(
            marks("2026-11-23T12:10:00Z", "2026-11-23T12:10:00Z"),
            [""; 0]
        );
    }
}
