//! One random history, played on the stage and in the reference.

use fastrand::Rng;
use fleet_policy::board::verify;
use fleet_protocol::envelope::Outcome as Answered;
use fleet_protocol::record::{EffectState, Outcome};
use fleet_protocol::reply::Changed;
use fleet_protocol::verbs::board::{Effect, Holder, Propose, Seat};
use fleet_protocol::{Command, Reply};

use super::Told;
use super::reference::{Reference, Sent};
use super::stage::{Stage, Waiting, user};
use crate::error::{CliError, fixed};

mod ballots;
mod owner;

/// Templates that a proposal may have; none: the usual one.
const TEMPLATES: [&str; 4] = ["", "lazy", "two-key", "forge"];

/// A history under way.
struct Play<'s> {
    stage: &'s mut Stage,
    dice: Rng,
    /// The proposals, the last one open; each with its number and its card.
    proposals: Vec<(String, String, Reference)>,
    length: i64,
    /// Events that the bot has not handed in, oldest first, with what they are to the reference.
    waiting: Vec<(Waiting, Said)>,
    /// Events that were handed in, with how they were answered.
    handed: Vec<(Waiting, Answered)>,
    tombs: Vec<String>,
    told: Told,
}

/// What an event is to the reference.
#[derive(Debug, Clone)]
enum Said {
    Vote(usize, Sent),
    Withdraw(usize, String),
    Redact(String, String),
}

/// Plays the history of a number.
pub(super) async fn play(stage: &mut Stage, seed: u64, n: u32) -> Result<Told, CliError> {
    // One step of splitmix64 keeps neighbouring histories apart.
    let mixed = (seed ^ u64::from(n).wrapping_mul(0x9E37_79B9_7F4A_7C15)).rotate_left(17);
    let mut play = Play {
        stage,
        dice: Rng::with_seed(mixed),
        proposals: Vec::new(),
        length: 0,
        waiting: Vec::new(),
        handed: Vec::new(),
        tombs: Vec::new(),
        told: Told::default(),
    };
    if !play.open(n).await? {
        return Ok(play.told);
    }
    for _ in 0..play.dice.usize(10..60) {
        play.step().await?;
    }
    play.end().await?;
    play.compare().await?;
    Ok(play.told)
}

impl Play<'_> {
    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        self.dice.choice(of).copied().unwrap_or_default()
    }

    fn differs(&mut self, what: impl Into<String>) {
        self.told.differs.push(what.into());
    }

    /// Opens the proposal; `false` where its rule and seats were refused, as they may be.
    async fn open(&mut self, n: u32) -> Result<bool, CliError> {
        let count = self.dice.usize(2..6);
        let mut seats = Vec::with_capacity(count);
        for index in 0..count {
            let voter = if index < 2 {
                index
            } else {
                self.dice.usize(0..4)
            };
            seats.push(Seat {
                title: fixed(&format!("s{index}"))?,
                holder: Holder::User(user(&format!("v{voter}"))?),
                weight: self.dice.u16(1..4),
                may_veto: self.dice.u8(0..5) == 0,
            });
        }
        let template = self.one(&TEMPLATES);
        self.length = i64::from(self.dice.u32(10..200)) * 60_000;
        let effect: Effect = fixed(&format!("mission new \"Simulated {n}\""))?;
        let propose = Propose {
            title: fixed(&format!("Question {n}"))?,
            text: None,
            kind: None,
            effect: self.dice.bool().then_some(effect),
            closes_at: Some(fixed(&format!("+{}m", self.length / 60_000))?),
            seats,
            quorum: Some(fixed(
                self.dice
                    .choice(["0", "25", "50", "75", "100"])
                    .unwrap_or("0"),
            )?),
            threshold: Some(fixed(
                self.dice
                    .choice(["majority", "1/2", "2/3", "1/1"])
                    .unwrap_or("1/2"),
            )?),
            template: if template.is_empty() {
                None
            } else {
                Some(fixed(template)?)
            },
        };
        let reply = self.stage.says("op", Command::from(propose)).await?;
        let Some(Reply::Proposal(Changed { now: view, .. })) = reply else {
            self.differs("a proposal that can be decided was refused");
            return Ok(false);
        };
        let export = self.stage.exports(&view.id).await?;
        let content = export.proposal;
        let reference = Reference::open(
            content.rule,
            content.seats,
            content.opened_at.as_millis(),
            content.closes_at.as_millis(),
        );
        self.carded(view.id, reference).await?;
        Ok(true)
    }

    /// Sends the card of a new proposal and keeps both.
    async fn carded(&mut self, id: String, reference: Reference) -> Result<(), CliError> {
        match self.stage.sends(&id).await? {
            Some(card) => self.proposals.push((id, card, reference)),
            None => self.differs(format!("{id} has no card")),
        }
        Ok(())
    }

    async fn step(&mut self) -> Result<(), CliError> {
        match self.dice.u8(0..100) {
            0..36 => self.room_vote(),
            36..54 => self.call_vote().await,
            54..58 => self.room_withdraw(),
            58..66 => self.room_redact(),
            66..79 => self.hand_in().await,
            79..88 => self.time().await,
            88..91 => self.replay().await,
            91..94 => self.suspend().await,
            94..96 => self.stage.restart().await,
            96..98 => self.amend().await,
            98 => self.close().await,
            _ => self.quiet().await,
        }
    }

    /// A proposal to speak to: mostly the last one.
    fn target(&mut self) -> usize {
        if self.dice.u8(0..10) == 0 {
            self.dice.usize(0..self.proposals.len().max(1))
        } else {
            self.proposals.len().saturating_sub(1)
        }
    }

    /// The bot hands in some of what waits, or all of it.
    async fn hand_in(&mut self) -> Result<(), CliError> {
        let n = self.dice.usize(0..=self.waiting.len());
        self.submit(n).await
    }

    /// Hands in the first `n` events one by one, or only moves the mark. What is due is done behind each,
    /// as the mark may let a vote end.
    async fn submit(&mut self, n: usize) -> Result<(), CliError> {
        let batch: Vec<(Waiting, Said)> = self.waiting.drain(..n).collect();
        if batch.is_empty() {
            let read = if self.waiting.is_empty() {
                self.stage.now()
            } else {
                self.stage.mark.1
            };
            let mark = (self.stage.key("$quiet"), read.max(self.stage.mark.1));
            self.stage.submits(&[], mark, false).await?;
            return self.due().await;
        }
        let last = batch.len() - 1;
        for (index, (event, said)) in batch.into_iter().enumerate() {
            let now = self.stage.now();
            let read = if index == last && self.waiting.is_empty() {
                now
            } else {
                event.at
            };
            let mark = (event.key.clone(), read.max(self.stage.mark.1));
            let one = std::slice::from_ref(&event);
            let answered = self.stage.submits(one, mark, false).await?;
            let expected = self.expect(&event, &said, now);
            if answered != [expected] {
                self.differs(format!("{said:?}: expected {expected:?}, was {answered:?}"));
            }
            self.handed.extend(answered.first().map(|a| (event, *a)));
            self.due().await?;
        }
        Ok(())
    }

    /// Does what is due, on the stage and in the reference.
    async fn due(&mut self) -> Result<(), CliError> {
        self.stage.sweep().await?;
        let (now, read) = (self.stage.now(), self.stage.mark.1);
        for (_, _, reference) in &mut self.proposals {
            reference.sweep(now, read);
        }
        Ok(())
    }

    /// How the reference answers an event.
    fn expect(&mut self, event: &Waiting, said: &Said, now: i64) -> Answered {
        if self.tombs.contains(&event.key) {
            return Answered::Skipped;
        }
        match said {
            Said::Vote(index, sent) => self
                .proposals
                .get_mut(*index)
                .map_or(Answered::Skipped, |(_, _, reference)| {
                    reference.vote(sent, Some(&event.key), event.at, now)
                }),
            Said::Withdraw(index, who) => self
                .proposals
                .get_mut(*index)
                .map_or(Answered::Skipped, |(_, _, r)| {
                    r.withdraw(who, event.at, now)
                }),
            Said::Redact(who, target) => {
                let mut all = self.proposals.iter_mut();
                let found = all.find_map(|(_, _, r)| r.redact(who, target, event.at, now));
                if found.is_none() && !self.handed.iter().any(|(e, _)| e.key == *target) {
                    self.tombs.push(target.clone());
                }
                found.unwrap_or(Answered::Skipped)
            }
        }
    }

    /// Some time passes, a little or a lot.
    async fn time(&mut self) -> Result<(), CliError> {
        let millis = match self.dice.u8(0..4) {
            0 => i64::from(self.dice.u32(1..2_000)),
            1 => i64::from(self.dice.u32(1..90)) * 1_000,
            2 => self.length / i64::from(self.dice.u32(3..20)),
            _ => i64::from(self.dice.u32(1..15)) * 60_000,
        };
        self.pass(millis).await
    }

    async fn pass(&mut self, millis: i64) -> Result<(), CliError> {
        self.stage.pass(millis);
        self.due().await
    }

    /// The room is read up to now, if nothing waits.
    async fn quiet(&mut self) -> Result<(), CliError> {
        if self.waiting.is_empty() {
            self.submit(0).await
        } else {
            Ok(())
        }
    }

    /// What was handed in comes again: it is answered as before and changes nothing.
    async fn replay(&mut self) -> Result<(), CliError> {
        let Some((event, before)) = self.dice.choice(&self.handed).cloned() else {
            return Ok(());
        };
        let mark = (event.key.clone(), event.at);
        let again = self
            .stage
            .submits(std::slice::from_ref(&event), mark, true)
            .await?;
        if again != [before] {
            self.differs(format!("a replay was answered {again:?}, first {before:?}"));
        }
        Ok(())
    }

    /// Everything is handed in, and time goes on until nothing is open.
    async fn end(&mut self) -> Result<(), CliError> {
        for _ in 0..8 {
            self.submit(self.waiting.len()).await?;
            let ends = self
                .proposals
                .iter()
                .filter(|p| p.2.ended.is_none())
                .map(|p| p.2.ends);
            let Some(last) = ends.max() else {
                return Ok(());
            };
            let now = self.stage.now();
            // Up to the end, the room read up to it, then once more what is due.
            self.pass((last - now).max(1)).await?;
            self.submit(0).await?;
            self.pass(1).await?;
        }
        if self.proposals.iter().any(|p| p.2.ended.is_none()) {
            self.differs("the reference does not end");
        }
        Ok(())
    }

    /// Compares every proposal of the history.
    async fn compare(&mut self) -> Result<(), CliError> {
        let all: Vec<(String, Reference)> = self
            .proposals
            .iter()
            .map(|p| (p.0.clone(), p.2.clone()))
            .collect();
        for (id, reference) in all {
            let view = self.stage.shows(&id).await?;
            let expected = reference.ended.map_or("open", Outcome::as_str);
            if view.state != expected {
                self.differs(format!("{id}: expected {expected}, is {}", view.state));
            }
            let t = &view.tally;
            let weights = [t.approve, t.conditional, t.reject, t.abstain];
            if weights != reference.weights() {
                self.differs(format!(
                    "{id}: expected {:?}, has {weights:?}",
                    reference.weights()
                ));
            }
            self.told.ballots += reference.cast;
            let export = self.stage.exports(&id).await?;
            let ran = match verify(&export, Some(&view.head)) {
                Ok(verified) => verified.decided.map(|d| d.effect),
                Err(fault) => {
                    self.differs(format!("{id}: its record proves nothing: {fault}"));
                    continue;
                }
            };
            let runs = view.effect.is_some() && reference.ended == Some(Outcome::Approved);
            if (ran == Some(EffectState::Done)) != runs {
                self.differs(format!("{id}: its effect is {ran:?}"));
            }
        }
        self.stage.sends("").await.map(drop)
    }
}
