//! What the processes of a world are told.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fleet_homeserver::Secret;
use fleet_homeserver::accounts::{Accounts, Registration};
use fleet_local::postgres::Source;
use fleet_local::stack::{Database, HomeserverChoice, Stack, StackSettings};
use url::Url;

use super::Fault;

pub(super) fn tenant(prefix: &str) -> String {
    prefix.trim_end_matches('-').to_owned()
}

pub(super) fn stack_settings(folder: &Path) -> Result<StackSettings, Fault> {
    let homeserver = match std::env::var("FLEET_TEST_HOMESERVER") {
        Ok(url) => HomeserverChoice::Existing {
            url: Url::parse(&url)?,
            registration: Some(given_registration()?),
        },
        Err(_) => match HomeserverChoice::embedded("fleet.test") {
            HomeserverChoice::Embedded {
                software,
                server_name,
                ip,
                public_url,
                ..
            } => HomeserverChoice::Embedded {
                software,
                server_name,
                ip,
                port: None,
                public_url,
                fast_hashing: true,
            },
            existing @ HomeserverChoice::Existing { .. } => existing,
        },
    };
    Ok(StackSettings {
        folder: folder.to_owned(),
        database: Database::Embedded(Source::of_tests()?),
        homeserver,
        throwaway: true,
    })
}

fn given_registration() -> Result<Registration, Fault> {
    if let Ok(token) = std::env::var("FLEET_TEST_REGISTRATION_TOKEN") {
        return Ok(Registration::Token(Secret::new(token)));
    }
    let secret = std::env::var("FLEET_TEST_SHARED_SECRET")
        .map_err(|_| "set FLEET_TEST_REGISTRATION_TOKEN or FLEET_TEST_SHARED_SECRET beside FLEET_TEST_HOMESERVER")?;
    Ok(Registration::SharedSecret {
        secret: Secret::new(secret),
        admin: false,
    })
}

pub(super) fn accounts(stack: &Stack) -> Result<(Accounts, Registration), Fault> {
    let access = stack.homeserver();
    let registration = access
        .registration
        .clone()
        .ok_or("no way to make accounts")?;
    Ok((Accounts::new(access.url.clone())?, registration))
}

/// What gateway and bot are told; secrets by file.
pub(super) async fn environment(
    stack: &Stack,
    registration: &Registration,
    prefix: &str,
    operator: &str,
    port: u16,
) -> Result<BTreeMap<String, String>, Fault> {
    let folder = stack.folder();
    let owner = stack.database_url().expose().to_owned();
    let mut app: Url = owner.parse()?;
    app.set_username("fleet_app")
        .map_err(|()| "the database's address takes no user")?;
    folder.secret("bot-password")?;
    let (key, secret) = match registration {
        Registration::SharedSecret { secret, .. } => ("SHARED_SECRET_FILE", secret),
        Registration::Token(secret) => ("REGISTRATION_TOKEN_FILE", secret),
        Registration::Appservice(_) => return Err("a world's accounts have passwords".into()),
    };
    let file = |name: &str, value: &Secret| -> Result<String, Fault> {
        folder.store_secret(name, value)?;
        Ok(folder.secret_file(name)?.display().to_string())
    };
    let server_name = operator.split_once(':').map_or("", |(_, server)| server);
    let mut told = BTreeMap::from([
        ("FLEET__TENANT__ID".to_owned(), tenant(prefix)),
        ("FLEET__TENANT__ZONE".into(), "Europe/Vienna".into()),
        (
            "FLEET__DATABASE__URL_FILE".into(),
            file("database-url", &Secret::new(app.as_str()))?,
        ),
        (
            "FLEET__DATABASE__OWNER_URL_FILE".into(),
            file("database-owner-url", &Secret::new(owner))?,
        ),
        ("FLEET__GATEWAY__LISTEN".into(), format!("127.0.0.1:{port}")),
        (
            "FLEET__GATEWAY__URL".into(),
            format!("http://127.0.0.1:{port}"),
        ),
        (
            "FLEET__HOMESERVER__URL".into(),
            stack.homeserver().url.to_string(),
        ),
        (
            "FLEET__HOMESERVER__SERVER_NAME".into(),
            server_name.to_owned(),
        ),
        (
            format!("FLEET__HOMESERVER__{key}"),
            file("homeserver-key", secret)?,
        ),
        ("FLEET__BOT__LOCALPART".into(), format!("{prefix}fleet")),
        (
            "FLEET__BOT__PASSWORD_FILE".into(),
            folder.secret_file("bot-password")?.display().to_string(),
        ),
        (
            "FLEET__BOT__TOKEN_FILE".into(),
            folder.secret_file("bot-token")?.display().to_string(),
        ),
        ("FLEET__OPERATOR__USER_ID".into(), operator.to_owned()),
        (
            "FLEET__OPERATOR__TOKEN_FILE".into(),
            folder.secret_file("operator-token")?.display().to_string(),
        ),
        ("FLEET__LOG__FILTER".into(), "info".into()),
    ]);
    for variable in ["PATH", "HOME", "RUST_BACKTRACE"] {
        if let Ok(value) = std::env::var(variable) {
            told.insert(variable.into(), value);
        }
    }
    Ok(told)
}

/// The product's binary, which cargo builds beside the tests.
///
/// # Errors
/// When it was not built.
pub fn fleet() -> Result<PathBuf, Fault> {
    let test = std::env::current_exe()?;
    let folder = test
        .parent()
        .and_then(Path::parent)
        .ok_or("the test binary has no folder")?;
    let fleet = folder.join("fleet");
    if fleet.exists() {
        Ok(fleet)
    } else {
        Err(format!("{} is missing: run `cargo build` first", fleet.display()).into())
    }
}
