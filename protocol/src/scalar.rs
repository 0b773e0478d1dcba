//! Bounded scalars: text, names and counts that cannot hold what the register would refuse.
//!
//! Every limit is checked once, where the value enters, on every surface alike.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// The largest integer a Matrix event may carry: 2^53 - 1 (Matrix spec, "Canonical JSON").
pub const MAX_INTEGER: u64 = (1 << 53) - 1;

/// Why a scalar was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScalarError {
    /// The text has no visible character.
    #[error("is empty; give at least one visible character")]
    Empty,
    /// The text is longer than its place in the register.
    #[error("has {len} characters; at most {max} fit here")]
    TooLong {
        /// Characters given.
        len: usize,
        /// Characters allowed.
        max: usize,
    },
    /// A control character other than a line break or tab.
    #[error("holds the control character U+{0:04X}; remove it")]
    Control(u32),
    /// Not a whole number, optionally with `_` between digits and a `k` or `M` behind.
    #[error("is not a whole number; write it like 2000000, 2_000_000 or 2M")]
    NotANumber,
    /// Beyond 2^53 - 1.
    #[error("is too large; the largest number is 9007199254740991")]
    TooLarge,
    /// Not a lower-case name.
    #[error(
        "is not a name; use a-z, 0-9, '-' or '_', starting with a letter or digit, at most 64 characters"
    )]
    NotAName,
    /// Not a percentage.
    #[error("is not a percentage; write a whole number from 0 to 100")]
    NotAPercentage,
    /// Not a share of a hundred.
    #[error("is not a share; write a percentage from 0 to 100 such as 43 or 43.25")]
    NotAShare,
    /// Not a SHA-256.
    #[error("is not a SHA-256; write 64 hex digits")]
    NotADigest,
    /// Not a Matrix user id.
    #[error("is not a Matrix user id; write it like @name:server")]
    NotAUserId,
}

/// Free text of at most `MAX` characters, with at least one visible one and no control character
/// but line breaks and tabs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Text<const MAX: usize>(String);

/// One line of text: a title, a summary in a list.
pub type Title = Text<200>;
/// A reason or a note.
pub type Note = Text<2_000>;
/// What is said to an agent; a Matrix event with its HTML holds it.
pub type MessageText = Text<16_000>;
/// A brief or the body of a proposal.
pub type Brief = Text<20_000>;

impl<const MAX: usize> Text<MAX> {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> TryFrom<String> for Text<MAX> {
    type Error = ScalarError;

    fn try_from(text: String) -> Result<Self, ScalarError> {
        let len = text.chars().count();
        if len > MAX {
            return Err(ScalarError::TooLong { len, max: MAX });
        }
        if let Some(c) = text
            .chars()
            .find(|c| c.is_control() && !matches!(c, '\n' | '\t'))
        {
            return Err(ScalarError::Control(c.into()));
        }
        if !text.chars().any(|c| !c.is_whitespace() && !is_invisible(c)) {
            return Err(ScalarError::Empty);
        }
        Ok(Self(text.trim().to_owned()))
    }
}

impl<const MAX: usize> FromStr for Text<MAX> {
    type Err = ScalarError;

    fn from_str(text: &str) -> Result<Self, ScalarError> {
        text.to_owned().try_into()
    }
}

impl<const MAX: usize> From<Text<MAX>> for String {
    fn from(text: Text<MAX>) -> Self {
        text.0
    }
}

impl<const MAX: usize> fmt::Display for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<const MAX: usize> JsonSchema for Text<MAX> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Text{MAX}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "maxLength": MAX })
    }
}

/// Characters that take no room on screen and that phones and editors slip in: zero-width spaces
/// and joiners, direction marks, the soft hyphen, the byte order mark.
pub fn is_invisible(c: char) -> bool {
    matches!(c, '\u{00AD}' | '\u{061C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
        | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{206F}' | '\u{FEFF}')
}

/// Makes a newtype over `String` that is checked by one function on every way in.
macro_rules! checked_string {
    ($(#[$meta:meta])* $name:ident, $check:path, $schema:tt) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The value as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = ScalarError;

            fn try_from(text: String) -> Result<Self, ScalarError> {
                text.parse()
            }
        }

        impl FromStr for $name {
            type Err = ScalarError;

            fn from_str(text: &str) -> Result<Self, ScalarError> {
                $check(text).map(Self)
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

checked_string!(
    /// A lower-case name of a thing in the fleet: a tenant, an agent (`code-1`), a role, a host,
    /// a provider, a window (`5h`), a model (`opus`).
    Name, check_name, { "type": "string", "pattern": "^[a-z0-9][a-z0-9_.-]{0,63}$" }
);

checked_string!(
    /// A Matrix user id: `@localpart:server`, at most 255 bytes (Matrix spec, "User identifiers").
    UserId, check_user_id, { "type": "string", "pattern": "^@[^:]+:.+$", "maxLength": 255 }
);

checked_string!(
    /// A SHA-256, as 64 lower-case hex digits.
    Sha256, check_sha256, { "type": "string", "pattern": "^[0-9a-f]{64}$" }
);

impl Sha256 {
    /// The 32 bytes.
    pub fn bytes(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (byte, digits) in bytes.iter_mut().zip(self.0.as_bytes().chunks(2)) {
            *byte = digits.iter().fold(0, |n, d| n * 16 + nibble(*d));
        }
        bytes
    }
}

/// The value of a lower-case hex digit, which was checked to be one.
fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => digit.wrapping_sub(b'a').wrapping_add(10),
    }
}

fn check_sha256(text: &str) -> Result<String, ScalarError> {
    let lower = text.to_ascii_lowercase();
    let is_hex = lower.len() == 64 && lower.bytes().all(|b| b.is_ascii_hexdigit());
    is_hex.then_some(lower).ok_or(ScalarError::NotADigest)
}

fn check_name(text: &str) -> Result<String, ScalarError> {
    let lower = text.to_lowercase();
    let mut chars = lower.chars();
    let starts_well = chars
        .next()
        .is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let goes_on_well =
        chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.'));
    (starts_well && goes_on_well && lower.len() <= 64)
        .then_some(lower)
        .ok_or(ScalarError::NotAName)
}

fn check_user_id(text: &str) -> Result<String, ScalarError> {
    ruma::UserId::parse(text)
        .ok()
        .filter(|id| !id.localpart().is_empty())
        .map(|id| id.to_string())
        .ok_or(ScalarError::NotAUserId)
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_64_hex_digits_in_either_case() {
        let digest: Sha256 = format!("0a{}Ff", "00".repeat(30)).parse().unwrap();
        let bytes = digest.bytes();
        assert_eq!((bytes[0], bytes[1], bytes[31]), (0x0a, 0, 0xff));
        for wrong in ["", "0a", &"0g".repeat(32), &"00".repeat(33)] {
            assert_eq!(wrong.parse::<Sha256>(), Err(ScalarError::NotADigest));
        }
    }
}
