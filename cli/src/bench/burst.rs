//! Many commands at once: every room is written to as fast as the homeserver takes it, and the time
//! ends with the last answer.

use std::collections::HashSet;
use std::time::Duration;

use fleet_agent::matrix::{Matrix, MatrixError};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::measure::{Figure, Target, rate};
use super::world::{Rooms, Side, line};
use crate::error::CliError;
use crate::output::Output;

/// Rooms of each side.
pub(crate) const ROOMS: usize = 8;
/// Without any answer for this long, what is missing counts as lost.
const SILENCE: Duration = Duration::from_secs(60);

/// What one burst came to.
#[derive(Debug, Clone, Copy, Default)]
struct Shot {
    answers: usize,
    lost: usize,
    elapsed: Duration,
}

impl Shot {
    fn and(self, other: Self) -> Self {
        Self {
            answers: self.answers + other.answers,
            lost: self.lost + other.lost,
            elapsed: self.elapsed + other.elapsed,
        }
    }
}

/// Two bursts of each side, in the order echo, fleet, fleet, echo. A lost answer of the fleet is an
/// error: a rate of what came would say nothing.
pub(crate) async fn measure(out: Output, rooms: &mut Rooms, each: u32) -> Result<Figure, CliError> {
    let (ours, echo) = (rooms.ours.clone(), rooms.echo.clone());
    let (mut value, mut floor) = (Shot::default(), Shot::default());
    for (n, side) in [&echo, &ours, &ours, &echo].into_iter().enumerate() {
        let shot = fire(rooms, side, each, n).await?;
        out.progress(&format!(
            "burst of {}: {} answers in {:.1} s, {} lost",
            side.name,
            shot.answers,
            shot.elapsed.as_secs_f64(),
            shot.lost
        ));
        let sum = if side.name == ours.name {
            &mut value
        } else {
            &mut floor
        };
        *sum = sum.and(shot);
    }
    if value.lost > 0 {
        return Err(CliError::Missed(format!(
            "{} commands of a burst have no answer",
            value.lost
        )));
    }
    Ok(Figure {
        name: "burst_rate",
        unit: "answers/s",
        value: rate(value.answers, value.elapsed),
        floor: Some(rate(floor.answers, floor.elapsed)),
        target: Some(Target::RatioAtLeast(0.8)),
    })
}

async fn fire(rooms: &mut Rooms, side: &Side, each: u32, turn: usize) -> Result<Shot, CliError> {
    let began = Instant::now();
    let mut writers = JoinSet::new();
    for (n, room) in side.rooms.iter().enumerate() {
        let transaction = format!("burst-{}-{turn}-{n}", side.name);
        writers.spawn(write(rooms.human.clone(), room.clone(), each, transaction));
    }
    let (mut sent, mut answered) = (HashSet::new(), HashSet::new());
    let mut last = began;
    while !writers.is_empty() || !sent.is_subset(&answered) {
        let heard = tokio::select! {
            Some(written) = writers.join_next() => {
                let written = written.map_err(|e| CliError::Internal(format!("a writer: {e}")))?;
                sent.extend(written?);
                continue;
            }
            heard = rooms.ears.next() => heard?,
        };
        let heard = match heard {
            Some(heard) => vec![heard],
            None if last.elapsed() > SILENCE => break,
            None => look(rooms, side).await?,
        };
        for answer in heard.into_iter().filter(|h| h.sender == side.user) {
            last = last.max(answer.at);
            answered.insert(answer.to);
        }
    }
    let answers = sent.intersection(&answered).count();
    Ok(Shot {
        answers,
        lost: sent.len() - answers,
        elapsed: last.duration_since(began),
    })
}

async fn look(rooms: &mut Rooms, side: &Side) -> Result<Vec<super::ears::Heard>, CliError> {
    let mut missed = Vec::new();
    for room in &side.rooms {
        missed.extend(rooms.ears.look(room).await?);
    }
    Ok(missed)
}

/// Writes to one room, one message after the other; the event ids.
async fn write(
    human: Matrix,
    room: String,
    each: u32,
    transaction: String,
) -> Result<Vec<String>, MatrixError> {
    let mut sent = Vec::new();
    for n in 0..each {
        let transaction = format!("{transaction}-{n}");
        let event = human
            .send(&room, "m.room.message", &line(n), &transaction)
            .await?;
        sent.push(event);
    }
    Ok(sent)
}
