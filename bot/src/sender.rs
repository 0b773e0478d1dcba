//! Sends the rows of one room, in order, each exactly once (architecture.md, "Way out").

use std::collections::VecDeque;
use std::time::Duration;

use fleet_bridge::outbound::{Outgoing, render};
use fleet_protocol::api::Attempts;
use fleet_protocol::outbox::{OutboxRow, Settlement};
use matrix_sdk::ruma::api::client::membership::joined_rooms;
use matrix_sdk::ruma::{OwnedTransactionId, RoomId};
use matrix_sdk::{Room, RoomState};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::BotError;
use crate::context::Context;
use crate::counters::Counter;
use crate::cut::cut;
use crate::device_rule::{Before, before};
use crate::found::{self, Found};
use crate::media;
use crate::pace::{Pace, Urgency};
use crate::pins;
use crate::poll::fatal;
use crate::refusal::{Backoff, Refusal, refusal, refusal_of};
use crate::settle::Settler;

/// Longest pause between tries of one row.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Rows among which the urgent are chosen; more wait in the channel, and then at the gateway.
pub(crate) const AHEAD: usize = 256;

/// Whether a row is ready to be sent.
enum Prepared {
    Send,
    /// Its fate is known without a send.
    Known(Settlement),
    Stopped,
}

/// Whether the bot is in a room.
enum Whereabouts {
    In(Room),
    Out,
    Stopped,
}

/// The sender of one room.
pub(crate) struct Sender {
    context: Context,
    room_id: String,
    pace: Pace,
    settler: Settler,
}

impl Sender {
    pub(crate) fn new(context: Context, room_id: String, pace: Pace, settler: Settler) -> Self {
        Self {
            context,
            room_id,
            pace,
            settler,
        }
    }

    /// Sends until the queue is closed.
    ///
    /// # Errors
    /// [`BotError::SignedOut`], [`BotError::LeaseLost`], [`BotError::Gateway`].
    pub(crate) async fn run(self, mut rows: mpsc::Receiver<OutboxRow>) -> Result<(), BotError> {
        let mut queue = VecDeque::new();
        while let Some(row) = rows.recv().await {
            queue.push_back(row);
            fill(&mut queue, &mut rows);
            while let Some(row) = next(&mut queue, self.pace.is_closed()) {
                let Some(settlement) = self.send(&row).await? else {
                    return Ok(());
                };
                self.count(&settlement);
                self.settler.settle(row.id, settlement).await;
                fill(&mut queue, &mut rows);
            }
        }
        Ok(())
    }

    fn count(&self, settlement: &Settlement) {
        self.context.counters.add(
            match settlement {
                Settlement::Sent { .. } => Counter::Sent,
                Settlement::Dead { .. } => Counter::Dead,
                Settlement::Parked { .. } => Counter::Parked,
            },
            1,
        );
    }

    /// Sends one row until its fate is known. `None` when stopped before.
    async fn send(&self, row: &OutboxRow) -> Result<Option<Settlement>, BotError> {
        let room = match self.room().await {
            Whereabouts::In(room) => room,
            Whereabouts::Out => {
                let reason = "the bot is not in the room".to_owned();
                return Ok(Some(Settlement::Parked { reason }));
            }
            Whereabouts::Stopped => return Ok(None),
        };
        let mut outgoing = match render(row) {
            Ok(outgoing) => outgoing,
            Err(error) => {
                return Ok(Some(Settlement::Dead {
                    reason: error.to_string(),
                }));
            }
        };
        match self.prepare(&room, row, &outgoing).await? {
            Prepared::Send => {}
            Prepared::Known(settlement) => return Ok(Some(settlement)),
            Prepared::Stopped => return Ok(None),
        }
        let (mut backoff, mut shortened) = (Backoff::up_to(LONGEST_PAUSE), false);
        loop {
            let until = self.turn(Urgency::of(row)).await;
            let put = self.put(&room, row, &mut outgoing);
            let refusal = match tokio::time::timeout_at(until, put).await {
                Ok(Ok(event_id)) => return Ok(Some(Settlement::Sent { event_id })),
                Ok(Err(refusal)) => refusal,
                Err(_) => {
                    Refusal::Passing("the homeserver took longer than the lease lasts".to_owned())
                }
            };
            match refusal {
                Refusal::Limited(wait) => {
                    self.context.counters.add(Counter::Limited, 1);
                    self.pace.close(wait);
                }
                Refusal::SignedOut => return Err(self.context.signed_out()),
                Refusal::TooLarge => match shorter(&outgoing) {
                    Some(cut) if !shortened => (outgoing, shortened) = (cut, true),
                    _ => {
                        return Ok(Some(Settlement::Dead {
                            reason: "too large for the homeserver".to_owned(),
                        }));
                    }
                },
                Refusal::Forbidden(reason) if !self.is_in_room(room.room_id()).await => {
                    return Ok(Some(Settlement::Parked { reason }));
                }
                Refusal::Forbidden(reason) | Refusal::NotFound(reason) | Refusal::Final(reason) => {
                    return Ok(Some(Settlement::Dead { reason }));
                }
                Refusal::Passing(error) => {
                    tracing::warn!(row = %row.id, room = self.room_id, error, "sending is tried again");
                    if self.context.paused(backoff.pause()).await.is_none() {
                        return Ok(None);
                    }
                }
            }
            if self.context.crew.stop.is_cancelled() && self.pace.is_closed() {
                return Ok(None);
            }
        }
    }

    /// Waits for the row's turn and for the right to act; until when that right lasts. In this
    /// order: a limit of the homeserver's may outlast the lease.
    async fn turn(&self, urgency: Urgency) -> Instant {
        loop {
            self.pace.pass(urgency).await;
            let until = self.context.lease.live().await;
            if !self.pace.is_closed() {
                return until;
            }
        }
    }

    /// What must happen before the first send.
    async fn prepare(
        &self,
        room: &Room,
        row: &OutboxRow,
        outgoing: &Outgoing,
    ) -> Result<Prepared, BotError> {
        let rule = before(
            row.attempt.as_ref(),
            &self.context.device,
            self.context.now(),
        );
        if rule == Before::Nothing {
            return Ok(Prepared::Send);
        }
        if rule == Before::Look {
            match found::find(&self.context, room, row, outgoing).await? {
                Found::Absent => {}
                Found::Stopped => return Ok(Prepared::Stopped),
                Found::There(event_id) => {
                    self.context.counters.add(Counter::Found, 1);
                    return Ok(Prepared::Known(Settlement::Sent { event_id }));
                }
                Found::Denied(reason) if !self.is_in_room(room.room_id()).await => {
                    return Ok(Prepared::Known(Settlement::Parked { reason }));
                }
                unknown => return Ok(Prepared::Known(unsure(unknown))),
            }
        }
        Ok(if self.note_attempt(row).await? {
            Prepared::Send
        } else {
            Prepared::Stopped
        })
    }

    /// Stores that this device tries the row, before it does. False when stopped before.
    async fn note_attempt(&self, row: &OutboxRow) -> Result<bool, BotError> {
        let mut backoff = Backoff::up_to(LONGEST_PAUSE);
        loop {
            let body = Attempts {
                lease: self.context.lease.claim(),
                device: self.context.device.clone(),
                rows: vec![row.id],
            };
            match self.context.gateway.attempts(&body).await {
                Ok(()) => return Ok(true),
                Err(error) => fatal(&self.context, error, "noting an attempt")?,
            }
            if self.context.paused(backoff.pause()).await.is_none() {
                return Ok(false);
            }
        }
    }

    async fn put(
        &self,
        room: &Room,
        row: &OutboxRow,
        outgoing: &mut Outgoing,
    ) -> Result<String, Refusal> {
        let transaction = OwnedTransactionId::from(row.id.simple().to_string());
        // What was uploaded is not uploaded again when the message has to be repeated.
        media::place(room, outgoing).await?;
        match &*outgoing {
            Outgoing::Upload { .. } => Err(Refusal::Final("a file was not placed".to_owned())),
            Outgoing::Send {
                event_type,
                content,
            } => {
                let sent = room
                    .send_raw(event_type, content.clone())
                    .with_transaction_id(&transaction)
                    .await;
                sent.map(|sent| sent.response.event_id.to_string())
                    .map_err(|e| refusal(&e))
            }
            Outgoing::Redact { event_id, reason } => {
                let Ok(target) = matrix_sdk::ruma::EventId::parse(event_id) else {
                    return Err(Refusal::Final(format!("{event_id} is no event id")));
                };
                let redacted = room
                    .redact(&target, reason.as_deref(), Some(transaction))
                    .await;
                redacted
                    .map(|redacted| redacted.event_id.to_string())
                    .map_err(|e| refusal_of(&e))
            }
            Outgoing::Pin { event_id, pinned } => pins::set(room, event_id, *pinned).await,
        }
    }

    /// The room as the SDK knows it. An SDK that has not synced yet knows no room at all, so that
    /// the homeserver decides whether the bot is in it.
    async fn room(&self) -> Whereabouts {
        let Ok(id) = RoomId::parse(&self.room_id) else {
            return Whereabouts::Out;
        };
        let mut backoff = Backoff::up_to(LONGEST_PAUSE);
        loop {
            let known = self.context.client.get_room(&id);
            if let Some(room) = known.filter(|room| room.state() == RoomState::Joined) {
                return Whereabouts::In(room);
            }
            if !self.is_in_room(&id).await {
                return Whereabouts::Out;
            }
            if self.context.paused(backoff.pause()).await.is_none() {
                return Whereabouts::Stopped;
            }
        }
    }

    /// Asks the homeserver, as the SDK may not know yet that the bot came or was removed.
    async fn is_in_room(&self, room: &RoomId) -> bool {
        match self
            .context
            .client
            .send(joined_rooms::v3::Request::new())
            .await
        {
            Ok(joined) => joined.joined_rooms.iter().any(|id| id == room),
            Err(error) => {
                tracing::warn!(%error, "the joined rooms cannot be read; the row is not parked");
                true
            }
        }
    }
}

/// Takes what waits in the channel, up to [`AHEAD`] rows.
pub(crate) fn fill(queue: &mut VecDeque<OutboxRow>, rows: &mut mpsc::Receiver<OutboxRow>) {
    while queue.len() < AHEAD
        && let Ok(more) = rows.try_recv()
    {
        queue.push_back(more);
    }
}

/// Nobody knows whether the row is in the room: sending it could say it twice, so that a person decides.
fn unsure(found: Found) -> Settlement {
    let why = match found {
        Found::Denied(why) => why,
        _ => "too much was said there since".to_owned(),
    };
    Settlement::Dead {
        reason: format!(
            "it was tried before, and the room cannot be searched for it ({why}); look whether it is there"
        ),
    }
}

/// The row to send next: the oldest, but while the account is limited the oldest needed one.
pub(crate) fn next(queue: &mut VecDeque<OutboxRow>, limited: bool) -> Option<OutboxRow> {
    let needed = limited
        .then(|| {
            queue
                .iter()
                .position(|row| Urgency::of(row) == Urgency::Needed)
        })
        .flatten();
    queue.remove(needed.unwrap_or(0))
}

/// The same, cut to what the homeserver takes.
fn shorter(outgoing: &Outgoing) -> Option<Outgoing> {
    match outgoing {
        Outgoing::Send {
            event_type,
            content,
        } => {
            let content: Value = cut(content)?;
            Some(Outgoing::Send {
                event_type: event_type.clone(),
                content,
            })
        }
        Outgoing::Upload { .. } | Outgoing::Redact { .. } | Outgoing::Pin { .. } => None,
    }
}
