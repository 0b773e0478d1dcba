//! Following rooms: each event is told once, and none is missed.
//!
//! `/sync` alone does not promise that everywhere: some servers cut every timeline to ten events,
//! miss wake-ups under load, or skip an event (platform.md, "Conduit"). So a follower keeps a mark
//! per room, reads back to it with `/messages` whenever a timeline is cut and once every few
//! seconds, and drops what it has told already.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::{Matrix, MatrixError, RoomEvent};

/// How long one poll may be held open: short, as a missed wake-up costs this much.
const POLL: Duration = Duration::from_millis(1_500);
/// How often rooms are read back to their mark although sync tells nothing is missing.
const RECONCILE: Duration = Duration::from_secs(4);
/// Ids of told events that are kept per room.
const REMEMBERED: usize = 4_000;
/// Pages of history read to find a mark.
const PAGES: usize = 60;

/// An event and where it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The room.
    pub room_id: String,
    /// The event.
    pub event: RoomEvent,
}

/// Tells each event of the account's rooms once, from now on.
#[derive(Debug)]
pub struct Follow {
    matrix: Matrix,
    since: String,
    rooms: BTreeMap<String, Followed>,
    reconciled: Instant,
    /// Read, but not told yet: a failed request in between loses nothing.
    pending: Vec<Seen>,
}

/// What is known of one room.
#[derive(Debug, Default)]
struct Followed {
    /// Newest event up to which nothing is missing; none: everything is news.
    mark: Option<String>,
    told: HashSet<String>,
    order: VecDeque<String>,
}

impl Followed {
    /// Whether the event is news; remembers it.
    fn is_news(&mut self, event_id: &str) -> bool {
        if !self.told.insert(event_id.to_owned()) {
            return false;
        }
        self.order.push_back(event_id.to_owned());
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.told.remove(&oldest);
        }
        true
    }
}

impl Follow {
    /// Starts following: what is in the rooms already is not told.
    ///
    /// # Errors
    /// [`MatrixError`].
    pub async fn start(matrix: Matrix) -> Result<Self, MatrixError> {
        let first = matrix.sync(None, Duration::ZERO).await?;
        let mut rooms = BTreeMap::new();
        for (room_id, room) in first.rooms.join {
            let mut followed = Followed::default();
            for event in &room.timeline.events {
                followed.is_news(&event.event_id);
            }
            followed.mark = room.timeline.events.last().map(|e| e.event_id.clone());
            rooms.insert(room_id, followed);
        }
        Ok(Self {
            matrix,
            since: first.next_batch,
            rooms,
            reconciled: Instant::now(),
            pending: Vec::new(),
        })
    }

    /// The account that follows.
    pub fn matrix(&self) -> &Matrix {
        &self.matrix
    }

    /// News, oldest first in each room; empty when nothing happened during one poll.
    ///
    /// # Errors
    /// [`MatrixError`]; calling again goes on without a gap.
    pub async fn next(&mut self) -> Result<Vec<Seen>, MatrixError> {
        let sync = self.matrix.sync(Some(&self.since), POLL).await?;
        let mut cut = Vec::new();
        for (room_id, room) in sync.rooms.join {
            let followed = self.rooms.entry(room_id.clone()).or_default();
            // A room joined just now has no mark: its timeline may start anywhere.
            if room.timeline.limited || followed.mark.is_none() {
                cut.push(room_id);
                continue;
            }
            for event in room.timeline.events {
                if followed.is_news(&event.event_id) {
                    self.pending.push(Seen {
                        room_id: room_id.clone(),
                        event,
                    });
                }
            }
        }
        if self.reconciled.elapsed() >= RECONCILE {
            cut = self.rooms.keys().cloned().collect();
            self.reconciled = Instant::now();
        }
        for room_id in cut {
            let news = self.read_back(&room_id).await?;
            self.pending.extend(news);
        }
        self.since = sync.next_batch;
        Ok(std::mem::take(&mut self.pending))
    }

    /// Reads a room back to its mark and tells what is news.
    async fn read_back(&mut self, room_id: &str) -> Result<Vec<Seen>, MatrixError> {
        let mark = self.rooms.get(room_id).and_then(|f| f.mark.clone());
        let mut found = Vec::new();
        let mut from: Option<String> = None;
        for _ in 0..PAGES {
            let page = self.matrix.messages(room_id, from.as_deref(), 100).await?;
            let last_page = page.chunk.is_empty() || page.end.is_none() || page.end == from;
            let reached = page
                .chunk
                .iter()
                .any(|e| Some(&e.event_id) == mark.as_ref());
            found.extend(page.chunk);
            if reached || last_page {
                break;
            }
            from = page.end;
        }
        let followed = self.rooms.entry(room_id.to_owned()).or_default();
        // Only `/messages` moves the mark: it lists every event, sync may skip one.
        if let Some(newest) = found.first() {
            followed.mark = Some(newest.event_id.clone());
        }
        let end = found
            .iter()
            .position(|e| Some(&e.event_id) == mark.as_ref())
            .unwrap_or(found.len());
        found.truncate(end);
        found.reverse();
        let news = found.into_iter().filter(|e| followed.is_news(&e.event_id));
        Ok(news
            .map(|event| Seen {
                room_id: room_id.to_owned(),
                event,
            })
            .collect())
    }

    /// Waits for the first event that `wanted` accepts; everything before it is dropped, what came
    /// with it after it too.
    ///
    /// # Errors
    /// [`MatrixError::Deadline`] with `what` when it does not come within `limit`.
    pub async fn until(
        &mut self,
        what: &str,
        limit: Duration,
        mut wanted: impl FnMut(&Seen) -> bool,
    ) -> Result<Seen, MatrixError> {
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            if let Some(seen) = self.next().await?.into_iter().find(|seen| wanted(seen)) {
                return Ok(seen);
            }
        }
        Err(MatrixError::Deadline {
            what: what.to_owned(),
            seconds: limit.as_secs(),
        })
    }
}
