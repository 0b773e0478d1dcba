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
use matrix_sdk::ruma::api::client::membership::{invite_user, join_room_by_id, kick_user};
use matrix_sdk::ruma::api::client::state::{get_state_events, send_state_event};
use matrix_sdk::ruma::events::StateEventType;
use matrix_sdk::ruma::serde::Raw;
use matrix_sdk::ruma::{OwnedRoomAliasId, OwnedRoomId, OwnedUserId, RoomId};

use super::adopt::{Strangers, stranger};
use super::guests::leave;
use super::pass::Pass;
use super::wanted::{Around, STEERS, State, Step, creation, missing};
use crate::BotError;
use crate::context::Context;
use crate::poll::fatal;
use crate::refusal::{Refusal, refusal, refusal_of};

/// Why somebody is removed: told to who is.
const REVOKED: &str =
    "the grant for this room was revoked; an operator can give one with !member add";

/// Makes and mends the space and its rooms.
///
/// # Errors
/// [`BotError::SignedOut`], [`BotError::LeaseLost`], [`BotError::Gateway`].
pub(crate) async fn all(
    context: &Context,
    rooms: &Rooms,
    strangers: &mut Strangers,
) -> Result<Pass, BotError> {
    let mut pass = Pass::default();
    let around = Around {
        tenant: &rooms.tenant,
        server: server_of(context.user.as_str()),
        space: None,
        children: &[],
    };
    let mut maker = Maker {
        context,
        operators: operators(rooms),
        strangers,
        pass: &mut pass,
    };
    let Some(space) = maker.have(&rooms.space, &around, true).await? else {
        return Ok(pass);
    };
    let mut children = Vec::new();
    for plan in &rooms.rooms {
        let around = Around {
            space: Some(space.as_str()),
            ..around.clone()
        };
        if let Some(room) = maker.have(plan, &around, false).await? {
            maker.mend(plan, &around, &room).await?;
            children.push(room.to_string());
        }
    }
    let around = Around {
        children: &children,
        ..around
    };
    maker.mend(&rooms.space, &around, &space).await?;
    Ok(pass)
}

/// Who steers the whole fleet: a room that one of them made under a name of the plan is meant for it.
fn operators(rooms: &Rooms) -> Vec<&str> {
    let members = rooms.space.members.iter();
    members
        .filter(|member| member.power_level >= STEERS)
        .map(|member| member.user.as_str())
        .collect()
}

fn server_of(user: &str) -> &str {
    user.split_once(':').map_or("", |(_, server)| server)
}

/// Makes and mends, and notes what it could not.
struct Maker<'a> {
    context: &'a Context,
    operators: Vec<&'a str>,
    strangers: &'a mut Strangers,
    pass: &'a mut Pass,
}

impl Maker<'_> {
    /// The room of a plan: as bound, as found by its alias, or made.
    async fn have(
        &mut self,
        plan: &RoomPlan,
        around: &Around<'_>,
        is_space: bool,
    ) -> Result<Option<OwnedRoomId>, BotError> {
        let context = self.context;
        let bound = plan
            .room_id
            .as_deref()
            .and_then(|id| RoomId::parse(id).ok());
        if let Some(bound) = bound.filter(|bound| is_joined(context, bound)) {
            return Ok(Some(bound));
        }
        let alias = format!("#{}:{}", plan.alias, around.server);
        let room = match by_alias(context, &alias).await {
            Ok(Some(found)) => self.adopt(found, plan).await,
            Ok(None) => make(context, plan, around, is_space).await,
            Err(refusal) => Err(refusal),
        };
        let room = match room {
            Ok(room) => room,
            Err(refusal) => {
                self.pass
                    .cannot(context, &alias, "be made or joined", refusal)?;
                return Ok(None);
            }
        };
        let bound = bind(context, &room, Some(plan.key.clone()), None).await?;
        if bound.is_none() {
            self.pass.failed(&alias);
        }
        Ok(bound.map(|_| room))
    }

    /// Joins a room that is found under a name of the plan, unless it is not the fleet's.
    async fn adopt(&mut self, room: OwnedRoomId, plan: &RoomPlan) -> Result<OwnedRoomId, Refusal> {
        if plan.room_id.as_deref() == Some(room.as_str()) {
            return join(self.context, &room).await.map(|()| room);
        }
        if let Some(why) = self.strangers.known(&room) {
            return Err(Refusal::Final(why));
        }
        join(self.context, &room).await?;
        let state = state_of(self.context, &room).await?;
        let Some(why) = stranger(&state, self.context.user.as_str(), &self.operators) else {
            return Ok(room);
        };
        leave(self.context, &room, &why).await?;
        self.strangers.note(room, why.clone());
        Err(Refusal::Final(why))
    }

    /// Sets what is missing.
    async fn mend(
        &mut self,
        plan: &RoomPlan,
        around: &Around<'_>,
        room: &RoomId,
    ) -> Result<(), BotError> {
        let context = self.context;
        let state = match state_of(context, room).await {
            Ok(state) => state,
            Err(refusal) => return self.pass.cannot(context, room.as_str(), "be read", refusal),
        };
        // Before the state: a homeserver takes only names that lead to the room.
        let alias = format!("#{}:{}", plan.alias, around.server);
        match lead(context, &alias, room).await {
            Ok(()) => self.pass.passed(&alias),
            Err(refusal) => {
                self.pass
                    .cannot(context, &alias, "be given to its room", refusal)?;
            }
        }
        self.pass.passed(room.as_str());
        for step in missing(plan, around, &state, context.user.as_str()) {
            if let Err(refusal) = take(context, room, &step).await {
                self.pass
                    .cannot(context, room.as_str(), &describe(&step), refusal)?;
            }
        }
        Ok(())
    }
}

fn is_joined(context: &Context, room: &RoomId) -> bool {
    let known = context.client.get_room(room);
    known.is_some_and(|room| room.state() == RoomState::Joined)
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
    if is_joined(context, room) {
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
        Step::Remove(user) => {
            let user =
                OwnedUserId::try_from(user.as_str()).map_err(|e| Refusal::Final(e.to_string()))?;
            let mut request = kick_user::v3::Request::new(room.to_owned(), user);
            request.reason = Some(REVOKED.to_owned());
            context
                .client
                .send(request)
                .await
                .map(|_| ())
                .map_err(|e| refusal_of(&e))
        }
        Step::Beyond(user) => Err(Refusal::Final(format!(
            "{user} has no grant any more, and as much power there as the bot"
        ))),
    }
}

fn describe(step: &Step) -> String {
    match step {
        Step::Set { kind, .. } => format!("get its {kind}"),
        Step::Invite(user) => format!("invite {user}"),
        Step::Remove(user) | Step::Beyond(user) => format!("be left by {user}"),
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
            let mut pass = Pass::default();
            pass.cannot(context, room.as_str(), "be read", refusal)?;
            return Ok(None);
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
