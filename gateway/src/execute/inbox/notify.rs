//! What the fleet itself has to say to an agent.

use fleet_protocol::Document;
use fleet_protocol::address::Address;
use fleet_protocol::document::{bold, text};
use fleet_protocol::outbox::{Attention, Message};
use fleet_protocol::problem::Code;
use fleet_protocol::scalar::{Name, UserId};
use fleet_protocol::verbs::inbox::Class;

use super::super::task::known;
use super::super::{Exec, Room, Stop, notice};
use super::chain;
use super::put::{Said, Speaker, put};
use super::recipient;

/// Says something to one agent of a role, in its inbox and in its room. Where there is no such agent,
/// the room hears it alone.
pub(crate) async fn notify(exec: &mut Exec<'_>, role: &str, words: &str) -> Result<(), Stop> {
    let role: Name = known("role", role.parse().ok())?;
    let room = recipient::shown_in(exec, role.as_str()).await?;
    let address = Address {
        host: None,
        name: role.clone(),
    };
    let to = match recipient::of(exec, &address).await {
        Ok(to) => Some(to),
        Err(Stop::Refused(problem)) if problem.code == Code::NotFound => None,
        Err(error) => return Err(error),
    };
    let mut user: Option<UserId> = None;
    if let Some(to) = &to {
        recipient::lock(exec, std::slice::from_ref(to)).await?;
        let said = Said {
            by: Speaker::fleet()?,
            text: words,
            class: Class::Actionable,
            task: None,
            reply_to: None,
            link: chain::begin_for_fleet(exec).await?,
        };
        put(exec, to, &said, room).await?;
        user = Some(to.user.clone());
    }
    let document = Document::new().paragraph([bold(format!("For {role}: ")), text(words)]);
    let message = Message {
        mentions: user.into_iter().collect(),
        ..notice(Attention::Loud, document)
    };
    exec.say(
        room.map_or(Room::Key("lobby"), Room::Id),
        message,
        None,
        None,
    );
    Ok(())
}
