//! One command at a time, from its send to the receipt of its answer: the fleet and the echo bot in turn.

use std::time::Duration;

use tokio::time::Instant;

use super::measure::{Figure, Target, percentile};
use super::world::{Rooms, Side, line};
use crate::error::CliError;
use crate::output::Output;

/// Pause after each sample: what a bot does after its answer is not measured as the other's time.
const REST: Duration = Duration::from_millis(75);
/// Samples of each side that are not counted.
const WARMING: u32 = 5;

/// Measures `samples` round trips of each side.
pub(crate) async fn measure(
    out: Output,
    rooms: &mut Rooms,
    samples: u32,
) -> Result<Vec<Figure>, CliError> {
    let (ours, echo) = (rooms.ours.clone(), rooms.echo.clone());
    let (mut times, mut floor) = (Vec::new(), Vec::new());
    for n in 0..samples + WARMING {
        // Whoever is first in one turn is second in the next.
        let is_even = n % 2 == 0;
        let order = if is_even {
            [&ours, &echo]
        } else {
            [&echo, &ours]
        };
        for side in order {
            let time = sample(rooms, side, n).await?;
            if n >= WARMING {
                let samples = if side.name == ours.name {
                    &mut times
                } else {
                    &mut floor
                };
                samples.push(time);
            }
            tokio::time::sleep(REST).await;
        }
        if n % 100 == 99 {
            out.progress(&format!("round trips: {} of {samples}", n + 1));
        }
    }
    let figure = |name, per_mille, target| {
        Some(Figure {
            name,
            unit: "ms",
            value: percentile(&times, per_mille)?,
            floor: percentile(&floor, per_mille),
            target: Some(target),
        })
    };
    let figures = [
        figure("roundtrip_p50", 500, Target::RatioAndAdded(1.3, 8.0)),
        figure("roundtrip_p99", 990, Target::RatioAtMost(1.5)),
    ];
    Ok(figures.into_iter().flatten().collect())
}

async fn sample(rooms: &mut Rooms, side: &Side, n: u32) -> Result<Duration, CliError> {
    let room = side.rooms.first().map(String::as_str).unwrap_or_default();
    let transaction = format!("roundtrip-{}-{n}", side.name);
    let began = Instant::now();
    let sent = rooms
        .human
        .send(room, "m.room.message", &line(n), &transaction)
        .await?;
    let heard = rooms.ears.answer(room, &side.user, &sent).await?;
    Ok(heard.at.duration_since(began))
}
