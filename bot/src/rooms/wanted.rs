//! What a room of the fleet shall be, and what is missing: pure, so that mending is comparing.

use fleet_protocol::api::RoomPlan;
use fleet_protocol::event::{ROOM, RoomContent, VERSION};
use fleet_protocol::scalar::Name;
use matrix_sdk::ruma::api::client::room::create_room::v3::{Request, RoomPreset};
use matrix_sdk::ruma::serde::Raw;
use serde::Deserialize;
use serde_json::{Value, json};

use super::levels::Levels;

/// The power level of what only operators and the bot may change.
pub(crate) const STEERS: i64 = 90;

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
    /// Removes a user whose grants were revoked.
    Remove(String),
    /// Nothing the bot can do: a user without the grant has as much power as the bot.
    Beyond(String),
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
            "m.room.power_levels": STEERS, "m.room.history_visibility": STEERS, "m.room.tombstone": STEERS,
            "m.room.server_acl": STEERS, "m.room.join_rules": STEERS, "m.room.guest_access": STEERS,
            "m.room.encryption": STEERS, "m.room.name": 50, "m.room.topic": 50,
            "m.room.pinned_events": 50, "m.space.child": STEERS, ROOM: STEERS
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
    request.invite = plan
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

/// What is missing in a room, in the order in which it is to be done.
pub(crate) fn missing(
    plan: &RoomPlan,
    around: &Around<'_>,
    state: &[State],
    own: &str,
) -> Vec<Step> {
    let mut steps: Vec<_> = own_state(plan, around)
        .into_iter()
        .filter(|(kind, key, content)| {
            find(state, kind, key).is_none_or(|is| is.content != *content)
        })
        .map(|(kind, key, content)| Step::Set {
            kind: kind.to_owned(),
            key,
            content,
        })
        .collect();
    steps.extend(names(plan, around, state));
    steps.extend(privacy(state));
    steps.extend(people(plan, state, own));
    steps
}

fn find<'a>(state: &'a [State], kind: &str, key: &str) -> Option<&'a State> {
    state.iter().find(|s| s.kind == kind && s.state_key == key)
}

fn set(kind: &str, content: Value) -> Step {
    Step::Set {
        kind: kind.to_owned(),
        key: String::new(),
        content,
    }
}

/// How the room is called and what is pinned. A name or topic that people changed is theirs; an unset
/// one is set.
fn names(plan: &RoomPlan, around: &Around<'_>, state: &[State]) -> Vec<Step> {
    let content = |kind| find(state, kind, "").map(|s| &s.content);
    let unset = [
        ("m.room.name", "name", &plan.name),
        ("m.room.topic", "topic", &plan.topic),
    ];
    let unset = unset
        .into_iter()
        .filter(|(kind, _, value)| content(kind).is_none() && !value.is_empty())
        .map(|(kind, field, value)| set(kind, json!({ field: value })));
    let alias = format!("#{}:{}", plan.alias, around.server);
    let alias = mended_alias(content("m.room.canonical_alias"), &alias);
    let pins = mended_pins(content("m.room.pinned_events"), &plan.pinned);
    unset
        .chain(alias.map(|content| set("m.room.canonical_alias", content)))
        .chain(pins.map(|content| set("m.room.pinned_events", content)))
        .collect()
}

/// What is to be set so that only invited people come in and read.
fn privacy(state: &[State]) -> impl Iterator<Item = Step> {
    PRIVATE.iter().filter_map(|(kind, field, allowed)| {
        // Unset, each of them means what is wanted (Matrix spec).
        let now = find(state, kind, "")?.content.get(*field)?;
        let is_private = allowed.iter().any(|value| now == value);
        let wanted = allowed.first().filter(|_| !is_private)?;
        Some(set(kind, json!({ *field: wanted })))
    })
}

/// Who is to have which power, to come and to go: power first, as who has it could not be removed.
fn people(plan: &RoomPlan, state: &[State], own: &str) -> Vec<Step> {
    let (creators, now) = (creators(state), find(state, "m.room.power_levels", ""));
    let levels = now.map(|now| Levels::of(&now.content, &creators, own));
    let mended = levels.as_ref().and_then(|levels| levels.mended(plan));
    let invited = plan.members.iter().filter(|m| {
        let known = find(state, "m.room.member", m.user.as_str());
        m.user.as_str() != own && known.is_none_or(may_be_invited)
    });
    let revoked = plan.revoked.iter().filter(|user| {
        let known = find(state, "m.room.member", user.as_str());
        user.as_str() != own && known.is_some_and(is_present)
    });
    let leave =
        revoked.map(
            |user| match levels.as_ref().is_none_or(|l| l.may_change(user.as_str())) {
                true => Step::Remove(user.to_string()),
                false => Step::Beyond(user.to_string()),
            },
        );
    mended
        .map(|content| set("m.room.power_levels", content))
        .into_iter()
        .chain(invited.map(|m| Step::Invite(m.user.to_string())))
        .chain(leave)
        .collect()
}

/// What keeps a room private, with the values that do; the first is the one that is set.
const PRIVATE: &[(&str, &str, &[&str])] = &[
    ("m.room.join_rules", "join_rule", &["invite"]),
    (
        "m.room.history_visibility",
        "history_visibility",
        &["shared", "invited", "joined"],
    ),
    ("m.room.guest_access", "guest_access", &["forbidden"]),
];

/// Whether a member is in the room, or on the way into it.
fn is_present(member: &State) -> bool {
    let membership = member.content.get("membership").and_then(Value::as_str);
    matches!(membership, Some("join" | "invite" | "knock"))
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

#[cfg(test)]
mod tests;
