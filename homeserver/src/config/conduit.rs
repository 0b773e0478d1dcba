//! Conduit's `conduit.toml` (`[global]`, names of Conduit 0.10 and later).

use std::path::Path;

use serde::Serialize;
use url::Url;

use super::{ConfigError, ConfigFile, Settings};

/// The configuration file's name in the data folder.
pub const FILE: &str = "conduit.toml";

#[derive(Serialize)]
struct File<'a> {
    global: Global<'a>,
}

#[derive(Serialize)]
struct Global<'a> {
    server_name: &'a str,
    database_backend: &'static str,
    database_path: &'a Path,
    address: String,
    port: u16,
    max_request_size: u32,
    allow_registration: bool,
    registration_token: &'a str,
    allow_federation: bool,
    allow_check_for_updates: bool,
    trusted_servers: [&'a str; 0],
    log: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    well_known: Option<WellKnown<'a>>,
}

#[derive(Serialize)]
struct WellKnown<'a> {
    client: &'a Url,
}

/// Renders the file: accounts by token only, no federation, no calls home.
///
/// # Errors
/// [`ConfigError::Toml`] for a data folder whose path is not UTF-8.
pub fn render(settings: &Settings) -> Result<ConfigFile, ConfigError> {
    let database = settings.data.join("database");
    let text = toml::to_string(&File {
        global: Global {
            server_name: &settings.server_name,
            database_backend: "rocksdb",
            database_path: &database,
            address: settings.listen.ip().to_string(),
            port: settings.listen.port(),
            max_request_size: 50_000_000,
            allow_registration: true,
            registration_token: settings.registration_secret.expose(),
            allow_federation: false,
            allow_check_for_updates: false,
            trusted_servers: [],
            log: "warn",
            well_known: settings
                .public_url
                .as_ref()
                .map(|client| WellKnown { client }),
        },
    })?;
    Ok(ConfigFile {
        name: FILE,
        text: text.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;

    #[test]
    fn loopback() {
        insta::assert_snapshot!(render(&example()).unwrap().text.expose());
    }

    #[test]
    fn behind_a_proxy() {
        let settings = Settings {
            listen: ([0, 0, 0, 0], 8008).into(),
            public_url: Some("https://chat.example.org".parse().unwrap()),
            ..example()
        };
        insta::assert_snapshot!(render(&settings).unwrap().text.expose());
    }
}
