use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use wiremock::{MockServer, ResponseTemplate};

use super::world::{DEVICE, OWN, ROOM, World, mock, ok};
use crate::BotError;
use crate::claims::Claims;
use crate::dispatch::Dispatch;
use crate::lease::Lease;
use crate::settle::{self, Settler};
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
