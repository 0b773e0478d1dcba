//! Who belongs in which room, and rooms that were replaced.

use fleet_protocol::Timestamp;
use fleet_protocol::api::{BindRoom, RoomPlan, Rooms, path};
use fleet_protocol::envelope::{BotLease, Mark, Outcome, Submitted};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::stage::{LOBBY, NOON, OPERATOR, Stage, batch, on, read, refused};
use crate::submit::add;

const NEXT: &str = "!next:test";

async fn rooms(stage: &Stage) -> Rooms {
    read(stage.get(path::ROOMS, &stage.bot).await).await
}

fn room<'a>(rooms: &'a Rooms, key: &str) -> &'a RoomPlan {
    let mut all = rooms.rooms.iter().chain([&rooms.space]);
    all.find(|room| room.key.as_str() == key).unwrap()
}

fn levels(plan: &RoomPlan) -> Vec<(&str, i64)> {
    plan.members
        .iter()
        .map(|m| (m.user.as_str(), m.power_level))
        .collect()
}

#[tokio::test]
async fn a_grant_for_one_room_gives_no_place_in_another() {
    let stage = Stage::new().await;
    let grants = format!(
        "SET fleet.tenant = 'default'; INSERT INTO fleet.grants VALUES
         ('default', '@all:test', 'member', NULL, '{OPERATOR}', now()),
         ('default', '@one:test', 'member', 'board', '{OPERATOR}', now()),
         ('default', '@all:test', 'viewer', 'lobby', '{OPERATOR}', now()),
         ('default', '@model:test', 'agent', NULL, '{OPERATOR}', now())"
    );
    on(&stage.database.owner, &grants).await;
    let rooms = rooms(&stage).await;
    let everywhere = [("@all:test", 50), ("@model:test", 0), (OPERATOR, 90)];
    assert_eq!(levels(&rooms.space), everywhere);
    assert_eq!(levels(room(&rooms, "lobby")), everywhere);
    let [all, model, operator] = everywhere;
    assert_eq!(
        levels(room(&rooms, "board")),
        [all, model, ("@one:test", 50), operator]
    );
    let hosts: Vec<_> = rooms.hosts.iter().map(|user| user.as_str()).collect();
    assert_eq!(hosts, ["@all:test", "@one:test", OPERATOR], "no agent");
}

#[tokio::test]
async fn who_has_lost_the_last_grant_is_to_leave_until_there_is_a_new_one() {
    let stage = Stage::new().await;
    let command = async |key: &str, request| {
        let done = stage.command(key, request).await;
        assert_eq!(done.status(), StatusCode::OK);
    };
    let revoked = async || {
        let rooms = rooms(&stage).await;
        room(&rooms, "lobby").revoked.len()
    };
    command("a", json!({ "member.add": { "user": "@mia:test" } })).await;
    assert_eq!(revoked().await, 0);
    command("b", json!({ "member.revoke": { "user": "@mia:test" } })).await;
    assert_eq!(revoked().await, 1);
    command("c", json!({ "member.add": { "user": "@mia:test" } })).await;
    assert_eq!(revoked().await, 0);
}

async fn bind(stage: &Stage, lease: &BotLease, room_id: &str, key: Option<&str>) -> StatusCode {
    let body = BindRoom {
        lease: lease.clone(),
        key: key.map(|key| key.parse().unwrap()),
        mark: Mark {
            event_id: "$late".into(),
            read_up_to: Timestamp::from_millis(NOON),
        },
        replaces: None,
    };
    let path = format!("/v1/rooms/{room_id}");
    stage
        .send(Method::PUT, &path, &stage.bot, &body)
        .await
        .status()
}

#[tokio::test]
async fn what_was_said_before_a_room_was_replaced_counts_and_moves_no_mark() {
    let stage = Stage::new().await;
    let lease = stage.bot().await;
    stage.submitted(&lease, "$join", vec![add("$1")]).await;
    stage.bind(&lease, Some("lobby"), NEXT, Some(LOBBY)).await;
    // A reader of the old room goes on from where it was.
    let done = stage
        .submitted(&lease, "$1", vec![add("$1"), add("$2")])
        .await;
    let outcomes: Vec<_> = done
        .receipts
        .iter()
        .map(|r| (r.outcome, r.replayed))
        .collect();
    assert_eq!(outcomes, [(Outcome::Done, true), (Outcome::Done, false)]);
    assert!(
        done.outbox.iter().all(|row| row.room_id == NEXT),
        "{done:?}"
    );
    let skipped = batch(&lease, "$2", vec![]);
    read::<Submitted>(stage.submit(&skipped).await).await;
    let marked =
        "SELECT count(*) FROM fleet.rooms WHERE room_id = '!next:test' AND mark_event_id = '$join'";
    assert_eq!(stage.database.count(marked).await, 1);
    // The new room is read as ever.
    let mut next = batch(&lease, "$join", vec![add("$3")]);
    next.room_id = NEXT.into();
    read::<Submitted>(stage.submit(&next).await).await;
    let tasks = "SELECT count(*) FROM fleet.tasks";
    assert_eq!(stage.database.count(tasks).await, 3);
}

#[tokio::test]
async fn a_replaced_room_is_not_bound_anew_but_a_plan_may_go_back_to_it() {
    let stage = Stage::new().await;
    let lease = stage.bot().await;
    stage.bind(&lease, Some("lobby"), NEXT, Some(LOBBY)).await;
    let all = "SELECT count(*) FROM fleet.rooms WHERE kind = 'other'";
    assert_eq!(
        bind(&stage, &lease, LOBBY, None).await,
        StatusCode::CONFLICT
    );
    assert_eq!(stage.database.count(all).await, 0);
    assert_eq!(
        bind(&stage, &lease, LOBBY, Some("lobby")).await,
        StatusCode::NO_CONTENT
    );
    let former = "SELECT count(*) FROM fleet.rooms WHERE room_id = '!lobby:test' AND former_room_ids = '{!next:test}'";
    assert_eq!(stage.database.count(former).await, 1);
    // Where an id is both a room and a former one, it is the room.
    let done = stage.submitted(&lease, "$late", vec![add("$1")]).await;
    assert_eq!(done.receipts[0].outcome, Outcome::Done);
    let stale = stage
        .submit(&batch(&lease, "$elsewhere", vec![add("$2")]))
        .await;
    assert_eq!(refused(stale).await, (409, "register.wrong_state".into()));
}
