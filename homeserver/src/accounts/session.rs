//! A login, and how it is kept.

use serde::{Deserialize, Serialize};

use crate::Secret;

/// A login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The full user id.
    pub user_id: String,
    /// The bearer token of all further requests.
    pub access_token: Secret,
    /// The device it belongs to.
    pub device_id: String,
}

/// A session as a 0600 file may hold it.
#[derive(Serialize, Deserialize)]
struct StoredSession {
    user_id: String,
    access_token: String,
    device_id: String,
}

impl Session {
    /// The session as JSON, for a file only its owner can read.
    ///
    /// # Errors
    /// Never in practice: three strings.
    pub fn to_json(&self) -> Result<Secret, serde_json::Error> {
        let stored = StoredSession {
            user_id: self.user_id.clone(),
            access_token: self.access_token.expose().to_owned(),
            device_id: self.device_id.clone(),
        };
        serde_json::to_string(&stored).map(Secret::from)
    }

    /// Reads what [`Session::to_json`] wrote.
    ///
    /// # Errors
    /// Not that JSON.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        let stored: StoredSession = serde_json::from_str(text)?;
        Ok(Self {
            user_id: stored.user_id,
            access_token: stored.access_token.into(),
            device_id: stored.device_id,
        })
    }
}
