//! Whether a room that bears a name of the plan is the fleet's: a name on a homeserver is anybody's.

use std::collections::BTreeMap;
use std::time::Duration;

use matrix_sdk::ruma::{OwnedRoomId, RoomId};
use serde_json::Value;
use tokio::time::Instant;

use super::wanted::State;

/// How long a room is known as a stranger's before it is looked at again.
const REMEMBERED: Duration = Duration::from_secs(3_600);

/// Rooms that were looked at and are not the fleet's; as many as the plan has names, as only these are.
#[derive(Debug, Default)]
pub(crate) struct Strangers(BTreeMap<OwnedRoomId, (String, Instant)>);

impl Strangers {
    /// Why a room was found to be a stranger's of late.
    pub(crate) fn known(&mut self, room: &RoomId) -> Option<String> {
        self.0.retain(|_, (_, at)| at.elapsed() < REMEMBERED);
        self.0.get(room).map(|(why, _)| why.clone())
    }

    /// Remembers a stranger's room.
    pub(crate) fn note(&mut self, room: OwnedRoomId, why: String) {
        self.0.insert(room, (why, Instant::now()));
    }
}

/// Why a room is not the fleet's: none when the bot or an operator made it, and only invited people
/// are let in.
pub(crate) fn stranger(state: &[State], own: &str, operators: &[&str]) -> Option<String> {
    let find = |kind: &str| {
        state
            .iter()
            .find(|s| s.kind == kind && s.state_key.is_empty())
    };
    let Some(create) = find("m.room.create") else {
        return Some("it does not say who made it".to_owned());
    };
    let maker = create.sender.as_str();
    if maker != own && !operators.contains(&maker) {
        return Some(format!(
            "{maker} made the room that bears this name, who is no operator of the fleet. Give that \
             room another name, or have an operator make the room"
        ));
    }
    let rule = find("m.room.join_rules").and_then(|s| s.content.get("join_rule"));
    let is_public = rule.and_then(Value::as_str) == Some("public");
    (maker != own && is_public)
        .then(|| "the room that bears this name lets anybody in. Make it invite-only".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const OWN: &str = "@fleet:example.org";

    fn state(kind: &str, sender: &str, content: Value) -> State {
        State {
            kind: kind.to_owned(),
            state_key: String::new(),
            sender: sender.to_owned(),
            event_id: "$e".to_owned(),
            origin_server_ts: 1,
            content,
        }
    }

    #[test]
    fn a_room_is_the_fleets_if_the_bot_or_an_operator_made_it() {
        let operators = ["@ann:example.org"];
        let table = [
            (OWN, "invite", false),
            // The bot mends its own.
            (OWN, "public", false),
            ("@ann:example.org", "invite", false),
            ("@ann:example.org", "public", true),
            ("@eve:example.org", "invite", true),
        ];
        for (maker, rule, is_strange) in table {
            let room = [
                state("m.room.create", maker, json!({})),
                state("m.room.join_rules", maker, json!({ "join_rule": rule })),
            ];
            let why = stranger(&room, OWN, &operators);
            assert_eq!(why.is_some(), is_strange, "{maker} {rule}: {why:?}");
        }
        assert!(stranger(&[], OWN, &operators).is_some());
    }
}
