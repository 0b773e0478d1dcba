//! Making and mending the fleet's rooms on the homeserver.

use fleet_protocol::Timestamp;
use fleet_protocol::api::{BindRoom, RoomPlan, Rooms};
use fleet_protocol::envelope::Mark;
use fleet_protocol::scalar::Name;
use matrix_sdk::RoomState;
use matrix_sdk::ruma::api::client::alias::{create_alias, get_alias};
use matrix_sdk::ruma::api::client::membership::invite_user::v3::{
    InvitationRecipient, InviteUserId,
};
use matrix_sdk::ruma::api::client::membership::{invite_user, join_room_by_id};
use matrix_sdk::ruma::api::client::state::{get_state_events, send_state_event};
use matrix_sdk::ruma::events::StateEventType;
use matrix_sdk::ruma::serde::Raw;
use matrix_sdk::ruma::{OwnedRoomAliasId, OwnedRoomId, OwnedUserId, RoomId};

use super::wanted::{Around, State, Step, creation, missing};
use crate::BotError;
use crate::context::Context;
use crate::poll::fatal;
use crate::refusal::{Refusal, refusal, refusal_of};

/// Makes and mends the space and its rooms. True if nothing is left to be done.
///
/// # Errors
/// [`BotError::SignedOut`], [`BotError::LeaseLost`], [`BotError::Gateway`].
pub(crate) async fn all(context: &Context, rooms: &Rooms) -> Result<bool, BotError> {
    let server = context
        .user
        .as_str()
        .split_once(':')
        .map(|(_, server)| server)
        .unwrap_or_default();
    let around = Around {
        tenant: &rooms.tenant,
        server,
        members: &rooms.members,
        space: None,
        children: &[],
    };
    let Some(space) = have(context, &rooms.space, &around, true).await? else {
        return Ok(false);
    };
    let (mut whole, mut children) = (true, Vec::new());
    for plan in &rooms.rooms {
        let around = Around {
            space: Some(space.as_str()),
            ..around.clone()
        };
        match have(context, plan, &around, false).await? {
            Some(room) => {
                whole &= mend(context, plan, &around, &room).await?;
                children.push(room.to_string());
            }
            None => whole = false,
        }
    }
    let around = Around {
        children: &children,
        ..around
    };
    Ok(mend(context, &rooms.space, &around, &space).await? && whole)
}

/// The room of a plan: as bound, as found by its alias, or made.
async fn have(
    context: &Context,
    plan: &RoomPlan,
    around: &Around<'_>,
    is_space: bool,
) -> Result<Option<OwnedRoomId>, BotError> {
    if let Some(bound) = plan
        .room_id
        .as_deref()
        .and_then(|id| RoomId::parse(id).ok())
        && context
            .client
            .get_room(&bound)
            .is_some_and(|room| room.state() == RoomState::Joined)
    {
        return Ok(Some(bound));
    }
    let alias = format!("#{}:{}", plan.alias, around.server);
    let found = match by_alias(context, &alias).await {
        Ok(Some(found)) => Some(found),
        Ok(None) => None,
        Err(refusal) => {
            return cannot(context, &alias, "be looked up", refusal)
                .await
                .map(|()| None);
        }
    };
    let room = match found {
        Some(room) => join(context, &room).await.map(|()| room),
        None => make(context, plan, around, is_space).await,
    };
    let room = match room {
        Ok(room) => room,
        Err(refusal) => {
            return cannot(context, &alias, "be made or joined", refusal)
                .await
                .map(|()| None);
        }
    };
    let bound = bind(context, &room, Some(plan.key.clone()), None).await?;
    Ok(bound.map(|_| room))
}

async fn by_alias(context: &Context, alias: &str) -> Result<Option<OwnedRoomId>, Refusal> {
    let Ok(alias) = OwnedRoomAliasId::try_from(alias) else {
        return Err(Refusal::Final(format!("{alias} is no room alias")));
    };
    match context
        .client
        .send(get_alias::v3::Request::new(alias))
        .await
        .map_err(|e| refusal_of(&e))
    {
        Ok(found) => Ok(Some(found.room_id)),
        Err(Refusal::NotFound(_)) => Ok(None),
        Err(refusal) => Err(refusal),
    }
}

/// Has the alias lead to the room.
async fn lead(context: &Context, alias: &str, room: &RoomId) -> Result<(), Refusal> {
    match by_alias(context, alias).await? {
        Some(found) if found == room => return Ok(()),
        Some(other) => return Err(Refusal::Final(format!("it leads to {other}"))),
        None => {}
    }
    let alias = OwnedRoomAliasId::try_from(alias).map_err(|e| Refusal::Final(e.to_string()))?;
    let request = create_alias::v3::Request::new(alias, room.to_owned());
    context
        .client
        .send(request)
        .await
        .map(|_| ())
        .map_err(|e| refusal_of(&e))
}

async fn join(context: &Context, room: &RoomId) -> Result<(), Refusal> {
    let joined = context
        .client
        .get_room(room)
        .is_some_and(|room| room.state() == RoomState::Joined);
    if joined {
        return Ok(());
    }
    // The SDK learns of it by the next sync; the answer only says that the homeserver agreed.
    let request = join_room_by_id::v3::Request::new(room.to_owned());
    context
        .client
        .send(request)
        .await
        .map(|_| ())
        .map_err(|e| refusal_of(&e))
}

async fn make(
    context: &Context,
    plan: &RoomPlan,
    around: &Around<'_>,
    is_space: bool,
) -> Result<OwnedRoomId, Refusal> {
    let request = creation(plan, around, is_space).map_err(|e| Refusal::Final(e.to_string()))?;
    let room = context
        .client
        .create_room(request)
        .await
        .map_err(|e| refusal(&e))?;
    tracing::info!(room = %room.room_id(), key = %plan.key, "a room is made");
    Ok(room.room_id().to_owned())
}

/// Sets what is missing. True if all of it could be set.
async fn mend(
    context: &Context,
    plan: &RoomPlan,
    around: &Around<'_>,
    room: &RoomId,
) -> Result<bool, BotError> {
    let state = match state_of(context, room).await {
        Ok(state) => state,
        Err(refusal) => {
            return cannot(context, room.as_str(), "be read", refusal)
                .await
                .map(|()| false);
        }
    };
    let mut whole = true;
    // Before the state: a homeserver takes only names that lead to the room.
    let alias = format!("#{}:{}", plan.alias, around.server);
    if let Err(refusal) = lead(context, &alias, room).await {
        cannot(context, &alias, "be given to its room", refusal).await?;
        whole = false;
    }
    for step in missing(plan, around, &state, context.user.as_str()) {
        if let Err(refusal) = take(context, room, &step).await {
            cannot(context, room.as_str(), &describe(&step), refusal).await?;
            whole = false;
        }
    }
    Ok(whole)
}

async fn take(context: &Context, room: &RoomId, step: &Step) -> Result<(), Refusal> {
    match step {
        Step::Set { kind, key, content } => {
            let content = Raw::new(content)
                .map_err(|e| Refusal::Final(e.to_string()))?
                .cast_unchecked();
            let kind = StateEventType::from(kind.as_str());
            let request =
                send_state_event::v3::Request::new_raw(room.to_owned(), kind, key.clone(), content);
            context
                .client
                .send(request)
                .await
                .map(|_| ())
                .map_err(|e| refusal_of(&e))
        }
        Step::Invite(user) => {
            let user =
                OwnedUserId::try_from(user.as_str()).map_err(|e| Refusal::Final(e.to_string()))?;
            let recipient = InvitationRecipient::UserId(InviteUserId::new(user));
            let request = invite_user::v3::Request::new(room.to_owned(), recipient);
            context
                .client
                .send(request)
                .await
                .map(|_| ())
                .map_err(|e| refusal_of(&e))
        }
    }
}

fn describe(step: &Step) -> String {
    match step {
        Step::Set { kind, .. } => format!("get its {kind}"),
        Step::Invite(user) => format!("invite {user}"),
    }
}

/// The room's state events.
pub(crate) async fn state_of(context: &Context, room: &RoomId) -> Result<Vec<State>, Refusal> {
    let request = get_state_events::v3::Request::new(room.to_owned());
    let state = context
        .client
        .send(request)
        .await
        .map_err(|e| refusal_of(&e))?;
    Ok(state
        .room_state
        .iter()
        .filter_map(|raw| raw.deserialize_as_unchecked().ok())
        .collect())
}

/// Tells the register of a room, with the bot's own join as the mark: what is older is history.
/// The mark, or none if that has to be tried again.
///
/// # Errors
/// [`BotError::SignedOut`], [`BotError::LeaseLost`], [`BotError::Gateway`].
pub(crate) async fn bind(
    context: &Context,
    room: &RoomId,
    key: Option<Name>,
    replaces: Option<String>,
) -> Result<Option<Mark>, BotError> {
    let state = match state_of(context, room).await {
        Ok(state) => state,
        Err(refusal) => {
            return cannot(context, room.as_str(), "be read", refusal)
                .await
                .map(|()| None);
        }
    };
    let own = context.user.as_str();
    let join = state
        .into_iter()
        .find(|s| s.kind == "m.room.member" && s.state_key == own);
    let Some(join) = join else {
        tracing::warn!(%room, "the bot is not in the room's state yet");
        return Ok(None);
    };
    let mark = Mark {
        event_id: join.event_id,
        read_up_to: Timestamp::from_millis(join.origin_server_ts),
    };
    tell(context, room, key, mark, replaces).await
}

/// Tells the register that the bot is in a room, which is when what was parked there is tried
/// again. A mark that the register has is kept. The mark, or none if that has to be tried again.
///
/// # Errors
/// [`BotError::LeaseLost`], [`BotError::Gateway`].
pub(crate) async fn tell(
    context: &Context,
    room: &RoomId,
    key: Option<Name>,
    mark: Mark,
    replaces: Option<String>,
) -> Result<Option<Mark>, BotError> {
    let body = BindRoom {
        lease: context.lease.claim(),
        key,
        mark: mark.clone(),
        replaces,
    };
    match context.gateway.bind_room(room.as_str(), &body).await {
        Ok(()) => Ok(Some(mark)),
        Err(error) => fatal(context, error, "binding a room").map(|()| None),
    }
}

/// Something about a room does not work: an incident if the homeserver refuses, patience otherwise.
async fn cannot(
    context: &Context,
    subject: &str,
    what: &str,
    refusal: Refusal,
) -> Result<(), BotError> {
    match refusal {
        Refusal::SignedOut => Err(context.signed_out()),
        Refusal::Limited(_) | Refusal::Passing(_) => {
            tracing::warn!(subject, what, ?refusal, "is tried again");
            Ok(())
        }
        Refusal::Forbidden(why) | Refusal::NotFound(why) | Refusal::Final(why) => {
            let detail = format!(
                "{subject} cannot {what}: {why}. Give {} the right to (power level 100), or do it by hand",
                context.user
            );
            context.incident("room.not_mended", subject, detail).await;
            Ok(())
        }
        Refusal::TooLarge => {
            context
                .incident(
                    "room.not_mended",
                    subject,
                    format!("{subject} cannot {what}: too large"),
                )
                .await;
            Ok(())
        }
    }
}
