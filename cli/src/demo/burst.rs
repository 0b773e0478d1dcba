//! Fifty commands, and SIGKILL for bot, gateway and PostgreSQL in the middle of them.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use super::cast::Cast;
use super::chat::Chat;
use super::progress::Progress;
use crate::error::CliError;
use crate::raise::{BOT, Fleet, GATEWAY};

/// Commands of the burst.
const LINES: usize = 50;
/// How long all answers may take, restarts included.
const ANSWERED: Duration = Duration::from_secs(180);
/// After how many lines which process is killed.
const KILLS: [(usize, &str); 3] = [(12, BOT), (25, GATEWAY), (38, fleet_local::stack::POSTGRES)];

/// Title of a task of the burst.
fn title(n: usize) -> String {
    format!("Burst {n:02}")
}

/// Fires, kills, and waits until every line has an answer.
pub(crate) async fn fire(
    progress: &mut Progress,
    fleet: &Fleet,
    cast: &mut Cast,
) -> Result<(), CliError> {
    let started = Instant::now();
    let fired = shoot(progress, fleet, &mut cast.operator).await;
    let lines = progress.step("burst", started, fired)?;
    let started = Instant::now();
    let answered = answers(progress, fleet, &mut cast.operator, lines).await;
    progress.step("burst answered", started, answered)
}

async fn shoot(
    progress: &Progress,
    fleet: &Fleet,
    operator: &mut Chat,
) -> Result<(BTreeSet<String>, String), CliError> {
    let mut lines = BTreeSet::new();
    let mut killed = Vec::new();
    let mut since_kill = BTreeSet::new();
    for n in 1..=LINES {
        let line = format!("!task add \"{}\"", title(n));
        let event_id = operator.say(progress, "lobby", &line).await?;
        since_kill.insert(event_id.clone());
        lines.insert(event_id);
        let Some((_, name)) = KILLS.iter().find(|(after, _)| *after == n) else {
            continue;
        };
        resumed(progress, operator, &since_kill).await?;
        let failed = |e| CliError::service("a process to kill", &e);
        fleet.stack.processes().kill(name).await.map_err(failed)?;
        progress.transcript("SIGKILL", name)?;
        killed.push(*name);
        since_kill.clear();
    }
    let detail = format!(
        "{LINES} lines sent; killed meanwhile: {}",
        killed.join(", ")
    );
    Ok((lines, detail))
}

/// Waits for the first answer to a line sent since the last kill: the next kill then meets a fleet
/// that is at work on the rest of them.
async fn resumed(
    progress: &Progress,
    operator: &mut Chat,
    lines: &BTreeSet<String>,
) -> Result<(), CliError> {
    let fleet = operator.fleet.clone();
    let answers = |seen: &fleet_agent::matrix::Seen| {
        let to = seen.event.reply_to();
        seen.event.sender == fleet && to.is_some_and(|to| lines.contains(to))
    };
    let what = "an answer after a restart";
    operator
        .until(progress, what, ANSWERED, answers)
        .await
        .map(drop)
}

async fn answers(
    progress: &Progress,
    fleet: &Fleet,
    operator: &mut Chat,
    mut open: BTreeSet<String>,
) -> Result<((), String), CliError> {
    for (_, name) in KILLS {
        fleet
            .stack
            .processes()
            .ready(name)
            .await
            .map_err(|e| CliError::service("a restarted process", &e))?;
    }
    let deadline = Instant::now() + ANSWERED;
    let mut looked = 0;
    while !open.is_empty() {
        for seen in &operator.seen[looked..] {
            if let Some(to) = seen
                .event
                .reply_to()
                .filter(|_| seen.event.sender == operator.fleet)
            {
                open.remove(to);
            }
        }
        looked = operator.seen.len();
        if Instant::now() >= deadline {
            return Err(CliError::Missed(format!(
                "{} of {LINES} lines have no answer",
                open.len()
            )));
        }
        if !open.is_empty() {
            operator.listen(progress).await?;
        }
    }
    Ok(((), format!("each of {LINES} lines has an answer")))
}
