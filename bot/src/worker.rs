//! The reader of one room: events in, envelopes to the gateway, in order.
//!
//! A bounded channel brings the batches of sync. What does not fit is dropped and read back later,
//! so that neither a slow gateway nor one busy room ever holds up sync or fills memory.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fleet_protocol::Timestamp;
use fleet_protocol::envelope::Mark;
use matrix_sdk::Room;
use matrix_sdk::deserialized_responses::TimelineEvent;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::BotError;
use crate::context::Context;
use crate::counters::Counter;
use crate::dispatch::Dispatch;
use crate::event::events;
use crate::history::{History, read_back};
use crate::reading::{New, Reading, Taken};
use crate::rooms::Errand;
use crate::submission::Register;
use crate::understanding::{self, Pending};

/// Batches that wait for a room's reader.
const WAITING: usize = 16;
/// Pages read back before a mark counts as lost; 100 events each.
const PAGES: usize = 50;
/// How long skipped events may wait before they move the mark in the register.
const COALESCE: Duration = Duration::from_secs(1);
/// How often a quiet room's mark is refreshed: by so much a vote may end late where nobody speaks.
const QUIET: Duration = Duration::from_secs(15);
/// How long after its last event a room is active.
const ACTIVE: Duration = Duration::from_secs(30);

/// Timelines called limited in a row that were not, after which sync is not trusted.
const NEEDLESS: u8 = 2;

/// A batch of sync.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) events: Vec<TimelineEvent>,
    pub(crate) limited: bool,
}

/// Hands batches to a room's reader.
#[derive(Debug)]
pub(crate) struct Reader {
    batches: mpsc::Sender<Batch>,
    dropped: Arc<AtomicBool>,
    finish: mpsc::Sender<Finished>,
}

/// Dropped when a reader has read its room to the end and ended.
pub(crate) type Finished = oneshot::Sender<()>;

impl Reader {
    /// Starts reading a room from its mark.
    pub(crate) fn start(
        context: &Context,
        room: Room,
        mark: Mark,
        dispatch: Dispatch,
        errands: mpsc::Sender<Errand>,
    ) -> Self {
        let (batches, inbox) = mpsc::channel(WAITING);
        let (finish, finishing) = mpsc::channel(1);
        let dropped = Arc::new(AtomicBool::new(false));
        let now = Instant::now();
        let worker = Worker {
            context: context.clone(),
            reading: Reading::up_to(mark.event_id.clone(), mark.read_up_to.as_millis()),
            complete_to: mark.read_up_to,
            register: Register::new(context.clone(), room.clone(), mark),
            room,
            dispatch,
            errands,
            inbox,
            finishing,
            dropped: Arc::clone(&dropped),
            pending: VecDeque::new(),
            needless: 0,
            last_event: now,
            read_back: now,
            mark_at: now + QUIET,
        };
        context
            .crew
            .spawn(format!("reader of {}", worker.room.room_id()), worker.run());
        Self {
            batches,
            dropped,
            finish,
        }
    }

    /// Hands over a batch; if the reader is too far behind, it will read the room back instead.
    pub(crate) fn offer(&self, batch: Batch) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.batches.try_send(batch) {
            self.dropped.store(true, Ordering::Release);
        }
    }

    /// Asks the reader to read the room to its end, submit that, and end; then `finished` is dropped.
    pub(crate) fn finish(&self, finished: Finished) {
        // Unsent, it is dropped at once: the reader has ended, or was asked already.
        let _ = self.finish.try_send(finished);
    }

    /// Whether the reader has ended, because the bot may not read the room any more.
    pub(crate) fn has_ended(&self) -> bool {
        self.batches.is_closed()
    }
}

struct Worker {
    context: Context,
    room: Room,
    reading: Reading,
    register: Register,
    dispatch: Dispatch,
    errands: mpsc::Sender<Errand>,
    inbox: mpsc::Receiver<Batch>,
    finishing: mpsc::Receiver<Finished>,
    dropped: Arc<AtomicBool>,
    pending: VecDeque<Pending>,
    /// Timelines in a row that were called limited and were not.
    needless: u8,
    last_event: Instant,
    /// When the room was read back last.
    read_back: Instant,
    /// Up to when that has shown everything, by the bot's clock.
    complete_to: Timestamp,
    mark_at: Instant,
}

/// What woke the reader.
enum Wake {
    Batch(Batch),
    Reconcile,
    Mark,
    Finish(Finished),
    Stop,
}

impl Worker {
    async fn run(mut self) -> Result<(), BotError> {
        let mut go_on = self.recover().await?;
        while go_on {
            if !self.submit().await? {
                return Ok(());
            }
            go_on = match self.wake().await {
                Wake::Batch(batch) => self.take(batch).await? && self.take_waiting().await?,
                Wake::Reconcile => self.recover().await?,
                Wake::Mark => self.move_mark().await?,
                Wake::Finish(finished) => return self.finish(finished).await,
                Wake::Stop => false,
            };
        }
        Ok(())
    }

    async fn wake(&mut self) -> Wake {
        let reconcile = self.context.is_fitful() && self.last_event.elapsed() < ACTIVE;
        tokio::select! {
            biased;
            () = self.context.crew.stop.cancelled() => Wake::Stop,
            batch = self.inbox.recv() => batch.map_or(Wake::Stop, Wake::Batch),
            Some(finished) = self.finishing.recv() => Wake::Finish(finished),
            () = tokio::time::sleep_until(self.read_back + self.context.reconcile_every), if reconcile => Wake::Reconcile,
            () = tokio::time::sleep_until(self.mark_at) => Wake::Mark,
        }
    }

    /// Takes what has gathered meanwhile, so that it travels in one submission.
    async fn take_waiting(&mut self) -> Result<bool, BotError> {
        while let Ok(batch) = self.inbox.try_recv() {
            if !self.take(batch).await? {
                return Ok(false);
            }
        }
        if self.dropped.swap(false, Ordering::AcqRel) {
            self.recover().await
        } else {
            Ok(true)
        }
    }

    async fn take(&mut self, batch: Batch) -> Result<bool, BotError> {
        let read = events(&batch.events);
        match self
            .reading
            .take(read, !batch.limited, self.context.user.as_str())
        {
            Taken::Joined(new) => {
                self.judge(batch.limited, batch.events.len());
                self.queue(new);
                Ok(true)
            }
            Taken::Gap => self.recover().await,
        }
    }

    /// A timeline that is called limited although nothing is missing says nothing about gaps. Once
    /// it may be chance (this reader had read ahead); again and again it is the homeserver's way.
    fn judge(&mut self, limited: bool, len: usize) {
        if len == 0 {
            return;
        }
        self.needless = if limited {
            self.needless.saturating_add(1)
        } else {
            0
        };
        if self.needless >= NEEDLESS {
            self.context.note_fitful();
        }
    }

    fn queue(&mut self, new: Vec<New>) {
        if new.is_empty() {
            return;
        }
        self.last_event = Instant::now();
        self.context.counters.add(Counter::Events, new.len() as u64);
        self.context
            .counters
            .add(Counter::Late, new.iter().filter(|n| n.late).count() as u64);
        let since = Instant::now();
        self.pending
            .extend(new.into_iter().map(|new| Pending { new, since }));
    }

    /// Reads the room back to its head. False when the room can no longer be read.
    async fn recover(&mut self) -> Result<bool, BotError> {
        self.read_back = Instant::now();
        let begun = self.context.now();
        self.context.counters.add(Counter::Gaps, 1);
        let head = self.reading.head().to_owned();
        let own = self.context.user.clone();
        match read_back(&self.context, &self.room, PAGES, |event| event.id == head).await? {
            History::Denied | History::Stopped => Ok(false),
            History::Reached(found) => {
                // The batch contains the head, so it cannot be a gap.
                if let Taken::Joined(mut new) = self.reading.take(found, false, own.as_str()) {
                    new.iter_mut().for_each(|new| new.recovered = true);
                    self.queue(new);
                }
                self.complete_to = begun;
                Ok(true)
            }
            History::Lost(found) => {
                if let Some(newest) = found.last() {
                    self.reading.jump(newest);
                    self.register.mark_lost(&head, newest).await?;
                }
                Ok(true)
            }
        }
    }

    /// Understands and submits what is pending. False when asked to stop.
    async fn submit(&mut self) -> Result<bool, BotError> {
        while !self.pending.is_empty() {
            let part = understanding::next(&self.context, &self.room, &mut self.pending).await?;
            for replacement in part.tombstones {
                let errand = Errand::Tombstone {
                    old: self.room.room_id().to_owned(),
                    new: replacement,
                };
                if self.errands.try_send(errand).is_err() {
                    tracing::warn!(room = %self.room.room_id(), "the room's upgrade is followed at the next mending");
                }
            }
            if part.envelopes.is_empty() {
                // Skipped events move the mark, but not each by itself.
                self.register.skip_to(part.mark);
                self.mark_at = self.mark_at.min(Instant::now() + COALESCE);
                continue;
            }
            let Some(rows) = self.register.submit(part.envelopes, part.mark).await? else {
                return Ok(false);
            };
            self.dispatch.offer(&self.context, rows);
            self.mark_at = Instant::now() + QUIET;
        }
        Ok(true)
    }

    /// Tells the register how far the room was read, when no envelope did.
    async fn move_mark(&mut self) -> Result<bool, BotError> {
        self.mark_at = Instant::now() + QUIET;
        // What a fitful sync has left out is found only by looking.
        let is_unsure = self.context.is_fitful() && self.read_back.elapsed() >= QUIET;
        if is_unsure && !self.recover().await? {
            return Ok(false);
        }
        // First up to when, then whether anything waits: sync hands over before it tells.
        let complete_to = self.complete_to();
        if self.has_more() {
            return Ok(true);
        }
        let mark = Mark {
            event_id: self.reading.head().to_owned(),
            read_up_to: complete_to
                .max(Timestamp::from_millis(self.reading.head_ts()))
                .max(self.register.read_up_to()),
        };
        if self.register.has(&mark) {
            return Ok(true);
        }
        Ok(self
            .register
            .submit(Vec::new(), Some(mark))
            .await?
            .is_some())
    }

    /// Up to when nothing of the room was missed. Never the present: a vote must not end before the
    /// ballots that were sent in time are read, and sync may not get through for hours.
    fn complete_to(&self) -> Timestamp {
        let synced = self.context.synced();
        match synced.filter(|_| !self.context.is_fitful()) {
            Some(synced) => synced.max(self.complete_to),
            None => self.complete_to,
        }
    }

    /// Whether something has come that was not read yet.
    fn has_more(&self) -> bool {
        !self.pending.is_empty() || !self.inbox.is_empty() || self.dropped.load(Ordering::Acquire)
    }

    /// Reads the room to its end, because the fleet leaves it. Then `finished` is dropped.
    async fn finish(mut self, finished: Finished) -> Result<(), BotError> {
        if self.recover().await? && self.submit().await? {
            self.move_mark().await?;
        }
        drop(finished);
        Ok(())
    }
}
