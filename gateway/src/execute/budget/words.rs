//! How amounts and distances in time are written for people.

use fleet_protocol::Timestamp;
use fleet_protocol::verbs::budget::Unit;
use jiff::tz::TimeZone;

/// An amount with thousands separators: `1,950,000`.
pub(in crate::execute) fn amount(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// What a unit counts, as a noun.
pub(in crate::execute) const fn noun(unit: Unit) -> &'static str {
    match unit {
        Unit::Tokens => "tokens",
        Unit::Messages => "messages",
        Unit::CashUsdMicro => "micro-dollars",
        Unit::ApiEquivalentUsdMicro => "API-equivalent micro-dollars",
        Unit::Credits => "credits",
        Unit::ComputeSeconds => "compute seconds",
        Unit::BasisPoints => "basis points",
    }
}

/// An instant seen from now, with its two largest units: `in 3 h 12 min, Mon 2026-11-30 09:00 CET`.
pub(in crate::execute) fn until(at: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
    let seconds = at.0.duration_since(now.0).as_secs();
    let distance = span(seconds.unsigned_abs());
    let clock = at.in_zone(zone);
    if seconds < 0 {
        format!("{distance} ago, {clock}")
    } else {
        format!("in {distance}, {clock}")
    }
}

fn span(seconds: u64) -> String {
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

    #[test]
    fn amounts_have_separators() {
        for (n, expected) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_950_000, "1,950,000"),
        ] {
            assert_eq!(amount(n), expected);
        }
    }

    #[test]
    fn distances_name_two_units() {
        let zone = TimeZone::UTC;
        let at = |s: i64| Timestamp::from_millis(s * 1_000);
        assert_eq!(
            until(at(11_520), at(0), &zone),
            "in 3 h 12 min, Thu 1970-01-01 03:12 UTC"
        );
        assert_eq!(
            until(at(0), at(90), &zone),
            "1 min ago, Thu 1970-01-01 00:00 UTC"
        );
        assert_eq!(span(3 * 86_400 + 7_200), "3 d 2 h");
    }
}
