//! Bounded scalars: text, names and counts that cannot hold what the register would refuse.
//!
//! Every limit is checked once, where the value enters, on every surface alike.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

mod number;

pub use number::{BasisPoints, Count, Percent};

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
