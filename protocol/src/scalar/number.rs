//! Counts and shares.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::{MAX_INTEGER, ScalarError};

/// A whole number from 0 to 2^53 - 1, so that it survives JSON and Matrix on its way.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[serde(try_from = "u64", into = "u64")]
pub struct Count(u64);

impl Count {
    /// The number.
    pub fn get(self) -> u64 {
        self.0
    }

    /// The number as PostgreSQL's `bigint`; never truncated, as 2^53 - 1 fits.
    pub fn as_i64(self) -> i64 {
        self.0.cast_signed()
    }
}

impl TryFrom<u64> for Count {
    type Error = ScalarError;

    fn try_from(n: u64) -> Result<Self, ScalarError> {
        if n > MAX_INTEGER {
            Err(ScalarError::TooLarge)
        } else {
            Ok(Self(n))
        }
    }
}

impl From<u32> for Count {
    fn from(n: u32) -> Self {
        Self(n.into())
    }
}

impl From<Count> for u64 {
    fn from(n: Count) -> Self {
        n.0
    }
}

impl FromStr for Count {
    type Err = ScalarError;

    /// Reads `2000000`, `2_000_000`, `2k` or `2M`.
    fn from_str(text: &str) -> Result<Self, ScalarError> {
        let (digits, factor) = match text.strip_suffix(['k', 'K']) {
            Some(rest) => (rest, 1_000),
            None => text
                .strip_suffix('M')
                .map_or((text, 1), |rest| (rest, 1_000_000)),
        };
        let well_formed = digits.starts_with(|c: char| c.is_ascii_digit())
            && digits.ends_with(|c: char| c.is_ascii_digit())
            && digits.chars().all(|c| c.is_ascii_digit() || c == '_');
        if !well_formed {
            return Err(ScalarError::NotANumber);
        }
        let plain: u64 = digits
            .replace('_', "")
            .parse()
            .map_err(|_| ScalarError::TooLarge)?;
        plain
            .checked_mul(factor)
            .ok_or(ScalarError::TooLarge)?
            .try_into()
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl JsonSchema for Count {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Count".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 0, "maximum": MAX_INTEGER })
    }
}

/// A whole percentage, 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Percent(u8);

impl Percent {
    /// The percentage, 0 to 100.
    pub fn get(self) -> u8 {
        self.0
    }
}

impl TryFrom<u8> for Percent {
    type Error = ScalarError;

    fn try_from(n: u8) -> Result<Self, ScalarError> {
        if n > 100 {
            Err(ScalarError::NotAPercentage)
        } else {
            Ok(Self(n))
        }
    }
}

impl From<Percent> for u8 {
    fn from(p: Percent) -> Self {
        p.0
    }
}

impl FromStr for Percent {
    type Err = ScalarError;

    fn from_str(text: &str) -> Result<Self, ScalarError> {
        let digits = text.strip_suffix('%').unwrap_or(text);
        digits
            .parse::<u8>()
            .map_err(|_| ScalarError::NotAPercentage)?
            .try_into()
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", self.0)
    }
}

impl JsonSchema for Percent {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Percent".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 0, "maximum": 100 })
    }
}

/// A share in hundredths of a percent, typed as a percentage with up to two digits behind the point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BasisPoints(u16);

impl BasisPoints {
    /// Hundredths of a percent, 0 to 10,000.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl TryFrom<String> for BasisPoints {
    type Error = ScalarError;

    fn try_from(text: String) -> Result<Self, ScalarError> {
        text.parse()
    }
}

impl From<BasisPoints> for String {
    fn from(share: BasisPoints) -> Self {
        share.to_string()
    }
}

impl FromStr for BasisPoints {
    type Err = ScalarError;

    fn from_str(text: &str) -> Result<Self, ScalarError> {
        let digits = text.strip_suffix('%').unwrap_or(text);
        let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
        let is_number = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
        if !is_number(whole) || !is_number(part) || part.len() > 2 {
            return Err(ScalarError::NotAShare);
        }
        let whole: u16 = whole.parse().map_err(|_| ScalarError::NotAShare)?;
        let scale = if part.len() == 1 { 10 } else { 1 };
        let part: u16 = part.parse().map_err(|_| ScalarError::NotAShare)?;
        whole
            .checked_mul(100)
            .and_then(|n| n.checked_add(part * scale))
            .filter(|n| *n <= 10_000)
            .map(Self)
            .ok_or(ScalarError::NotAShare)
    }
}

impl fmt::Display for BasisPoints {
    /// As it is typed, so that it is read back the same.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

impl JsonSchema for BasisPoints {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "BasisPoints".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]{1,3}([.][0-9]{1,2})?%?$", "description": "a percentage, with up to two digits behind the point" })
    }
}
