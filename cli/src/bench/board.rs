//! The board: from a ballot to the card that shows it, beside the round trip of a plain command; and a
//! thousand ballots at once.

use std::collections::BTreeMap;
use std::time::Duration;

use fleet_agent::matrix::{RoomEvent, reply};
use fleet_client::Gateway;
use fleet_protocol::event::TWIN;
use fleet_protocol::scalar::Name;
use fleet_protocol::verbs::board::{Holder, Propose, Seat, Verdict, Vote};
use fleet_protocol::{Command, Reply};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::measure::{Figure, Target, percentile};
use super::world::{Rooms, line};
use crate::command::{call, say};
use crate::demo::join_rooms;
use crate::error::{CliError, fixed};
use crate::output::Output;
use crate::raise::Fleet;

/// Open proposals of the burst, seats of each: a thousand ballots.
const PROPOSALS: u32 = 50;
const SEATS: u32 = 20;
/// Callers at once.
const CALLERS: u32 = 16;
/// Ballots timed at most: each takes a proposal of its own.
const MOST_SAMPLES: u32 = 200;
/// Pause after each sample.
const REST: Duration = Duration::from_millis(75);
/// How long the person may take into the board's room.
const INVITED: Duration = Duration::from_secs(90);
/// How long cards may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// Reactions that the bot places on each card.
const LEGEND: usize = 3;
/// How often the room is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// The board's room, and who votes in it.
struct Hall<'r> {
    rooms: &'r mut Rooms,
    gateway: Gateway,
    room: String,
    user: String,
}

/// Measures both.
pub(crate) async fn measure(
    out: Output,
    fleet: &Fleet,
    rooms: &mut Rooms,
    samples: u32,
) -> Result<Vec<Figure>, CliError> {
    let known = join_rooms(&rooms.human, &["board"], INVITED).await?;
    let room = known.get("board").cloned();
    let user = rooms.human.user_id().to_owned();
    let mut hall = Hall {
        gateway: say::gateway(&fleet.settings)?,
        room: room.ok_or_else(|| CliError::Missed("there is no room for the board".into()))?,
        user,
        rooms,
    };
    let card = hall.ballots(out, samples.min(MOST_SAMPLES)).await?;
    let burst = hall.burst(out).await?;
    Ok(vec![card, burst])
}

impl Hall<'_> {
    async fn command(&self, command: Command) -> Result<Reply, CliError> {
        call::write(&self.gateway, None, command).await
    }

    /// Opens a proposal with so many seats of the person, and one of somebody who stays away, without
    /// whom nothing is settled; its number.
    async fn propose(&self, title: &str, seats: u32) -> Result<String, CliError> {
        let seat = |n: u32| -> Result<Seat, CliError> {
            let away = format!("@away-{}", self.user.trim_start_matches('@'));
            let holder = if n < seats { &self.user } else { &away };
            Ok(Seat {
                title: fixed(&format!("s{n}"))?,
                holder: Holder::User(fixed(holder)?),
                weight: 1,
                may_veto: false,
            })
        };
        let propose = Propose {
            title: fixed(title)?,
            text: None,
            kind: None,
            effect: None,
            closes_at: None,
            seats: (0..=seats).map(seat).collect::<Result<_, _>>()?,
            quorum: None,
            threshold: None,
            template: None,
        };
        match self.command(Command::from(propose)).await? {
            Reply::Proposal(changed) => Ok(changed.now.id),
            other => Err(CliError::Missed(format!("no proposal: {other:?}"))),
        }
    }

    /// The cards in the newest events of the room: the event of each, and the ballots it shows.
    async fn cards(&self) -> Result<BTreeMap<String, (String, u64)>, CliError> {
        let page = self.rooms.human.messages(&self.room, None, 500).await?;
        let mut cards = BTreeMap::new();
        // The newest come first, and an edit tells more than the card it changes.
        for event in &page.chunk {
            let Some((id, shown)) = card(event) else {
                continue;
            };
            let root = event.relates_to("m.replace").unwrap_or(&event.event_id);
            cards.entry(id).or_insert((root.to_owned(), shown));
        }
        Ok(cards)
    }

    /// Waits until the legend is on every card, which the bot places last: until nothing is on its way.
    async fn legends(&self, cards: &BTreeMap<String, (String, u64)>) -> Result<(), CliError> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let page = self.rooms.human.messages(&self.room, None, 1_000).await?;
            let on = |root: &str| {
                let reactions = page
                    .chunk
                    .iter()
                    .filter_map(|e| e.relates_to("m.annotation"));
                reactions.filter(|target| *target == root).count()
            };
            if cards.values().all(|(root, _)| on(root) >= LEGEND) {
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
        Err(CliError::Missed("the cards have no legend".into()))
    }

    /// Waits until a look at the cards says so.
    async fn until(
        &self,
        wanted: impl Fn(&BTreeMap<String, (String, u64)>) -> bool,
    ) -> Result<BTreeMap<String, (String, u64)>, CliError> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let cards = self.cards().await?;
            if wanted(&cards) {
                return Ok(cards);
            }
            tokio::time::sleep(LOOK).await;
        }
        Err(CliError::Missed(
            "the cards do not show every ballot".into(),
        ))
    }

    /// From a ballot by reply to the edit of its card, and a plain command beside it.
    async fn ballots(&mut self, out: Output, samples: u32) -> Result<Figure, CliError> {
        let (mut ids, mut roots) = (Vec::new(), BTreeMap::new());
        for n in 0..samples {
            let id = self.propose(&format!("Measured {n}"), 1).await?;
            let cards = self.until(|cards| cards.contains_key(&id)).await?;
            roots.extend(cards.get(&id).map(|(root, _)| (id.clone(), root.clone())));
            ids.push(id);
        }
        let ours = self.rooms.ours.clone();
        let plain = ours.rooms.first().cloned().unwrap_or_default();
        let (mut times, mut floor) = (Vec::new(), Vec::new());
        for (n, id) in (0..).zip(&ids) {
            let card = roots.get(id).cloned().unwrap_or_default();
            let began = Instant::now();
            let vote = reply("approve", &card);
            self.rooms
                .human
                .send(&self.room, "m.room.message", &vote, &format!("ballot-{n}"))
                .await?;
            let heard = self.rooms.ears.edit(&self.room, &ours.user, &card).await?;
            times.push(heard.at.duration_since(began));
            tokio::time::sleep(REST).await;
            let began = Instant::now();
            let sent = self
                .rooms
                .human
                .send(&plain, "m.room.message", &line(n), &format!("beside-{n}"))
                .await?;
            let heard = self.rooms.ears.answer(&plain, &ours.user, &sent).await?;
            floor.push(heard.at.duration_since(began));
            tokio::time::sleep(REST).await;
        }
        out.progress(&format!("{samples} ballots, each to its card"));
        Ok(Figure {
            name: "ballot_to_card_p50",
            unit: "ms",
            value: percentile(&times, 500).unwrap_or_default(),
            floor: percentile(&floor, 500),
            target: Some(Target::RatioAtMost(1.3)),
        })
    }

    /// A thousand ballots at once, and how long after the last the cards show them all.
    async fn burst(&mut self, out: Output) -> Result<Figure, CliError> {
        let mut ids = Vec::new();
        for n in 0..PROPOSALS {
            ids.push(self.propose(&format!("Burst {n}"), SEATS).await?);
        }
        let mut cards = self
            .until(|cards| ids.iter().all(|id| cards.contains_key(id)))
            .await?;
        cards.retain(|id, _| ids.contains(id));
        self.legends(&cards).await?;
        let began = Instant::now();
        let mut callers = JoinSet::new();
        for caller in 0..CALLERS {
            let (gateway, ids) = (self.gateway.clone(), ids.clone());
            callers.spawn(async move {
                let all = PROPOSALS * SEATS;
                for n in (caller..all).step_by(CALLERS as usize) {
                    vote(&gateway, &ids, n).await?;
                }
                Ok::<_, CliError>(())
            });
        }
        while let Some(called) = callers.join_next().await {
            called.map_err(|e| CliError::Internal(format!("a caller: {e}")))??;
        }
        let last = Instant::now();
        out.progress(&format!(
            "{} ballots in {:.1} s",
            PROPOSALS * SEATS,
            last.duration_since(began).as_secs_f64()
        ));
        let is_shown = |cards: &BTreeMap<String, (String, u64)>| {
            let full = |id| cards.get(id).is_some_and(|(_, n)| *n == u64::from(SEATS));
            ids.iter().all(full)
        };
        self.until(is_shown).await?;
        Ok(Figure {
            name: "ballot_burst_s",
            unit: "s",
            value: last.elapsed().as_secs_f64(),
            floor: None,
            target: Some(Target::Below(5.0)),
        })
    }
}

/// The `n`th ballot of the burst: proposals take turns, so that all are busy at once.
async fn vote(gateway: &Gateway, ids: &[String], n: u32) -> Result<(), CliError> {
    let (proposal, seat) = (n % PROPOSALS, n / PROPOSALS);
    let id = ids.get(proposal as usize).map_or("", String::as_str);
    let seat: Name = fixed(&format!("s{seat}"))?;
    let vote = Vote {
        proposal: fixed(id)?,
        verdict: Verdict::Abstain,
        reason: Vec::new(),
        confidence: None,
        concerns: Vec::new(),
        recommendations: Vec::new(),
        key_risks: Vec::new(),
        seat: Some(seat),
    };
    call::write(gateway, None, Command::from(vote))
        .await
        .map(drop)
}

/// The proposal of a card or of its edit, and how many ballots it shows.
fn card(event: &RoomEvent) -> Option<(String, u64)> {
    let content = event.content.get("m.new_content").unwrap_or(&event.content);
    let proposal = content.get(TWIN)?.get("proposal")?;
    let id = proposal.get("id")?.as_str()?;
    let cast = proposal.pointer("/tally/cast").and_then(Value::as_u64)?;
    Some((id.to_owned(), cast))
}
