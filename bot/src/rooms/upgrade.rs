//! Rooms that were upgraded: the fleet goes where the tombstone points.
//!
//! The order loses nothing. The bot enters the next room; it reads the old one to its end and has all
//! of that submitted; only then the register takes the next room for the old one; and then the bot
//! leaves the old one. Whatever is killed in between, the next round goes on from what it finds.

use std::collections::BTreeMap;

use fleet_protocol::api::Rooms;
use matrix_sdk::ruma::{OwnedRoomId, RoomId};
use matrix_sdk::{Room, RoomState};
use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::{AGAIN, Marked, guests, is_bound, key_of, make, mark_of};
use crate::BotError;
use crate::context::Context;
use crate::refusal::{Refusal, refusal};

/// The rule of an incident: a room was replaced by one that the bot cannot enter.
const NOT_FOLLOWED: &str = "room.not_followed";

/// Upgrades that are under way.
#[derive(Debug, Default)]
pub(super) struct Upgrades {
    /// Replaced rooms whose successor could not be joined, or that could not be left, and when to try again.
    again: BTreeMap<OwnedRoomId, Instant>,
    /// Replaced rooms that are being read to their end.
    ending: BTreeMap<OwnedRoomId, oneshot::Receiver<()>>,
}

impl Upgrades {
    /// Goes a step further with every room that was replaced. Whether the register was changed.
    ///
    /// # Errors
    /// [`BotError::SignedOut`], [`BotError::LeaseLost`], [`BotError::Gateway`].
    pub(super) async fn follow(
        &mut self,
        context: &Context,
        rooms: &Rooms,
        marked: &mpsc::Sender<Marked>,
    ) -> Result<bool, BotError> {
        let mut changed = false;
        for room in context.client.joined_rooms() {
            let Some(next) = room.successor_room().map(|next| next.room_id) else {
                continue;
            };
            let old = room.room_id();
            match (is_bound(rooms, old), is_bound(rooms, &next)) {
                (true, false) => {
                    changed |= self.move_on(context, rooms, (old, &next), marked).await?;
                }
                (false, true) => self.leave(context, &room, &next).await?,
                _ => {}
            }
        }
        Ok(changed)
    }

    /// From the old room to the next; whether the register has made the step.
    async fn move_on(
        &mut self,
        context: &Context,
        rooms: &Rooms,
        (old, next): (&RoomId, &RoomId),
        marked: &mpsc::Sender<Marked>,
    ) -> Result<bool, BotError> {
        if self.enter(context, old, next).await? && self.has_read(rooms, old, marked).await {
            return bind(context, rooms, old, next).await;
        }
        Ok(false)
    }

    /// Joins the room that replaces another; whether the bot is in it. People commonly invite after
    /// they have upgraded, so that a first refusal is no reason to alarm anybody.
    async fn enter(
        &mut self,
        context: &Context,
        old: &RoomId,
        next: &RoomId,
    ) -> Result<bool, BotError> {
        let known = context.client.get_room(next);
        if known.is_some_and(|room| room.state() == RoomState::Joined) {
            self.again.remove(old);
            return Ok(true);
        }
        let refused_before = self.again.get(old).copied();
        if refused_before.is_some_and(|again| Instant::now() < again) {
            return Ok(false);
        }
        let Err(error) = context.client.join_room_by_id(next).await else {
            self.again.remove(old);
            return Ok(true);
        };
        let detail = format!("{old} was replaced by {next}, which the bot cannot join: {error}");
        match refusal(&error) {
            Refusal::SignedOut => return Err(context.signed_out()),
            Refusal::Limited(_) | Refusal::Passing(_) => tracing::warn!(detail, "is tried again"),
            _ if refused_before.is_none() => tracing::warn!(detail, "an invitation may follow"),
            _ => {
                let detail = format!("{detail}. Invite {} to it", context.user);
                context.incident(NOT_FOLLOWED, old.as_str(), detail);
            }
        }
        self.again.insert(old.to_owned(), Instant::now() + AGAIN);
        Ok(false)
    }

    /// Has the old room read to its end; whether that is done.
    async fn has_read(
        &mut self,
        rooms: &Rooms,
        old: &RoomId,
        marked: &mpsc::Sender<Marked>,
    ) -> bool {
        if let Some(finished) = self.ending.get_mut(old) {
            let is_done = !matches!(finished.try_recv(), Err(TryRecvError::Empty));
            if is_done {
                self.ending.remove(old);
            }
            return is_done;
        }
        // Nothing of it is read before it has a mark: there is nothing to finish.
        let Some(mark) = mark_of(rooms, old) else {
            return true;
        };
        let (finish, finished) = oneshot::channel();
        let order = Marked {
            room: old.to_owned(),
            mark: mark.clone(),
            finish: Some(finish),
        };
        if marked.send(order).await.is_ok() {
            self.ending.insert(old.to_owned(), finished);
        }
        false
    }

    /// Leaves a room whose successor the register has.
    async fn leave(
        &mut self,
        context: &Context,
        room: &Room,
        next: &RoomId,
    ) -> Result<(), BotError> {
        let old = room.room_id();
        if self.again.get(old).is_some_and(|at| Instant::now() < *at) {
            return Ok(());
        }
        match guests::farewell(context, room, next).await {
            Ok(()) => tracing::info!(%old, %next, "the room was replaced and is left"),
            Err(Refusal::SignedOut) => return Err(context.signed_out()),
            Err(why) => tracing::warn!(%old, ?why, "the room was replaced and cannot be left yet"),
        }
        // The SDK learns by the next sync that the bot has left.
        self.again.insert(old.to_owned(), Instant::now() + AGAIN);
        Ok(())
    }
}

/// The register takes the next room for the old one; whether it did.
async fn bind(
    context: &Context,
    rooms: &Rooms,
    old: &RoomId,
    next: &RoomId,
) -> Result<bool, BotError> {
    let replaces = Some(old.to_string());
    let bound = make::bind(context, next, key_of(rooms, old), replaces).await?;
    let open = |rule: &str| {
        let mut incidents = rooms.incidents.iter();
        incidents.any(|open| open.rule.as_str() == rule && open.subject == old.as_str())
    };
    if bound.is_some() && open(NOT_FOLLOWED) {
        context.mended(NOT_FOLLOWED, old.as_str());
    }
    Ok(bound.is_some())
}

/// Whether a room replaces one that the register knows.
pub(super) fn replaces_bound(context: &Context, rooms: &Rooms, next: &RoomId) -> bool {
    let joined = context.client.joined_rooms();
    joined.iter().any(|room| {
        is_bound(rooms, room.room_id())
            && room
                .successor_room()
                .is_some_and(|successor| successor.room_id == next)
    })
}
