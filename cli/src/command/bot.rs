//! `fleet bot`.

use std::time::Duration;

use fleet_bot::AccountSource;
use fleet_homeserver::Secret;
use fleet_homeserver::accounts::{Registration, appservice};

use crate::error::CliError;
use crate::exit::Exit;
use crate::settings::{Homeserver, SecretText, Settings, SettingsError};
use crate::{Context, command, log, system};

/// Runs the bot until it is asked to stop.
pub(crate) async fn run(context: &Context) -> Result<Exit, CliError> {
    let settings = context.settings()?;
    log::start(&settings.log)?;
    let shutdown = command::stop_signal()?;
    fleet_bot::run(bot(&settings)?, system::clock(), shutdown)
        .await
        .map_err(|e| CliError::service("the bot", &e))?;
    Ok(Exit::Done)
}

/// What the bot of this configuration is told.
pub(crate) fn bot(settings: &Settings) -> Result<fleet_bot::Settings, CliError> {
    let bot = &settings.bot;
    let registration = registration(&settings.homeserver)?;
    let (inline, file) = (bot.password.as_ref(), bot.password_file.as_deref());
    let password = match registration {
        // An application service logs in without one.
        Some(Registration::Appservice(_)) => {
            SecretText::of("bot.password", inline, file)?.unwrap_or_else(|| SecretText::new(""))
        }
        _ => SecretText::required("bot.password", inline, file)?,
    };
    let token = SecretText::required("bot.token", bot.token.as_ref(), bot.token_file.as_deref())?;
    Ok(fleet_bot::Settings {
        homeserver_url: settings
            .homeserver
            .url
            .clone()
            .ok_or(SettingsError::missing("homeserver.url"))?,
        account: AccountSource {
            localpart: bot.localpart.clone(),
            password: Secret::new(password.expose()),
            registration,
        },
        device_name: bot.device_name.clone(),
        store: bot.store.clone(),
        gateway_url: settings.gateway.url.clone(),
        gateway_token: token.expose().into(),
        holder: system::id(),
        listen: bot.listen,
        metrics_token: SecretText::of(
            "bot.metrics_token",
            bot.metrics_token.as_ref(),
            bot.metrics_token_file.as_deref(),
        )?
        .map(|token| Secret::new(token.expose())),
        reconcile_every: Duration::from_secs(bot.reconcile_every.into()),
    })
}

/// How accounts are made, if the configuration allows it.
pub(crate) fn registration(homeserver: &Homeserver) -> Result<Option<Registration>, CliError> {
    const APPSERVICE: &str = "homeserver.appservice_file";
    if let Some(file) = SecretText::of(APPSERVICE, None, homeserver.appservice_file.as_deref())? {
        let token = appservice::token(file.expose()).map_err(|e| SettingsError::Key {
            key: APPSERVICE.into(),
            detail: format!("it is no registration of an application service: {e}"),
        })?;
        return Ok(Some(Registration::Appservice(token)));
    }
    let secret = SecretText::of(
        "homeserver.shared_secret",
        homeserver.shared_secret.as_ref(),
        homeserver.shared_secret_file.as_deref(),
    )?;
    if let Some(secret) = secret {
        return Ok(Some(Registration::SharedSecret {
            secret: Secret::new(secret.expose()),
            admin: false,
        }));
    }
    let token = SecretText::of(
        "homeserver.registration_token",
        homeserver.registration_token.as_ref(),
        homeserver.registration_token_file.as_deref(),
    )?;
    Ok(token.map(|token| Registration::Token(Secret::new(token.expose()))))
}
