//! Instants, and instants as people type them.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, ZonedDateTime};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

mod reader;

pub use reader::{Reader, span};

/// An instant, printed as RFC 3339 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub jiff::Timestamp);

impl Timestamp {
    /// Milliseconds since 1970, as Matrix's `origin_server_ts` has them; saturates at the ends.
    pub fn from_millis(ms: i64) -> Self {
        Self(jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::MAX))
    }

    /// Milliseconds since 1970.
    pub fn as_millis(self) -> i64 {
        self.0.as_millisecond()
    }

    /// The instant so long before; saturates at the end of what can be told.
    pub fn earlier(self, by: jiff::SignedDuration) -> Self {
        Self(self.0.saturating_sub(by).unwrap_or(self.0))
    }

    /// The instant in a zone, as people read it: `Mon 2026-11-30 09:00 CET`.
    pub fn in_zone(self, zone: &TimeZone) -> String {
        ZonedDateTime::new(self.0, zone.clone())
            .strftime("%a %Y-%m-%d %H:%M %Z")
            .to_string()
    }
}

impl From<jiff::Timestamp> for Timestamp {
    fn from(ts: jiff::Timestamp) -> Self {
        Self(ts)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl JsonSchema for Timestamp {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

/// An instant as typed: with a zone, without one (then the tenant's zone applies), or from now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Moment {
    /// An exact instant: `2026-11-30T09:00+01:00`.
    At(jiff::Timestamp),
    /// A wall-clock reading: `2026-11-30T09:00`.
    Local(DateTime),
    /// A distance from now: `+3h`, `+90m`.
    After(SignedDuration),
}

/// Why a moment could not be read or does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MomentError {
    /// Not a time in any accepted form.
    #[error(
        "is not a time; write 2026-11-30T09:00+01:00, 2026-11-30T09:00 (the fleet's zone) +3h or +7d"
    )]
    Unreadable,
    /// The wall clock shows this reading twice or never on that day.
    #[error("happens twice or never in {zone} (clock change); add an offset such as +01:00")]
    Ambiguous {
        /// The tenant's zone.
        zone: String,
    },
    /// Outside the years the register accepts (2000 to 2200).
    #[error("is outside the years 2000 to 2200")]
    OutOfRange,
}

impl Moment {
    /// The instant meant, given the present and the tenant's zone.
    ///
    /// # Errors
    /// When the wall-clock reading does not name exactly one instant, or one out of range.
    pub fn resolve(&self, now: Timestamp, zone: &TimeZone) -> Result<Timestamp, MomentError> {
        let instant = match self {
            Self::At(ts) => *ts,
            Self::After(d) => now.0.checked_add(*d).map_err(|_| MomentError::OutOfRange)?,
            Self::Local(civil) => {
                zone.to_ambiguous_timestamp(*civil)
                    .unambiguous()
                    .map_err(|_| MomentError::Ambiguous {
                        zone: zone.iana_name().unwrap_or("this zone").to_owned(),
                    })?
            }
        };
        let year = instant.to_zoned_datetime(TimeZone::UTC).year();
        if (2000..2200).contains(&year) {
            Ok(Timestamp(instant))
        } else {
            Err(MomentError::OutOfRange)
        }
    }
}

impl FromStr for Moment {
    type Err = MomentError;

    fn from_str(text: &str) -> Result<Self, MomentError> {
        if let Some(span) = text.strip_prefix('+') {
            let duration = match span.parse::<Length>() {
                Ok(length) => SignedDuration::from_secs(length.seconds().into()),
                Err(NotALength) => span.parse().map_err(|_| MomentError::Unreadable)?,
            };
            return if duration.is_negative() {
                Err(MomentError::Unreadable)
            } else {
                Ok(Self::After(duration))
            };
        }
        if let Ok(ts) = text.parse::<jiff::Timestamp>() {
            return Ok(Self::At(ts));
        }
        if let Ok(zoned) = text.parse::<ZonedDateTime>() {
            return Ok(Self::At(zoned.timestamp()));
        }
        text.parse::<DateTime>()
            .map(Self::Local)
            .map_err(|_| MomentError::Unreadable)
    }
}

impl TryFrom<String> for Moment {
    type Error = MomentError;

    fn try_from(text: String) -> Result<Self, MomentError> {
        text.parse()
    }
}

impl From<Moment> for String {
    fn from(moment: Moment) -> Self {
        moment.to_string()
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(ts) => ts.fmt(f),
            Self::Local(civil) => civil.fmt(f),
            Self::After(d) => write!(f, "+{d}"),
        }
    }
}

impl JsonSchema for Moment {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Moment".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "an instant: 2026-11-30T09:00+01:00, a local time 2026-11-30T09:00, or +3h or +7d from now"
        })
    }
}

/// A length of time in whole seconds, typed as `90s`, `15m`, `5h`, `7d`, `2w`; a day has 24 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Length {
    seconds: u32,
}

/// The text is no length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is not a length of time; write it like 90s, 15m, 5h, 7d or 2w")]
pub struct NotALength;

impl Length {
    /// A length of whole seconds.
    pub const fn from_seconds(seconds: u32) -> Self {
        Self { seconds }
    }

    /// Whole seconds.
    pub const fn seconds(self) -> u32 {
        self.seconds
    }
}

impl FromStr for Length {
    type Err = NotALength;

    fn from_str(text: &str) -> Result<Self, NotALength> {
        let unit = text.chars().last().ok_or(NotALength)?;
        let factor = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return Err(NotALength),
        };
        let digits = text.strip_suffix(unit).ok_or(NotALength)?;
        let n: u32 = digits.parse().map_err(|_| NotALength)?;
        n.checked_mul(factor)
            .filter(|s| *s > 0)
            .map(Self::from_seconds)
            .ok_or(NotALength)
    }
}

impl TryFrom<String> for Length {
    type Error = NotALength;

    fn try_from(text: String) -> Result<Self, NotALength> {
        text.parse()
    }
}

impl From<Length> for String {
    fn from(length: Length) -> Self {
        length.to_string()
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.seconds {
            s if s % 86_400 == 0 => write!(f, "{}d", s / 86_400),
            s if s % 3_600 == 0 => write!(f, "{}h", s / 3_600),
            s if s % 60 == 0 => write!(f, "{}m", s / 60),
            s => write!(f, "{s}s"),
        }
    }
}

impl JsonSchema for Length {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Length".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+[smhdw]$" })
    }
}
