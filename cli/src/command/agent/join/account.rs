//! The Matrix account of an agent, where the configuration says how accounts are made.

use std::path::Path;

use fleet_agent::connector::ConnectorError;
use fleet_agent::credentials::{Credentials, MatrixAccount};
use fleet_agent::matrix::{Matrix, MatrixError};
use fleet_homeserver::Secret;
use fleet_homeserver::accounts::{Accounts, Registration};
use fleet_protocol::scalar::UserId;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use url::Url;

use crate::Context;
use crate::command::bot::registration;
use crate::error::CliError;
use crate::settings::Settings;

/// The name of an agent's device.
const DEVICE: &str = "FLEETAGENT";

/// Makes the account, or logs in to it again; none where no homeserver is configured, or no way to
/// make accounts there.
pub(super) async fn ensure(
    settings: &Settings,
    user: &UserId,
) -> Result<Option<MatrixAccount>, CliError> {
    let Some((homeserver, registration)) = way_in(settings)? else {
        return Ok(None);
    };
    let local = user.as_str().trim_start_matches('@').split(':').next();
    let local = local.unwrap_or_default();
    let password = password(&registration, user)?;
    let session = Accounts::new(homeserver.clone())?
        .ensure_account(&registration, local, &password, Some(DEVICE), "fleet agent")
        .await?;
    if session.user_id != user.as_str() {
        return Err(CliError::Usage(format!(
            "the homeserver made {}, but the fleet's users are like {user}; name the fleet's homeserver in homeserver.url",
            session.user_id
        )));
    }
    Ok(Some(MatrixAccount {
        homeserver,
        user_id: user.clone(),
        access_token: session.access_token.expose().to_owned(),
    }))
}

/// A new login where the homeserver has forgotten the agent's device; none where it is known, or the
/// agent has no account.
pub(super) async fn lost(
    context: &Context,
    credentials: &Credentials,
) -> Result<Option<Option<MatrixAccount>>, CliError> {
    let Some(account) = &credentials.matrix else {
        return Ok(None);
    };
    match Matrix::with_token(account.homeserver.clone(), &account.access_token).await {
        Ok(_) => Ok(None),
        Err(MatrixError::Refused { .. }) => {
            let again = ensure(&context.settings()?, &account.user_id).await?;
            if again.is_none() {
                context.out.progress(
                    "the homeserver has forgotten the agent's device, and the configuration has no way to log in again; \
                     it works through the gateway alone",
                );
            }
            Ok(Some(again))
        }
        // Away for now: the gateway is enough to come back.
        Err(_) => Ok(None),
    }
}

/// Logs in again where the homeserver has forgotten `account`, and keeps that in the agent's file. The agent
/// stays the incarnation it is.
pub(in crate::command::agent) async fn again(
    context: &Context,
    file: &Path,
    account: &MatrixAccount,
) -> Result<MatrixAccount, CliError> {
    let _lock = super::place::lock(file)?;
    let mut credentials = Credentials::read(file)?;
    // Another process of the agent may have done it meanwhile.
    if let Some(known) = credentials.matrix.take().filter(|known| known != account) {
        return Ok(known);
    }
    let Some(again) = ensure(&context.settings()?, &account.user_id).await? else {
        return Err(ConnectorError::Forgotten(account.user_id.to_string()).into());
    };
    credentials.matrix = Some(again.clone());
    credentials.store(file)?;
    context.out.progress(&format!(
        "the homeserver had forgotten the device of {}; it is logged in again",
        account.user_id
    ));
    Ok(again)
}

/// What became of an account.
pub(in crate::command::agent) enum Ended {
    /// Nobody can log in to it any more.
    Deactivated,
    /// Nothing: whoever cannot make accounts cannot end them.
    NoWay,
}

/// Deactivates the account of an agent for good, as its application service or its owner may: its password is known here.
pub(in crate::command::agent) async fn end(
    settings: &Settings,
    user: &UserId,
) -> Result<Ended, CliError> {
    let Some((homeserver, registration)) = way_in(settings)? else {
        return Ok(Ended::NoWay);
    };
    if let Registration::Appservice(token) = &registration {
        let accounts = Accounts::new(homeserver)?;
        accounts.deactivate_by_service(token, user.as_str()).await?;
        return Ok(Ended::Deactivated);
    }
    let password = password(&registration, user)?;
    let password = password.expose();
    let matrix = Matrix::login(homeserver, user.as_str(), password, "fleet agent revoke").await?;
    matrix.deactivate(password).await?;
    Ok(Ended::Deactivated)
}

fn way_in(settings: &Settings) -> Result<Option<(Url, Registration)>, CliError> {
    let registration = registration(&settings.homeserver)?;
    Ok(settings.homeserver.url.clone().zip(registration))
}

/// The account's password: known to whoever may make accounts, and kept nowhere.
fn password(registration: &Registration, user: &UserId) -> Result<Secret, CliError> {
    let secret = match registration {
        Registration::SharedSecret { secret, .. }
        | Registration::Token(secret)
        | Registration::Appservice(secret) => secret,
    };
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes())
        .map_err(|e| CliError::Internal(format!("a secret is no key: {e}")))?;
    mac.update(b"fleet agent ");
    mac.update(user.as_str().as_bytes());
    let hex: String = mac
        .finalize()
        .into_bytes()
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    Ok(Secret::new(hex))
}
