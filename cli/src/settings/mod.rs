//! Configuration: one `fleet.toml`, and the environment over it (`FLEET__SECTION__KEY`).
//!
//! A secret `x` is given as `x`, or better as `x_file`: a file that only its owner may read. Keys
//! that do not exist are refused with their path.

mod document;
mod error;
mod secret;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use fleet_protocol::scalar::{Name, UserId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

pub use document::{Key, keys};
pub use error::SettingsError;
pub use secret::SecretText;

/// Name of the configuration file that is read from the working directory when none is given.
pub const FILE: &str = "fleet.toml";
/// Start of the environment variables that override the file.
pub const PREFIX: &str = "FLEET";

/// The environment variable of a key.
pub fn variable(key: &str) -> String {
    format!("{PREFIX}__{}", key.replace('.', "__").to_uppercase())
}

/// Everything that can be configured.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The fleet itself.
    pub tenant: Tenant,
    /// The register.
    pub database: Database,
    /// The gateway: where it listens, and where others find it.
    pub gateway: Gateway,
    /// The Matrix homeserver.
    pub homeserver: Homeserver,
    /// The bot.
    pub bot: Bot,
    /// The first person, and the token for commands from a shell.
    pub operator: Operator,
    /// Log output.
    pub log: Log,
}

/// The fleet itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Tenant {
    /// Name of the tenant; every row of the register carries it.
    pub id: Name,
    /// IANA name of the time zone in which times without a zone are read and all times are shown.
    pub zone: String,
}

/// The register.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// Address of the database as the role `fleet_app`, which owns nothing (secret).
    pub url: Option<SecretText>,
    /// File with that address.
    pub url_file: Option<PathBuf>,
    /// Address of the database as its owner; only `fleet gateway init` and `fleet up` use it (secret).
    pub owner_url: Option<SecretText>,
    /// File with that address.
    pub owner_url_file: Option<PathBuf>,
    /// Folder of PostgreSQL's programs for `fleet up` and `fleet demo`.
    pub bin_dir: Option<PathBuf>,
    /// Most connections the gateway opens.
    pub pool_size: Option<u32>,
}

/// The gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Gateway {
    /// Address and port it listens on.
    pub listen: SocketAddr,
    /// Where bot, agents and shells reach it.
    pub url: Url,
    /// Folder with `templates/*.yaml`, `personas/*.yaml`, `roles/*.yaml` and `profiles/*.yaml`, which override the
    /// built-in ones by name or add to them; `fleet gateway init` and `fleet up` read it.
    pub files: Option<PathBuf>,
}

/// The Matrix homeserver.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Homeserver {
    /// Address of its client-server API.
    pub url: Option<Url>,
    /// Its server name: what stands behind the colon of its users.
    pub server_name: Option<String>,
    /// File (YAML, mode 0600) with the registration of an application service, by which accounts are made and logged in
    /// to; it comes before the secret and the token.
    pub appservice_file: Option<PathBuf>,
    /// Token with which accounts may be registered (secret).
    pub registration_token: Option<SecretText>,
    /// File with that token.
    pub registration_token_file: Option<PathBuf>,
    /// Synapse's `registration_shared_secret` (secret).
    pub shared_secret: Option<SecretText>,
    /// File with that secret.
    pub shared_secret_file: Option<PathBuf>,
    /// A Conduit program that `fleet up` and `fleet demo` prefer to Synapse.
    pub conduit: Option<PathBuf>,
}

/// The bot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Bot {
    /// Local part of its Matrix account.
    pub localpart: String,
    /// Password of its account (secret).
    pub password: Option<SecretText>,
    /// File with that password.
    pub password_file: Option<PathBuf>,
    /// Folder of its device and encryption keys; never lose one without the other.
    pub store: PathBuf,
    /// Token with which it speaks to the gateway (secret).
    pub token: Option<SecretText>,
    /// File with that token; `fleet gateway init` writes it when it is absent.
    pub token_file: Option<PathBuf>,
    /// Address and port of its `/live`, `/ready` and `/metrics`; none: not served.
    pub listen: Option<SocketAddr>,
    /// Token with which its `/metrics` are read (secret); without one nobody may.
    pub metrics_token: Option<SecretText>,
    /// File with that token.
    pub metrics_token_file: Option<PathBuf>,
    /// Name of its device, as people see it in their client.
    pub device_name: String,
    /// Seconds between two checks of each active room against its mark.
    pub reconcile_every: u32,
}

/// The first person, and the token for commands from a shell.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Operator {
    /// Matrix user who is operator from the start.
    pub user_id: Option<UserId>,
    /// Password of that user, with which `fleet doctor` types a command as a person does (secret).
    pub password: Option<SecretText>,
    /// File with that password.
    pub password_file: Option<PathBuf>,
    /// Token for `fleet task add` and the like (secret).
    pub token: Option<SecretText>,
    /// File with that token; `fleet gateway init` writes it when it is absent.
    pub token_file: Option<PathBuf>,
}

impl Operator {
    /// The password, given inline or by file; none where neither is.
    ///
    /// # Errors
    /// As of [`SecretText::of`].
    pub fn password(&self) -> Result<Option<SecretText>, SettingsError> {
        let file = self.password_file.as_deref();
        SecretText::of("operator.password", self.password.as_ref(), file)
    }
}

/// Log output, on standard error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `text` or `json`.
    pub format: LogFormat,
    /// What is logged, for example `info` or `info,fleet_bot=debug`.
    pub filter: String,
}

/// Form of the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

impl Default for Tenant {
    fn default() -> Self {
        Self {
            id: fixed("default"),
            zone: "UTC".into(),
        }
    }
}

impl Default for Gateway {
    fn default() -> Self {
        let port = fleet_protocol::api::DEFAULT_PORT;
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], port)),
            url: fixed(&format!("http://127.0.0.1:{port}")),
            files: None,
        }
    }
}

impl Default for Bot {
    fn default() -> Self {
        Self {
            localpart: "fleet".into(),
            password: None,
            password_file: None,
            store: "fleet-bot-store".into(),
            token: None,
            token_file: None,
            listen: None,
            metrics_token: None,
            metrics_token_file: None,
            device_name: "Mosaic Fleet".into(),
            reconcile_every: 5,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            filter: "info".into(),
        }
    }
}

/// A default that is written in this file and parses: a test makes every one of them.
#[expect(clippy::expect_used, reason = "literals of this file, made by a test")]
fn fixed<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse()
        .expect("a default value of the configuration parses")
}

impl Settings {
    /// Reads the file, if there is one, and the process's environment over it.
    ///
    /// # Errors
    /// [`SettingsError::Source`] for a file that is named but absent or is no TOML,
    /// [`SettingsError::Key`] for a key that is unknown or has a wrong value.
    pub fn load(file: Option<&Path>) -> Result<Self, SettingsError> {
        Self::load_from(file, config::Environment::with_prefix(PREFIX))
    }

    /// The same with another source of variables.
    ///
    /// # Errors
    /// See [`Settings::load`].
    pub fn load_from(
        file: Option<&Path>,
        environment: config::Environment,
    ) -> Result<Self, SettingsError> {
        let source = match file {
            Some(path) => config::File::from(path)
                .format(config::FileFormat::Toml)
                .required(true),
            None => config::File::from(Path::new(FILE))
                .format(config::FileFormat::Toml)
                .required(false),
        };
        let environment = environment
            .prefix_separator("__")
            .separator("__")
            .ignore_empty(true);
        let read = config::Config::builder()
            .add_source(source)
            .add_source(environment)
            .build();
        let read = read.map_err(|e| SettingsError::Source(e.to_string()))?;
        serde_path_to_error::deserialize(read).map_err(|e| SettingsError::Key {
            key: e.path().to_string(),
            detail: e.inner().to_string(),
        })
    }

    /// The settings as TOML, secrets hidden.
    ///
    /// # Errors
    /// Never for settings that were loaded; a fault of the product otherwise.
    pub fn shown(&self) -> Result<String, SettingsError> {
        toml::to_string(self).map_err(|e| SettingsError::Source(e.to_string()))
    }

    /// Reads every secret file that is named, so that a check names each fault.
    pub fn faults(&self) -> Vec<SettingsError> {
        let (d, h, b, o) = (&self.database, &self.homeserver, &self.bot, &self.operator);
        let secrets = [
            ("database.url", &d.url, &d.url_file),
            ("database.owner_url", &d.owner_url, &d.owner_url_file),
            (
                "homeserver.registration_token",
                &h.registration_token,
                &h.registration_token_file,
            ),
            (
                "homeserver.shared_secret",
                &h.shared_secret,
                &h.shared_secret_file,
            ),
            ("homeserver.appservice_file", &None, &h.appservice_file),
            ("bot.password", &b.password, &b.password_file),
            ("bot.token", &b.token, &b.token_file),
            ("operator.password", &o.password, &o.password_file),
            ("operator.token", &o.token, &o.token_file),
        ];
        let mut faults: Vec<_> = secrets
            .into_iter()
            .filter_map(|(key, inline, file)| {
                SecretText::of(key, inline.as_ref(), file.as_deref()).err()
            })
            .collect();
        if jiff::tz::TimeZone::get(&self.tenant.zone).is_err() {
            let detail = format!(
                "\"{}\" is no time zone; write it like Europe/Vienna",
                self.tenant.zone
            );
            faults.push(SettingsError::Key {
                key: "tenant.zone".into(),
                detail,
            });
        }
        if let Err(e) = tracing_subscriber::EnvFilter::try_new(&self.log.filter) {
            faults.push(SettingsError::Key {
                key: "log.filter".into(),
                detail: e.to_string(),
            });
        }
        faults
    }
}

impl Database {
    /// The address for the gateway.
    ///
    /// # Errors
    /// When it is absent or its file cannot be used.
    pub fn app_url(&self) -> Result<SecretText, SettingsError> {
        SecretText::required("database.url", self.url.as_ref(), self.url_file.as_deref())
    }

    /// The owner's address.
    ///
    /// # Errors
    /// When it is absent or its file cannot be used.
    pub fn owner(&self) -> Result<SecretText, SettingsError> {
        SecretText::required(
            "database.owner_url",
            self.owner_url.as_ref(),
            self.owner_url_file.as_deref(),
        )
    }
}
