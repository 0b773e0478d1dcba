//! Random votes: ballots, changes, withdrawals, redactions, replays, reorderings, restarts, outages
//! over deadlines, amendments. Each history runs through a gateway with a register of its own and
//! through the reference, which knows the rules and no SQL; whatever differs is told.

mod history;
mod reference;
mod stage;

use std::time::Duration;

use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::args::SimulateBoard;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::Output;

use stage::Stage;

/// Gateways at work at once, each with a register and a clock of its own.
const STAGES: u32 = 3;

/// What it came to.
#[derive(Debug, Clone, Copy, Default, Serialize)]
struct Sum {
    histories: u32,
    ballots: u64,
    disagreements: u64,
    seconds: f64,
}

/// Something in which gateway and reference differ.
#[derive(Debug, Serialize)]
struct Disagreement {
    /// The history's seed: `--seed` and its number make it again.
    history: u32,
    /// What differs.
    what: String,
}

/// What one history came to.
#[derive(Debug, Default)]
struct Told {
    ballots: u64,
    differs: Vec<String>,
}

/// Plays `histories` histories from a seed.
pub(super) async fn run(out: Output, args: &SimulateBoard) -> Result<Exit, CliError> {
    let began = Instant::now();
    let mut players = JoinSet::new();
    let stages = STAGES.min(args.histories);
    for n in 0..stages {
        let stage = Stage::open().await?;
        let (seed, histories) = (args.seed, args.histories);
        players.spawn(play(
            out,
            stage,
            seed,
            (n..histories).step_by(stages as usize),
        ));
    }
    let mut sum = Sum::default();
    while let Some(played) = players.join_next().await {
        let played = played.map_err(|e| CliError::Internal(format!("a player: {e}")))??;
        sum.histories += played.histories;
        sum.ballots += played.ballots;
        sum.disagreements += played.disagreements;
    }
    sum.seconds = seconds(began.elapsed());
    out.answer(&sum, || {
        format!(
            "{} histories with {} ballots in {} s: {} disagreements",
            sum.histories, sum.ballots, sum.seconds, sum.disagreements
        )
    })?;
    Ok(if sum.disagreements == 0 {
        Exit::Done
    } else {
        Exit::Missed
    })
}

fn seconds(elapsed: Duration) -> f64 {
    (elapsed.as_secs_f64() * 10.0).round() / 10.0
}

async fn play(
    out: Output,
    mut stage: Stage,
    seed: u64,
    histories: impl Iterator<Item = u32>,
) -> Result<Sum, CliError> {
    let mut sum = Sum::default();
    for history in histories {
        let told = history::play(&mut stage, seed, history).await?;
        sum.histories += 1;
        sum.ballots += told.ballots;
        sum.disagreements += told.differs.len() as u64;
        for what in told.differs {
            let disagreement = Disagreement { history, what };
            out.answer(&disagreement, || {
                format!("history {}: {}", disagreement.history, disagreement.what)
            })?;
        }
        if history % 500 == 499 {
            out.progress(&format!("history {}", history + 1));
        }
    }
    stage.close().await;
    Ok(sum)
}
