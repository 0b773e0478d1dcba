//! The bearer token, kept out of logs.

use std::fmt;

use reqwest::header::{HeaderValue, InvalidHeaderValue};

/// A bearer token of the gateway. Its value never appears in `Debug` output.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The `Authorization` header, marked as sensitive.
    pub(crate) fn header(&self) -> Result<HeaderValue, InvalidHeaderValue> {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", self.0))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl From<String> for Token {
    /// Takes a token as read from a file: the line break at its end is not part of it.
    fn from(text: String) -> Self {
        Self(text.trim().to_owned())
    }
}

impl From<&str> for Token {
    fn from(text: &str) -> Self {
        Self(text.trim().to_owned())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}
