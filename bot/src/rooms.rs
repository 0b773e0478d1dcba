//! The rooms of the fleet: made, mended, found again, followed when they are upgraded.
//!
//! The register says what there should be ([`Rooms`]); the homeserver says what there is. This task
//! asks the former every few seconds and changes the latter only where the two differ.

use std::collections::BTreeSet;
use std::time::Duration;

use fleet_protocol::api::Rooms;
use fleet_protocol::envelope::Mark;
use matrix_sdk::RoomState;
use matrix_sdk::ruma::{OwnedRoomId, RoomId};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::BotError;
use crate::context::{Context, SIGNED_OUT};
use crate::health::Health;
use crate::poll::fatal;
use crate::worker::Finished;

use self::adopt::Strangers;
use self::upgrade::Upgrades;

mod adopt;
mod guests;
mod levels;
mod make;
mod pass;
mod upgrade;
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
    /// Only to its end: the fleet leaves the room.
    pub(crate) finish: Option<Finished>,
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
    upgrades: Upgrades,
    strangers: Strangers,
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
            upgrades: Upgrades::default(),
            strangers: Strangers::default(),
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
        if self
            .upgrades
            .follow(&self.context, &rooms, &self.marked)
            .await?
        {
            self.compared = None;
        }
        self.mended_session(&rooms);
        let plan = without_marks(&rooms);
        if self.compared.as_ref() == Some(&plan) && Instant::now() < self.compare_at {
            return Ok(());
        }
        let pass = make::all(&self.context, &rooms, &mut self.strangers).await?;
        self.health.note_rooms(pass.is_whole());
        for open in rooms.incidents.iter().filter(|open| pass.has_mended(open)) {
            self.context.mended(open.rule.as_str(), &open.subject);
        }
        self.compare_at = Instant::now() + if pass.is_whole() { COMPARE } else { AGAIN };
        self.compared = Some(plan);
        Ok(())
    }

    /// A bot that syncs is signed in.
    fn mended_session(&self, rooms: &Rooms) {
        let own = self.context.user.as_str();
        let is_open = rooms
            .incidents
            .iter()
            .any(|open| open.rule.as_str() == SIGNED_OUT && open.subject == own);
        if is_open && self.context.synced().is_some() {
            self.context.mended(SIGNED_OUT, own);
        }
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
            if joined.successor_room().is_some() && !is_bound(rooms, &room) {
                // It was replaced, and is left behind.
                continue;
            }
            let mark = match mark_of(rooms, &room) {
                Some(mark) => {
                    let key = key_of(rooms, &room);
                    make::tell(&self.context, &room, key, mark.clone(), None).await?
                }
                // Following the room that it replaces binds it first.
                None if upgrade::replaces_bound(&self.context, rooms, &room) => None,
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
                    let marked = Marked {
                        room,
                        mark,
                        finish: None,
                    };
                    if self.marked.send(marked).await.is_err() {
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
    plan.incidents.clear();
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
