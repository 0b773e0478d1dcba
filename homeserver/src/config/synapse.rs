//! Synapse's `homeserver.yaml` and its log configuration: offline, not federated, SQLite (on one
//! machine as fast as PostgreSQL: one Python process is the limit), generous rate limits.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{ConfigError, ConfigFile, Settings};

/// The configuration file's name in the data folder.
pub const FILE: &str = "homeserver.yaml";
/// The log configuration's name in the data folder.
pub const LOG_FILE: &str = "log.yaml";
/// The signing key's name in the data folder; Synapse makes it (`--generate-keys`).
pub const SIGNING_KEY: &str = "signing.key";

/// Limits that take one rate. A fleet's accounts are few and trusted: these only stop a runaway.
const RATES: [&str; 12] = [
    "rc_3pid_validation",
    "rc_admin_redaction",
    "rc_delayed_event_mgmt",
    "rc_joins_per_room",
    "rc_media_create",
    "rc_message",
    "rc_registration",
    "rc_registration_token_validity",
    "rc_reports",
    "rc_room_creation",
    "rc_third_party_invite",
    "rc_user_directory",
];

/// Renders `homeserver.yaml` and `log.yaml`.
///
/// # Errors
/// [`ConfigError`] when a value cannot be rendered.
pub fn render(settings: &Settings) -> Result<[ConfigFile; 2], ConfigError> {
    let mut keys = identity(settings)?;
    keys.extend(offline());
    keys.extend(rate_limits());
    let yaml = |name, value: &BTreeMap<&str, Value>| -> Result<ConfigFile, ConfigError> {
        Ok(ConfigFile {
            name,
            text: serde_norway::to_string(value)?.into(),
        })
    };
    Ok([yaml(FILE, &keys)?, yaml(LOG_FILE, &log(settings))?])
}

// Keys of nested objects are in alphabetical order, so that the rendering does not depend on
// whether some other crate asks serde_json to keep their order.

fn identity(settings: &Settings) -> Result<BTreeMap<&'static str, Value>, ConfigError> {
    let path = |name: &str| json!(settings.data.join(name));
    let public = settings
        .public_url
        .as_ref()
        .map_or_else(|| settings.local_url(), ToString::to_string);
    let mut keys = BTreeMap::from([
        ("server_name", json!(settings.server_name)),
        ("public_baseurl", json!(public)),
        (
            "database",
            json!({"args": {"database": path("homeserver.db")}, "name": "sqlite3"}),
        ),
        ("media_store_path", path("media")),
        ("signing_key_path", path(SIGNING_KEY)),
        ("log_config", path(LOG_FILE)),
        ("pid_file", path("homeserver.pid")),
        ("max_upload_size", json!("50M")),
        (
            "registration_shared_secret",
            json!(settings.registration_secret.expose()),
        ),
        (
            "macaroon_secret_key",
            json!(settings.derived("synapse macaroon")?),
        ),
        ("form_secret", json!(settings.derived("synapse form")?)),
        ("enable_registration", json!(true)),
        ("registration_requires_token", json!(true)),
        (
            "listeners",
            json!([{
                "bind_addresses": [settings.listen.ip()],
                "port": settings.listen.port(),
                "resources": [{"compress": false, "names": ["client"]}],
                "tls": false,
                "type": "http",
                "x_forwarded": settings.public_url.is_some(),
            }]),
        ),
    ]);
    if settings.fast_hashing {
        keys.insert("bcrypt_rounds", json!(4));
    }
    Ok(keys)
}

fn offline() -> BTreeMap<&'static str, Value> {
    BTreeMap::from([
        ("allow_public_rooms_over_federation", json!(false)),
        ("federation_domain_whitelist", json!([])),
        ("presence", json!({"enabled": false})),
        ("push", json!({"enabled": false})),
        ("report_stats", json!(false)),
        ("suppress_key_server_warning", json!(true)),
        ("trusted_key_servers", json!([])),
        ("url_preview_enabled", json!(false)),
        ("user_directory", json!({"enabled": false})),
    ])
}

fn rate_limits() -> BTreeMap<&'static str, Value> {
    let generous = || json!({"burst_count": 100_000, "per_second": 10_000});
    let mut keys: BTreeMap<&str, Value> =
        RATES.into_iter().map(|name| (name, generous())).collect();
    keys.insert(
        "rc_invites",
        json!({"per_issuer": generous(), "per_room": generous(), "per_user": generous()}),
    );
    keys.insert(
        "rc_joins",
        json!({"local": generous(), "remote": generous()}),
    );
    keys.insert("rc_presence", json!({"per_user": generous()}));
    // Guessing of passwords stays limited: the server may be reachable by other devices.
    let guesses = json!({"burst_count": 50, "per_second": 1});
    keys.insert(
        "rc_login",
        json!({"account": generous(), "address": generous(), "failed_attempts": guesses}),
    );
    keys
}

fn log(settings: &Settings) -> BTreeMap<&'static str, Value> {
    BTreeMap::from([
        ("version", json!(1)),
        ("disable_existing_loggers", json!(false)),
        (
            "formatters",
            json!({"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}}),
        ),
        (
            "handlers",
            json!({"file": {
                "backupCount": 1,
                "class": "logging.handlers.RotatingFileHandler",
                "filename": settings.data.join("synapse.log"),
                "formatter": "line",
                "maxBytes": 8_388_608,
            }}),
        ),
        ("root", json!({"handlers": ["file"], "level": "WARNING"})),
    ])
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;

    #[test]
    fn loopback() {
        let [config, log] = render(&example()).unwrap();
        insta::assert_snapshot!("homeserver", config.text.expose());
        insta::assert_snapshot!("log", log.text.expose());
    }

    #[test]
    fn tests_hash_cheaply_and_a_proxy_is_believed() {
        let settings = Settings {
            fast_hashing: true,
            public_url: Some("https://chat.example.org".parse().unwrap()),
            ..example()
        };
        let [config, _] = render(&settings).unwrap();
        let value: Value = serde_norway::from_str(config.text.expose()).unwrap();
        assert_eq!(value["bcrypt_rounds"], 4);
        assert_eq!(value["public_baseurl"], "https://chat.example.org/");
        assert_eq!(value["listeners"][0]["x_forwarded"], true);
    }
}
