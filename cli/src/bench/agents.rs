//! Agents at work: messages between two of them against the homeserver's bare send to sync, a listener's
//! memory, a crew of processes that claims and completes while some of it is killed, and a claim in a register
//! that is full of tasks.

mod crew;
mod listener;
mod member;
mod ready;
mod tally;
mod worker;

use std::time::Duration;

use fleet_agent::matrix::{Follow, Matrix, text};
use fleet_protocol::scalar::Count;
use fleet_protocol::verbs::inbox::{Ack, Next, Send};
use fleet_protocol::{Query, Reply};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::measure::{Figure, Measure, Target, percentile};
use super::world;
use crate::command::say;
use crate::error::{CliError, fixed};
use crate::output::Output;
use crate::raise::Fleet;

use member::Member;
pub(crate) use worker::run as agent;

/// The longest that a bare message may take.
const LONGEST: Duration = Duration::from_secs(20);
/// Messages of each side; one chain holds 200.
const MESSAGES: usize = 150;
/// Of them, those that are not counted.
const WARMING: usize = 10;

/// Measures with so many agents and tasks.
pub(crate) async fn measure(
    out: Output,
    fleet: &Fleet,
    agents: u32,
    tasks: u32,
) -> Result<Vec<Figure>, CliError> {
    let operator = say::gateway(&fleet.settings)?;
    let host = &fleet.settings.gateway.url;
    out.progress(&format!("{agents} agents join"));
    let mut members = Vec::new();
    for n in 1..=agents {
        members.push(Member::join(&operator, host, n).await?);
    }
    let [one, two, ..] = members.as_slice() else {
        return Err(CliError::Usage("agents are measured in twos".into()));
    };
    out.progress("messages from one agent to another, and of the homeserver alone");
    let mut figures = messages(fleet, one, two).await?;
    figures.push(listener::memory(one, two).await?);
    let mut floor = world::floor(fleet, 1).await?;
    let tenant = fleet.settings.tenant.id.to_string();
    let asker = one.clone();
    figures.extend(crew::work(out, &operator, &mut floor, &tenant, members, tasks).await?);
    figures.push(ready::claim(out, &mut floor, &tenant, asker).await?);
    let removed = floor.remove().await;
    removed.map_err(|e| CliError::service("the database", &e))?;
    Ok(figures)
}

/// All figures in one object, each under its name and unit.
pub(crate) fn summary(all: &[Measure]) -> Map<String, Value> {
    let named = all.iter().map(|measure| {
        let name = match (measure.name, measure.unit) {
            ("claim_p99", "ms") => "claim_p99_ms",
            (name, _) => name,
        };
        (name.to_owned(), json!(measure.value))
    });
    named.collect()
}

/// From an agent's send to the other's receipt from its inbox; beside it the homeserver's send to sync.
async fn messages(fleet: &Fleet, one: &Member, two: &Member) -> Result<Vec<Figure>, CliError> {
    let url = fleet.stack.homeserver().url.clone();
    let token = fleet.operator.session()?.access_token.clone();
    let human = Matrix::with_token(url, token.expose()).await?;
    let room = human.create_room("bench", &[]).await?;
    let mut follow = Follow::start(human.clone()).await?;
    let (mut times, mut floor) = (Vec::new(), Vec::new());
    for n in 0..MESSAGES {
        let bare = bare(&human, &mut follow, &room, n).await?;
        let ours = ours(one, two).await?;
        if n >= WARMING {
            floor.push(bare);
            times.push(ours);
        }
    }
    let figure = |name, per_mille, target| {
        Some(Figure {
            name,
            unit: "ms",
            value: percentile(&times, per_mille)?,
            floor: percentile(&floor, per_mille),
            target,
        })
    };
    let figures = [
        figure("message_p50", 500, Some(Target::RatioAndAdded(1.3, 10.0))),
        figure("message_p99", 990, None),
    ];
    Ok(figures.into_iter().flatten().collect())
}

async fn bare(
    human: &Matrix,
    follow: &mut Follow,
    room: &str,
    n: usize,
) -> Result<Duration, CliError> {
    let began = Instant::now();
    let sent = human
        .send(
            room,
            "m.room.message",
            &text("measure"),
            &format!("bare-{n}"),
        )
        .await?;
    follow
        .until("the bare message", LONGEST, |seen| {
            seen.event.event_id == sent
        })
        .await?;
    Ok(began.elapsed())
}

/// The other waits when it is sent.
async fn ours(one: &Member, two: &Member) -> Result<Duration, CliError> {
    let waiting = async {
        let next = Next {
            wait: None,
            limit: Some(Count::from(1)),
        };
        let taken = two.ask(Query::from(next)).await?;
        Ok::<_, CliError>((taken, Instant::now()))
    };
    let sending = async {
        // Long enough for the wait to have begun.
        tokio::time::sleep(Duration::from_millis(20)).await;
        let began = Instant::now();
        one.say(Send {
            to: two.address()?,
            text: fixed("measure")?,
            class: None,
        })
        .await?;
        Ok::<_, CliError>(began)
    };
    let ((taken, at), began) = tokio::try_join!(waiting, sending)?;
    let Reply::Items(items) = taken else {
        return Err(CliError::Internal("an inbox answers no items".into()));
    };
    let items = items
        .iter()
        .map(|i| fixed(&i.id))
        .collect::<Result<Vec<_>, _>>()?;
    two.say(Ack { items }).await?;
    Ok(at.duration_since(began))
}
