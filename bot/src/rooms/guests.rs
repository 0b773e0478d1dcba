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

/// What to do with an invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Accept,
    Decline,
}

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
    let answer = answer_to(rooms, &inviter);
    let done = match answer {
        Answer::Accept => context
            .client
            .send(join_room_by_id::v3::Request::new(id.to_owned()))
            .await
            .map(|_| ()),
        Answer::Decline => decline(context, id, FOREIGN).await,
    };
    match done.map_err(|e| refusal_of(&e)) {
        Ok(()) if answer == Answer::Accept => {
            tracing::info!(room = %id, inviter, "an invitation is accepted");
        }
        Ok(()) => {
            tracing::info!(room = %id, inviter, reason = FOREIGN, "an invitation is declined")
        }
        Err(Refusal::SignedOut) => return Err(context.signed_out()),
        Err(Refusal::Limited(_) | Refusal::Passing(_)) => {
            tracing::warn!(room = %id, "an invitation is answered later");
        }
        Err(why) => {
            // A room that nobody can join any more would be asked for again and again.
            tracing::warn!(room = %id, ?why, "an invitation cannot be accepted and is dropped");
            if let Err(error) = decline(context, id, "the room cannot be joined").await {
                tracing::warn!(%error, room = %id, "the invitation cannot be declined either");
            }
        }
    }
    Ok(())
}

fn answer_to(rooms: &Rooms, inviter: &str) -> Answer {
    if rooms
        .members
        .iter()
        .any(|member| member.user.as_str() == inviter)
    {
        Answer::Accept
    } else {
        Answer::Decline
    }
}

async fn decline(
    context: &Context,
    room: &RoomId,
    reason: &str,
) -> Result<(), matrix_sdk::HttpError> {
    let mut request = leave_room::v3::Request::new(room.to_owned());
    request.reason = Some(reason.to_owned());
    context.client.send(request).await.map(|_| ())
}

/// Says hello in a room that the bot was invited to; once, by its transaction id.
pub(crate) async fn greet(room: &Room) {
    let content = json!({
        "msgtype": "m.notice",
        "body": "I am here. Type !help for what I can do.",
        "m.mentions": {},
    });
    let hello = OwnedTransactionId::from("hello");
    if let Err(error) = room
        .send_raw("m.room.message", content)
        .with_transaction_id(&hello)
        .await
    {
        tracing::warn!(%error, room = %room.room_id(), "the room could not be greeted");
    }
}

#[cfg(test)]
mod tests {
    use fleet_protocol::api::{RoomMember, RoomPlan};

    use super::*;

    #[test]
    fn only_people_with_a_grant_bring_the_bot_into_a_room() {
        let plan = RoomPlan {
            key: "space".parse().unwrap(),
            name: String::new(),
            topic: String::new(),
            alias: "space".to_owned(),
            room_id: None,
            mark: None,
            pinned: Vec::new(),
        };
        let rooms = Rooms {
            tenant: "acme".parse().unwrap(),
            space: plan,
            rooms: Vec::new(),
            others: Vec::new(),
            members: vec![RoomMember {
                user: "@ann:example.org".parse().unwrap(),
                power_level: 100,
            }],
        };
        assert_eq!(answer_to(&rooms, "@ann:example.org"), Answer::Accept);
        assert_eq!(answer_to(&rooms, "@eve:example.org"), Answer::Decline);
        assert_eq!(answer_to(&rooms, ""), Answer::Decline);
    }
}
