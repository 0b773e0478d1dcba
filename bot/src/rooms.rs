//! The rooms of the fleet: made, mended, found again, followed when they are upgraded.
//!
//! The register says what there should be ([`Rooms`]); the homeserver says what there is. This task
//! asks the former every few seconds and changes the latter only where the two differ.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fleet_protocol::api::Rooms;
use fleet_protocol::envelope::Mark;
use matrix_sdk::RoomState;
use matrix_sdk::ruma::{OwnedRoomId, RoomId};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::BotError;
use crate::context::Context;
use crate::health::Health;
use crate::poll::fatal;
use crate::refusal::{Refusal, refusal};

mod guests;
mod make;
mod wanted;

/// How often the register is asked.
const ASK: Duration = Duration::from_secs(3);
/// How often whole rooms are compared although nothing changed.
const COMPARE: Duration = Duration::from_secs(600);
/// How soon what failed is tried again.
const AGAIN: Duration = Duration::from_secs(30);

/// Something for this task to do now.
#[derive(Debug)]
pub(crate) enum Errand {
    /// A room was replaced by another.
    Tombstone { old: OwnedRoomId, new: OwnedRoomId },
    /// An invitation came.
    Invited,
    /// The bot is in a room that is not being read: from where is it to be read?
    Unread(OwnedRoomId),
}

/// A room, and from where it is to be read.
#[derive(Debug)]
pub(crate) struct Marked {
    pub(crate) room: OwnedRoomId,
    pub(crate) mark: Mark,
}

/// The task.
pub(crate) struct Housekeeper {
    context: Context,
    errands: mpsc::Receiver<Errand>,
    marked: mpsc::Sender<Marked>,
    health: Health,
    unread: BTreeSet<OwnedRoomId>,
    /// The plan as it was compared last, without marks, and when to compare again.
    compared: Option<Rooms>,
    compare_at: Instant,
    /// Replaced rooms whose successor could not be joined, and when to try again.
    unfollowed: BTreeMap<OwnedRoomId, Instant>,
}

impl Housekeeper {
    pub(crate) fn new(
        context: Context,
        errands: mpsc::Receiver<Errand>,
        marked: mpsc::Sender<Marked>,
        health: Health,
    ) -> Self {
        let (unread, compare_at) = (BTreeSet::new(), Instant::now());
        Self {
            context,
            errands,
            marked,
            health,
            unread,
            compared: None,
            compare_at,
            unfollowed: BTreeMap::new(),
        }
    }

    /// Works until stopped.
    ///
    /// # Errors
    /// [`BotError::SignedOut`], [`BotError::LeaseLost`], [`BotError::Gateway`].
    pub(crate) async fn run(mut self) -> Result<(), BotError> {
        let stop = self.context.crew.stop.clone();
        while !stop.is_cancelled() {
            match self.context.gateway.rooms().await {
                Ok(rooms) => self.work(rooms).await?,
                Err(error) => fatal(&self.context, error, "asking for the rooms")?,
            }
            // A room that waits to be read is worth asking sooner.
            let pause = if self.unread.is_empty() { ASK } else { ASK / 6 };
            tokio::select! {
                errand = self.errands.recv() => match errand {
                    Some(errand) => self.note(errand),
                    None => return Ok(()),
                },
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => {}
            }
            while let Ok(errand) = self.errands.try_recv() {
                self.note(errand);
            }
        }
        Ok(())
    }

    fn note(&mut self, errand: Errand) {
        match errand {
            Errand::Unread(room) => {
                self.unread.insert(room);
            }
            // The SDK's store has the rest: tombstones and invitations are found there.
            Errand::Tombstone { old, new } => tracing::info!(%old, %new, "the room was upgraded"),
            Errand::Invited => {}
        }
    }

    async fn work(&mut self, rooms: Rooms) -> Result<(), BotError> {
        self.mark(&rooms).await?;
        for room in self.context.client.invited_rooms() {
            guests::answer(&self.context, &rooms, &room).await?;
        }
        self.follow(&rooms).await?;
        let plan = without_marks(&rooms);
        if self.compared.as_ref() == Some(&plan) && Instant::now() < self.compare_at {
            return Ok(());
        }
        let whole = make::all(&self.context, &rooms).await?;
        self.health.note_rooms();
        self.compare_at = Instant::now() + if whole { COMPARE } else { AGAIN };
        self.compared = Some(plan);
        Ok(())
    }

    /// Finds from where unread rooms are to be read, and tells.
    async fn mark(&mut self, rooms: &Rooms) -> Result<(), BotError> {
        for room in std::mem::take(&mut self.unread) {
            let joined = self
                .context
                .client
                .get_room(&room)
                .filter(|room| room.state() == RoomState::Joined);
            let Some(joined) = joined else { continue };
            let mark = match mark_of(rooms, &room) {
                Some(mark) => {
                    let key = key_of(rooms, &room);
                    make::tell(&self.context, &room, key, mark.clone(), None).await?
                }
                // Following the room that it replaces binds it first.
                None if self.replaces_bound(rooms, &room) => None,
                None if is_bound(rooms, &room)
                    || !is_planned(&self.context, rooms, &room).await =>
                {
                    let key = key_of(rooms, &room);
                    let mark = make::bind(&self.context, &room, key.clone(), None).await?;
                    if key.is_none() && mark.is_some() {
                        guests::greet(&joined).await;
                    }
                    mark
                }
                // It is one of the fleet's own rooms: making it binds it by its key first.
                None => None,
            };
            match mark {
                Some(mark) => {
                    if self.marked.send(Marked { room, mark }).await.is_err() {
                        return Ok(());
                    }
                }
                None => {
                    self.unread.insert(room);
                }
            }
        }
        Ok(())
    }

    /// Follows upgrades of rooms that the register still knows under their old id.
    async fn follow(&mut self, rooms: &Rooms) -> Result<(), BotError> {
        for room in self.context.client.joined_rooms() {
            let Some(next) = room.successor_room() else {
                continue;
            };
            let old = room.room_id();
            if !is_bound(rooms, old) || is_bound(rooms, &next.room_id) {
                continue;
            }
            if !self.enter(old, &next.room_id).await? {
                continue;
            }
            make::bind(
                &self.context,
                &next.room_id,
                key_of(rooms, old),
                Some(old.to_string()),
            )
            .await?;
            self.unfollowed.remove(old);
            self.compared = None;
        }
        Ok(())
    }

    /// Joins the room that replaces another; whether the bot is in it. People commonly invite after
    /// they have upgraded, so that a first refusal is no reason to alarm anybody.
    async fn enter(&mut self, old: &RoomId, next: &RoomId) -> Result<bool, BotError> {
        let client = &self.context.client;
        if client
            .get_room(next)
            .is_some_and(|room| room.state() == RoomState::Joined)
        {
            return Ok(true);
        }
        let refused_before = self.unfollowed.get(old).copied();
        if refused_before.is_some_and(|again| Instant::now() < again) {
            return Ok(false);
        }
        let Err(error) = client.join_room_by_id(next).await else {
            return Ok(true);
        };
        let detail = format!("{old} was replaced by {next}, which the bot cannot join: {error}");
        match refusal(&error) {
            Refusal::SignedOut => return Err(self.context.signed_out()),
            Refusal::Limited(_) | Refusal::Passing(_) => tracing::warn!(detail, "is tried again"),
            _ if refused_before.is_none() => tracing::warn!(detail, "an invitation may follow"),
            _ => {
                let detail = format!("{detail}. Invite {} to it", self.context.user);
                self.context
                    .incident("room.not_followed", old.as_str(), detail)
                    .await;
            }
        }
        self.unfollowed
            .insert(old.to_owned(), Instant::now() + AGAIN);
        Ok(false)
    }

    /// Whether a room replaces one that the register knows.
    fn replaces_bound(&self, rooms: &Rooms, next: &RoomId) -> bool {
        let joined = self.context.client.joined_rooms();
        joined.iter().any(|room| {
            is_bound(rooms, room.room_id())
                && room
                    .successor_room()
                    .is_some_and(|successor| successor.room_id == next)
        })
    }
}

/// The plan, to be compared with itself later.
fn without_marks(rooms: &Rooms) -> Rooms {
    let mut plan = rooms.clone();
    for room in plan.rooms.iter_mut().chain([&mut plan.space]) {
        room.mark = None;
        // Pinned by rows of the outbox as they come; only what somebody unpinned is mended.
        room.pinned.clear();
    }
    plan.others.clear();
    plan
}

fn mark_of<'a>(rooms: &'a Rooms, room: &RoomId) -> Option<&'a Mark> {
    let is = |id: &Option<String>| id.as_deref() == Some(room.as_str());
    let planned = rooms
        .rooms
        .iter()
        .chain([&rooms.space])
        .find(|plan| is(&plan.room_id));
    let other = rooms
        .others
        .iter()
        .find(|other| other.room_id == room.as_str());
    planned
        .and_then(|plan| plan.mark.as_ref())
        .or_else(|| other.and_then(|other| other.mark.as_ref()))
}

fn key_of(rooms: &Rooms, room: &RoomId) -> Option<fleet_protocol::scalar::Name> {
    let plan = rooms
        .rooms
        .iter()
        .chain([&rooms.space])
        .find(|plan| plan.room_id.as_deref() == Some(room.as_str()));
    plan.map(|plan| plan.key.clone())
}

fn is_bound(rooms: &Rooms, room: &RoomId) -> bool {
    key_of(rooms, room).is_some()
        || rooms
            .others
            .iter()
            .any(|other| other.room_id == room.as_str())
}

/// Whether the room carries the alias of a plan.
async fn is_planned(context: &Context, rooms: &Rooms, room: &RoomId) -> bool {
    let Some(known) = context.client.get_room(room) else {
        return false;
    };
    let alias = known.canonical_alias();
    let named = |local: &str| alias.as_ref().is_some_and(|alias| alias.alias() == local);
    rooms
        .rooms
        .iter()
        .chain([&rooms.space])
        .any(|plan| named(&plan.alias))
}
