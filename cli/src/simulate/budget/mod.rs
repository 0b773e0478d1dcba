//! `fleet simulate budget`: a month of work over several subscriptions, with synthetic agents (bursty,
//! slow, dying, reporting twice and late) and synthetic providers whose own count is the truth.

mod agents;
mod chance;
mod figures;
mod provider;
mod steps;
mod watch;
mod world;

use std::time::Instant;

use fleet_local::postgres::TemporaryCluster;

use crate::args::SimulateBudget;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::Output;

use figures::Figures;
use world::World;

/// What cannot be, but for a mistake of the simulation.
fn internal(error: impl std::fmt::Display) -> CliError {
    CliError::Internal(error.to_string())
}

/// Keeps this thread, and the PostgreSQL that it starts, on one core: they talk in turns, and so neither waits for another
/// core to wake up.
#[cfg(target_os = "linux")]
fn on_one_core() -> std::io::Result<()> {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let ours = sched_getaffinity(None)?;
    let mut one = CpuSet::new();
    if let Some(core) = (0..CpuSet::MAX_CPU).rev().find(|core| ours.is_set(*core)) {
        one.set(core);
        sched_setaffinity(None, &one)?;
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn on_one_core() -> std::io::Result<()> {
    Ok(())
}

/// Simulates, and prints a line a day and the figures at the end.
pub(crate) async fn run(out: Output, args: &SimulateBudget) -> Result<Exit, CliError> {
    #[expect(
        clippy::disallowed_methods,
        reason = "how long the simulation took is measured, nothing is decided by it"
    )]
    let began = Instant::now();
    if let Err(error) = on_one_core() {
        tracing::debug!(%error, "the simulation may use every core");
    }
    out.progress("starting a throw-away PostgreSQL");
    let cluster = TemporaryCluster::start(20, &|_| {})
        .await
        .map_err(|e| CliError::service("PostgreSQL", &e))?;
    let mut world = World::make(&cluster, args).await?;
    for day in 1..=args.days {
        world.run_day(day).await?;
        out.answer(&world.day(day), || world.day(day).to_string())?;
    }
    let mut figures: Figures = world.finish().await?;
    figures.demand = args.demand;
    figures.seconds = began.elapsed().as_secs_f64();
    let missed = figures.missed(args);
    out.answer(&figures, || figures.text(&missed))?;
    Ok(if missed.is_empty() {
        Exit::Done
    } else {
        Exit::Missed
    })
}
