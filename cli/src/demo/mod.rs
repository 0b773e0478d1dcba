//! `fleet demo`: the whole story with real Matrix clients, in a throw-away folder.
//!
//! A step that fails ends the story; what rooms and register say is compared all the same.

mod burst;
mod cast;
mod chat;
mod compare;
mod progress;
mod story;

pub(crate) use chat::join_rooms;

use fleet_homeserver::child::log_tail;

use crate::args::Demo;
use crate::command::up;
use crate::error::CliError;
use crate::exit::Exit;
use crate::raise::{self, Fleet};
use crate::settings::Log;
use crate::throwaway::plan;
use crate::{Context, command, log};

use progress::{Progress, Summary};

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
