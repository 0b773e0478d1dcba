//! How often, and after which pauses, a call is repeated.

use std::time::Duration;

/// A bounded, doubling back-off. It has no jitter: one process repeats one call at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Tries in all, at least 1.
    pub tries: u32,
    /// Pause after the first try; doubles with each.
    pub first_pause: Duration,
    /// Longest pause.
    pub longest_pause: Duration,
}

impl Retry {
    /// No repetition.
    pub const NEVER: Self = Self {
        tries: 1,
        first_pause: Duration::ZERO,
        longest_pause: Duration::ZERO,
    };

    /// The pause after the try with this number (from 1); `None` when it was the last.
    pub fn pause_after(self, attempt: u32) -> Option<Duration> {
        let factor = 1_u32
            .checked_shl(attempt.saturating_sub(1))
            .unwrap_or(u32::MAX);
        (attempt < self.tries).then(|| {
            self.first_pause
                .saturating_mul(factor)
                .min(self.longest_pause)
        })
    }
}

impl Default for Retry {
    /// Six tries over about six seconds: enough for a gateway that is being restarted.
    fn default() -> Self {
        Self {
            tries: 6,
            first_pause: Duration::from_millis(200),
            longest_pause: Duration::from_secs(3),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_end() {
        let retry = Retry {
            tries: 5,
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_millis(300),
        };
        let pauses: Vec<_> = (1..=6)
            .map(|n| retry.pause_after(n).map(|d| d.as_millis()))
            .collect();
        assert_eq!(
            pauses,
            [Some(100), Some(200), Some(300), Some(300), None, None]
        );
        assert_eq!(Retry::NEVER.pause_after(1), None);
    }

    #[test]
    fn a_huge_number_of_tries_does_not_overflow() {
        let retry = Retry {
            tries: u32::MAX,
            ..Retry::default()
        };
        assert_eq!(retry.pause_after(4_000_000_000), Some(retry.longest_pause));
    }
}
