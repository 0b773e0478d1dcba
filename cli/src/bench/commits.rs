//! `task add` over HTTP against bare transactions with the same rows, in alternating slices.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use fleet_client::Gateway;
use fleet_gateway::{Commits, Floor};
use fleet_protocol::Command;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::measure::{Figure, Target, percentile, rate};
use super::world;
use crate::command::{call, say};
use crate::error::CliError;
use crate::output::Output;
use crate::raise::Fleet;

/// Connections of each side.
const CONNECTIONS: u32 = 8;
/// Slices of each side.
const SLICES: u32 = 10;
/// Commands by which the written rows are counted; the fewest count, as others may write beside them.
const COUNTED: usize = 5;

/// Commits of each side that are not counted.
const WARMING: u32 = 400;

/// One side of the comparison.
#[derive(Debug, Clone)]
enum Side {
    Gateway(Gateway),
    Database(Commits),
}

/// Times of one side.
#[derive(Debug, Default)]
struct Times {
    elapsed: Duration,
    samples: Vec<Duration>,
}

/// Measures `samples` commands of each side.
pub(crate) async fn measure(
    out: Output,
    fleet: &Fleet,
    samples: u32,
) -> Result<Vec<Figure>, CliError> {
    let gateway = say::gateway(&fleet.settings)?;
    let mut floor = world::floor(fleet, CONNECTIONS).await?;
    if !floor.is_durable().await.map_err(failed)? {
        out.progress("fsync or synchronous_commit is off: gateway_commits says nothing here");
    }
    let sizes = rows(&gateway, &mut floor).await?;
    out.progress(&format!(
        "a command writes {} rows of {} bytes together",
        sizes.len(),
        sizes.iter().sum::<usize>()
    ));
    let (ours, bare) = (
        Side::Gateway(gateway),
        Side::Database(floor.commits(&sizes)),
    );
    // Connections are made, statements planned, and the register is no longer empty.
    for side in [&ours, &bare] {
        slice(side, WARMING).await?;
    }
    floor.analyze().await.map_err(failed)?;
    let figures = compare(out, &ours, &bare, samples).await;
    let removed = floor.remove().await.map_err(failed);
    let figures = figures?;
    removed?;
    Ok(figures)
}

fn failed(error: impl std::error::Error + 'static) -> CliError {
    CliError::service("the database", &error)
}

/// Sizes of the rows that one command writes.
async fn rows(gateway: &Gateway, floor: &mut Floor) -> Result<Vec<usize>, CliError> {
    let mut fewest: Option<Vec<usize>> = None;
    for n in 0..COUNTED {
        let from = floor.moment().await.map_err(failed)?;
        command(gateway, u32::try_from(n).unwrap_or_default()).await?;
        let written = floor.written_since(from).await.map_err(failed)?;
        if fewest.as_ref().is_none_or(|f| written.len() < f.len()) {
            fewest = Some(written);
        }
    }
    Ok(fewest.unwrap_or_default())
}

async fn compare(
    out: Output,
    ours: &Side,
    bare: &Side,
    samples: u32,
) -> Result<Vec<Figure>, CliError> {
    for side in [ours, bare] {
        slice(side, 10 * CONNECTIONS).await?;
    }
    let (mut times, mut floor) = (Times::default(), Times::default());
    let each = samples.div_ceil(SLICES);
    for turn in 0..SLICES {
        let (first, second) = if turn % 2 == 0 {
            (bare, ours)
        } else {
            (ours, bare)
        };
        for side in [first, second] {
            let slice = slice(side, each).await?;
            let sum = match side {
                Side::Gateway(_) => &mut times,
                Side::Database(_) => &mut floor,
            };
            sum.elapsed += slice.elapsed;
            sum.samples.extend(slice.samples);
        }
    }
    out.progress(&format!(
        "{} commands over HTTP, {} bare transactions",
        times.samples.len(),
        floor.samples.len()
    ));
    Ok(vec![
        Figure {
            name: "gateway_commits",
            unit: "commits/s",
            value: rate(times.samples.len(), times.elapsed),
            floor: Some(rate(floor.samples.len(), floor.elapsed)),
            target: Some(Target::RatioAtLeast(0.6)),
        },
        Figure {
            name: "gateway_p99",
            unit: "ms",
            value: percentile(&times.samples, 990).unwrap_or_default(),
            floor: percentile(&floor.samples, 990),
            target: None,
        },
    ])
}

/// `count` commits of one side by all its connections at once.
async fn slice(side: &Side, count: u32) -> Result<Times, CliError> {
    let next = Arc::new(AtomicU32::new(0));
    let began = Instant::now();
    let mut workers = JoinSet::new();
    for _ in 0..CONNECTIONS {
        workers.spawn(work(side.clone(), Arc::clone(&next), count));
    }
    let mut samples = Vec::new();
    while let Some(worked) = workers.join_next().await {
        let worked = worked.map_err(|e| CliError::Internal(format!("a worker: {e}")))?;
        samples.extend(worked?);
    }
    Ok(Times {
        elapsed: began.elapsed(),
        samples,
    })
}

async fn work(side: Side, next: Arc<AtomicU32>, count: u32) -> Result<Vec<Duration>, CliError> {
    let mut samples = Vec::new();
    loop {
        let n = next.fetch_add(1, Ordering::Relaxed);
        if n >= count {
            return Ok(samples);
        }
        let began = Instant::now();
        match &side {
            Side::Gateway(gateway) => command(gateway, n).await?,
            Side::Database(commits) => commits.one().await.map_err(failed)?,
        }
        samples.push(began.elapsed());
    }
}

async fn command(gateway: &Gateway, n: u32) -> Result<(), CliError> {
    let add = json!({ "task.add": { "title": format!("Measure {n:06}") } });
    let request: Command =
        serde_json::from_value(add).map_err(|e| CliError::Internal(e.to_string()))?;
    call::write(gateway, None, request).await.map(drop)
}
