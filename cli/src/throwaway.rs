//! A fleet in a throw-away folder, for `fleet demo` and `fleet bench`.

use std::path::PathBuf;

use fleet_homeserver::Secret;
use fleet_homeserver::accounts::Registration;
use fleet_homeserver::process::Software;
use fleet_local::stack::{Database, HomeserverChoice, StackSettings};

use crate::args::Existing;
use crate::command::up;
use crate::error::CliError;
use crate::raise::Plan;
use crate::settings::{Bot, SecretText, Settings, SettingsError};
use crate::system;

/// Local part of names on a homeserver that others use too.
const LONGEST_PREFIX: usize = 24;

/// A stack in a throw-away folder, on a homeserver of its own or on the given one.
pub(crate) fn plan(
    mut base: Settings,
    existing: &Existing,
    name: &str,
) -> Result<(Plan, PathBuf), CliError> {
    let id = system::id().simple().to_string();
    let unique = &id[id.len() - 8..];
    let folder = std::env::temp_dir().join(format!("fleet-{name}-{unique}"));
    let (homeserver, prefix) = match &existing.homeserver {
        Some(url) => {
            let registration = Some(registration(existing)?);
            let mut prefix = format!("{name}-{unique}-");
            prefix.truncate(LONGEST_PREFIX);
            (
                HomeserverChoice::Existing {
                    url: url.clone(),
                    registration,
                },
                prefix,
            )
        }
        None => {
            let mut choice = HomeserverChoice::embedded("fleet.localhost");
            if let HomeserverChoice::Embedded {
                software,
                fast_hashing,
                port,
                ..
            } = &mut choice
            {
                *fast_hashing = true;
                *port = None;
                if let Some(conduit) = base.homeserver.conduit.clone() {
                    *software = Software::Conduit(conduit);
                }
            }
            (choice, String::new())
        }
    };
    // A tenant of its own: room aliases carry it, and others may run on the same homeserver or in the
    // same database.
    let database = up::database(&base)?;
    let is_alone = prefix.is_empty() && matches!(database, Database::Embedded(_));
    let tenant = if is_alone {
        name.to_owned()
    } else {
        format!("{name}-{unique}")
    };
    base.tenant.id = tenant
        .parse()
        .map_err(|e| CliError::Internal(format!("{tenant}: {e}")))?;
    // Its people and its bot are its own too.
    base.operator = Default::default();
    base.bot = Bot {
        localpart: base.bot.localpart,
        ..Bot::default()
    };
    let stack = StackSettings {
        folder: folder.clone(),
        database,
        homeserver,
        throwaway: false,
    };
    Ok((
        Plan {
            stack,
            base,
            prefix,
        },
        folder,
    ))
}

fn registration(existing: &Existing) -> Result<Registration, CliError> {
    let secret = SecretText::of(
        "--shared-secret",
        None,
        existing.shared_secret_file.as_deref(),
    )?;
    if let Some(secret) = secret {
        return Ok(Registration::SharedSecret {
            secret: Secret::new(secret.expose()),
            admin: false,
        });
    }
    let token = SecretText::of(
        "--registration-token",
        None,
        existing.registration_token_file.as_deref(),
    )?;
    let token = token.ok_or(SettingsError::missing("homeserver.registration_token_file"))?;
    Ok(Registration::Token(Secret::new(token.expose())))
}
