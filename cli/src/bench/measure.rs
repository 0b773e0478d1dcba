//! A measure, its target, and figures from samples.

use std::time::Duration;

use serde::Serialize;

/// A homeserver whose echo takes less than this (ms at p50) is fast: there our own share shows.
const FAST: f64 = 50.0;

/// What a measure must reach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Target {
    /// At most this many times the floor.
    RatioAtMost(f64),
    /// The same, and on a fast homeserver at most this many milliseconds more than the floor.
    RatioAndAdded(f64, f64),
    /// At least this share of the floor.
    RatioAtLeast(f64),
    /// Less than this.
    Below(f64),
}

impl Target {
    /// In words that name the field they are about.
    fn words(self) -> String {
        match self {
            Self::RatioAtMost(most) => format!("ratio <= {most}"),
            Self::RatioAndAdded(ratio, added) => {
                format!("ratio <= {ratio}; added_ms <= {added} if floor < {FAST}")
            }
            Self::RatioAtLeast(least) => format!("ratio >= {least}"),
            Self::Below(limit) => format!("value < {limit}"),
        }
    }

    fn is_met(self, value: f64, floor: Option<f64>) -> bool {
        let ratio = floor.map(|floor| value / floor);
        match self {
            Self::RatioAtMost(most) => ratio.is_some_and(|r| r <= most),
            Self::RatioAndAdded(most, added) => {
                let is_quick = floor.is_some_and(|floor| floor >= FAST || value - floor <= added);
                is_quick && ratio.is_some_and(|r| r <= most)
            }
            Self::RatioAtLeast(least) => ratio.is_some_and(|r| r >= least),
            Self::Below(limit) => value < limit,
        }
    }
}

/// One line of the result.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Measure {
    /// What was measured.
    pub(crate) name: &'static str,
    /// The figure.
    pub(crate) value: f64,
    /// Of `value` and `floor`.
    pub(crate) unit: &'static str,
    /// The same without a register, in the same run.
    pub(crate) floor: Option<f64>,
    /// `value` by `floor`.
    pub(crate) ratio: Option<f64>,
    /// `value` less `floor`, for times.
    pub(crate) added_ms: Option<f64>,
    /// What must be reached, in words; none: the figure stands beside another.
    pub(crate) target: Option<String>,
    /// Whether it is reached.
    pub(crate) ok: Option<bool>,
    /// Software and version of the homeserver.
    pub(crate) homeserver: String,
    /// `release` or `debug`.
    pub(crate) build: &'static str,
}

/// A figure before it is judged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figure {
    /// See [`Measure::name`].
    pub(crate) name: &'static str,
    /// See [`Measure::unit`].
    pub(crate) unit: &'static str,
    /// See [`Measure::value`].
    pub(crate) value: f64,
    /// See [`Measure::floor`].
    pub(crate) floor: Option<f64>,
    /// What must be reached.
    pub(crate) target: Option<Target>,
}

impl Figure {
    /// Judges it.
    pub(crate) fn judged(self, homeserver: &str) -> Measure {
        let Self {
            name,
            unit,
            value,
            floor,
            target,
        } = self;
        let added = (unit == "ms").then_some(()).and(floor).map(|f| value - f);
        Measure {
            name,
            value: rounded(value),
            unit,
            floor: floor.map(rounded),
            ratio: floor.map(|floor| rounded(value / floor)),
            added_ms: added.map(rounded),
            target: target.map(Target::words),
            ok: target.map(|target| target.is_met(value, floor)),
            homeserver: homeserver.to_owned(),
            build: BUILD,
        }
    }
}

/// How this program was built.
pub(crate) const BUILD: &str = if cfg!(debug_assertions) {
    "debug"
} else {
    "release"
};

/// To three decimals; what is no number (a floor of nothing) to nothing.
fn rounded(figure: f64) -> f64 {
    if figure.is_finite() {
        (figure * 1_000.0).round() / 1_000.0
    } else {
        0.0
    }
}

impl Measure {
    /// The head of the table for people.
    pub(crate) fn head() -> String {
        format!(
            "{:<16} {:>10} {:<10} {:>10} {:>7} {:>9}  {:<6} target",
            "measure", "value", "unit", "floor", "ratio", "added ms", "ok"
        )
    }

    /// A line of that table.
    pub(crate) fn line(&self) -> String {
        let number = |n: Option<f64>| n.map_or_else(|| "-".to_owned(), |n| n.to_string());
        format!(
            "{:<16} {:>10} {:<10} {:>10} {:>7} {:>9}  {:<6} {}",
            self.name,
            self.value,
            self.unit,
            number(self.floor),
            number(self.ratio),
            number(self.added_ms),
            self.ok.map_or("-", |ok| if ok { "yes" } else { "MISSED" }),
            self.target.as_deref().unwrap_or("-"),
        )
    }
}

/// The smallest sample that at least `per_mille` of 1,000 samples do not exceed, in milliseconds; none of none.
pub(crate) fn percentile(samples: &[Duration], per_mille: usize) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() * per_mille).div_ceil(1_000).max(1);
    sorted.get(rank - 1).map(|d| d.as_secs_f64() * 1_000.0)
}

/// How many per second.
pub(crate) fn rate(count: usize, elapsed: Duration) -> f64 {
    count as f64 / elapsed.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(value: f64, floor: Option<f64>, target: Option<Target>) -> Measure {
        let figure = Figure {
            name: "m",
            unit: "ms",
            value,
            floor,
            target,
        };
        figure.judged("Synapse 1")
    }

    #[test]
    fn percentiles_are_samples_by_nearest_rank() {
        let samples: Vec<_> = (1..=1_000).rev().map(Duration::from_millis).collect();
        assert_eq!(percentile(&samples, 500), Some(500.0));
        assert_eq!(percentile(&samples, 990), Some(990.0));
        assert_eq!(percentile(&samples, 1_000), Some(1_000.0));
        assert_eq!(percentile(&samples[..1], 990), Some(1_000.0));
        assert_eq!(percentile(&[], 500), None);
        let three: Vec<_> = [3, 1, 2].map(Duration::from_millis).into();
        assert_eq!(percentile(&three, 500), Some(2.0));
    }

    #[test]
    fn targets_are_met_at_their_bounds_and_not_beyond() {
        use Target::{Below, RatioAndAdded, RatioAtLeast, RatioAtMost};
        let cases = [
            (RatioAtMost(1.5), 150.0, Some(100.0), true),
            (RatioAtMost(1.5), 151.0, Some(100.0), false),
            (RatioAtMost(1.5), 1.0, None, false),
            (RatioAtLeast(0.8), 80.0, Some(100.0), true),
            (RatioAtLeast(0.8), 79.0, Some(100.0), false),
            (RatioAndAdded(1.3, 8.0), 130.0, Some(100.0), true),
            (RatioAndAdded(1.3, 8.0), 48.0, Some(40.0), true),
            (RatioAndAdded(1.3, 8.0), 49.0, Some(40.0), false),
            (RatioAndAdded(1.3, 8.0), 14.0, Some(10.0), false),
            (Below(60.0), 59.9, None, true),
            (Below(60.0), 60.0, None, false),
        ];
        for (target, value, floor, met) in cases {
            let judged = figure(value, floor, Some(target));
            assert_eq!(judged.ok, Some(met), "{target:?} {value} {floor:?}");
        }
    }

    #[test]
    fn a_measure_is_one_flat_object_with_null_where_there_is_nothing() {
        let judged = figure(12.0, Some(10.0), Some(Target::RatioAtMost(1.5)));
        let with_floor = serde_json::to_value(judged).unwrap();
        assert_eq!(with_floor["ratio"], 1.2);
        assert_eq!(with_floor["added_ms"], 2.0);
        assert_eq!(with_floor["target"], "ratio <= 1.5");
        assert_eq!(with_floor["ok"], true);
        let alone = serde_json::to_value(figure(12.0, None, None)).unwrap();
        for key in ["floor", "ratio", "added_ms", "target", "ok"] {
            assert!(alone[key].is_null(), "{key}");
        }
        let mut keys: Vec<_> = alone.as_object().unwrap().keys().cloned().collect();
        keys.sort();
        let mut expected = [
            "name",
            "value",
            "unit",
            "floor",
            "ratio",
            "added_ms",
            "target",
            "ok",
            "homeserver",
            "build",
        ];
        expected.sort_unstable();
        assert_eq!(keys, expected);
    }
}
