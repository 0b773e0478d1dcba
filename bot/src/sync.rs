//! The sync loop: one request after the other, without pause, and never more than that.
//!
//! The SDK's own loop sleeps between quick responses, and its event handlers can neither fail nor be
//! repeated; so this loop calls `sync_once`, takes the raw events out of the response and leaves
//! what was read to the room's mark (architecture.md, "Way in" 1).

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Duration;

use matrix_sdk::Client;
use matrix_sdk::config::SyncSettings;
use matrix_sdk::ruma::api::client::filter::{
    Filter as EventFilter, FilterDefinition, RoomEventFilter,
};
use matrix_sdk::ruma::api::client::sync::sync_events::v3::Filter;
use matrix_sdk::ruma::presence::PresenceState;
use matrix_sdk::ruma::{OwnedRoomId, UInt};
use matrix_sdk::sync::SyncResponse;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::BotError;
use crate::context::Context;
use crate::counters::Counter;
use crate::dispatch::Dispatch;
use crate::health::Health;
use crate::refusal::{Backoff, Refusal, refusal};
use crate::rooms::{Errand, Marked};
use crate::worker::{Batch, Reader};

/// Events of one room in one response (a homeserver may give fewer, and says so).
const TIMELINE: u32 = 500;
/// Long poll on a homeserver whose sync can be trusted.
pub(crate) const LONG: Duration = Duration::from_secs(25);
/// Long poll of a quiet bot where it cannot.
const QUIET: Duration = Duration::from_secs(10);
/// Long poll while rooms are active where it cannot: a missed wake-up costs at most this.
pub(crate) const SHORT: Duration = Duration::from_millis(1_500);
/// How long after the last event rooms are active.
const ACTIVE: Duration = Duration::from_secs(30);
/// Longest pause after a failed request.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How long the homeserver may take to say what it is.
const HINT: Duration = Duration::from_secs(2);

/// The loop.
pub(crate) struct Sync {
    context: Context,
    dispatch: Dispatch,
    errands: mpsc::Sender<Errand>,
    marked: mpsc::Receiver<Marked>,
    keys: watch::Sender<u64>,
    health: Health,
    readers: HashMap<OwnedRoomId, Reader>,
    last_event: Instant,
    filter: Filter,
}

impl Sync {
    pub(crate) fn new(
        context: Context,
        dispatch: Dispatch,
        errands: mpsc::Sender<Errand>,
        marked: mpsc::Receiver<Marked>,
        keys: watch::Sender<u64>,
        health: Health,
    ) -> Self {
        let (readers, last_event, filter) = (HashMap::new(), Instant::now(), filter());
        Self {
            context,
            dispatch,
            errands,
            marked,
            keys,
            health,
            readers,
            last_event,
            filter,
        }
    }

    /// Syncs until stopped.
    ///
    /// # Errors
    /// [`BotError::SignedOut`].
    pub(crate) async fn run(mut self) -> Result<(), BotError> {
        let stop = self.context.crew.stop.clone();
        if stop
            .run_until_cancelled(skips_events(&self.context.client))
            .await
            == Some(true)
        {
            self.context.note_fitful();
        }
        let mut timeout = Duration::ZERO;
        let mut backoff = Backoff::up_to(LONGEST_PAUSE);
        let mut is_first = true;
        while !stop.is_cancelled() {
            let begun = self.context.now();
            let Some(response) = self.once(timeout).await else {
                break;
            };
            let pause = match response {
                Ok(response) => {
                    self.context.counters.add(Counter::Syncs, 1);
                    self.health.note_sync();
                    self.route(response);
                    self.context.note_synced(begun);
                    if is_first {
                        self.ask_for_marks();
                        is_first = false;
                    }
                    backoff = Backoff::up_to(LONGEST_PAUSE);
                    timeout = self.timeout();
                    continue;
                }
                Err(error) => {
                    self.context.counters.add(Counter::SyncFailures, 1);
                    match refusal(&error) {
                        Refusal::SignedOut => return Err(self.context.signed_out()),
                        Refusal::Limited(wait) => wait,
                        why => {
                            if backoff.is_fresh() {
                                tracing::warn!(?why, "sync is tried again");
                            }
                            backoff.pause()
                        }
                    }
                }
            };
            timeout = Duration::ZERO;
            stop.run_until_cancelled(tokio::time::sleep(pause)).await;
        }
        Ok(())
    }

    /// One sync; readers are started meanwhile. `None` when stopped.
    async fn once(&mut self, timeout: Duration) -> Option<Result<SyncResponse, matrix_sdk::Error>> {
        let settings = SyncSettings::new()
            .filter(self.filter.clone())
            .set_presence(PresenceState::Offline)
            .timeout(timeout);
        let (client, stop) = (self.context.client.clone(), self.context.crew.stop.clone());
        let response = client.sync_once(settings);
        tokio::pin!(response);
        loop {
            tokio::select! {
                biased;
                response = &mut response => return Some(response),
                Some(marked) = self.marked.recv() => self.start(marked),
                () = stop.cancelled() => return None,
            }
        }
    }

    fn timeout(&self) -> Duration {
        match (self.context.is_fitful(), self.last_event.elapsed() < ACTIVE) {
            (false, _) => LONG,
            (true, false) => QUIET,
            (true, true) => SHORT,
        }
    }

    fn start(&mut self, marked: Marked) {
        let Some(room) = self.context.client.get_room(&marked.room) else {
            return;
        };
        let known = self.readers.entry(marked.room);
        let is_read = matches!(&known, Entry::Occupied(known) if !known.get().has_ended());
        let start = || {
            let (dispatch, errands) = (self.dispatch.clone(), self.errands.clone());
            Reader::start(&self.context, room, marked.mark, dispatch, errands)
        };
        let reader = match known {
            Entry::Occupied(known) if is_read => known.into_mut(),
            known => known.insert_entry(start()).into_mut(),
        };
        if let Some(finished) = marked.finish {
            reader.finish(finished);
        }
    }

    /// Hands each room's events to its reader; never waits.
    fn route(&mut self, response: SyncResponse) {
        if !response.to_device.is_empty() {
            self.keys
                .send_modify(|count| *count = count.wrapping_add(1));
        }
        for room in response.rooms.left.keys() {
            self.readers.remove(room);
        }
        for (room, update) in response.rooms.joined {
            let (events, limited) = (update.timeline.events, update.timeline.limited);
            if !events.is_empty() {
                self.last_event = Instant::now();
            }
            match self.readers.get(&room) {
                Some(reader) if !reader.has_ended() => reader.offer(Batch { events, limited }),
                // Its events are read back from its mark once that is known.
                _ => self.ask_for_mark(room),
            }
        }
        if !response.rooms.invited.is_empty() {
            self.send_errand(Errand::Invited);
        }
    }

    fn ask_for_marks(&mut self) {
        for room in self.context.client.joined_rooms() {
            if !self.readers.contains_key(room.room_id()) {
                self.ask_for_mark(room.room_id().to_owned());
            }
        }
    }

    fn ask_for_mark(&mut self, room: OwnedRoomId) {
        self.readers.remove(&room);
        self.send_errand(Errand::Unread(room));
    }

    fn send_errand(&self, errand: Errand) {
        if let Err(error) = self.errands.try_send(errand) {
            tracing::warn!(%error, "the housekeeper is behind; the next sync asks again");
        }
    }
}

/// Everything a reader needs and nothing that only wakes it: no presence, receipts or typing.
pub(crate) fn filter() -> Filter {
    let mut definition = FilterDefinition::empty();
    definition.presence = EventFilter::ignore_all();
    let mut timeline = RoomEventFilter::empty();
    timeline.limit = Some(UInt::from(TIMELINE));
    definition.room.timeline = timeline;
    definition.room.ephemeral = RoomEventFilter::ignore_all();
    Filter::FilterDefinition(definition)
}

/// Whether the homeserver names itself as one whose sync may skip events (Conduit and its kin). It
/// need not answer: the readers find out by themselves, only later.
pub(crate) async fn skips_events(client: &Client) -> bool {
    let Ok(url) = client.homeserver().join("/_matrix/federation/v1/version") else {
        return false;
    };
    let ask = async {
        let answer = client.http_client().get(url).send().await?;
        answer.text().await
    };
    match tokio::time::timeout(HINT, ask).await {
        Ok(Ok(text)) => text.to_ascii_lowercase().contains("condu"),
        Ok(Err(error)) => {
            tracing::debug!(%error, "the homeserver does not say what it is");
            false
        }
        Err(_) => false,
    }
}
