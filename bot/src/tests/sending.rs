use std::collections::VecDeque;
use std::time::Duration;

use fleet_protocol::outbox::{
    Attempt, Attention, Message, OutboxRow, Post, Relation, Settlement, Target,
};
use fleet_protocol::{Document, Timestamp};
use jiff::SignedDuration;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use uuid::Uuid;
use wiremock::matchers::{method, path_regex};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use super::world::{
    ANN, DEVICE, NOW_MS, OWN, ROOM, Received, World, matrix_error, message, mock, ok,
};
use crate::BotError;
use crate::lease::Lease;
use crate::pace::Pace;
use crate::sender::{AHEAD, Sender, fill, next};
use crate::settle::Settler;

const SEND: &str = "/_matrix/client/v3/rooms/.*/send/m.room.message/.*";

pub(super) fn row(n: u128, text: &str) -> OutboxRow {
    let now = Timestamp::from_millis(NOW_MS);
    OutboxRow {
        id: Uuid::from_u128(n),
        room_id: ROOM.to_owned(),
        post: Post::Message(Message {
            attention: Attention::Quiet,
            document: Document::text(text),
            mentions: Vec::new(),
            twin: Value::Null,
        }),
        relation: None,
        created_at: now,
        attempt: Some(Attempt {
            device: DEVICE.to_owned(),
            at: now,
        }),
    }
}

/// Sends rows; what became of each, or why the bot ends.
pub(super) async fn send(world: &World, rows: Vec<OutboxRow>) -> Result<Vec<Settlement>, BotError> {
    let (settler, mut settled) = Settler::new();
    let sender = Sender::new(
        world.context.clone(),
        ROOM.to_owned(),
        Pace::open(),
        settler,
    );
    let (queue, inbox) = mpsc::channel(16);
    let count = rows.len();
    for row in rows {
        queue.send(row).await.unwrap();
    }
    drop(queue);
    sender.run(inbox).await?;
    let mut settlements = Vec::new();
    while let Some(settlement) = settled.recv().await {
        settlements.push(settlement.settlement);
    }
    assert_eq!(settlements.len(), count);
    Ok(settlements)
}

pub(super) async fn sends(world: &World, steps: Vec<ResponseTemplate>) -> Received {
    mock(&world.homeserver, "PUT", SEND, steps).await
}

pub(super) fn sent(id: &str) -> Settlement {
    Settlement::Sent {
        event_id: id.to_owned(),
    }
}

#[tokio::test]
async fn a_row_is_sent_under_its_own_transaction_id_in_order() {
    let world = World::new().await;
    let mut puts = sends(
        &world,
        vec![
            ok(json!({ "event_id": "$1" })),
            ok(json!({ "event_id": "$2" })),
        ],
    )
    .await;
    assert_eq!(
        send(&world, vec![row(1, "one"), row(2, "two")])
            .await
            .unwrap(),
        [sent("$1"), sent("$2")]
    );
    for n in [1, 2] {
        let put = puts.next().await;
        assert!(
            put.url
                .path()
                .ends_with(&Uuid::from_u128(n).simple().to_string()),
            "{}",
            put.url
        );
    }
}

#[tokio::test]
async fn a_limit_is_obeyed_and_the_row_sent_after_it() {
    let world = World::new().await;
    let limited = ResponseTemplate::new(429).set_body_json(
        json!({ "errcode": "M_LIMIT_EXCEEDED", "error": "slow", "retry_after_ms": 300 }),
    );
    let mut puts = sends(&world, vec![limited, ok(json!({ "event_id": "$1" }))]).await;
    let start = tokio::time::Instant::now();
    assert_eq!(
        send(&world, vec![row(1, "one")]).await.unwrap(),
        [sent("$1")]
    );
    assert!(
        start.elapsed().as_millis() >= 300,
        "the homeserver's wait was not obeyed"
    );
    let (first, second) = (puts.next().await, puts.next().await);
    assert_eq!(first.url.path(), second.url.path(), "the same transaction");
}

#[test]
fn what_is_needed_goes_first_while_the_account_is_limited() {
    let mut decision = row(3, "decided");
    if let Post::Message(message) = &mut decision.post {
        message.attention = Attention::Loud;
    }
    let rows = [row(1, "chatter"), row(2, "chatter"), decision];
    for (is_limited, expected) in [(true, [3, 1, 2]), (false, [1, 2, 3])] {
        let mut queue: VecDeque<_> = rows.clone().into();
        let order = std::iter::from_fn(|| next(&mut queue, is_limited));
        let order: Vec<_> = order.map(|row| row.id.as_u128()).collect();
        assert_eq!(order, expected);
    }
}

#[test]
fn what_waits_is_bounded_while_the_account_is_limited() {
    let (queue, mut inbox) = mpsc::channel(2 * AHEAD);
    for n in 0..2 * AHEAD as u128 {
        queue.try_send(row(n, "chatter")).unwrap();
    }
    let mut ahead = VecDeque::new();
    fill(&mut ahead, &mut inbox);
    assert_eq!((ahead.len(), inbox.len()), (AHEAD, AHEAD));
    next(&mut ahead, true);
    fill(&mut ahead, &mut inbox);
    assert_eq!((ahead.len(), inbox.len()), (AHEAD, AHEAD - 1));
}

/// Notes whether the lease is live when a row is sent.
struct Witness {
    lease: Lease,
    told: mpsc::UnboundedSender<bool>,
}

impl Respond for Witness {
    fn respond(&self, _: &Request) -> ResponseTemplate {
        self.told.send(self.lease.is_live()).ok();
        ok(json!({ "event_id": "$1" }))
    }
}

#[tokio::test]
async fn a_limit_that_outlasts_the_lease_ends_in_no_send_without_it() {
    let mut world = World::new().await;
    let gateway = MockServer::start().await;
    let grant = |seconds: u32| {
        ok(json!({
            "lease": { "account": OWN, "epoch": 3 }, "expires_at": "2100-01-01T00:00:00Z", "expires_in": seconds
        }))
    };
    // The first term is over before the limit is, and the renewal comes after it.
    let renewed = grant(600).set_delay(Duration::from_millis(1_500));
    let steps = vec![grant(1), renewed];
    let _asked = mock(&gateway, "POST", "/v1/bot/lease", steps).await;
    let typed = fleet_client::Gateway::new(gateway.uri().parse().unwrap(), "token")
        .unwrap()
        .without_retry();
    let stop = world.context.crew.stop.clone();
    let lease = Lease::acquire(&typed, OWN.parse().unwrap(), Uuid::from_u128(1), &stop).await;
    world.context.lease = lease.unwrap().unwrap();
    let lease = world.context.lease.clone();
    let (told, mut witnessed) = mpsc::unbounded_channel();
    let witness = Witness {
        lease: lease.clone(),
        told,
    };
    Mock::given(method("PUT"))
        .and(path_regex(SEND))
        .respond_with(witness)
        .mount(&world.homeserver)
        .await;
    let pace = Pace::open();
    pace.close(Duration::from_millis(1_200));
    let (settler, _settled) = Settler::new();
    let sender = Sender::new(world.context.clone(), ROOM.to_owned(), pace, settler);
    let (queue, inbox) = mpsc::channel(1);
    queue.send(row(1, "one")).await.unwrap();
    drop(queue);
    world.context.crew.spawn("lease", lease.keep(typed, stop));
    sender.run(inbox).await.unwrap();
    assert_eq!(witnessed.recv().await, Some(true));
}

/// Sends a row that was tried by another device, and stops the bot while it is looked for.
#[tokio::test]
async fn a_bot_that_stops_while_it_looks_for_a_row_does_not_send_it() {
    let world = World::new().await;
    let broken = vec![matrix_error(502, "M_UNKNOWN")];
    let messages = "/_matrix/client/v3/rooms/.*/messages";
    let mut pages = mock(&world.homeserver, "GET", messages, broken).await;
    let noted = vec![ResponseTemplate::new(204)];
    let _noted = mock(&world.gateway, "POST", "/v1/outbox/attempts", noted).await;
    let mut puts = sends(&world, vec![ok(json!({ "event_id": "$again" }))]).await;
    let mut row = row(1, "one");
    row.attempt = Some(tried_elsewhere()[0].clone());
    let (settler, mut settled) = Settler::new();
    let sender = Sender::new(
        world.context.clone(),
        ROOM.to_owned(),
        Pace::open(),
        settler,
    );
    let (queue, inbox) = mpsc::channel(1);
    queue.send(row).await.unwrap();
    let stop = async {
        pages.next().await;
        world.context.crew.stop.cancel();
    };
    let (ended, ()) = tokio::join!(sender.run(inbox), stop);
    ended.unwrap();
    assert!(settled.recv().await.is_none(), "it is not settled");
    assert_eq!(puts.left(), 0);
}

#[tokio::test]
async fn a_row_that_cannot_be_looked_for_is_left_to_a_person_and_not_sent_again() {
    let busy = (0..120).map(|n| vec![message(&format!("${n}"), "talk", 3)]);
    let pages = World::pages(busy.collect());
    let denied = vec![matrix_error(403, "M_FORBIDDEN")];
    for (history, joined, is_parked) in [
        (pages, json!([ROOM]), false),
        (denied.clone(), json!([ROOM]), false),
        (denied, json!([]), true),
    ] {
        let world = World::new().await;
        let messages = "/_matrix/client/v3/rooms/.*/messages";
        let _pages = mock(&world.homeserver, "GET", messages, history).await;
        let rooms = vec![ok(json!({ "joined_rooms": joined }))];
        let path = "/_matrix/client/v3/joined_rooms";
        let _rooms = mock(&world.homeserver, "GET", path, rooms).await;
        let mut puts = sends(&world, vec![ok(json!({ "event_id": "$again" }))]).await;
        let mut row = row(1, "one");
        row.attempt = Some(tried_elsewhere()[0].clone());
        let settled = send(&world, vec![row]).await.unwrap();
        match &settled[0] {
            Settlement::Parked { .. } => assert!(is_parked),
            Settlement::Dead { reason } => {
                assert!(
                    !is_parked && reason.contains("look whether it is there"),
                    "{reason}"
                );
            }
            Settlement::Sent { .. } => panic!("{settled:?}"),
        }
        assert_eq!(puts.left(), 0);
    }
}

#[tokio::test]
async fn what_is_too_large_is_cut_once_and_then_dead() {
    let world = World::new().await;
    let too_large = matrix_error(413, "M_TOO_LARGE");
    let mut puts = sends(
        &world,
        vec![
            too_large.clone(),
            ok(json!({ "event_id": "$1" })),
            too_large,
        ],
    )
    .await;
    let long = "a long line of text\n".repeat(5_000);
    let settled = send(&world, vec![row(1, &long), row(2, &long)])
        .await
        .unwrap();
    assert_eq!(settled[0], sent("$1"));
    assert!(matches!(settled[1], Settlement::Dead { .. }));
    let (whole, cut) = (puts.next().await, puts.next().await);
    let (whole_content, cut_content): (Value, Value) =
        (whole.body_json().unwrap(), cut.body_json().unwrap());
    assert!(
        whole_content.get("formatted_body").is_some()
            && cut_content.get("formatted_body").is_none()
    );
    assert!(cut.body.len() < whole.body.len());
    assert_eq!(whole.url.path(), cut.url.path(), "the same transaction");
}

#[tokio::test]
async fn a_dead_row_does_not_stop_the_next() {
    let world = World::new().await;
    let _puts = sends(
        &world,
        vec![
            matrix_error(400, "M_BAD_JSON"),
            ok(json!({ "event_id": "$2" })),
        ],
    )
    .await;
    let settled = send(&world, vec![row(1, "one"), row(2, "two")])
        .await
        .unwrap();
    assert!(
        matches!(&settled[0], Settlement::Dead { reason } if reason.contains("M_BAD_JSON")),
        "{settled:?}"
    );
    assert_eq!(settled[1], sent("$2"));
}

#[tokio::test]
async fn a_fault_of_the_homeserver_passes_and_keeps_the_order() {
    let world = World::new().await;
    let steps = vec![
        matrix_error(502, "M_UNKNOWN"),
        ok(json!({ "event_id": "$1" })),
        ok(json!({ "event_id": "$2" })),
    ];
    let mut puts = sends(&world, steps).await;
    assert_eq!(
        send(&world, vec![row(1, "one"), row(2, "two")])
            .await
            .unwrap(),
        [sent("$1"), sent("$2")]
    );
    let paths: Vec<_> = [puts.next().await, puts.next().await]
        .iter()
        .map(|p| p.url.path().to_owned())
        .collect();
    assert_eq!(paths[0], paths[1]);
}

#[tokio::test]
async fn a_row_of_a_room_the_bot_was_removed_from_is_parked() {
    let world = World::new().await;
    let _puts = sends(&world, vec![matrix_error(403, "M_FORBIDDEN")]).await;
    let nowhere = ok(json!({ "joined_rooms": [] }));
    let _rooms = mock(
        &world.homeserver,
        "GET",
        "/_matrix/client/v3/joined_rooms",
        vec![nowhere],
    )
    .await;
    let settled = send(&world, vec![row(1, "one")]).await.unwrap();
    assert!(
        matches!(settled[0], Settlement::Parked { .. }),
        "{settled:?}"
    );
}

#[tokio::test]
async fn a_forbidden_row_of_a_room_the_bot_is_in_is_dead() {
    let world = World::new().await;
    let _puts = sends(&world, vec![matrix_error(403, "M_FORBIDDEN")]).await;
    let here = ok(json!({ "joined_rooms": [ROOM] }));
    let _rooms = mock(
        &world.homeserver,
        "GET",
        "/_matrix/client/v3/joined_rooms",
        vec![here],
    )
    .await;
    let settled = send(&world, vec![row(1, "one")]).await.unwrap();
    assert!(matches!(settled[0], Settlement::Dead { .. }), "{settled:?}");
}

#[tokio::test]
async fn a_lost_session_stops_the_bot_and_is_told() {
    let world = World::new().await;
    let _puts = sends(&world, vec![matrix_error(401, "M_UNKNOWN_TOKEN")]).await;
    let mut incidents = mock(
        &world.gateway,
        "POST",
        "/v1/incidents",
        vec![ResponseTemplate::new(204)],
    )
    .await;
    let ended = send(&world, vec![row(1, "one")]).await;
    assert!(
        matches!(ended, Err(BotError::SignedOut { .. })),
        "{ended:?}"
    );
    assert_eq!(incidents.body().await["rule"], "bot.signed_out");
}

/// Another device, or the same more than 12 hours ago.
fn tried_elsewhere() -> [Attempt; 2] {
    let long_ago = Timestamp(Timestamp::from_millis(NOW_MS).0 - SignedDuration::from_hours(13));
    [
        Attempt {
            device: "OTHER".to_owned(),
            at: Timestamp::from_millis(NOW_MS),
        },
        Attempt {
            device: DEVICE.to_owned(),
            at: long_ago,
        },
    ]
}

#[tokio::test]
async fn a_row_tried_elsewhere_is_found_in_its_room_and_not_sent_again() {
    for attempt in tried_elsewhere() {
        let world = World::new().await;
        let mut mine = message("$there", "one", 2);
        mine["sender"] = OWN.into();
        mine["content"]["dev.mosaicstack.fleet"] = json!({ "row": Uuid::from_u128(1).to_string() });
        // Somebody else's message that names the row is not the row.
        let mut forged = mine.clone();
        (forged["event_id"], forged["sender"]) = ("$forged".into(), ANN.into());
        let _pages = world
            .history(vec![
                vec![message("$3", "talk", 3), forged],
                vec![mine, message("$1", "x", 1)],
            ])
            .await;
        let mut puts = sends(&world, vec![ok(json!({ "event_id": "$again" }))]).await;
        let mut row = row(1, "one");
        row.attempt = Some(attempt);
        assert_eq!(send(&world, vec![row]).await.unwrap(), [sent("$there")]);
        assert_eq!(puts.left(), 0);
    }
}

#[tokio::test]
async fn a_row_tried_elsewhere_that_is_not_there_is_noted_and_sent() {
    for attempt in tried_elsewhere() {
        let world = World::new().await;
        let _pages = world.history(vec![vec![message("$3", "talk", 3)]]).await;
        let mut noted = mock(
            &world.gateway,
            "POST",
            "/v1/outbox/attempts",
            vec![ResponseTemplate::new(204)],
        )
        .await;
        let mut puts = sends(&world, vec![ok(json!({ "event_id": "$1" }))]).await;
        let mut row = row(1, "one");
        row.attempt = Some(attempt);
        assert_eq!(send(&world, vec![row]).await.unwrap(), [sent("$1")]);
        let body = noted.body().await;
        assert_eq!(
            (&body["device"], &body["rows"]),
            (&json!(DEVICE), &json!([Uuid::from_u128(1)]))
        );
        puts.next().await;
    }
}

#[tokio::test]
async fn a_pin_is_compared_before_it_is_set() {
    let world = World::new().await;
    let pinned = ok(json!({ "pinned": ["$card"] }));
    let _state = mock(
        &world.homeserver,
        "GET",
        "/_matrix/client/v3/rooms/.*/state/m.room.pinned_events/?",
        vec![pinned],
    )
    .await;
    let set = ok(json!({ "event_id": "$pins" }));
    let mut puts = mock(
        &world.homeserver,
        "PUT",
        "/_matrix/client/v3/rooms/.*/state/m.room.pinned_events/?",
        vec![set],
    )
    .await;
    let pin = |n: u128, event: &str| OutboxRow {
        post: Post::Pin { pinned: true },
        relation: Some(Relation::Pins(Target::Event(event.to_owned()))),
        ..row(n, "")
    };
    let settled = send(&world, vec![pin(1, "$card"), pin(2, "$other")])
        .await
        .unwrap();
    assert_eq!(settled, [sent("$card"), sent("$pins")]);
    assert_eq!(puts.body().await, json!({ "pinned": ["$card", "$other"] }));
    assert_eq!(puts.left(), 0);
}
