//! Configuration files, rendered from one [`Settings`]: same settings, same bytes.

pub mod conduit;
pub mod synapse;

use std::net::SocketAddr;
use std::path::PathBuf;

use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use url::Url;

use crate::Secret;

/// What both homeservers need to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The name after the colon in user ids; cannot change once accounts exist.
    pub server_name: String,
    /// Where clients connect. Loopback unless other devices shall reach it.
    pub listen: SocketAddr,
    /// The address clients outside use (behind a TLS proxy); `None` for `http://<listen>/`.
    pub public_url: Option<Url>,
    /// Folder of all the homeserver keeps.
    pub data: PathBuf,
    /// Who knows it may make accounts: Synapse's `registration_shared_secret`, Conduit's
    /// `registration_token`. Synapse's other keys are derived from it.
    pub registration_secret: Secret,
    /// Cheap password hashes: for tests only.
    pub fast_hashing: bool,
}

impl Settings {
    /// The address a client on this machine uses. A server listening on every interface is
    /// reached through loopback.
    #[must_use]
    pub fn local_url(&self) -> String {
        let mut address = self.listen;
        if address.ip().is_unspecified() {
            address.set_ip(match address {
                SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
            });
        }
        format!("http://{address}/")
    }

    /// A key for another purpose, from which the registration secret cannot be learned.
    fn derived(&self, purpose: &str) -> Result<String, ConfigError> {
        let secret = self.registration_secret.expose().as_bytes();
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).map_err(|_| ConfigError::Secret)?;
        mac.update(purpose.as_bytes());
        Ok(mac
            .finalize()
            .into_bytes()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect())
    }
}

/// A file to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFile {
    /// Its name in the data folder.
    pub name: &'static str,
    /// Its content; holds secrets, so the file is 0600.
    pub text: Secret,
}

/// Why a configuration cannot be rendered.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// YAML.
    #[error("cannot render YAML: {0}")]
    Yaml(#[from] serde_norway::Error),
    /// TOML.
    #[error("cannot render TOML: {0}")]
    Toml(#[from] toml::ser::Error),
    /// The secret is not usable as a key.
    #[error("the registration secret is not usable as a key")]
    Secret,
}

#[cfg(test)]
pub(crate) fn example() -> Settings {
    Settings {
        server_name: "fleet.localhost".to_owned(),
        listen: ([127, 0, 0, 1], 8448).into(),
        public_url: None,
        data: PathBuf::from("/srv/fleet/homeserver"),
        registration_secret: Secret::new("open sesame"),
        fast_hashing: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_every_interface_is_reached_by_loopback() {
        let table = [
            ("0.0.0.0:8008", "http://127.0.0.1:8008/"),
            ("[::]:8008", "http://[::1]:8008/"),
            ("10.0.0.7:80", "http://10.0.0.7:80/"),
        ];
        for (listen, expected) in table {
            let settings = Settings {
                listen: listen.parse().unwrap(),
                ..example()
            };
            assert_eq!(settings.local_url(), expected);
        }
    }

    #[test]
    fn derived_keys_differ_by_purpose_and_hide_the_secret() {
        let settings = example();
        let (one, two) = (
            settings.derived("one").unwrap(),
            settings.derived("two").unwrap(),
        );
        assert_ne!(one, two);
        assert_eq!(one, settings.derived("one").unwrap());
        assert!(!format!("{settings:?}").contains("sesame"));
    }
}
