//! `fleet demo`: the whole story with real Matrix clients, in a throw-away folder.
//!
//! A step that fails ends the story; what rooms and register say is compared all the same.

mod burst;
mod cast;
mod chat;
mod compare;
mod progress;
mod story;

use std::path::PathBuf;

use fleet_homeserver::Secret;
use fleet_homeserver::accounts::Registration;
use fleet_homeserver::child::log_tail;
use fleet_homeserver::process::Software;
use fleet_local::stack::{HomeserverChoice, StackSettings};

use crate::args::{Demo, Existing};
use crate::command::up;
use crate::error::CliError;
use crate::exit::Exit;
use crate::raise::{self, Fleet, Plan};
use crate::settings::{Log, SecretText, Settings, SettingsError};
use crate::{Context, command, log, system};

use progress::{Progress, Summary};

/// Local part of names on a homeserver that others use too.
const LONGEST_PREFIX: usize = 24;

/// Plays the story; exit code 0 only if nothing failed, was lost or doubled.
pub(crate) async fn run(context: &Context, args: &Demo) -> Result<Exit, CliError> {
    let base = context.settings()?;
    log::start(&Log {
        filter: "warn".into(),
        ..base.log.clone()
    })?;
    let shutdown = command::stop_signal()?;
    let (plan, place) = plan(base, &args.existing, "demo")?;
    let raising = Fleet::raise(plan, up::report(context.out));
    let fleet = tokio::select! {
        fleet = raising => fleet,
        () = shutdown.cancelled() => return Err(CliError::Missed("stopped before its end".into())),
    };
    let fleet = fleet.inspect_err(|_| {
        context
            .out
            .progress(&format!("the folder is kept: {}", place.display()))
    })?;
    let mut progress = Progress::new(context.out);
    let played = tokio::select! {
        played = play(&mut progress, &fleet) => played,
        () = shutdown.cancelled() => Err(CliError::Missed("stopped before its end".into())),
    };
    let ok = finish(context, &mut progress, &fleet, played)?;
    let folder = fleet.stop().await;
    if ok && !args.keep {
        folder
            .remove()
            .map_err(|e| CliError::service("the throw-away folder", &e))?;
    } else {
        context
            .out
            .progress(&format!("the folder is kept: {}", place.display()));
    }
    Ok(if ok { Exit::Done } else { Exit::Missed })
}

async fn play(progress: &mut Progress, fleet: &Fleet) -> Result<Summary, CliError> {
    let mut cast = cast::assemble(progress, fleet).await?;
    let told = story::tell(progress, &mut cast).await;
    let burst = match &told {
        Ok(()) => burst::fire(progress, fleet, &mut cast).await,
        Err(_) => Ok(()),
    };
    let summary = compare::compare(progress, fleet, &mut cast).await;
    told.and(burst)?;
    summary
}

/// Prints the summary, and the ends of the logs if something went wrong.
fn finish(
    context: &Context,
    progress: &mut Progress,
    fleet: &Fleet,
    played: Result<Summary, CliError>,
) -> Result<bool, CliError> {
    let summary = match played {
        Ok(summary) => summary,
        Err(error) => {
            context
                .out
                .progress(&format!("the story ended early: {error}"));
            Summary::default()
        }
    };
    let ok = progress.end(&summary)?;
    if !ok {
        for name in [raise::GATEWAY, raise::BOT, "postgres", "homeserver"] {
            let tail = log_tail(&fleet.stack.folder().log(name), 25);
            context
                .out
                .progress(&format!("--- end of the log of {name} ---\n{tail}"));
        }
    }
    Ok(ok)
}

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
    // A tenant of its own: room aliases carry it, and others may run on the same homeserver.
    let tenant = if prefix.is_empty() {
        name.to_owned()
    } else {
        format!("{name}-{unique}")
    };
    base.tenant.id = tenant
        .parse()
        .map_err(|e| CliError::Internal(format!("{tenant}: {e}")))?;
    let database = up::database(&base)?;
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
