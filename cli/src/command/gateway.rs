//! `fleet gateway`.

mod token;

use fleet_gateway::{InitSettings, Scope, Secret, SystemClock, TokenFile, UuidIds};

use crate::args::{Gateway, GatewayAction};
use crate::error::CliError;
use crate::exit::Exit;
use crate::settings::{Settings, SettingsError};
use crate::{Context, command, log};

/// Serves until asked to stop, or prepares the register.
pub(crate) async fn run(context: &Context, args: &Gateway) -> Result<Exit, CliError> {
    let settings = context.settings()?;
    log::start(&settings.log)?;
    match &args.action {
        Some(GatewayAction::Token(action)) => token::run(context.out, &settings, action).await?,
        Some(GatewayAction::Init) => {
            init(&settings).await?;
            context
                .out
                .answer(&serde_json::json!({ "ready": true }), || {
                    "the register is ready".into()
                })?;
        }
        None => serve(&settings).await?,
    }
    Ok(Exit::Done)
}

async fn serve(settings: &Settings) -> Result<(), CliError> {
    let mut serving =
        fleet_gateway::Settings::new(Secret::new(settings.database.app_url()?.expose()));
    serving.listen = settings.gateway.listen;
    if let Some(connections) = settings.database.pool_size {
        serving.pool_size = connections;
    }
    fleet_gateway::serve(serving, SystemClock, UuidIds, command::stop_signal()?)
        .await
        .map_err(|e| CliError::service("the gateway", &e))
}

/// Prepares the register: migrations, tenant, rooms, first operator, tokens.
pub(crate) async fn init(settings: &Settings) -> Result<(), CliError> {
    let bot = settings
        .bot
        .token_file
        .clone()
        .ok_or(SettingsError::missing("bot.token_file"))?;
    let mut tokens = vec![TokenFile {
        name: name("bot")?,
        scopes: vec![Scope::Bot],
        user: None,
        path: bot,
    }];
    if let Some(path) = settings.operator.token_file.clone() {
        let user = settings.operator.user_id.clone();
        tokens.push(TokenFile {
            name: name("operator")?,
            scopes: vec![Scope::Operator],
            user,
            path,
        });
    }
    let init = InitSettings {
        owner_url: Secret::new(settings.database.owner()?.expose()),
        tenant: settings.tenant.id.clone(),
        zone: settings.tenant.zone.clone(),
        operator: settings.operator.user_id.clone(),
        tokens,
    };
    fleet_gateway::init(&init, &SystemClock, &UuidIds)
        .await
        .map_err(|e| CliError::service("the register", &e))?;
    if let Some(folder) = &settings.gateway.files {
        fleet_gateway::files(&init.owner_url, &init.tenant, folder)
            .await
            .map_err(|e| CliError::service("the fleet's files", &e))?;
    }
    Ok(())
}

fn name(text: &str) -> Result<fleet_protocol::scalar::Name, CliError> {
    text.parse()
        .map_err(|e| CliError::Internal(format!("{text} {e}")))
}

/// The gateway's own description.
pub(crate) fn openapi() -> serde_json::Value {
    fleet_gateway::openapi()
}
