//! Submitting a room's envelopes until the register has them, exactly once.

use std::time::Duration;

use fleet_client::ClientError;
use fleet_protocol::Timestamp;
use fleet_protocol::envelope::{Envelope, Mark, Submit, Submitted};
use fleet_protocol::outbox::OutboxRow;
use matrix_sdk::Room;
use matrix_sdk::ruma::OwnedTransactionId;
use serde_json::json;
use tokio::time::Instant;

use crate::BotError;
use crate::context::Context;
use crate::counters::Counter;
use crate::event::Event;
use crate::refusal::Backoff;
use crate::verdict::{Verdict, verdict};

/// Longest pause between tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long the gateway may be away before the room is told.
const PATIENCE: Duration = Duration::from_secs(2);
/// The rules of incidents about a room's mark.
const MARK_LOST: &str = "room.mark_lost";
const MARK_REFUSED: &str = "room.mark_refused";
/// Tries of envelopes to which the gateway answers with a fault or a conflict.
const TRIES: u32 = 5;

/// A room as the register knows it.
pub(crate) struct Register {
    context: Context,
    room: Room,
    /// The mark the register has.
    mark: Mark,
    /// The mark skipped events have reached.
    reached: Mark,
    /// The register did not take the mark when it was told last.
    is_refused: bool,
}

/// How long the gateway is away from a room that has something to say.
struct Absence {
    since: Instant,
    is_told: bool,
}

impl Absence {
    /// Whether the room is to be told now: once, and not of a short absence.
    fn is_due(&mut self, now: Instant) -> bool {
        let is_due = !self.is_told && now.duration_since(self.since) >= PATIENCE;
        self.is_told |= is_due;
        is_due
    }
}

/// How one try ended.
enum Tried {
    Done(Submitted),
    /// Stopped before it was done; the mark stays, so the events are read again.
    Stopped,
    /// Never to be accepted.
    Refused(ClientError),
}

impl Register {
    pub(crate) fn new(context: Context, room: Room, mark: Mark) -> Self {
        Self {
            context,
            room,
            reached: mark.clone(),
            mark,
            is_refused: false,
        }
    }

    /// Up to when the room was read, as far as this reader knows.
    pub(crate) fn read_up_to(&self) -> Timestamp {
        self.reached.read_up_to
    }

    /// Whether the register has this mark already.
    pub(crate) fn has(&self, mark: &Mark) -> bool {
        self.mark == *mark
    }

    /// Skipped events reach to here; the register learns it with the next submission.
    pub(crate) fn skip_to(&mut self, mark: Option<Mark>) {
        if let Some(mark) = mark {
            self.reached = mark;
        }
    }

    /// Submits, repeating while the gateway is away; the rows to send. `None` when asked to stop.
    ///
    /// # Errors
    /// [`BotError::LeaseLost`], [`BotError::Gateway`].
    pub(crate) async fn submit(
        &mut self,
        envelopes: Vec<Envelope>,
        mark: Option<Mark>,
    ) -> Result<Option<Vec<OutboxRow>>, BotError> {
        self.skip_to(mark);
        let target = self.reached.clone();
        let count = envelopes.len() as u64;
        let rows = match self.attempt(&envelopes, &target).await? {
            Tried::Stopped => return Ok(None),
            Tried::Done(done) => {
                log(&self.room, &done);
                done.outbox
            }
            Tried::Refused(error) => match self.one_by_one(envelopes, &target, &error).await? {
                Some(rows) => rows,
                None => return Ok(None),
            },
        };
        self.context.counters.add(Counter::Envelopes, count);
        Ok(Some(rows))
    }

    /// No envelope stops the others: each alone, and what is still refused is set aside with an incident.
    async fn one_by_one(
        &mut self,
        envelopes: Vec<Envelope>,
        target: &Mark,
        whole: &ClientError,
    ) -> Result<Option<Vec<OutboxRow>>, BotError> {
        tracing::error!(room = %self.room.room_id(), error = %whole, "the envelopes are refused together; each is tried alone");
        let mut rows = Vec::new();
        for envelope in envelopes {
            let here = self.mark.clone();
            let one = [envelope];
            match self.attempt(&one, &here).await? {
                Tried::Stopped => return Ok(None),
                Tried::Done(done) => rows.extend(done.outbox),
                Tried::Refused(error) => {
                    let detail = format!(
                        "the gateway does not accept event {}: {error}; it was not run",
                        one[0].key
                    );
                    self.context
                        .incident("event.quarantined", &one[0].key, detail);
                }
            }
        }
        match self.attempt(&[], target).await? {
            Tried::Stopped => Ok(None),
            Tried::Done(done) => {
                rows.extend(done.outbox);
                Ok(Some(rows))
            }
            Tried::Refused(error) => {
                let detail = format!(
                    "the mark of {} cannot be moved: {error}",
                    self.room.room_id()
                );
                self.is_refused = true;
                self.context
                    .incident(MARK_REFUSED, self.room.room_id().as_str(), detail);
                Ok(Some(rows))
            }
        }
    }

    async fn attempt(&mut self, envelopes: &[Envelope], mark: &Mark) -> Result<Tried, BotError> {
        let (mut backoff, mut tries) = (Backoff::up_to(LONGEST_PAUSE), 0);
        let mut absence = Absence {
            since: Instant::now(),
            is_told: false,
        };
        loop {
            let body = self.body(envelopes, mark);
            let error = match self.context.gateway.submit(&body).await {
                Ok(done) => {
                    self.mark = mark.clone();
                    if std::mem::take(&mut self.is_refused) {
                        let room = self.room.room_id().as_str();
                        self.context.mended(MARK_REFUSED, room);
                    }
                    return Ok(Tried::Done(done));
                }
                Err(error) => error,
            };
            self.context.counters.add(Counter::SubmitFailures, 1);
            let away = error.is_retryable();
            match verdict(&error) {
                Verdict::LeaseLost => return Err(self.context.lease.lost()),
                Verdict::Denied => return Err(BotError::Gateway(error)),
                Verdict::Refused => return Ok(Tried::Refused(error)),
                Verdict::Conflict => {
                    self.reload_mark().await;
                    tries += 1;
                }
                Verdict::Retry => tries += u32::from(!away),
            }
            if tries > TRIES {
                return Ok(Tried::Refused(error));
            }
            tracing::warn!(room = %self.room.room_id(), %error, "the submission is tried again");
            if away
                && let Some(first) = envelopes.first()
                && absence.is_due(Instant::now())
            {
                self.tell_away(&first.key).await;
            }
            if self.context.paused(backoff.pause()).await.is_none() {
                return Ok(Tried::Stopped);
            }
        }
    }

    fn body(&self, envelopes: &[Envelope], mark: &Mark) -> Submit {
        Submit {
            lease: self.context.lease.claim(),
            device: self.context.device.clone(),
            room_id: self.room.room_id().to_string(),
            expected_mark: Some(self.mark.event_id.clone()),
            envelopes: envelopes.to_vec(),
            mark: mark.clone(),
        }
    }

    /// The register's mark is not the one assumed, for example because an answer got lost after the
    /// commit. Submitting again from the register's mark runs nothing twice: every event has its key.
    async fn reload_mark(&mut self) {
        let id = self.room.room_id().as_str();
        match self.context.gateway.rooms().await {
            Ok(rooms) => {
                let others = rooms
                    .others
                    .into_iter()
                    .map(|room| (Some(room.room_id), room.mark));
                let planned = rooms
                    .rooms
                    .into_iter()
                    .chain([rooms.space])
                    .map(|plan| (plan.room_id, plan.mark));
                let found = others
                    .chain(planned)
                    .find(|(room, _)| room.as_deref() == Some(id));
                if let Some((_, Some(mark))) = found {
                    self.mark = mark;
                }
            }
            Err(error) => tracing::warn!(%error, "the room's mark could not be read again"),
        }
    }

    /// Tells the room once that its command waits: the transaction id is made of the event.
    async fn tell_away(&self, event_id: &str) {
        let text = "The register cannot be reached now. Nothing is lost: what you wrote runs as soon as it is back.";
        self.say(
            text,
            event_id,
            &format!("away-{}", event_id.trim_start_matches('$')),
        )
        .await;
    }

    async fn say(&self, text: &str, reply_to: &str, transaction: &str) {
        let content = json!({
            "msgtype": "m.notice",
            "body": text,
            "m.relates_to": { "m.in_reply_to": { "event_id": reply_to } },
            "m.mentions": {},
        });
        let transaction = OwnedTransactionId::from(transaction);
        if let Err(error) = self
            .room
            .send_raw("m.room.message", content)
            .with_transaction_id(&transaction)
            .await
        {
            tracing::warn!(%error, room = %self.room.room_id(), "the room could not be told");
        }
    }

    /// The mark is not in the room's history any more: people are told, and reading goes on at the newest.
    ///
    /// # Errors
    /// See [`Register::submit`].
    pub(crate) async fn mark_lost(&mut self, lost: &str, newest: &Event) -> Result<(), BotError> {
        let room = self.room.room_id().to_string();
        let detail = format!(
            "the last event read ({lost}) is not among the newest events of {room}; commands sent since then were \
             not run. Reading goes on from {}",
            newest.id
        );
        self.context.incident(MARK_LOST, &room, detail);
        let text = "I was away too long to read everything that was written here. Commands without an answer above \
                    were not run: send them again.";
        self.say(
            text,
            &newest.id,
            &format!("lost-{}", newest.id.trim_start_matches('$')),
        )
        .await;
        let mark = Mark {
            event_id: newest.id.clone(),
            read_up_to: Timestamp::from_millis(newest.ts),
        };
        if self.submit(Vec::new(), Some(mark)).await?.is_some() {
            // Reading goes on: the next loss is another one, and is told anew.
            self.context.mended(MARK_LOST, &room);
        }
        Ok(())
    }
}

/// One line per command with its receipt.
fn log(room: &Room, done: &Submitted) {
    for receipt in &done.receipts {
        tracing::info!(
            room = %room.room_id(), event = receipt.key, receipt = %receipt.id,
            outcome = ?receipt.outcome, replayed = receipt.replayed, "submitted"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_is_told_once_of_an_absence_and_not_of_a_short_one() {
        let since = Instant::now();
        let mut absence = Absence {
            since,
            is_told: false,
        };
        let told: Vec<_> = [0, 1_999, 2_000, 2_001, 600_000]
            .map(|ms| absence.is_due(since + Duration::from_millis(ms)))
            .into();
        assert_eq!(told, [false, false, true, false, false]);
    }
}
