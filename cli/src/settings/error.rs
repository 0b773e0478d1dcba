//! Why a configuration cannot be used.

use std::path::PathBuf;

use super::{FILE, variable};

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file or the environment cannot be read as configuration.
    #[error("{key}: {detail}")]
    Key {
        /// Path of the key, for example `database.url`; `.` for the whole.
        key: String,
        /// What is wrong.
        detail: String,
    },
    /// The configuration file itself.
    #[error("the configuration cannot be read: {0}")]
    Source(String),
    /// A key that this command needs is absent.
    #[error("{key} is not set; put it into {FILE} or set {variable}")]
    Missing {
        /// Path of the key.
        key: &'static str,
        /// The environment variable.
        variable: String,
    },
    /// A secret is given inline and by file.
    #[error("{key} and {key}_file are both set; keep one")]
    Twice {
        /// Path of the key.
        key: &'static str,
    },
    /// A secret's file.
    #[error("{key}_file: {path}: {detail}", path = .path.display())]
    SecretFile {
        /// Path of the key.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
}

impl SettingsError {
    /// An absent key.
    pub fn missing(key: &'static str) -> Self {
        Self::Missing {
            key,
            variable: variable(key),
        }
    }
}
