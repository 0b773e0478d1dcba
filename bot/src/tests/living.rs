use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use fleet_protocol::Timestamp;
use fleet_protocol::envelope::Body;
use fleet_protocol::problem::Code;
use matrix_sdk::ruma::serde::Raw;
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use wiremock::{MockServer, ResponseTemplate};

use super::world::{
    ANN, DEVICE, NOW_MS, OWN, PATIENCE, ROOM, World, joined, matrix_error, mock, ok,
};
use crate::BotError;
use crate::claims::Claims;
use crate::dispatch::Dispatch;
use crate::event::Event;
use crate::lease::Lease;
use crate::reading::New;
use crate::settle::{self, Settler};
use crate::sync::Sync;
use crate::understanding::{self, KEYS, Pending};
use crate::{poll, verdict};

fn problem(status: u16, code: &str) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_json(json!({ "code": code, "detail": "no" }))
}

fn grant(epoch: u64, seconds: u32) -> ResponseTemplate {
    ok(json!({
        "lease": { "account": OWN, "epoch": epoch }, "expires_at": "2100-01-01T00:00:00Z", "expires_in": seconds
    }))
}

async fn gateway() -> (MockServer, fleet_client::Gateway) {
    let server = MockServer::start().await;
    let typed = fleet_client::Gateway::new(server.uri().parse().unwrap(), "token")
        .unwrap()
        .without_retry();
    (server, typed)
}

async fn acquire(typed: &fleet_client::Gateway) -> Result<Option<Lease>, BotError> {
    Lease::acquire(
        typed,
        OWN.parse().unwrap(),
        Uuid::from_u128(9),
        &CancellationToken::new(),
    )
    .await
}

#[tokio::test]
async fn a_second_bot_waits_for_the_account_and_takes_over_with_a_new_epoch() {
    let (server, typed) = gateway().await;
    let steps = vec![problem(409, "bot.lease_held"), grant(2, 600)];
    let mut asked = mock(&server, "POST", "/v1/bot/lease", steps).await;
    let lease = acquire(&typed).await.unwrap().unwrap();
    assert_eq!(lease.claim().epoch, 2);
    assert!(lease.is_live());
    let first = asked.body().await;
    assert_eq!(first["holder"], json!(Uuid::from_u128(9)));
    assert!(first.get("epoch").is_none_or(Value::is_null));
}

#[tokio::test]
async fn a_token_that_is_not_accepted_ends_the_bot_at_once() {
    let (server, typed) = gateway().await;
    let _asked = mock(
        &server,
        "POST",
        "/v1/bot/lease",
        vec![problem(401, "auth.unauthenticated")],
    )
    .await;
    assert!(matches!(acquire(&typed).await, Err(BotError::Gateway(_))));
}

#[tokio::test]
async fn a_lease_taken_over_ends_its_keeper() {
    let (server, typed) = gateway().await;
    // One second's term, so that the first renewal comes after a third of it.
    let steps = vec![grant(2, 1), problem(409, "bot.lease_lost")];
    let mut asked = mock(&server, "POST", "/v1/bot/lease", steps).await;
    let lease = acquire(&typed).await.unwrap().unwrap();
    let ended = lease.keep(typed, CancellationToken::new()).await;
    assert!(
        matches!(ended, Err(BotError::LeaseLost { .. })),
        "{ended:?}"
    );
    asked.next().await;
    assert_eq!(asked.body().await["epoch"], 2);
}

#[tokio::test]
async fn polled_rows_are_noted_sent_once_and_settled() {
    let world = World::new().await;
    let row = Uuid::from_u128(5);
    let polled = ok(json!({ "rows": [{
        "id": row, "room_id": ROOM, "created_at": "2027-01-15T08:00:00Z",
        "post": { "message": { "attention": "quiet", "document": [{ "paragraph": [{ "text": "hello" }] }] } }
    }] }));
    let mut polls = mock(&world.gateway, "GET", "/v1/outbox", vec![polled]).await;
    let mut noted = mock(
        &world.gateway,
        "POST",
        "/v1/outbox/attempts",
        vec![ResponseTemplate::new(204)],
    )
    .await;
    let path = "/v1/outbox/settlements";
    let steps = vec![
        problem(503, "register.unavailable"),
        ResponseTemplate::new(204),
    ];
    let mut settled = mock(&world.gateway, "POST", path, steps).await;
    let sent = ok(json!({ "event_id": "$1" }));
    let mut puts = mock(
        &world.homeserver,
        "PUT",
        "/_matrix/client/v3/rooms/.*/send/.*",
        vec![sent],
    )
    .await;

    let (claims, flushed) = (Claims::default(), Arc::new(Notify::new()));
    let (settler, inbox) = Settler::new();
    let dispatch = Dispatch::new(claims.clone(), settler);
    let crew = &world.context.crew;
    crew.spawn(
        "settler",
        settle::run(world.context.clone(), inbox, claims, Arc::clone(&flushed)),
    );
    crew.spawn("poll", poll::run(world.context.clone(), dispatch, flushed));

    let attempt = noted.body().await;
    assert_eq!(
        (&attempt["device"], &attempt["rows"]),
        (&json!(DEVICE), &json!([row]))
    );
    let expected = json!([{ "row": row, "settlement": { "sent": { "event_id": "$1" } } }]);
    for _ in 0..2 {
        // The gateway was away at first: the same is told again.
        assert_eq!(settled.body().await["rows"], expected);
    }
    for _ in 0..3 {
        polls.next().await;
    }
    puts.next().await;
    assert_eq!(
        puts.left(),
        0,
        "a row that is listed again is not sent again"
    );
    assert_eq!(noted.left(), 0);
}

#[tokio::test]
async fn nobody_listening_is_worth_another_try() {
    // Nobody may listen on port 1.
    let nowhere = "http://127.0.0.1:1".parse().unwrap();
    let typed = fleet_client::Gateway::new(nowhere, "token")
        .unwrap()
        .without_retry();
    let error = typed.rooms().await.unwrap_err();
    assert_eq!(verdict::verdict(&error), verdict::Verdict::Retry);
}

#[tokio::test]
async fn an_incident_waits_for_the_gateway() {
    let world = World::new().await;
    let steps = vec![
        problem(503, "register.unavailable"),
        problem(503, "register.unavailable"),
        ResponseTemplate::new(204),
    ];
    let mut told = mock(&world.gateway, "POST", "/v1/incidents", steps).await;
    let (context, room) = (&world.context, "!lobby:example.org");
    context.incident("room.not_mended", room, "broken".to_owned());
    for _ in 0..3 {
        let report = told.body().await;
        assert_eq!(
            (&report["subject"], &report["detail"]),
            (&json!(room), &json!("broken"))
        );
    }
    context.mended("room.not_mended", room);
    let report = told.body().await;
    assert_eq!(
        (&report["subject"], &report["mended"]),
        (&json!(room), &json!(true))
    );
}

#[tokio::test]
async fn what_sync_has_shown_ends_where_the_last_good_one_began() {
    let mut world = World::new().await;
    // Every look at the clock is a second later; only sync looks at it here.
    let looks = Arc::new(AtomicI64::new(0));
    world.context.clock = Arc::new(move || {
        Timestamp::from_millis(1_000 * (looks.fetch_add(1, Ordering::SeqCst) + 1))
    });
    let good = |next: &str| {
        let mut answer = joined(&[], false);
        answer["next_batch"] = next.into();
        ok(answer)
    };
    let path = "/_matrix/client/v3/sync";
    let steps = vec![good("s1"), good("s2"), matrix_error(502, "M_UNKNOWN")];
    let mut syncs = mock(&world.homeserver, "GET", path, steps).await;
    let (settler, _inbox) = Settler::new();
    let dispatch = Dispatch::new(Claims::default(), settler);
    let ((errands, _box), (_marked, marks)) = (mpsc::channel(8), mpsc::channel(8));
    let (keys, health) = (watch::channel(0).0, world.health.clone());
    let sync = Sync::new(
        world.context.clone(),
        dispatch,
        errands,
        marks,
        keys,
        health,
    );
    world.context.crew.spawn("sync", sync.run());
    for _ in 0..4 {
        syncs.next().await;
    }
    assert_eq!(world.context.synced(), Some(Timestamp::from_millis(2_000)));
}

/// An event whose keys never come.
fn locked(id: &str, since: Instant) -> Pending {
    let content = json!({
        "algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "AwgAEnACgAkLmt6qF84IK++J7UDH2Za1YVchHyprqTqsg",
        "device_id": "OTHER", "sender_key": "key", "session_id": "session",
    });
    let raw = json!({
        "type": "m.room.encrypted", "event_id": id, "sender": ANN, "origin_server_ts": NOW_MS, "content": content,
    });
    let event = Event {
        id: id.to_owned(),
        sender: ANN.to_owned(),
        ts: NOW_MS,
        kind: "m.room.encrypted".to_owned(),
        state_key: None,
        redacts: None,
        content,
        locked: Some(Raw::new(&raw).unwrap().cast_unchecked()),
    };
    let new = New {
        event,
        late: false,
        recovered: false,
    };
    Pending { new, since }
}

#[tokio::test]
async fn keys_are_waited_for_from_when_an_event_came_and_then_it_is_answered() {
    let world = World::new().await;
    let left = Duration::from_millis(300);
    let came = Instant::now() - (KEYS - left);
    let mut pending: VecDeque<_> = ["$1", "$2", "$3", "$4", "$5"]
        .map(|id| locked(id, came))
        .into();
    let (room, begun) = (world.room(), Instant::now());
    // Five waits one after the other would be beyond anybody's patience.
    let mut answered = Vec::new();
    while !pending.is_empty() {
        let next = understanding::next(&world.context, &room, &mut pending);
        let part = tokio::time::timeout(PATIENCE, next).await.unwrap().unwrap();
        for envelope in part.envelopes {
            let Body::Refused(problem) = envelope.body else {
                panic!("{envelope:?}")
            };
            assert_eq!(problem.code, Code::Undecryptable);
            answered.push(envelope.key);
        }
        assert!(begun.elapsed() < KEYS, "the events waited in turn");
    }
    assert_eq!(answered, ["$1", "$2", "$3", "$4", "$5"]);
    assert!(begun.elapsed() >= left, "the keys were not waited for");
}
