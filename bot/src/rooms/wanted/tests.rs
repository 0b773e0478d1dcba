use fleet_protocol::api::RoomMember;

use super::*;

const OWN: &str = "@fleet:example.org";

fn plan() -> RoomPlan {
    RoomPlan {
        key: "lobby".parse().unwrap(),
        name: "Lobby".to_owned(),
        topic: "Where commands are typed".to_owned(),
        alias: "fleet-lobby".to_owned(),
        room_id: None,
        mark: None,
        pinned: Vec::new(),
        members: members(),
        revoked: Vec::new(),
    }
}

fn members() -> Vec<RoomMember> {
    [("@ann:example.org", 90), ("@bob:example.org", 50)]
        .map(|(user, power_level)| RoomMember {
            user: user.parse().unwrap(),
            power_level,
        })
        .into()
}

fn state(kind: &str, key: &str, sender: &str, content: Value) -> State {
    State {
        kind: kind.to_owned(),
        state_key: key.to_owned(),
        sender: sender.to_owned(),
        event_id: "$e".to_owned(),
        origin_server_ts: 1,
        content,
    }
}

fn around(tenant: &Name) -> Around<'_> {
    Around {
        tenant,
        server: "example.org",
        space: Some("!space"),
        children: &[],
    }
}

/// A room as the homeserver makes it from [`creation`], after the power levels were mended.
fn whole(version: &str) -> Vec<State> {
    let mut levels = json!({ "users": { "@ann:example.org": 90, "@bob:example.org": 50 } });
    if version != "12" {
        levels["users"][OWN] = 100.into();
    }
    vec![
        state("m.room.create", "", OWN, json!({ "room_version": version })),
        state("m.room.name", "", OWN, json!({ "name": "Lobby of ours" })),
        state("m.room.topic", "", OWN, json!({ "topic": "" })),
        state(
            "m.room.canonical_alias",
            "",
            OWN,
            json!({ "alias": "#fleet-lobby:example.org" }),
        ),
        state("m.room.power_levels", "", OWN, levels),
        state(
            ROOM,
            "",
            OWN,
            json!({ "v": 1, "tenant": "acme", "room": "lobby" }),
        ),
        state(
            "m.space.parent",
            "!space",
            OWN,
            json!({ "via": ["example.org"], "canonical": true }),
        ),
        state(
            "m.room.member",
            "@ann:example.org",
            "@ann:example.org",
            json!({ "membership": "join" }),
        ),
        state(
            "m.room.member",
            "@bob:example.org",
            OWN,
            json!({ "membership": "invite" }),
        ),
    ]
}

#[test]
fn a_whole_room_needs_nothing() {
    let tenant = "acme".parse().unwrap();
    for version in ["11", "12"] {
        assert_eq!(missing(&plan(), &around(&tenant), &whole(version), OWN), []);
    }
}

#[test]
fn an_empty_room_of_somebody_else_gets_everything() {
    let tenant = "acme".parse().unwrap();
    let bare = [
        state(
            "m.room.create",
            "",
            "@ann:example.org",
            json!({ "room_version": "12" }),
        ),
        state(
            "m.room.power_levels",
            "",
            "@ann:example.org",
            json!({ "users": { OWN: 100 } }),
        ),
    ];
    let steps = missing(&plan(), &around(&tenant), &bare, OWN);
    let set: Vec<_> = steps
        .iter()
        .filter_map(|s| {
            if let Step::Set { kind, .. } = s {
                Some(kind.as_str())
            } else {
                None
            }
        })
        .collect();
    assert_eq!(
        set,
        [
            ROOM,
            "m.space.parent",
            "m.room.name",
            "m.room.topic",
            "m.room.canonical_alias",
            "m.room.power_levels"
        ]
    );
    let Some(Step::Set { content, .. }) = steps.get(5) else {
        panic!("the power levels are set sixth")
    };
    // A creator of a version 12 room must not be named.
    assert_eq!(
        content["users"],
        json!({ OWN: 100, "@bob:example.org": 50 })
    );
    assert_eq!(steps.len(), 8, "both people are invited");
}

#[test]
fn who_left_by_own_will_or_was_banned_is_let_be() {
    let by = |sender: &str, membership: &str| {
        may_be_invited(&state(
            "m.room.member",
            "@bob:example.org",
            sender,
            json!({ "membership": membership }),
        ))
    };
    assert!(!by("@bob:example.org", "leave"));
    assert!(by(OWN, "leave"));
    assert!(!by(OWN, "ban") && !by(OWN, "invite") && !by("@bob:example.org", "join"));
}

#[test]
fn who_lost_the_last_grant_loses_power_and_leaves() {
    let tenant = "acme".parse().unwrap();
    let mut plan = plan();
    plan.members.remove(0);
    plan.revoked = ["@ann:example.org", OWN, "@gone:example.org"]
        .map(|user| user.parse().unwrap())
        .into();
    let mut room = whole("11");
    let steps = missing(&plan, &around(&tenant), &room, OWN);
    let users = json!({ OWN: 100, "@bob:example.org": 50 });
    assert_eq!(
        steps,
        [
            set("m.room.power_levels", json!({ "users": users })),
            Step::Remove("@ann:example.org".to_owned())
        ]
    );
    // Nobody but the other may lower who has as much power as the bot.
    room[4].content["users"]["@ann:example.org"] = 100.into();
    let steps = missing(&plan, &around(&tenant), &room, OWN);
    assert_eq!(steps, [Step::Beyond("@ann:example.org".to_owned())]);
}

#[test]
fn a_room_that_was_opened_is_made_private_again() {
    let tenant = "acme".parse().unwrap();
    let table = [
        ("m.room.join_rules", "join_rule", "public", Some("invite")),
        ("m.room.join_rules", "join_rule", "knock", Some("invite")),
        ("m.room.join_rules", "join_rule", "invite", None),
        (
            "m.room.history_visibility",
            "history_visibility",
            "world_readable",
            Some("shared"),
        ),
        (
            "m.room.history_visibility",
            "history_visibility",
            "joined",
            None,
        ),
        (
            "m.room.guest_access",
            "guest_access",
            "can_join",
            Some("forbidden"),
        ),
    ];
    for (kind, field, now, wanted) in table {
        let mut room = whole("11");
        room.push(state(kind, "", "@ann:example.org", json!({ field: now })));
        let expected: Vec<_> = wanted
            .map(|wanted| set(kind, json!({ field: wanted })))
            .into_iter()
            .collect();
        assert_eq!(
            missing(&plan(), &around(&tenant), &room, OWN),
            expected,
            "{kind} {now}"
        );
    }
}

#[test]
fn rooms_are_private_and_not_federated() {
    let tenant = "acme".parse().unwrap();
    let request = creation(&plan(), &around(&tenant), true).unwrap();
    let content: Value = request
        .creation_content
        .unwrap()
        .deserialize_as_unchecked()
        .unwrap();
    assert_eq!(content, json!({ "m.federate": false, "type": "m.space" }));
    let levels: Value = request
        .power_level_content_override
        .unwrap()
        .deserialize_as_unchecked()
        .unwrap();
    assert!(
        levels.get("users").is_none(),
        "whether the creator may be named depends on the version"
    );
    assert_eq!(request.preset, Some(RoomPreset::PrivateChat));
    assert_eq!(request.invite.len(), 2);
}

#[test]
fn the_name_the_fleet_finds_a_room_by_is_mended_and_peoples_names_stay() {
    let ours = "#fleet-lobby:example.org";
    let table = [
        (None, Some(json!({ "alias": ours }))),
        (Some(json!({})), Some(json!({ "alias": ours }))),
        (Some(json!({ "alias": "" })), Some(json!({ "alias": ours }))),
        (Some(json!({ "alias": ours })), None),
        (
            Some(json!({ "alias": "#hall:example.org", "alt_aliases": [ours] })),
            None,
        ),
        (
            Some(json!({ "alias": "#hall:example.org" })),
            Some(json!({ "alias": "#hall:example.org", "alt_aliases": [ours] })),
        ),
        (
            Some(json!({ "alias": 5, "alt_aliases": "#x" })),
            Some(json!({ "alias": ours, "alt_aliases": "#x" })),
        ),
    ];
    for (now, expected) in table {
        assert_eq!(mended_alias(now.as_ref(), ours), expected, "{now:?}");
    }
}

#[test]
fn a_card_that_somebody_unpinned_is_pinned_again_beside_others() {
    let wanted = ["$card".to_owned()];
    let table = [
        (None, Some(json!({ "pinned": ["$card"] }))),
        (
            Some(json!({ "pinned": ["$note"] })),
            Some(json!({ "pinned": ["$note", "$card"] })),
        ),
        (Some(json!({ "pinned": ["$card", "$note"] })), None),
        (
            Some(json!({ "pinned": 5 })),
            Some(json!({ "pinned": ["$card"] })),
        ),
    ];
    for (now, expected) in table {
        assert_eq!(mended_pins(now.as_ref(), &wanted), expected, "{now:?}");
    }
    assert_eq!(mended_pins(None, &[]), None);
}
