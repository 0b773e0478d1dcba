//! What bot and gateway are told, with every secret in a file of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use fleet_homeserver::accounts::Registration;
use fleet_local::data_folder::DataFolder;
use fleet_local::stack::Stack;
use fleet_protocol::api::DEFAULT_PORT;
use url::Url;

use super::operator::PASSWORD;
use super::{BOT, GATEWAY, LOOPBACK, Operator, address, secret_path, store};
use crate::error::CliError;
use crate::settings::{self, SecretText, Settings, SettingsError};

/// The secret with a password that was made for the bot.
const BOT_PASSWORD: &str = "bot-password";

/// The settings of this run: what the configuration says where it says something, else what the
/// stack and the data folder have.
pub(super) async fn settle(
    stack: &Stack,
    mut settings: Settings,
    prefix: &str,
    operator: &Operator,
) -> Result<Settings, CliError> {
    let folder = stack.folder();
    settings.database = database(folder, &settings.database, stack.database_url().expose())?;
    let port = folder
        .port(GATEWAY, LOOPBACK, None, DEFAULT_PORT)
        .await
        .map_err(|e| CliError::service("the data folder", &e))?;
    settings.gateway.listen = SocketAddr::new(LOOPBACK, port);
    settings.gateway.url = address(settings.gateway.listen)?;
    let can_register = stack.homeserver().registration.is_some();
    settings.homeserver = homeserver(stack, operator)?;
    settings.bot = bot(folder, settings.bot, prefix, can_register).await?;
    settings.operator = person(folder, &settings.operator, operator)?;
    Ok(settings)
}

fn database(
    folder: &DataFolder,
    given: &settings::Database,
    owner: &str,
) -> Result<settings::Database, CliError> {
    let app = match given.app_url() {
        Ok(url) => url.expose().to_owned(),
        Err(SettingsError::Missing { .. }) => as_app(owner)?,
        Err(error) => return Err(error.into()),
    };
    Ok(settings::Database {
        url_file: Some(store(folder, "database-url", &app)?),
        owner_url_file: Some(store(folder, "database-owner-url", owner)?),
        pool_size: given.pool_size,
        ..Default::default()
    })
}

fn homeserver(stack: &Stack, operator: &Operator) -> Result<settings::Homeserver, CliError> {
    let folder = stack.folder();
    let server_name = operator.user_id().split_once(':');
    let mut told = settings::Homeserver {
        url: Some(stack.homeserver().url.clone()),
        server_name: server_name.map(|(_, name)| name.to_owned()),
        ..Default::default()
    };
    match &stack.homeserver().registration {
        Some(Registration::SharedSecret { secret, .. }) => {
            let file = store(folder, "homeserver-shared-secret", secret.expose())?;
            told.shared_secret_file = Some(file);
        }
        Some(Registration::Token(token)) => {
            let file = store(folder, "homeserver-registration-token", token.expose())?;
            told.registration_token_file = Some(file);
        }
        Some(Registration::Appservice(token)) => {
            let yaml = format!("as_token: {}", serde_json::json!(token.expose()));
            told.appservice_file = Some(store(folder, "homeserver-appservice", &yaml)?);
        }
        None => {}
    }
    Ok(told)
}

async fn bot(
    folder: &DataFolder,
    bot: settings::Bot,
    prefix: &str,
    can_register: bool,
) -> Result<settings::Bot, CliError> {
    let port = folder
        .port(BOT, LOOPBACK, None, DEFAULT_PORT + 1)
        .await
        .map_err(|e| CliError::service("the data folder", &e))?;
    let (inline, file) = (bot.password.as_ref(), bot.password_file.as_deref());
    let password_file = match given(folder, BOT_PASSWORD, "bot.password", inline, file)? {
        Some(file) => file,
        None => made_password(folder, can_register)?,
    };
    let (inline, file) = (bot.token.as_ref(), bot.token_file.as_deref());
    let token_file = match given(folder, "bot-token", "bot.token", inline, file)? {
        Some(file) => file,
        None => secret_path(folder, "bot-token")?,
    };
    let (inline, file) = (
        bot.metrics_token.as_ref(),
        bot.metrics_token_file.as_deref(),
    );
    let metrics = "bot-metrics-token";
    let metrics_token_file = match given(folder, metrics, "bot.metrics_token", inline, file)? {
        Some(file) => file,
        None => made_secret(folder, metrics)?,
    };
    Ok(settings::Bot {
        localpart: format!("{prefix}{}", bot.localpart),
        password: None,
        password_file: Some(password_file),
        store: folder.bot(),
        token: None,
        token_file: Some(token_file),
        metrics_token: None,
        metrics_token_file: Some(metrics_token_file),
        listen: Some(SocketAddr::new(LOOPBACK, port)),
        ..bot
    })
}

/// A password of our own making is of use only for an account that we may make, or have made.
fn made_password(folder: &DataFolder, can_register: bool) -> Result<PathBuf, CliError> {
    let known = folder
        .stored_secret(BOT_PASSWORD)
        .map_err(|e| CliError::service("the data folder", &e))?;
    if known.is_none() && !can_register {
        return Err(SettingsError::missing("bot.password_file").into());
    }
    made_secret(folder, BOT_PASSWORD)
}

/// The file of a secret that is made when it is not there.
fn made_secret(folder: &DataFolder, name: &str) -> Result<PathBuf, CliError> {
    folder
        .secret(name)
        .map_err(|e| CliError::service("the data folder", &e))?;
    secret_path(folder, name)
}

fn person(
    folder: &DataFolder,
    configured: &settings::Operator,
    operator: &Operator,
) -> Result<settings::Operator, CliError> {
    let user_id = operator
        .user_id()
        .parse()
        .map_err(|e| CliError::Internal(format!("{}: {e}", operator.user_id())))?;
    let password_file = match operator.password_file() {
        Some(file) => Some(file.clone()),
        None => given(
            folder,
            PASSWORD,
            "operator.password",
            configured.password.as_ref(),
            configured.password_file.as_deref(),
        )?,
    };
    let (inline, file) = (configured.token.as_ref(), configured.token_file.as_deref());
    let token_file = match given(folder, "operator-token", "operator.token", inline, file)? {
        Some(file) => file,
        None => secret_path(folder, "operator-token")?,
    };
    Ok(settings::Operator {
        user_id: Some(user_id),
        password: None,
        password_file,
        token: None,
        token_file: Some(token_file),
    })
}

/// The file of a secret that the configuration gives. One that is given inline gets a file of its
/// own: what we start reads its configuration from a file, in which no secret stands.
fn given(
    folder: &DataFolder,
    name: &str,
    key: &'static str,
    inline: Option<&SecretText>,
    file: Option<&Path>,
) -> Result<Option<PathBuf>, CliError> {
    match (inline, file) {
        (Some(_), Some(_)) => Err(SettingsError::Twice { key }.into()),
        (Some(secret), None) => store(folder, name, secret.expose()).map(Some),
        (None, Some(file)) => std::path::absolute(file)
            .map(Some)
            .map_err(|e| CliError::file(file, e)),
        (None, None) => Ok(None),
    }
}

/// The owner's address with the role that owns nothing.
fn as_app(owner: &str) -> Result<String, CliError> {
    let mut url: Url = owner
        .parse()
        .map_err(|_| CliError::Internal("the database's address is no URL".into()))?;
    url.set_username("fleet_app")
        .map_err(|()| CliError::Internal("the database's address has no user".into()))?;
    Ok(url.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, DataFolder) {
        let place = tempfile::tempdir().unwrap();
        let folder = DataFolder::open(&place.path().join("data")).unwrap();
        (place, folder)
    }

    #[tokio::test]
    async fn the_bots_own_password_is_kept() {
        let (place, folder) = folder();
        let file = place.path().join("password");
        let by_file = settings::Bot {
            password_file: Some(file.clone()),
            ..Default::default()
        };
        let told = bot(&folder, by_file, "", true).await.unwrap();
        assert_eq!(told.password_file, Some(file));
        let inline = settings::Bot {
            password: Some(SecretText::new("hunter22")),
            ..Default::default()
        };
        let told = bot(&folder, inline, "x-", true).await.unwrap();
        let stored = std::fs::read_to_string(told.password_file.unwrap()).unwrap();
        assert_eq!((stored.trim(), told.password), ("hunter22", None));
        assert_eq!(told.localpart, "x-fleet");
    }

    #[test]
    fn a_password_is_made_only_where_an_account_can_be_made() {
        let (_place, folder) = folder();
        let error = made_password(&folder, false).unwrap_err();
        assert!(error.to_string().contains("bot.password_file"), "{error}");
        let made = made_password(&folder, true).unwrap();
        assert_eq!(made_password(&folder, false).unwrap(), made);
    }
}
