//! Where the next window of a series comes from (budget.md, "Series and windows").
//!
//! A rule is evaluated on the wall clock alone; only then is each reading placed in its zone. So one
//! time zone database decides every clock change.

use std::str::FromStr;

use fleet_protocol::Timestamp;
use jiff::SignedDuration;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use rrule::{RRuleSet, Tz};

use super::window::{Window, containing};

/// Occurrences of a rule that are looked at before it is refused: 54 years of days.
const OCCURRENCES: usize = 20_000;

/// How the windows of a series follow each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Succession {
    /// One window without a successor of known length: a cap only.
    Open,
    /// A fixed length, without gaps.
    Every(SignedDuration),
    /// A fixed length that starts with the first use after the last window.
    AfterFirstUse(SignedDuration),
    /// Wall-clock readings of a zone.
    Rule(Rule),
}

/// An RFC 5545 recurrence rule, its first reading, and its zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    text: String,
    first: DateTime,
    zone: TimeZone,
}

/// Why no window can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SuccessionError {
    /// The rule cannot be read.
    #[error("not a recurrence rule: {0}")]
    Rule(String),
    /// The rule is more frequent than daily, or names an end.
    #[error("{0}: write DAILY or slower, without UNTIL; shorter windows have a fixed length")]
    Unsupported(String),
    /// A length is not positive, or runs beyond what an instant can hold.
    #[error("the length of a window must be positive and within the calendar")]
    Length,
    /// The rule has no reading at or before, or none after, the instant.
    #[error("the rule has no occurrence around that instant")]
    NoOccurrence,
    /// The instant lies before the present window: the clock went backwards.
    #[error("the instant lies before the present window")]
    BeforePresent,
}

impl Rule {
    /// Reads a rule such as `FREQ=WEEKLY;BYDAY=MO`.
    ///
    /// # Errors
    /// When it cannot be read, is more frequent than daily, or has `UNTIL` (retire the series
    /// instead: an end in UTC and readings of a zone are not the same clock).
    pub fn parse(text: &str, first: DateTime, zone: TimeZone) -> Result<Self, SuccessionError> {
        let upper = text.trim().to_ascii_uppercase();
        let part = |name: &str| upper.split(';').find_map(|p| p.strip_prefix(name));
        let slow = ["DAILY", "WEEKLY", "MONTHLY", "YEARLY"];
        if upper.contains(['\n', '\r', ':'])
            || part("UNTIL=").is_some()
            || !part("FREQ=").is_some_and(|f| slow.contains(&f))
        {
            return Err(SuccessionError::Unsupported(text.to_owned()));
        }
        let rule = Self {
            text: upper,
            first,
            zone,
        };
        rule.set()?;
        Ok(rule)
    }

    fn set(&self) -> Result<RRuleSet, SuccessionError> {
        let first = self.first.strftime("%Y%m%dT%H%M%S");
        RRuleSet::from_str(&format!("DTSTART:{first}Z\nRRULE:{}", self.text))
            .map(RRuleSet::limit)
            .map_err(|e| SuccessionError::Rule(e.to_string()))
    }

    /// A wall-clock reading as an instant: a skipped reading is moved past the gap, of one that
    /// happens twice the first is taken, as RFC 5545 says.
    fn instant(&self, seconds: i64) -> Option<Timestamp> {
        let wall = TimeZone::UTC.to_datetime(jiff::Timestamp::from_second(seconds).ok()?);
        let zoned = self
            .zone
            .to_ambiguous_zoned_datetime(wall)
            .compatible()
            .ok()?;
        Some(Timestamp(zoned.timestamp()))
    }

    /// The window between the two neighbouring occurrences around `at`.
    ///
    /// # Errors
    /// [`SuccessionError::NoOccurrence`] before the first one, after the last one.
    pub fn around(&self, at: Timestamp) -> Result<Window, SuccessionError> {
        let set = self.set()?;
        let mut before = None;
        for occurrence in set.into_iter().take(OCCURRENCES) {
            debug_assert_eq!(occurrence.timezone(), Tz::UTC);
            let instant = self
                .instant(occurrence.timestamp())
                .ok_or(SuccessionError::NoOccurrence)?;
            if instant > at {
                let starts_at = before.ok_or(SuccessionError::NoOccurrence)?;
                return Ok(Window {
                    starts_at,
                    resets_at: Some(instant),
                });
            }
            before = Some(instant);
        }
        Err(SuccessionError::NoOccurrence)
    }
}

/// The window of an instant, and whether it has to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Present {
    /// The last window holds the instant.
    Kept(Window),
    /// This window is to be inserted (on conflict: read again).
    Made(Window),
    /// Nothing has been used since the last window: the next starts with the first use.
    AwaitingUse,
}

/// The window of a series at `at`, given its last one. `is_use` says that something is admitted or
/// spent: looking does not start a window that starts with its first use.
///
/// # Errors
/// See [`SuccessionError`]; none of them admits anything.
pub fn present(
    succession: &Succession,
    last: Option<Window>,
    at: Timestamp,
    is_use: bool,
) -> Result<Present, SuccessionError> {
    if let Some(last) = last {
        if at < last.starts_at {
            return Err(SuccessionError::BeforePresent);
        }
        if last.contains(at) {
            return Ok(Present::Kept(last));
        }
    }
    let end = last.and_then(|w| w.resets_at);
    let from = |starts_at, resets_at| Window {
        starts_at,
        resets_at,
    };
    let made = match succession {
        Succession::Open => from(end.unwrap_or(at), None),
        Succession::AfterFirstUse(_) if !is_use => return Ok(Present::AwaitingUse),
        Succession::AfterFirstUse(length) => from(at, Some(after(at, *length)?)),
        Succession::Every(length) => match last {
            Some(last) => {
                after(at, *length)?;
                containing(last, Some(*length), at).ok_or(SuccessionError::Length)?
            }
            None => from(at, Some(after(at, *length)?)),
        },
        Succession::Rule(rule) => {
            let window = rule.around(at)?;
            // A manual reset that keeps the schedule ends a window between two occurrences.
            let starts_at = end.map_or(window.starts_at, |e| e.max(window.starts_at));
            Window {
                starts_at,
                ..window
            }
        }
    };
    Ok(Present::Made(made))
}

fn after(at: Timestamp, length: SignedDuration) -> Result<Timestamp, SuccessionError> {
    if length.as_secs() <= 0 {
        return Err(SuccessionError::Length);
    }
    at.0.checked_add(length)
        .map(Timestamp)
        .map_err(|_| SuccessionError::Length)
}
