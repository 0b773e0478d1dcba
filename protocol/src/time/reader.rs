//! Instants and distances in the words of who reads them (budget.md: `in 3 h 12 min, Mon 09:00 CET`).

use jiff::tz::TimeZone;
use jiff::{SignedDuration, ZonedDateTime};

use super::Timestamp;

/// When and in which time zone a text is read.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'z> {
    /// The present.
    pub now: Timestamp,
    /// The reader's time zone.
    pub zone: &'z TimeZone,
}

/// Within so many days the name of the day says enough.
const NAMED_DAYS: i64 = 6;

impl Reader<'_> {
    /// The distance and the clock: `in 3 h 12 min, Mon 09:00 CET`, `5 min ago, today 14:05 CET`.
    pub fn moment(&self, at: Timestamp) -> String {
        format!("{}, {}", self.distance(at), self.clock(at))
    }

    /// The distance alone: `in 3 h 12 min`, `just now`, `5 min ago`.
    pub fn distance(&self, at: Timestamp) -> String {
        let seconds = at.0.duration_since(self.now.0).as_secs();
        let distance = span(seconds.unsigned_abs());
        match seconds {
            0 => "just now".to_owned(),
            1.. => format!("in {distance}"),
            _ => format!("{distance} ago"),
        }
    }

    /// The clock alone: `today 14:05 CET`, `Mon 09:00 CET`, and farther away
    /// `Mon 2026-12-14 09:00 CET`.
    pub fn clock(&self, at: Timestamp) -> String {
        let there = ZonedDateTime::new(at.0, self.zone.clone());
        let here = ZonedDateTime::new(self.now.0, self.zone.clone());
        let distance = at.0.duration_since(self.now.0).abs();
        let format = if there.date() == here.date() {
            "today %H:%M %Z"
        } else if distance < SignedDuration::from_hours(NAMED_DAYS * 24) {
            "%a %H:%M %Z"
        } else {
            "%a %Y-%m-%d %H:%M %Z"
        };
        there.strftime(format).to_string()
    }
}

/// A distance with its two largest units: `45 s`, `12 min`, `3 h 12 min`, `2 d 3 h`.
pub fn span(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, m) => format!("{m} min"),
        (0, h, 0) => format!("{h} h"),
        (0, h, m) => format!("{h} h {m} min"),
        (d, 0, _) => format!("{d} d"),
        (d, h, _) => format!("{d} d {h} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tuesday, 13:05 in Berlin.
    const NOW: &str = "2026-11-24T12:05:00Z";

    fn read(at: &str) -> String {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let now = Timestamp(NOW.parse().unwrap());
        Reader { now, zone: &zone }.moment(Timestamp(at.parse().unwrap()))
    }

    #[test]
    fn moments_are_told_from_the_reader_s_now_and_zone() {
        for (at, words) in [
            ("2026-11-24T12:05:00.4Z", "just now, today 13:05 CET"),
            ("2026-11-24T15:17:00Z", "in 3 h 12 min, today 16:17 CET"),
            ("2026-11-24T12:00:00Z", "5 min ago, today 13:00 CET"),
            // Already the next day in Berlin, though not in UTC.
            ("2026-11-24T23:30:00Z", "in 11 h 25 min, Wed 00:30 CET"),
            ("2026-11-30T08:00:00Z", "in 5 d 19 h, Mon 09:00 CET"),
            // A week ahead the day's name would be ambiguous.
            ("2026-12-01T12:05:00Z", "in 7 d, Tue 2026-12-01 13:05 CET"),
            // In summer time.
            (
                "2026-10-24T12:05:00Z",
                "31 d ago, Sat 2026-10-24 14:05 CEST",
            ),
        ] {
            assert_eq!(read(at), words, "{at}");
        }
    }

    #[test]
    fn distances_name_their_two_largest_units() {
        for (seconds, words) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3_600, "1 h"),
            (11_520, "3 h 12 min"),
            (86_400, "1 d"),
            (3 * 86_400 + 7_200 + 59, "3 d 2 h"),
        ] {
            assert_eq!(span(seconds), words);
        }
    }
}
