//! Invitations: accepted and answered from people with a grant, declined with a reason from others.

use fleet_protocol::api::Rooms;
use matrix_sdk::Room;
use matrix_sdk::ruma::api::client::membership::{join_room_by_id, leave_room};
use matrix_sdk::ruma::{OwnedTransactionId, RoomId};
use serde_json::json;

use crate::BotError;
use crate::context::Context;
use crate::refusal::{Refusal, refusal_of};

/// Why an invitation is declined: told to who invites.
const FOREIGN: &str = "you have no grant in this fleet; an operator can give one with !member add";
const CROWDED: &str = "I am in as many rooms beside the fleet's own as I can be; remove me from one that is not needed";
const CLOSED: &str = "the room cannot be joined";

/// Rooms beside the planned ones in which the bot is at most: each has a reader and a sender.
const MOST_GUESTS: usize = 200;

/// Handles an invitation.
///
/// # Errors
/// [`BotError::SignedOut`].
pub(crate) async fn answer(context: &Context, rooms: &Rooms, room: &Room) -> Result<(), BotError> {
    let inviter = match room.invite_details().await {
        Ok(invite) => invite.inviter_id.to_string(),
        // The SDK tells of the room before it has stored who invites to it. Nobody may be declined
        // for that: the next round knows.
        Err(error) => {
            tracing::debug!(%error, room = %room.room_id(), "the invitation does not say yet who invites");
            return Ok(());
        }
    };
    let id = room.room_id();
    let planned = rooms.rooms.len() + 1;
    let guests = context.client.joined_rooms().len().saturating_sub(planned);
    let refused = refused(rooms, &inviter, guests);
    let done = match refused {
        Some(why) => leave(context, id, why).await,
        None => {
            let request = join_room_by_id::v3::Request::new(id.to_owned());
            let joined = context.client.send(request).await;
            joined.map(|_| ()).map_err(|e| refusal_of(&e))
        }
    };
    match done {
        Ok(()) => match refused {
            None => tracing::info!(room = %id, inviter, "an invitation is accepted"),
            Some(reason) => {
                tracing::info!(room = %id, inviter, reason, "an invitation is declined");
            }
        },
        Err(Refusal::SignedOut) => return Err(context.signed_out()),
        Err(Refusal::Limited(_) | Refusal::Passing(_)) => {
            tracing::warn!(room = %id, "an invitation is answered later");
        }
        Err(why) => {
            // A room that nobody can join any more would be asked for again and again.
            tracing::warn!(room = %id, ?why, "an invitation cannot be accepted and is dropped");
            if let Err(why) = leave(context, id, CLOSED).await {
                tracing::warn!(?why, room = %id, "the invitation cannot be declined either");
            }
        }
    }
    Ok(())
}

/// Why an invitation is declined; none if it is accepted. `guests` are the rooms beside the planned
/// ones that the bot is in.
fn refused(rooms: &Rooms, inviter: &str, guests: usize) -> Option<&'static str> {
    if !rooms.hosts.iter().any(|host| host.as_str() == inviter) {
        return Some(FOREIGN);
    }
    (guests >= MOST_GUESTS).then_some(CROWDED)
}

/// Leaves a room, or declines its invitation.
///
/// # Errors
/// What the homeserver says.
pub(super) async fn leave(context: &Context, room: &RoomId, reason: &str) -> Result<(), Refusal> {
    let mut request = leave_room::v3::Request::new(room.to_owned());
    request.reason = Some(reason.to_owned());
    let left = context.client.send(request).await;
    left.map(|_| ()).map_err(|e| refusal_of(&e))
}

/// Says hello in a room that the bot was invited to; once, by its transaction id.
pub(crate) async fn greet(room: &Room) {
    notice(room, "hello", "I am here. Type !help for what I can do.").await;
}

/// Says in a room that was replaced where the fleet reads from now on, and leaves it, so that nothing
/// is typed there in vain. Once, by its transaction id.
///
/// # Errors
/// What the homeserver says to the leaving.
pub(crate) async fn farewell(context: &Context, room: &Room, next: &RoomId) -> Result<(), Refusal> {
    let text = format!("This room goes on in {next}. I read there, and here no more.");
    notice(room, "moved", &text).await;
    leave(context, room.room_id(), "the room was replaced").await
}

/// Says something that needs no answer. Some homeservers know transaction ids by device alone, so that
/// `what` is said once per room only with the room's id in it.
async fn notice(room: &Room, what: &str, text: &str) {
    let content = json!({ "msgtype": "m.notice", "body": text, "m.mentions": {} });
    let transaction = OwnedTransactionId::from(format!("{what}-{}", room.room_id()));
    if let Err(error) = room
        .send_raw("m.room.message", content)
        .with_transaction_id(&transaction)
        .await
    {
        tracing::warn!(%error, what, room = %room.room_id(), "the room could not be told");
    }
}

#[cfg(test)]
mod tests {
    use fleet_protocol::api::RoomPlan;

    use super::*;

    #[test]
    fn only_people_with_a_grant_bring_the_bot_into_a_room_and_into_so_many_rooms() {
        let plan = RoomPlan {
            key: "space".parse().unwrap(),
            name: String::new(),
            topic: String::new(),
            alias: "space".to_owned(),
            room_id: None,
            mark: None,
            pinned: Vec::new(),
            members: Vec::new(),
            revoked: Vec::new(),
        };
        let rooms = Rooms {
            tenant: "acme".parse().unwrap(),
            space: plan,
            rooms: Vec::new(),
            others: Vec::new(),
            hosts: vec!["@ann:example.org".parse().unwrap()],
            incidents: Vec::new(),
        };
        for (inviter, guests, expected) in [
            ("@ann:example.org", 0, None),
            ("@ann:example.org", MOST_GUESTS - 1, None),
            ("@ann:example.org", MOST_GUESTS, Some(CROWDED)),
            ("@eve:example.org", 0, Some(FOREIGN)),
            ("", 0, Some(FOREIGN)),
        ] {
            assert_eq!(
                refused(&rooms, inviter, guests),
                expected,
                "{inviter} {guests}"
            );
        }
    }
}
