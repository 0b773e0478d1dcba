//! From figures to pixels, in integers.

use fleet_protocol::Timestamp;
use fleet_protocol::verbs::budget::Unit;

/// Where a figure stands in a range of pixels: `from + (to - from) * n / of`, rounded down.
fn part(n: u128, of: u128, from: i32, to: i32) -> i32 {
    let length = i128::from(to) - i128::from(from);
    let n = i128::try_from(n.min(of)).unwrap_or(0);
    let moved = length * n / i128::try_from(of).unwrap_or(1).max(1);
    i32::try_from(i128::from(from) + moved).unwrap_or(to)
}

/// Time to the right.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Across {
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
    pub(crate) left: i32,
    pub(crate) right: i32,
}

impl Across {
    /// The pixel of an instant; before and behind the window its edges.
    pub(crate) fn at(self, instant: Timestamp) -> i32 {
        let since = |t: Timestamp| t.as_millis().saturating_sub(self.from.as_millis()).max(0);
        part(
            since(instant).unsigned_abs().into(),
            since(self.to).unsigned_abs().into(),
            self.left,
            self.right,
        )
    }
}

/// Amounts upwards.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Up {
    pub(crate) most: u64,
    pub(crate) bottom: i32,
    pub(crate) top: i32,
}

impl Up {
    /// The pixel of an amount; above the range its top.
    pub(crate) fn at(self, amount: u64) -> i32 {
        part(amount.into(), self.most.into(), self.bottom, self.top)
    }
}

/// An amount in few characters: `1.5M`, `640k`, `$12.50`, `42 %`.
pub(crate) fn short(amount: u64, unit: Unit) -> String {
    match unit {
        Unit::CashUsdMicro | Unit::ApiEquivalentUsdMicro => match amount / 1_000_000 {
            0..100 => format!("${}.{:02}", amount / 1_000_000, amount / 10_000 % 100),
            dollars => format!("${}", metric(dollars)),
        },
        Unit::BasisPoints => format!("{} %", amount / 100),
        Unit::Tokens | Unit::Messages | Unit::Credits | Unit::ComputeSeconds => metric(amount),
    }
}

/// Three figures and a letter.
fn metric(n: u64) -> String {
    let (unit, letter) = match n {
        0..1_000 => return n.to_string(),
        1_000..1_000_000 => (1_000, "k"),
        1_000_000..1_000_000_000 => (1_000_000, "M"),
        _ => (1_000_000_000, "G"),
    };
    let (whole, hundredths) = (n / unit, n % unit * 100 / unit);
    match (whole, hundredths / 10, hundredths % 10) {
        (100.., _, _) | (_, 0, 0) | (10.., 0, _) => format!("{whole}{letter}"),
        (10.., tenth, _) | (_, tenth, 0) => format!("{whole}.{tenth}{letter}"),
        _ => format!("{whole}.{hundredths:02}{letter}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_short() {
        for (amount, unit, expected) in [
            (0, Unit::Tokens, "0"),
            (999, Unit::Tokens, "999"),
            (1_500, Unit::Tokens, "1.5k"),
            (640_000, Unit::Tokens, "640k"),
            (1_050_000, Unit::Tokens, "1.05M"),
            (10_050_000, Unit::Tokens, "10M"),
            (2_000_000, Unit::Messages, "2M"),
            (12_345_678_901, Unit::Credits, "12.3G"),
            (12_500_000, Unit::CashUsdMicro, "$12.50"),
            (1_234_000_000, Unit::ApiEquivalentUsdMicro, "$1.23k"),
            (4_250, Unit::BasisPoints, "42 %"),
        ] {
            assert_eq!(short(amount, unit), expected);
        }
    }

    #[test]
    fn what_lies_outside_stands_at_the_edge() {
        let at = Timestamp::from_millis;
        let across = Across {
            from: at(1_000),
            to: at(2_000),
            left: 100,
            right: 900,
        };
        let all = [0, 1_000, 1_500, 2_000, 9_000].map(|ms| across.at(at(ms)));
        assert_eq!(all, [100, 100, 500, 900, 900]);
        let up = Up {
            most: u64::MAX,
            bottom: 500,
            top: 0,
        };
        assert_eq!([0, u64::MAX / 2, u64::MAX].map(|n| up.at(n)), [500, 251, 0]);
        let nothing = Up {
            most: 0,
            bottom: 500,
            top: 0,
        };
        assert_eq!(nothing.at(7), 500);
    }
}
