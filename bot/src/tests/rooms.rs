use matrix_sdk::config::SyncSettings;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use wiremock::ResponseTemplate;

use super::world::{ANN, NOW_MS, OWN, ROOM, World, changing, matrix_error, mock, ok, room_state};
use crate::rooms::{Errand, Housekeeper};

fn plan(key: &str, room_id: Option<&str>) -> Value {
    let mut plan = json!({
        "key": key, "name": key, "topic": "about", "alias": format!("fleet-{key}"),
        "members": [{ "user": ANN, "power_level": 90 }]
    });
    if let Some(id) = room_id {
        plan["room_id"] = id.into();
    }
    plan
}

fn plans(space: Value, rooms: Vec<Value>) -> ResponseTemplate {
    ok(json!({
        "tenant": "acme", "space": space, "rooms": rooms, "others": [], "hosts": [ANN]
    }))
}

fn keep(world: &World) -> (mpsc::Sender<Errand>, mpsc::Receiver<crate::rooms::Marked>) {
    let (errands, errand_box) = mpsc::channel(8);
    let (marked, marks) = mpsc::channel(8);
    let keeper = Housekeeper::new(
        world.context.clone(),
        errand_box,
        marked,
        world.health.clone(),
    );
    world.context.crew.spawn("housekeeper", keeper.run());
    (errands, marks)
}

#[tokio::test]
async fn a_missing_space_is_made_private_and_bound_with_the_bots_join_as_mark() {
    let world = World::new().await;
    let _rooms = mock(
        &world.gateway,
        "GET",
        "/v1/rooms",
        vec![plans(plan("space", None), vec![])],
    )
    .await;
    let unknown = matrix_error(404, "M_NOT_FOUND");
    let _alias = mock(
        &world.homeserver,
        "GET",
        "/_matrix/client/v3/directory/room/.*",
        vec![unknown],
    )
    .await;
    let made = ok(json!({ "room_id": "!new:example.org" }));
    let mut makes = mock(
        &world.homeserver,
        "POST",
        "/_matrix/client/v3/createRoom",
        vec![made],
    )
    .await;
    let state = ok(room_state().into());
    let _state = mock(
        &world.homeserver,
        "GET",
        "/_matrix/client/v3/rooms/.*/state",
        vec![state],
    )
    .await;
    let set = ok(json!({ "event_id": "$s" }));
    let _sets = mock(
        &world.homeserver,
        "PUT",
        "/_matrix/client/v3/rooms/.*/state/.*",
        vec![set],
    )
    .await;
    let mut binds = mock(
        &world.gateway,
        "PUT",
        "/v1/rooms/.*",
        vec![ResponseTemplate::new(204)],
    )
    .await;
    let _keeper = keep(&world);

    let make = makes.body().await;
    assert_eq!(
        make["creation_content"],
        json!({ "m.federate": false, "type": "m.space" })
    );
    assert_eq!(
        (&make["preset"], &make["room_alias_name"]),
        (&json!("private_chat"), &json!("fleet-space"))
    );
    let bind = binds.body().await;
    assert_eq!(
        (&bind["key"], &bind["mark"]["event_id"]),
        (&json!("space"), &json!(format!("$m.room.member{OWN}")))
    );
    assert_eq!(bind["lease"]["epoch"], 3);
}

#[tokio::test]
async fn without_the_right_to_make_rooms_people_are_told_and_the_bot_goes_on() {
    let world = World::new().await;
    let mut asked = mock(
        &world.gateway,
        "GET",
        "/v1/rooms",
        vec![plans(plan("space", None), vec![])],
    )
    .await;
    let unknown = matrix_error(404, "M_NOT_FOUND");
    let _alias = mock(
        &world.homeserver,
        "GET",
        "/_matrix/client/v3/directory/room/.*",
        vec![unknown],
    )
    .await;
    let refused = matrix_error(403, "M_FORBIDDEN");
    let _makes = mock(
        &world.homeserver,
        "POST",
        "/_matrix/client/v3/createRoom",
        vec![refused],
    )
    .await;
    let mut incidents = mock(
        &world.gateway,
        "POST",
        "/v1/incidents",
        vec![ResponseTemplate::new(204)],
    )
    .await;
    let (errands, _marks) = keep(&world);

    let incident = incidents.body().await;
    assert_eq!(incident["rule"], "room.not_mended");
    assert!(
        incident["detail"].as_str().unwrap().contains("M_FORBIDDEN"),
        "{incident}"
    );
    assert!(incident.get("mended").is_none());
    asked.next().await;
    errands.send(Errand::Invited).await.unwrap();
    asked.next().await;
    assert!(!world.health.rooms_are_whole());
}

#[tokio::test]
async fn an_unread_room_without_a_plan_is_bound_without_key_and_greeted() {
    let world = World::new().await;
    let _rooms = mock(
        &world.gateway,
        "GET",
        "/v1/rooms",
        vec![plans(plan("space", None), vec![])],
    )
    .await;
    let broken = matrix_error(502, "M_UNKNOWN");
    let _alias = mock(
        &world.homeserver,
        "GET",
        "/_matrix/client/v3/directory/room/.*",
        vec![broken],
    )
    .await;
    let state = ok(room_state().into());
    let _state = mock(
        &world.homeserver,
        "GET",
        "/_matrix/client/v3/rooms/.*/state",
        vec![state],
    )
    .await;
    let mut binds = mock(
        &world.gateway,
        "PUT",
        "/v1/rooms/.*",
        vec![ResponseTemplate::new(204)],
    )
    .await;
    let hello = ok(json!({ "event_id": "$hello" }));
    let mut sends = mock(
        &world.homeserver,
        "PUT",
        "/_matrix/client/v3/rooms/.*/send/m.room.message/hello-.*lobby.*",
        vec![hello],
    )
    .await;
    let (errands, mut marks) = keep(&world);

    errands
        .send(Errand::Unread(ROOM.try_into().unwrap()))
        .await
        .unwrap();
    let marked = marks.recv().await.unwrap();
    assert_eq!(
        (marked.room.as_str(), marked.mark.event_id),
        (ROOM, format!("$m.room.member{OWN}"))
    );
    assert!(binds.body().await.get("key").is_none_or(Value::is_null));
    assert!(
        sends.body().await["body"]
            .as_str()
            .unwrap()
            .contains("!help")
    );
}

#[tokio::test]
async fn a_known_room_is_read_from_its_mark() {
    let world = World::new().await;
    let mut lobby = plan("lobby", Some(ROOM));
    lobby["mark"] = json!({ "event_id": "$m", "read_up_to": "2027-01-15T08:00:00Z" });
    let _rooms = mock(
        &world.gateway,
        "GET",
        "/v1/rooms",
        vec![plans(plan("space", None), vec![lobby.clone()])],
    )
    .await;
    let broken = matrix_error(502, "M_UNKNOWN");
    let _alias = mock(
        &world.homeserver,
        "GET",
        "/_matrix/client/v3/directory/room/.*",
        vec![broken],
    )
    .await;
    let mut binds = mock(
        &world.gateway,
        "PUT",
        "/v1/rooms/.*",
        vec![ResponseTemplate::new(204)],
    )
    .await;
    let (errands, mut marks) = keep(&world);
    errands
        .send(Errand::Unread(ROOM.try_into().unwrap()))
        .await
        .unwrap();
    assert_eq!(marks.recv().await.unwrap().mark.event_id, "$m");
    // The register hears that the bot is there, so that parked rows go out; with the mark it has.
    let told = binds.body().await;
    assert_eq!(
        (&told["key"], &told["mark"]),
        (&json!("lobby"), &lobby["mark"]),
        "a mark is never set back"
    );
}

const NEXT: &str = "!next:example.org";

/// Syncs in which the lobby is replaced, and then the bot is in the next room.
async fn upgrade(world: &World) {
    let content = json!({ "body": "moved", "replacement_room": NEXT });
    let tombstone = json!({
        "type": "m.room.tombstone", "state_key": "", "sender": ANN, "event_id": "$t",
        "origin_server_ts": NOW_MS, "content": content,
    });
    let timeline = json!({ "events": [tombstone], "limited": false, "prev_batch": "p" });
    let upgraded = json!({ "join": { ROOM: { "timeline": timeline } } });
    let entered = json!({ "join": { NEXT: { "state": { "events": room_state() } } } });
    let syncs = [("s1", upgraded), ("s2", entered)]
        .map(|(token, rooms)| ok(json!({ "next_batch": token, "rooms": rooms })));
    let at = "/_matrix/client/v3/sync";
    mock(&world.homeserver, "GET", at, syncs.into()).await;
}

/// The lobby as the register has it before the upgrade, or after.
fn lobby(room: &str) -> Value {
    let mut lobby = plan("lobby", Some(room));
    lobby["mark"] = json!({ "event_id": "$m", "read_up_to": "2027-01-15T08:00:00Z" });
    lobby
}

#[tokio::test]
async fn a_replaced_room_is_read_to_its_end_followed_and_left() {
    let world = World::new().await;
    let before = plans(plan("space", None), vec![lobby(ROOM)]);
    let (mut asked, register) = changing(&world.gateway, "GET", "/v1/rooms", before).await;
    let broken = matrix_error(502, "M_UNKNOWN");
    let aliases = "/_matrix/client/v3/directory/room/.*";
    let _alias = mock(&world.homeserver, "GET", aliases, vec![broken]).await;
    let refused = matrix_error(403, "M_FORBIDDEN");
    let join = "/_matrix/client/v3/rooms/.*/join";
    let mut joins = mock(&world.homeserver, "POST", join, vec![refused]).await;
    let accepted = ResponseTemplate::new(204);
    let told = "/v1/incidents";
    let mut incidents = mock(&world.gateway, "POST", told, vec![accepted.clone()]).await;
    let mut binds = mock(&world.gateway, "PUT", "/v1/rooms/.*", vec![accepted]).await;
    let state = ok(room_state().into());
    let states = "/_matrix/client/v3/rooms/.*/state";
    let _state = mock(&world.homeserver, "GET", states, vec![state]).await;
    let said = "/_matrix/client/v3/rooms/.*lobby.*/send/m.room.message/moved-.*lobby.*";
    let sent = ok(json!({ "event_id": "$bye" }));
    let mut said = mock(&world.homeserver, "PUT", said, vec![sent]).await;
    let leave = "/_matrix/client/v3/rooms/.*lobby.*/leave";
    let mut left = mock(&world.homeserver, "POST", leave, vec![ok(json!({}))]).await;

    upgrade(&world).await;
    let client = world.context.client.clone();
    client.sync_once(SyncSettings::new()).await.unwrap();
    let (errands, mut marks) = keep(&world);
    for _ in 0..3 {
        asked.next().await;
        errands.send(Errand::Invited).await.unwrap();
    }
    joins.next().await;
    assert_eq!(joins.left(), 0, "a refusal is not repeated at once");
    assert_eq!(incidents.left(), 0, "an invitation may still come");

    // The invitation was accepted. The old room is read to its end before anything is bound.
    client.sync_once(SyncSettings::new()).await.unwrap();
    let next = NEXT.try_into().unwrap();
    errands.send(Errand::Unread(next)).await.unwrap();
    let order = marks.recv().await.unwrap();
    assert_eq!((order.room.as_str(), &*order.mark.event_id), (ROOM, "$m"));
    let finish = order.finish.expect("only to its end");
    for _ in 0..2 {
        asked.next().await;
        errands.send(Errand::Invited).await.unwrap();
    }
    assert_eq!(binds.left(), 0, "the old room is still being read");
    drop(finish);
    let bind = binds.body().await;
    assert_eq!(
        (&bind["key"], &bind["replaces"]),
        (&json!("lobby"), &json!(ROOM))
    );
    assert!(
        marks.try_recv().is_err(),
        "the register has to say so first"
    );

    *register.lock().unwrap() = plans(plan("space", None), vec![lobby(NEXT)]);
    // An event in the old room asks to read it, which binds nothing.
    let old = ROOM.try_into().unwrap();
    errands.send(Errand::Unread(old)).await.unwrap();
    assert!(said.body().await["body"].as_str().unwrap().contains(NEXT));
    left.next().await;
    let bound: Vec<_> = std::iter::from_fn(|| marks.try_recv().ok()).collect();
    assert!(bound.iter().all(|m| m.room == NEXT), "{bound:?}");
    assert!(binds.seen().iter().all(|b| b.url.path().contains("next")));
}

#[tokio::test]
async fn an_incident_about_a_room_is_over_when_the_room_is_whole() {
    let world = World::new().await;
    let mut rooms = json!({
        "tenant": "acme", "space": plan("space", Some(ROOM)), "rooms": [], "others": [], "hosts": [],
        "incidents": [
            { "rule": "room.not_mended", "subject": ROOM },
            { "rule": "room.not_mended", "subject": "#gone:example.org" },
            { "rule": "room.mark_refused", "subject": ROOM },
        ]
    });
    rooms["space"]["members"] = json!([]);
    let _rooms = mock(&world.gateway, "GET", "/v1/rooms", vec![ok(rooms)]).await;
    let aliases = "/_matrix/client/v3/directory/room/.*";
    let found = ok(json!({ "room_id": ROOM, "servers": [] }));
    let _alias = mock(&world.homeserver, "GET", aliases, vec![found]).await;
    let states = "/_matrix/client/v3/rooms/.*/state";
    let _state = mock(
        &world.homeserver,
        "GET",
        states,
        vec![ok(room_state().into())],
    )
    .await;
    let set = ok(json!({ "event_id": "$s" }));
    let states = "/_matrix/client/v3/rooms/.*/state/.*";
    let _sets = mock(&world.homeserver, "PUT", states, vec![set]).await;
    let accepted = ResponseTemplate::new(204);
    let mut told = mock(&world.gateway, "POST", "/v1/incidents", vec![accepted]).await;
    let _keeper = keep(&world);
    for subject in [ROOM, "#gone:example.org"] {
        let report = told.body().await;
        assert_eq!(
            (&report["rule"], &report["subject"], &report["mended"]),
            (&json!("room.not_mended"), &json!(subject), &json!(true))
        );
    }
    assert!(world.health.rooms_are_whole());
}

#[tokio::test]
async fn a_room_that_a_stranger_gave_a_name_of_the_plan_is_left_and_told() {
    let world = World::new().await;
    let plans = plans(plan("space", None), vec![]);
    let _rooms = mock(&world.gateway, "GET", "/v1/rooms", vec![plans]).await;
    let aliases = "/_matrix/client/v3/directory/room/.*";
    let found = ok(json!({ "room_id": "!eve:example.org", "servers": [] }));
    let _alias = mock(&world.homeserver, "GET", aliases, vec![found]).await;
    let joined = ok(json!({ "room_id": "!eve:example.org" }));
    let join = "/_matrix/client/v3/rooms/.*/join";
    let mut joins = mock(&world.homeserver, "POST", join, vec![joined]).await;
    let mut state = room_state();
    state[0]["sender"] = "@eve:example.org".into();
    let states = "/_matrix/client/v3/rooms/.*/state";
    let _state = mock(&world.homeserver, "GET", states, vec![ok(state.into())]).await;
    let leave = "/_matrix/client/v3/rooms/.*/leave";
    let mut left = mock(&world.homeserver, "POST", leave, vec![ok(json!({}))]).await;
    let accepted = ResponseTemplate::new(204);
    let mut binds = mock(
        &world.gateway,
        "PUT",
        "/v1/rooms/.*",
        vec![accepted.clone()],
    )
    .await;
    let mut told = mock(&world.gateway, "POST", "/v1/incidents", vec![accepted]).await;
    let _keeper = keep(&world);
    joins.next().await;
    left.next().await;
    let incident = told.body().await;
    assert!(
        incident["detail"]
            .as_str()
            .unwrap()
            .contains("@eve:example.org made"),
        "{incident}"
    );
    assert_eq!(binds.left(), 0);
}

/// A sync that tells of an invitation; `by` is who invites, once the homeserver says it.
fn invited(next: &str, by: Option<&str>) -> Value {
    let member = by.map(|by| {
        json!({ "type": "m.room.member", "sender": by, "state_key": OWN, "content": { "membership": "invite" } })
    });
    let events: Vec<_> = member.into_iter().collect();
    json!({ "next_batch": next, "rooms": { "invite": { "!guest:example.org": {
        "invite_state": { "events": events }
    } } } })
}

#[tokio::test]
async fn an_invitation_that_does_not_say_yet_who_invites_is_neither_declined_nor_forgotten() {
    let world = World::new().await;
    let (made, nothing) = (vec![plans(plan("space", Some(ROOM)), vec![])], json!({}));
    let mut asked = mock(&world.gateway, "GET", "/v1/rooms", made).await;
    let room = "/_matrix/client/v3/rooms/!guest:example.org";
    let told = vec![
        ok(invited("s1", None)),
        ok(invited("s2", Some("@ann:example.org"))),
    ];
    let (server, path) = (&world.homeserver, "/_matrix/client/v3/sync");
    let _syncs = mock(server, "GET", path, told).await;
    let mut declined = mock(server, "POST", &format!("{room}/leave"), vec![ok(nothing)]).await;
    let joined = json!({ "room_id": "!guest:example.org" });
    let mut accepted = mock(server, "POST", &format!("{room}/join"), vec![ok(joined)]).await;

    let client = world.context.client.clone();
    client.sync_once(SyncSettings::new()).await.unwrap();
    let (errands, _marks) = keep(&world);
    asked.next().await;
    errands.send(Errand::Invited).await.unwrap();
    // The second round begins when the first has seen the invitation.
    asked.next().await;
    client.sync_once(SyncSettings::new()).await.unwrap();
    errands.send(Errand::Invited).await.unwrap();
    accepted.next().await;
    assert_eq!(declined.left(), 0);
}
