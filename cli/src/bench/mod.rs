//! `fleet bench`: what a command costs, measured on a throw-away fleet beside its floor.
//!
//! Floor and fleet take turns in the same run, as absolute figures of one machine say little. The
//! floor of a round trip is an echo bot: the same session, store, filter and message size, and no
//! register. The floor of a commit is a bare transaction with the same rows.

mod agents;
mod board;
mod budget;
mod burst;
mod commits;
mod ears;
mod measure;
mod memory;
mod roundtrip;
mod world;

use std::path::Path;
use std::time::Duration;

use crate::args::{Bench, Measured};
use crate::command::{self, up};
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::Output;
use crate::raise::Fleet;
use crate::settings::{Log, SettingsError};
use crate::{Context, log, throwaway};

use measure::{BUILD, Figure, Measure};
use world::Rooms;

/// Measures, or is one of the programs that are measured.
pub(crate) async fn run(context: &Context, args: &Bench) -> Result<Exit, CliError> {
    if args.measured == Measured::EchoBot {
        return echo_bot(context, args.answer.as_deref()).await;
    }
    if args.measured == Measured::Agent {
        return agents::agent(context).await;
    }
    let base = context.settings()?;
    log::start(&Log {
        filter: "warn".into(),
        ..base.log.clone()
    })?;
    let out = context.out;
    if BUILD == "debug" {
        out.progress("a debug build: its figures say nothing; use cargo run --release");
    }
    let shutdown = command::stop_signal()?;
    let (plan, place) = throwaway::plan(base, &args.existing, "bench")?;
    let stopped = || CliError::Missed("stopped before its end".into());
    let raised = tokio::select! {
        raised = Fleet::raise(plan, up::report(out)) => raised,
        () = shutdown.cancelled() => Err(stopped()),
    };
    let kept = || out.progress(&format!("the folder is kept: {}", place.display()));
    let fleet = raised.inspect_err(|_| kept())?;
    let measured = tokio::select! {
        measured = measure(out, &fleet, args) => measured,
        () = shutdown.cancelled() => Err(stopped()),
    };
    let folder = fleet.stop().await;
    if args.keep || measured.is_err() {
        kept();
    } else {
        folder
            .remove()
            .map_err(|e| CliError::service("the throw-away folder", &e))?;
    }
    let measured = measured?;
    if args.measured == Measured::Agents && out.is_json() {
        out.answer(&agents::summary(&measured), String::new)?;
    }
    let has_missed = measured.iter().any(|m| m.ok == Some(false));
    Ok(if args.strict && has_missed {
        Exit::Missed
    } else {
        Exit::Done
    })
}

/// Measures what is asked, and prints each measure when it is known.
async fn measure(out: Output, fleet: &Fleet, args: &Bench) -> Result<Vec<Measure>, CliError> {
    let is_asked = |m: Measured| args.measured == Measured::All || args.measured == m;
    let needs_burst = is_asked(Measured::Burst) || is_asked(Measured::Memory);
    let homeserver = world::homeserver(fleet).await?;
    if !out.is_json() {
        out.line(&format!(
            "{homeserver}, {BUILD} build\n\n{}",
            Measure::head()
        ))?;
    }
    let mut all = Vec::new();
    let mut tell = |figures: Vec<Figure>| {
        figures.into_iter().try_for_each(|figure| {
            let measure = figure.judged(&homeserver);
            out.answer(&measure, || measure.line())?;
            all.push(measure);
            Ok::<_, CliError>(())
        })
    };
    if is_asked(Measured::Gateway) {
        tell(commits::measure(out, fleet, args.samples).await?)?;
    }
    if args.measured == Measured::Budget {
        tell(budget::measure(out, fleet, args.samples).await?)?;
    }
    if is_asked(Measured::Roundtrip) || is_asked(Measured::Board) || needs_burst {
        let count = if needs_burst { burst::ROOMS } else { 1 };
        out.progress("making rooms");
        let mut rooms = Rooms::make(fleet, count).await?;
        if is_asked(Measured::Roundtrip) {
            tell(roundtrip::measure(out, &mut rooms, args.samples).await?)?;
        }
        if is_asked(Measured::Board) {
            tell(board::measure(out, fleet, &mut rooms, args.samples).await?)?;
        }
        if needs_burst {
            let rate = burst::measure(out, &mut rooms, args.burst).await?;
            if is_asked(Measured::Burst) {
                tell(vec![rate])?;
            }
        }
    }
    if args.measured == Measured::Agents {
        tell(agents::measure(out, fleet, args.agents, args.tasks).await?)?;
    }
    if is_asked(Measured::Memory) {
        let idle = Duration::from_secs(args.idle.into());
        tell(memory::measure(out, fleet, idle).await?)?;
    }
    Ok(all)
}

/// Runs the echo bot until it is asked to stop.
async fn echo_bot(context: &Context, answer: Option<&Path>) -> Result<Exit, CliError> {
    let settings = context.settings()?;
    log::start(&settings.log)?;
    let answer = world::read_answer(answer.ok_or(SettingsError::missing("--answer"))?)?;
    let shutdown = command::stop_signal()?;
    fleet_bot::echo(command::bot::bot(&settings)?, answer, shutdown)
        .await
        .map_err(|e| CliError::service("the echo bot", &e))?;
    Ok(Exit::Done)
}
