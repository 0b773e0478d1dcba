use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use fleet_protocol::Timestamp;
use fleet_protocol::envelope::Mark;
use matrix_sdk::deserialized_responses::TimelineEvent;
use matrix_sdk::ruma::serde::Raw;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use super::world::{ANN, NOW_MS, ROOM, Received, World, message, mock, ok};
use crate::claims::Claims;
use crate::dispatch::Dispatch;
use crate::rooms::Errand;
use crate::settle::Settler;
use crate::worker::{Batch, Reader};
use wiremock::ResponseTemplate;

struct Reading {
    world: World,
    reader: Reader,
    _errands: mpsc::Receiver<Errand>,
}

/// A reader that starts at the mark `$m`.
async fn reading(world: World) -> Reading {
    let mark = Mark {
        event_id: "$m".to_owned(),
        read_up_to: Timestamp::from_millis(NOW_MS),
    };
    let (settler, _inbox) = Settler::new();
    let (errands, errand_box) = mpsc::channel(8);
    let dispatch = Dispatch::new(Claims::default(), settler);
    let reader = Reader::start(&world.context, world.room(), mark, dispatch, errands);
    Reading {
        world,
        reader,
        _errands: errand_box,
    }
}

fn batch(events: &[Value], limited: bool) -> Batch {
    let events = events
        .iter()
        .map(|event| TimelineEvent::from_plaintext(Raw::new(event).unwrap().cast_unchecked()))
        .collect();
    Batch { events, limited }
}

fn submitted() -> ResponseTemplate {
    ok(json!({ "receipts": [], "outbox": [] }))
}

fn keys(submit: &Value) -> Vec<&str> {
    submit["envelopes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["key"].as_str().unwrap())
        .collect()
}

/// Keys of the next submission that carries envelopes.
async fn next_with_envelopes(submits: &mut Received) -> Value {
    loop {
        let body = submits.body().await;
        if !body["envelopes"].as_array().unwrap().is_empty() {
            return body;
        }
    }
}

#[tokio::test]
async fn a_start_reads_back_to_the_mark_over_several_pages_in_order() {
    let world = World::new().await;
    let mut pages = world
        .history(vec![
            vec![message("$4", "!status", 4), message("$3", "just talk", 3)],
            vec![
                message("$2", "!ps", 2),
                message("$1", "!help", 1),
                message("$m", "!old", 0),
            ],
        ])
        .await;
    let mut submits = mock(&world.gateway, "POST", "/v1/submit", vec![submitted()]).await;
    let _reading = reading(world).await;

    let body = next_with_envelopes(&mut submits).await;
    assert_eq!(keys(&body), ["$1", "$2", "$4"]);
    assert_eq!(body["room_id"], ROOM);
    assert_eq!(body["expected_mark"], "$m");
    assert_eq!(body["mark"]["event_id"], "$4");
    assert_eq!(body["lease"]["epoch"], 3);
    let first = &body["envelopes"][0];
    assert_eq!(
        (&first["joined"], &first["power_level"]),
        (&json!(true), &json!(100))
    );
    assert_eq!(first["provenance"], "recovered");
    let (newest, older) = (pages.next().await, pages.next().await);
    assert!(
        !newest.url.query().unwrap().contains("from="),
        "reading back begins at the newest event"
    );
    assert!(older.url.query().unwrap().contains("from=1"));
}

#[tokio::test]
async fn a_limited_batch_with_the_head_is_no_gap_and_repeats_are_dropped() {
    let world = World::new().await;
    let mut pages = world.history(vec![vec![message("$m", "!old", 0)]]).await;
    let mut submits = mock(&world.gateway, "POST", "/v1/submit", vec![submitted()]).await;
    let reading = reading(world).await;
    pages.next().await;

    let [a, b] = [message("$a", "!ps", 1), message("$b", "!status", 2)];
    reading
        .reader
        .offer(batch(&[message("$m", "!old", 0), a.clone()], true));
    let first = next_with_envelopes(&mut submits).await;
    assert_eq!(keys(&first), ["$a"]);
    assert_eq!(first["envelopes"][0]["provenance"], "live");
    reading
        .reader
        .offer(batch(&[a.clone(), b.clone(), a, b], true));
    let second = next_with_envelopes(&mut submits).await;
    assert_eq!(keys(&second), ["$b"]);
    assert_eq!(second["expected_mark"], "$a");
    assert_eq!(pages.left(), 0, "nothing was read back");
    assert!(
        reading.world.context.is_fitful(),
        "two needless `limited` betray the homeserver"
    );
}

#[tokio::test]
async fn a_gap_is_filled_from_history() {
    let world = World::new().await;
    let mut history = world
        .history(vec![
            vec![message("$m", "!old", 0)],
            vec![
                message("$x", "!ps", 9),
                message("$w", "!help", 8),
                message("$m", "!old", 0),
            ],
        ])
        .await;
    let mut submits = mock(&world.gateway, "POST", "/v1/submit", vec![submitted()]).await;
    let reading = reading(world).await;
    history.next().await;

    reading
        .reader
        .offer(batch(&[message("$x", "!ps", 9)], true));
    assert_eq!(keys(&next_with_envelopes(&mut submits).await), ["$w", "$x"]);
}

#[tokio::test]
async fn a_lost_mark_is_told_and_reading_goes_on_at_the_newest() {
    let world = World::new().await;
    let _pages = world
        .history(vec![vec![
            message("$9", "!ps", 9),
            message("$8", "!help", 8),
        ]])
        .await;
    let mut submits = mock(&world.gateway, "POST", "/v1/submit", vec![submitted()]).await;
    let mut incidents = mock(
        &world.gateway,
        "POST",
        "/v1/incidents",
        vec![ResponseTemplate::new(204)],
    )
    .await;
    let sent = ok(json!({ "event_id": "$told" }));
    let mut notes = mock(
        &world.homeserver,
        "PUT",
        "/_matrix/client/v3/rooms/.*/send/m.room.message/.*",
        vec![sent],
    )
    .await;
    let reading = reading(world).await;

    let incident = incidents.body().await;
    assert_eq!(
        (&incident["rule"], &incident["subject"]),
        (&json!("room.mark_lost"), &json!(ROOM))
    );
    assert!(
        notes.body().await["body"]
            .as_str()
            .unwrap()
            .contains("send them again")
    );
    let mark = submits.body().await;
    assert_eq!(
        (keys(&mark).len(), &mark["mark"]["event_id"]),
        (0, &json!("$9"))
    );
    reading
        .reader
        .offer(batch(&[message("$10", "!ps", 10)], false));
    assert_eq!(keys(&next_with_envelopes(&mut submits).await), ["$10"]);
}

#[tokio::test]
async fn an_absent_gateway_is_waited_for_and_a_moved_mark_is_read_again() {
    let world = World::new().await;
    let _pages = world
        .history(vec![vec![
            message("$1", "!ps", 1),
            message("$m", "!old", 0),
        ]])
        .await;
    let problem = |status: u16, code: &str| {
        ResponseTemplate::new(status).set_body_json(json!({ "code": code, "detail": "no" }))
    };
    let steps = vec![
        problem(503, "register.unavailable"),
        problem(409, "register.wrong_state"),
        submitted(),
    ];
    let mut submits = mock(&world.gateway, "POST", "/v1/submit", steps).await;
    let plan = json!({ "key": "space", "name": "", "topic": "", "alias": "space" });
    let other = json!({ "room_id": ROOM, "mark": { "event_id": "$0", "read_up_to": "2027-01-15T08:00:00Z" } });
    let rooms =
        json!({ "tenant": "acme", "space": plan, "rooms": [], "others": [other], "hosts": [] });
    let _rooms = mock(&world.gateway, "GET", "/v1/rooms", vec![ok(rooms)]).await;
    let _reading = reading(world).await;

    for expected in ["$m", "$m", "$0"] {
        let body = next_with_envelopes(&mut submits).await;
        assert_eq!(
            (keys(&body), &body["expected_mark"]),
            (vec!["$1"], &json!(expected))
        );
    }
}

#[tokio::test]
async fn a_lost_lease_ends_the_bot() {
    let mut world = World::new().await;
    let _pages = world
        .history(vec![vec![
            message("$1", "!ps", 1),
            message("$m", "!old", 0),
        ]])
        .await;
    let lost = ResponseTemplate::new(409)
        .set_body_json(json!({ "code": "bot.lease_lost", "detail": "no" }));
    let _submits = mock(&world.gateway, "POST", "/v1/submit", vec![lost]).await;
    let (_, nobody) = mpsc::channel(1);
    let mut failure = std::mem::replace(&mut world.failure, nobody);
    let _reading = reading(world).await;
    assert!(matches!(
        failure.recv().await,
        Some(crate::BotError::LeaseLost { .. })
    ));
}

#[tokio::test]
async fn a_refused_envelope_is_set_aside_and_stops_nothing() {
    let world = World::new().await;
    let _pages = world
        .history(vec![vec![
            message("$2", "!status", 2),
            message("$1", "!ps", 1),
            message("$m", "!old", 0),
        ]])
        .await;
    let refused = ResponseTemplate::new(422)
        .set_body_json(json!({ "code": "register.invalid", "detail": "no" }));
    let steps = vec![refused.clone(), refused, submitted()];
    let mut submits = mock(&world.gateway, "POST", "/v1/submit", steps).await;
    let mut incidents = mock(
        &world.gateway,
        "POST",
        "/v1/incidents",
        vec![ResponseTemplate::new(204)],
    )
    .await;
    let _reading = reading(world).await;

    let mut together = Vec::new();
    for _ in 0..4 {
        let body = submits.body().await;
        together.push(
            keys(&body)
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(" "),
        );
    }
    assert_eq!(together, ["$1 $2", "$1", "$2", ""]);
    let incident = incidents.body().await;
    assert_eq!(
        (&incident["rule"], &incident["subject"]),
        (&json!("event.quarantined"), &json!("$1"))
    );
}

#[tokio::test]
async fn who_is_not_in_the_room_has_no_standing() {
    let world = World::new().await;
    let mut stranger = message("$1", "!ps", 1);
    stranger["sender"] = "@eve:example.org".into();
    let _pages = world
        .history(vec![vec![stranger, message("$m", "!old", 0)]])
        .await;
    let mut submits = mock(&world.gateway, "POST", "/v1/submit", vec![submitted()]).await;
    let _reading = reading(world).await;
    let body = next_with_envelopes(&mut submits).await;
    let envelope = &body["envelopes"][0];
    assert_ne!(envelope["sender"], ANN);
    assert_eq!(
        (&envelope["joined"], &envelope["power_level"]),
        (&json!(false), &json!(0))
    );
}

/// What the register is told about a room in which somebody just talked, an hour after it was read.
async fn told_mark(is_fitful: bool) -> Value {
    let mut world = World::new().await;
    // No look but the first.
    world.context.reconcile_every = Duration::from_secs(3_600);
    let clock = Arc::new(AtomicI64::new(NOW_MS + 5_000));
    let now = Arc::clone(&clock);
    world.context.clock = Arc::new(move || Timestamp::from_millis(now.load(Ordering::SeqCst)));
    let mut pages = world.history(vec![vec![message("$m", "!old", 0)]]).await;
    let mut submits = mock(&world.gateway, "POST", "/v1/submit", vec![submitted()]).await;
    let reading = reading(world).await;
    pages.next().await;
    let context = &reading.world.context;
    context.note_synced(Timestamp::from_millis(NOW_MS + 60_000));
    if is_fitful {
        context.note_fitful();
    }
    clock.store(NOW_MS + 3_600_000, Ordering::SeqCst);
    let talk = batch(&[message("$t", "just talk", 1)], false);
    reading.reader.offer(talk);
    loop {
        let mark = submits.body().await["mark"].clone();
        if mark["event_id"] == "$t" {
            return mark;
        }
    }
}

#[tokio::test]
async fn a_mark_claims_no_more_than_sync_has_shown() {
    let synced = Timestamp::from_millis(NOW_MS + 60_000);
    assert_eq!(told_mark(false).await["read_up_to"], json!(synced));
}

#[tokio::test]
async fn where_sync_skips_events_a_mark_claims_no_more_than_a_look_has_shown() {
    let looked = Timestamp::from_millis(NOW_MS + 5_000);
    assert_eq!(told_mark(true).await["read_up_to"], json!(looked));
}

#[tokio::test]
async fn a_room_that_is_left_is_read_to_its_end_first() {
    let world = World::new().await;
    let mut history = world
        .history(vec![
            vec![message("$m", "!old", 0)],
            vec![message("$x", "!ps", 9), message("$m", "!old", 0)],
        ])
        .await;
    let mut submits = mock(&world.gateway, "POST", "/v1/submit", vec![submitted()]).await;
    let reading = reading(world).await;
    history.next().await;
    let (finish, finished) = oneshot::channel();
    reading.reader.finish(finish);
    assert!(finished.await.is_err(), "it is dropped at the end");
    assert_eq!(keys(&next_with_envelopes(&mut submits).await), ["$x"]);
}

#[tokio::test]
async fn a_room_is_told_once_that_the_gateway_is_away() {
    let world = World::new().await;
    let line = vec![message("$1", "!ps", 1), message("$m", "!old", 0)];
    let _pages = world.history(vec![line]).await;
    let away = ResponseTemplate::new(503)
        .set_body_json(json!({ "code": "register.unavailable", "detail": "no" }));
    let mut steps = vec![away; 6];
    steps.push(submitted());
    let mut submits = mock(&world.gateway, "POST", "/v1/submit", steps).await;
    let path = "/_matrix/client/v3/rooms/.*/send/m.room.message/away-1";
    let sent = ok(json!({ "event_id": "$told" }));
    let mut notes = mock(&world.homeserver, "PUT", path, vec![sent]).await;
    let reading = reading(world).await;
    let note = notes.body().await;
    assert_eq!(note["m.relates_to"]["m.in_reply_to"]["event_id"], "$1");
    for _ in 0..7 {
        assert_eq!(keys(&submits.body().await), ["$1"]);
    }
    // The line that follows is submitted: what was to be told of the first has been told.
    let next = batch(&[message("$2", "!ps", 2)], false);
    reading.reader.offer(next);
    assert_eq!(keys(&next_with_envelopes(&mut submits).await), ["$2"]);
    assert_eq!(notes.left(), 0, "once");
}
