//! Alerts: one open incident per series and rule, one message, edited as it worsens (budget.md).

/// How far a window's spend has come, from least to most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Below the threshold.
    Below,
    /// At or above the threshold.
    Threshold,
    /// At or above the limit.
    Limit,
}

impl Level {
    /// The word the register stores for an open alert.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Below => "below",
            Self::Threshold => "threshold",
            Self::Limit => "limit",
        }
    }

    /// The level of a stored word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Below, Self::Threshold, Self::Limit]
            .into_iter()
            .find(|level| level.as_str() == word)
    }
}

/// What is to be done about an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Nothing changed.
    Keep,
    /// Open an incident and tell the room.
    Open(Level),
    /// Edit the message of the open incident: it got worse.
    Worsen(Level),
    /// Close the incident: the window or the limit changed.
    Resolve,
}

/// Where `spent` stands with an alert at `percent` of `limit`. Without a limit to speak of (0),
/// the first token is at the limit.
pub fn level(spent: u64, limit: u64, percent: u8) -> Level {
    if spent >= limit && spent > 0 {
        return Level::Limit;
    }
    let reached = u128::from(spent) * 100 >= u128::from(limit) * u128::from(percent);
    if spent > 0 && reached {
        Level::Threshold
    } else {
        Level::Below
    }
}

/// What to do, given the level now and that of the open incident, if there is one. An incident that
/// is open does not flap: it is lowered only by being resolved.
pub fn act(now: Level, open: Option<Level>) -> Action {
    match open {
        None if now == Level::Below => Action::Keep,
        None => Action::Open(now),
        Some(_) if now == Level::Below => Action::Resolve,
        Some(before) if now > before => Action::Worsen(now),
        Some(_) => Action::Keep,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn thresholds_are_reached_exactly() {
        assert_eq!(level(94, 100, 95), Level::Below);
        assert_eq!(level(95, 100, 95), Level::Threshold);
        assert_eq!(level(100, 100, 95), Level::Limit);
        assert_eq!(level(0, 100, 0), Level::Below);
        assert_eq!(level(1, 0, 95), Level::Limit);
    }

    #[test]
    fn words_are_read_back() {
        for level in [Level::Below, Level::Threshold, Level::Limit] {
            assert_eq!(Level::from_word(level.as_str()), Some(level));
        }
    }

    proptest! {
        #[test]
        fn growing_spend_opens_once_and_worsens_at_most_once(steps in prop::collection::vec(0..50_u64, 1..40)) {
            let (mut spent, mut open, mut opened, mut worsened) = (0, None, 0, 0);
            for step in steps {
                spent += step;
                match act(level(spent, 500, 80), open) {
                    Action::Open(l) => { opened += 1; open = Some(l); }
                    Action::Worsen(l) => { worsened += 1; open = Some(l); }
                    Action::Resolve => prop_assert!(false, "growing spend resolved an alert"),
                    Action::Keep => {}
                }
            }
            prop_assert!(opened <= 1 && worsened <= 1);
            prop_assert_eq!(opened == 1, spent >= 400);
        }
    }
}
