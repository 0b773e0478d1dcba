//! What a room of the fleet shall be, and what is missing: pure, so that mending is comparing.

use fleet_protocol::api::{RoomMember, RoomPlan};
use fleet_protocol::event::{ROOM, RoomContent, VERSION};
use fleet_protocol::scalar::Name;
use matrix_sdk::ruma::api::client::room::create_room::v3::{Request, RoomPreset};
use matrix_sdk::ruma::serde::Raw;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// A state event as `/state` lists it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct State {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) state_key: String,
    pub(crate) sender: String,
    pub(crate) event_id: String,
    pub(crate) origin_server_ts: i64,
    #[serde(default)]
    pub(crate) content: Value,
}

/// The fleet around a room.
#[derive(Debug, Clone)]
pub(crate) struct Around<'a> {
    pub(crate) tenant: &'a Name,
    /// The bot's server, through which others join.
    pub(crate) server: &'a str,
    pub(crate) members: &'a [RoomMember],
    /// The space, for a room of it.
    pub(crate) space: Option<&'a str>,
    /// The rooms of the space, for the space itself.
    pub(crate) children: &'a [String],
}

/// A step that mends a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Sets a state event.
    Set {
        kind: String,
        key: String,
        content: Value,
    },
    /// Invites a user.
    Invite(String),
}

/// The request that makes a room: private, by invitation, not federated. Power levels of people are
/// set afterwards, because whether the creator may be named depends on the room version
/// (version 12 refuses it).
///
/// # Errors
/// Never in practice: the contents are plain JSON.
pub(crate) fn creation(
    plan: &RoomPlan,
    around: &Around<'_>,
    is_space: bool,
) -> serde_json::Result<Request> {
    let mut content = json!({ "m.federate": false });
    if is_space {
        content["type"] = "m.space".into();
    }
    let levels = json!({
        "invite": 50,
        "state_default": 50,
        "events_default": 0,
        "events": {
            "m.room.power_levels": 100, "m.room.history_visibility": 100, "m.room.tombstone": 100,
            "m.room.server_acl": 100, "m.room.encryption": 100, "m.room.name": 50, "m.room.topic": 50,
            "m.room.pinned_events": 50, "m.space.child": 100, ROOM: 100
        }
    });
    let mut initial = vec![
        json!({ "type": "m.room.guest_access", "state_key": "", "content": { "guest_access": "forbidden" } }),
        json!({ "type": "m.room.history_visibility", "state_key": "", "content": { "history_visibility": "shared" } }),
    ];
    for (kind, key, content) in own_state(plan, around) {
        initial.push(json!({ "type": kind, "state_key": key, "content": content }));
    }
    let mut request = Request::new();
    request.name = Some(plan.name.clone());
    request.topic = Some(plan.topic.clone());
    request.room_alias_name = Some(plan.alias.clone());
    request.preset = Some(RoomPreset::PrivateChat);
    request.creation_content = Some(Raw::new(&content)?.cast_unchecked());
    request.power_level_content_override = Some(Raw::new(&levels)?.cast_unchecked());
    request.initial_state = initial
        .iter()
        .map(|event| Raw::new(event).map(Raw::cast_unchecked))
        .collect::<Result<_, _>>()?;
    request.invite = around
        .members
        .iter()
        .filter_map(|m| m.user.as_str().try_into().ok())
        .collect();
    Ok(request)
}

/// State that the fleet sets and nobody else is meant to.
fn own_state(plan: &RoomPlan, around: &Around<'_>) -> Vec<(&'static str, String, Value)> {
    let content = RoomContent {
        v: VERSION,
        tenant: around.tenant.clone(),
        room: plan.key.clone(),
    };
    // A struct of plain fields always becomes JSON.
    let content = serde_json::to_value(content).unwrap_or_default();
    let mut state = vec![(ROOM, String::new(), content)];
    if let Some(space) = around.space {
        state.push((
            "m.space.parent",
            space.to_owned(),
            json!({ "via": [around.server], "canonical": true }),
        ));
    }
    for child in around.children {
        state.push((
            "m.space.child",
            child.clone(),
            json!({ "via": [around.server], "suggested": true }),
        ));
    }
    state
}

/// What is missing in a room. A name or topic that people changed is theirs; an unset one is set.
pub(crate) fn missing(
    plan: &RoomPlan,
    around: &Around<'_>,
    state: &[State],
    own: &str,
) -> Vec<Step> {
    let find = |kind: &str, key: &str| state.iter().find(|s| s.kind == kind && s.state_key == key);
    let mut steps = Vec::new();
    for (kind, key, content) in own_state(plan, around) {
        if find(kind, &key).is_none_or(|is| is.content != content) {
            steps.push(Step::Set {
                kind: kind.to_owned(),
                key,
                content,
            });
        }
    }
    for (kind, field, value) in [
        ("m.room.name", "name", &plan.name),
        ("m.room.topic", "topic", &plan.topic),
    ] {
        if find(kind, "").is_none() && !value.is_empty() {
            steps.push(Step::Set {
                kind: kind.to_owned(),
                key: String::new(),
                content: json!({ field: value }),
            });
        }
    }
    let alias = format!("#{}:{}", plan.alias, around.server);
    let named = find("m.room.canonical_alias", "").map(|s| &s.content);
    let pins = find("m.room.pinned_events", "").map(|s| &s.content);
    for (kind, content) in [
        ("m.room.canonical_alias", mended_alias(named, &alias)),
        ("m.room.pinned_events", mended_pins(pins, &plan.pinned)),
    ] {
        steps.extend(content.map(|content| Step::Set {
            kind: kind.to_owned(),
            key: String::new(),
            content,
        }));
    }
    let levels = find("m.room.power_levels", "").map(|s| &s.content);
    if let Some(content) =
        levels.and_then(|now| mended_levels(now, &creators(state), around.members, own))
    {
        steps.push(Step::Set {
            kind: "m.room.power_levels".to_owned(),
            key: String::new(),
            content,
        });
    }
    steps.extend(
        around
            .members
            .iter()
            .filter(|m| m.user.as_str() != own)
            .filter_map(|member| {
                let wants = find("m.room.member", member.user.as_str()).is_none_or(may_be_invited);
                wants.then(|| Step::Invite(member.user.to_string()))
            }),
    );
    steps
}

/// Whether somebody who is known to the room may be invited again: not who is there or invited, was
/// banned, or left by own will.
fn may_be_invited(member: &State) -> bool {
    member.content.get("membership").and_then(Value::as_str) == Some("leave")
        && member.sender != member.state_key
}

/// The creators whose power no event may name: room version 12 and later.
fn creators(state: &[State]) -> Vec<String> {
    let Some(create) = state.iter().find(|s| s.kind == "m.room.create") else {
        return Vec::new();
    };
    let version = create
        .content
        .get("room_version")
        .and_then(Value::as_str)
        .unwrap_or("1");
    if version.parse::<u32>().is_ok_and(|version| version < 12) {
        return Vec::new();
    }
    let more = create
        .content
        .get("additional_creators")
        .and_then(Value::as_array);
    let more = more
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(ToOwned::to_owned);
    std::iter::once(create.sender.clone()).chain(more).collect()
}

/// The room's names with the one that the fleet finds it by; none if it is among them. A main name
/// that people gave stays the main one.
fn mended_alias(now: Option<&Value>, alias: &str) -> Option<Value> {
    let mut content = now.and_then(Value::as_object).cloned().unwrap_or_default();
    let mut others = match content.get("alt_aliases") {
        Some(Value::Array(others)) => others.clone(),
        _ => Vec::new(),
    };
    let main = content.get("alias").and_then(Value::as_str);
    if main == Some(alias) || others.iter().any(|other| other == alias) {
        return None;
    }
    if main.is_none_or(str::is_empty) {
        content.insert("alias".to_owned(), alias.into());
    } else {
        others.push(alias.into());
        content.insert("alt_aliases".to_owned(), others.into());
    }
    Some(Value::Object(content))
}

/// The pinned events with those that shall be; none if they are all there. Others' pins stay.
fn mended_pins(now: Option<&Value>, wanted: &[String]) -> Option<Value> {
    let mut pins = match now.and_then(|content| content.get("pinned")) {
        Some(Value::Array(pins)) => pins.clone(),
        _ => Vec::new(),
    };
    let before = pins.len();
    for event in wanted {
        if !pins.iter().any(|pin| pin == event) {
            pins.push(event.as_str().into());
        }
    }
    (pins.len() > before).then(|| json!({ "pinned": pins }))
}

/// The power levels with those of the members; none if they are right already.
fn mended_levels(
    now: &Value,
    creators: &[String],
    members: &[RoomMember],
    own: &str,
) -> Option<Value> {
    let default = now
        .get("users_default")
        .and_then(Value::as_i64)
        .unwrap_or(0);
    let mut users: Map<String, Value> = now
        .get("users")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    let mut changed = false;
    for member in members {
        let user = member.user.as_str();
        if user == own || creators.iter().any(|creator| creator == user) {
            continue;
        }
        if users.get(user).and_then(Value::as_i64).unwrap_or(default) != member.power_level {
            users.insert(user.to_owned(), member.power_level.into());
            changed = true;
        }
    }
    let mut content = now.as_object()?.clone();
    content.insert("users".to_owned(), Value::Object(users));
    changed.then_some(Value::Object(content))
}

#[cfg(test)]
mod tests;
