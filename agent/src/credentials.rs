//! Who an agent is: a file that only its owner may read, or the environment; never an argument.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use fleet_protocol::event::AgentIdentity;
use fleet_protocol::scalar::{Name, UserId};
use serde::{Deserialize, Serialize};
use url::Url;

/// The environment variable that names the file.
pub const VARIABLE: &str = "FLEET_AGENT_CREDENTIALS";

/// The version this crate reads and writes.
const VERSION: u64 = 1;

/// The largest file that is read, in bytes.
const LARGEST: u64 = 64 * 1024;

/// What an agent needs to speak. Its `Debug` output shows no token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// Version, 1.
    pub v: u64,
    /// Where the gateway is.
    pub gateway: Url,
    /// Its token there, `magt_...` (secret).
    pub token: String,
    /// Who it is, and in which incarnation.
    pub agent: AgentIdentity,
    /// The incarnation with which it joined. A life of several incarnations (a context that is
    /// emptied is a new one) keeps this; another process that joins changes it.
    pub joined_as: u64,
    /// Its role.
    pub role: Name,
    /// Its Matrix account, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matrix: Option<MatrixAccount>,
}

/// A Matrix account.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MatrixAccount {
    /// Address of the homeserver's client-server API.
    pub homeserver: Url,
    /// The full user id.
    pub user_id: UserId,
    /// Its device's access token (secret).
    pub access_token: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("gateway", &self.gateway.as_str())
            .field("agent", &self.agent)
            .field("joined_as", &self.joined_as)
            .field("role", &self.role)
            .field("matrix", &self.matrix)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for MatrixAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MatrixAccount")
            .field("user_id", &self.user_id)
            .finish_non_exhaustive()
    }
}

/// Why there are no credentials.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The file cannot be read or written.
    #[error("{path}: {source}", path = .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Others than its owner may read or write it.
    #[error("{path}: mode is {mode:04o}: others could read it; run `chmod 600` on it", path = .path.display())]
    Mode {
        /// Which.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It is no credentials file of this version. The text is not repeated: it may hold a secret.
    #[error("{path}: {detail}; let the agent join again", path = .path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// What is wrong, without the value.
        detail: String,
    },
}

impl Credentials {
    /// Reads a file that only its owner may read.
    ///
    /// # Errors
    /// When it is absent, readable by others, or no credentials.
    pub fn read(path: &Path) -> Result<Self, CredentialsError> {
        let file = |source| CredentialsError::File {
            path: path.to_owned(),
            source,
        };
        let malformed = |detail: String| CredentialsError::Malformed {
            path: path.to_owned(),
            detail,
        };
        let metadata = std::fs::metadata(path).map_err(file)?;
        let mode = metadata.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(CredentialsError::Mode {
                path: path.to_owned(),
                mode,
            });
        }
        if metadata.len() > LARGEST {
            return Err(malformed(format!("has more than {LARGEST} bytes")));
        }
        let text = std::fs::read_to_string(path).map_err(file)?;
        let read: Self = serde_json::from_str(&text).map_err(|e| {
            let (line, column) = (e.line(), e.column());
            malformed(format!(
                "is no credentials file (line {line}, column {column})"
            ))
        })?;
        if read.v == VERSION {
            Ok(read)
        } else {
            Err(malformed(format!("has version {}, not {VERSION}", read.v)))
        }
    }

    /// Writes the file whole or not at all, with mode 0600.
    ///
    /// # Errors
    /// [`CredentialsError::File`].
    pub fn store(&self, path: &Path) -> Result<(), CredentialsError> {
        let written = || -> io::Result<()> {
            let folder = path
                .parent()
                .filter(|p| !p.as_os_str().is_empty())
                .unwrap_or(Path::new("."));
            // Made with mode 0600 from the start.
            let file = tempfile::NamedTempFile::new_in(folder)?;
            serde_json::to_writer_pretty(file.as_file(), self)?;
            file.as_file().sync_all()?;
            file.persist(path)?;
            Ok(())
        };
        written().map_err(|source| CredentialsError::File {
            path: path.to_owned(),
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials() -> Credentials {
        serde_json::from_value(serde_json::json!({
            "v": 1, "gateway": "http://127.0.0.1:14242/", "token": "magt_secret",
            "agent": { "name": "code-1", "host": "box", "incarnation": 3 },
            "joined_as": 2, "role": "code",
            "matrix": { "homeserver": "http://127.0.0.1:8008/", "user_id": "@a:b", "access_token": "syt_secret" },
        }))
        .unwrap()
    }

    #[test]
    fn a_file_is_written_for_its_owner_only_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("code-1.json");
        credentials().store(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(Credentials::read(&path).unwrap(), credentials());
        credentials().store(&path).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_others_may_read_is_refused_and_no_error_shows_a_secret() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("code-1.json");
        credentials().store(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let refused = Credentials::read(&path).unwrap_err();
        assert!(refused.to_string().contains("chmod 600"), "{refused}");
        for text in ["magt_secret", "{\"v\": 1, \"token\": \"magt_secret\"}"] {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            let refused = Credentials::read(&path).unwrap_err();
            assert!(
                matches!(refused, CredentialsError::Malformed { .. }),
                "{refused}"
            );
            assert!(!refused.to_string().contains("magt"), "{refused}");
        }
        assert!(!format!("{:?}", credentials()).contains("secret"));
    }
}
