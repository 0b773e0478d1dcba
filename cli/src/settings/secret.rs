//! Secrets of the configuration.

use std::borrow::Cow;
use std::fmt;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer};

use super::SettingsError;

/// A secret; neither `Debug` nor serialization shows it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct SecretText(String);

impl SecretText {
    /// A secret made by this process.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The value: for a request, a connection or a 0600 file, never for a message.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The secret given inline or by file, if any.
    ///
    /// # Errors
    /// When it is given twice, or its file is unreadable, empty, or readable by others.
    pub fn of(
        key: &'static str,
        inline: Option<&Self>,
        file: Option<&Path>,
    ) -> Result<Option<Self>, SettingsError> {
        match (inline, file) {
            (Some(_), Some(_)) => Err(SettingsError::Twice { key }),
            (Some(secret), None) => Ok(Some(secret.clone())),
            (None, Some(path)) => {
                read(path)
                    .map(Some)
                    .map_err(|detail| SettingsError::SecretFile {
                        key,
                        path: path.to_owned(),
                        detail,
                    })
            }
            (None, None) => Ok(None),
        }
    }

    /// The same, where the command cannot do without.
    ///
    /// # Errors
    /// As [`SecretText::of`], and [`SettingsError::Missing`].
    pub fn required(
        key: &'static str,
        inline: Option<&Self>,
        file: Option<&Path>,
    ) -> Result<Self, SettingsError> {
        Self::of(key, inline, file)?.ok_or_else(|| SettingsError::missing(key))
    }
}

/// Reads a secret that only the file's owner may read.
fn read(path: &Path) -> Result<SecretText, String> {
    let mode = std::fs::metadata(path)
        .map_err(|e| e.to_string())?
        .permissions()
        .mode();
    if mode & 0o077 != 0 {
        return Err(format!(
            "mode is {:04o}: others could read it; run `chmod 600` on it",
            mode & 0o7777
        ));
    }
    let text = std::fs::read_to_string(path).map_err(|e| e.to_string())?;
    let text = text.trim();
    if text.is_empty() {
        Err("is empty".into())
    } else {
        Ok(SecretText::new(text))
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(..)")
    }
}

impl Serialize for SecretText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("(hidden)")
    }
}

impl JsonSchema for SecretText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}
