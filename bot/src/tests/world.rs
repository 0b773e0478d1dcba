//! A homeserver and a gateway of mocks, and a bot that is logged in and in one room.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fleet_client::Gateway;
use fleet_protocol::Timestamp;
use matrix_sdk::authentication::matrix::MatrixSession;
use matrix_sdk::config::{RequestConfig, SyncSettings};
use matrix_sdk::ruma::api::MatrixVersion;
use matrix_sdk::ruma::{RoomId, room_id};
use matrix_sdk::{Client, Room, SessionMeta, SessionTokens};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use wiremock::matchers::{method, path, path_regex};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use crate::BotError;
use crate::context::Context;
use crate::crew::Crew;
use crate::health::Health;
use crate::lease::Lease;
use crate::reports::{self, Reports};

pub(super) const ROOM: &str = "!lobby:example.org";
pub(super) const OWN: &str = "@fleet:example.org";
pub(super) const ANN: &str = "@ann:example.org";
pub(super) const DEVICE: &str = "DEVICE";
pub(super) const NOW_MS: i64 = 1_800_000_000_000;

/// Longest wait for something that must happen.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct World {
    pub(super) homeserver: MockServer,
    pub(super) gateway: MockServer,
    pub(super) context: Context,
    pub(super) failure: mpsc::Receiver<BotError>,
    pub(super) health: Health,
    _keys: watch::Sender<u64>,
}

/// Answers with a script, one step per request, the last for ever; tells of each request.
pub(super) struct Script {
    steps: Vec<ResponseTemplate>,
    next: std::sync::atomic::AtomicUsize,
    told: mpsc::UnboundedSender<Request>,
}

impl Respond for Script {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let at = self
            .next
            .fetch_add(1, std::sync::atomic::Ordering::SeqCst)
            .min(self.steps.len() - 1);
        self.told.send(request.clone()).ok();
        self.steps[at].clone()
    }
}

/// The requests that one mocked endpoint has received.
pub(super) struct Received(mpsc::UnboundedReceiver<Request>);

impl Received {
    /// The next request.
    pub(super) async fn next(&mut self) -> Request {
        tokio::time::timeout(PATIENCE, self.0.recv())
            .await
            .expect("a request was expected")
            .unwrap()
    }

    /// The body of the next request.
    pub(super) async fn body(&mut self) -> Value {
        self.next().await.body_json().unwrap()
    }

    /// How many came that nobody has taken.
    pub(super) fn left(&mut self) -> usize {
        self.seen().len()
    }

    /// Those that came and that nobody has taken.
    pub(super) fn seen(&mut self) -> Vec<Request> {
        std::iter::from_fn(|| self.0.try_recv().ok()).collect()
    }
}

/// Mocks an endpoint with a script.
pub(super) async fn mock(
    server: &MockServer,
    verb: &str,
    at: &str,
    steps: Vec<ResponseTemplate>,
) -> Received {
    let (told, requests) = mpsc::unbounded_channel();
    let script = Script {
        steps,
        next: 0.into(),
        told,
    };
    Mock::given(method(verb))
        .and(path_regex(format!("^{at}$")))
        .respond_with(script)
        .mount(server)
        .await;
    Received(requests)
}

/// Answers with what a test may change meanwhile; tells of each request.
struct Changing {
    answer: Arc<Mutex<ResponseTemplate>>,
    told: mpsc::UnboundedSender<Request>,
}

impl Respond for Changing {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        self.told.send(request.clone()).ok();
        self.answer.lock().unwrap().clone()
    }
}

/// Mocks an endpoint whose answer a test may change.
pub(super) async fn changing(
    server: &MockServer,
    verb: &str,
    at: &str,
    first: ResponseTemplate,
) -> (Received, Arc<Mutex<ResponseTemplate>>) {
    let (told, requests) = mpsc::unbounded_channel();
    let answer = Arc::new(Mutex::new(first));
    let responder = Changing {
        answer: Arc::clone(&answer),
        told,
    };
    Mock::given(method(verb))
        .and(path_regex(format!("^{at}$")))
        .respond_with(responder)
        .mount(server)
        .await;
    (Received(requests), answer)
}

pub(super) fn ok(body: Value) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(body)
}

pub(super) fn matrix_error(status: u16, code: &str) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_json(json!({ "errcode": code, "error": "no" }))
}

/// A chat message of Ann's, `at` seconds after the beginning.
pub(super) fn message(id: &str, body: &str, at: i64) -> Value {
    json!({
        "type": "m.room.message", "event_id": id, "sender": ANN, "origin_server_ts": NOW_MS + at * 1_000,
        "content": { "msgtype": "m.text", "body": body },
    })
}

fn state(kind: &str, key: &str, sender: &str, content: Value) -> Value {
    json!({
        "type": kind, "state_key": key, "sender": sender, "event_id": format!("${kind}{key}"),
        "origin_server_ts": NOW_MS, "content": content,
    })
}

/// The state of the room: the bot made it, Ann is an operator.
pub(super) fn room_state() -> Vec<Value> {
    vec![
        state("m.room.create", "", OWN, json!({ "room_version": "11" })),
        state("m.room.member", OWN, OWN, json!({ "membership": "join" })),
        state("m.room.member", ANN, ANN, json!({ "membership": "join" })),
        state(
            "m.room.power_levels",
            "",
            OWN,
            json!({ "users": { OWN: 100, ANN: 100 } }),
        ),
    ]
}

pub(super) fn joined(timeline: &[Value], limited: bool) -> Value {
    json!({ "rooms": { "join": { ROOM: {
        "state": { "events": [] }, "timeline": { "events": timeline, "limited": limited, "prev_batch": "p" },
        "unread_notifications": {}, "ephemeral": { "events": [] }, "account_data": { "events": [] }
    } } } })
}

impl World {
    pub(super) async fn new() -> Self {
        let (homeserver, gateway) = (MockServer::start().await, MockServer::start().await);
        mount_basics(&homeserver, &gateway).await;
        let client = client(&homeserver).await;
        let typed = Gateway::new(gateway.uri().parse().unwrap(), "token")
            .unwrap()
            .without_retry();
        let (crew, failure) = Crew::new(CancellationToken::new());
        let account = OWN.parse().unwrap();
        let lease = Lease::acquire(&typed, account, Uuid::from_u128(1), &crew.stop)
            .await
            .unwrap()
            .unwrap();
        let health = Health::default();
        let (keys, keys_came) = watch::channel(0);
        let context = Context {
            client,
            gateway: typed,
            user: OWN.parse().unwrap(),
            device: DEVICE.to_owned(),
            lease,
            clock: Arc::new(|| Timestamp::from_millis(NOW_MS)),
            counters: health.counters(),
            crew,
            keys: keys_came,
            synced: Arc::new(watch::channel(None).0),
            reports: Reports::default(),
            fitful: Arc::new(AtomicBool::new(false)),
            reconcile_every: Duration::from_millis(50),
        };
        context
            .crew
            .spawn("reporter", reports::run(context.clone()));
        Self {
            homeserver,
            gateway,
            context,
            failure,
            health,
            _keys: keys,
        }
    }

    pub(super) fn room(&self) -> Room {
        self.context
            .client
            .get_room(room_id!("!lobby:example.org"))
            .unwrap()
    }

    /// Serves the room's history: pages, newest first, by their tokens `None`, `"1"`, `"2"` and so on.
    pub(super) async fn history(&self, pages: Vec<Vec<Value>>) -> Received {
        mock(
            &self.homeserver,
            "GET",
            "/_matrix/client/v3/rooms/.*/messages",
            Self::pages(pages),
        )
        .await
    }

    /// The answers of such a history.
    pub(super) fn pages(pages: Vec<Vec<Value>>) -> Vec<ResponseTemplate> {
        let last = pages.len() - 1;
        pages
            .into_iter()
            .enumerate()
            .map(|(n, chunk)| {
                let mut page = json!({ "start": n.to_string(), "chunk": chunk });
                if n < last {
                    page["end"] = (n + 1).to_string().into();
                }
                ok(page)
            })
            .collect()
    }
}

async fn mount_basics(homeserver: &MockServer, gateway: &MockServer) {
    let encryption = matrix_error(404, "M_NOT_FOUND");
    Mock::given(path_regex("/state/m.room.encryption"))
        .respond_with(encryption)
        .mount(homeserver)
        .await;
    Mock::given(path("/_matrix/client/v3/keys/upload"))
        .respond_with(ok(json!({ "one_time_key_counts": {} })))
        .mount(homeserver)
        .await;
    let grant = json!({
        "lease": { "account": OWN, "epoch": 3 }, "expires_at": "2100-01-01T00:00:00Z", "expires_in": 600
    });
    Mock::given(path("/v1/bot/lease"))
        .respond_with(ok(grant))
        .mount(gateway)
        .await;
}

async fn client(homeserver: &MockServer) -> Client {
    let client = Client::builder()
        .homeserver_url(homeserver.uri())
        .server_versions([MatrixVersion::V1_11])
        .request_config(RequestConfig::new().disable_retry())
        .build()
        .await
        .unwrap();
    let meta = SessionMeta {
        user_id: OWN.try_into().unwrap(),
        device_id: DEVICE.into(),
    };
    let tokens = SessionTokens {
        access_token: "secret".to_owned(),
        refresh_token: None,
    };
    client
        .restore_session(MatrixSession { meta, tokens })
        .await
        .unwrap();
    let mut first = joined(&[], false);
    first["next_batch"] = "s0".into();
    first["rooms"]["join"][ROOM]["state"]["events"] = room_state().into();
    Mock::given(path("/_matrix/client/v3/sync"))
        .respond_with(ok(first))
        .up_to_n_times(1)
        .mount(homeserver)
        .await;
    client.sync_once(SyncSettings::new()).await.unwrap();
    assert!(
        client
            .get_room(<&RoomId>::try_from(ROOM).unwrap())
            .is_some()
    );
    client
}
