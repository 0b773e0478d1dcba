//! A gateway on a database of its own.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, mpsc};

use fleet_gateway::{
    Clock, InitSettings, Scope, Secret, Settings, SystemClock, TokenFile, UuidIds, init, serve_on,
};
use fleet_local::postgres::TemporaryCluster;
use fleet_protocol::Timestamp;
use fleet_protocol::api::{BindRoom, LeaseGrant, LeaseRequest, Outbox, path};
use fleet_protocol::envelope::{BotLease, Envelope, Mark, Submit, Submitted};
use reqwest::{Method, Response, StatusCode};
use serde::Serialize;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use url::Url;
use uuid::Uuid;

pub(crate) use crate::wire::{batch, line, read, refused};

pub(crate) const OPERATOR: &str = "@op:test";
pub(crate) const BOT: &str = "@fleet:test";
pub(crate) const LOBBY: &str = "!lobby:test";
/// 2026-11-23T12:00Z.
pub(crate) const NOON: i64 = 1_795_435_200_000;

/// The cluster's template and its tokens.
struct Template {
    owner: Url,
    name: String,
    bot: String,
    operator: String,
}

fn template() -> &'static Template {
    static TEMPLATE: OnceLock<Template> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        let (send, receive) = mpsc::channel();
        // The cluster lives as long as this thread, and the thread as long as the process.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                let given = std::env::var("FLEET_TEST_DATABASE_URL").ok();
                let cluster = match &given {
                    Some(_) => None,
                    None => Some(TemporaryCluster::start(200, &|_| {}).await.unwrap()),
                };
                let url = given.unwrap_or_else(|| cluster.as_ref().unwrap().owner_url());
                send.send(make(&url).await).unwrap();
                std::future::pending::<()>().await;
            });
        });
        receive.recv().unwrap()
    })
}

async fn make(url: &str) -> Template {
    let owner: Url = url.parse().unwrap();
    let name = format!("fleet_template_{}", std::process::id());
    on(&owner, &format!("CREATE DATABASE {name}")).await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, scopes: Vec<Scope>, user: Option<&str>| TokenFile {
        name: name.parse().unwrap(),
        scopes,
        user: user.map(|u| u.parse().unwrap()),
        path: folder.path().join(name),
    };
    let settings = InitSettings {
        owner_url: Secret::new(at(&owner, None, &name).to_string()),
        tenant: "default".parse().unwrap(),
        zone: "Europe/Berlin".to_owned(),
        operator: Some(OPERATOR.parse().unwrap()),
        tokens: vec![
            file("bot", vec![Scope::Bot], None),
            file("operator", vec![Scope::Operator], Some(OPERATOR)),
        ],
    };
    init(&settings, &SystemClock, &UuidIds).await.unwrap();
    // Harmless to repeat: what is there stays.
    init(&settings, &SystemClock, &UuidIds).await.unwrap();
    let read = |name: &str| {
        std::fs::read_to_string(folder.path().join(name))
            .unwrap()
            .trim()
            .to_owned()
    };
    Template {
        owner,
        name,
        bot: read("bot"),
        operator: read("operator"),
    }
}

/// The same server by another user or database.
pub(crate) fn at(url: &Url, user: Option<&str>, database: &str) -> Url {
    let mut url = url.clone();
    url.set_path(database);
    if let Some(user) = user {
        url.set_username(user).unwrap();
        url.set_password(None).unwrap();
    }
    url
}

/// Runs a statement on a connection of its own.
pub(crate) async fn on(url: &Url, sql: &str) {
    let mut connection = PgConnection::connect(url.as_str()).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(&mut connection)
        .await
        .unwrap_or_else(|e| panic!("{sql}: {e}"));
    connection.close().await.unwrap();
}

/// A database of its own, made from the template.
pub(crate) struct Database {
    pub(crate) owner: Url,
    pub(crate) app: Url,
}

impl Database {
    pub(crate) async fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let template = tokio::task::spawn_blocking(template).await.unwrap();
        let name = format!(
            "fleet_test_{}_{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        on(
            &template.owner,
            &format!(
                "CREATE DATABASE {name} TEMPLATE {} STRATEGY file_copy",
                template.name
            ),
        )
        .await;
        Self {
            owner: at(&template.owner, None, &name),
            app: at(&template.owner, Some("fleet_app"), &name),
        }
    }

    /// One value, as the owner sees it.
    pub(crate) async fn count(&self, sql: &str) -> i64 {
        let mut connection = PgConnection::connect(self.owner.as_str()).await.unwrap();
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned()))
            .fetch_one(&mut connection)
            .await
            .unwrap_or_else(|e| panic!("{sql}: {e}"))
    }
}

/// A server, with a database of its own, on a socket of its own.
pub(crate) fn cluster() -> (&'static Url, &'static str) {
    let template = template();
    (&template.owner, &template.name)
}

/// A clock that a test sets.
#[derive(Clone)]
pub(crate) struct TestClock(Arc<AtomicI64>);

impl TestClock {
    pub(crate) fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1_000, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// A running gateway.
pub(crate) struct Stage {
    pub(crate) database: Database,
    pub(crate) clock: TestClock,
    pub(crate) url: String,
    pub(crate) bot: String,
    pub(crate) operator: String,
    pub(crate) http: reqwest::Client,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let database = Database::new().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut settings = Settings::new(Secret::new(database.app.to_string()));
        settings.listen = listener.local_addr().unwrap();
        change(&mut settings);
        let url = format!("http://{}", settings.listen);
        let (clock, stop) = (
            TestClock(Arc::new(AtomicI64::new(NOON))),
            CancellationToken::new(),
        );
        let mut tasks = JoinSet::new();
        tasks.spawn({
            let (clock, stop) = (clock.clone(), stop.clone());
            async move {
                serve_on(listener, settings, clock, UuidIds, stop)
                    .await
                    .unwrap()
            }
        });
        let template = template();
        let (bot, operator) = (template.bot.clone(), template.operator.clone());
        Self {
            database,
            clock,
            url,
            bot,
            operator,
            http: reqwest::Client::new(),
            stop,
            tasks,
        }
    }

    /// Tells it to stop, as a signal would.
    pub(crate) fn tell_to_stop(&self) {
        self.stop.cancel();
    }

    /// Stops it, as a signal would, and waits for its end.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: &impl Serialize,
    ) -> Response {
        self.http
            .request(method, format!("{}{path}", self.url))
            .bearer_auth(token)
            .json(body)
            .send()
            .await
            .unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: &impl Serialize) -> Response {
        self.send(Method::POST, path, &self.bot, body).await
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Response {
        self.http
            .get(format!("{}{path}", self.url))
            .bearer_auth(token)
            .send()
            .await
            .unwrap()
    }

    /// A command of the operator.
    pub(crate) async fn command(&self, key: &str, request: serde_json::Value) -> Response {
        let body = serde_json::json!({ "request": request });
        let url = format!("{}{}", self.url, path::COMMANDS);
        self.http
            .post(url)
            .bearer_auth(&self.operator)
            .header("idempotency-key", key)
            .json(&body)
            .send()
            .await
            .unwrap()
    }

    pub(crate) async fn outbox(&self) -> Outbox {
        read(self.get(path::OUTBOX, &self.bot).await).await
    }

    pub(crate) async fn ask_lease(&self, holder: u128, epoch: Option<u64>) -> Response {
        let request = LeaseRequest {
            account: BOT.parse().unwrap(),
            holder: Uuid::from_u128(holder),
            epoch,
            release: false,
        };
        self.post(path::BOT_LEASE, &request).await
    }

    /// A bot with a lease, in the lobby, which it has read up to `$join`.
    pub(crate) async fn bot(&self) -> BotLease {
        let grant: LeaseGrant = read(self.ask_lease(1, None).await).await;
        self.bind(&grant.lease, Some("lobby"), LOBBY, None).await;
        grant.lease
    }

    pub(crate) async fn bind(
        &self,
        lease: &BotLease,
        key: Option<&str>,
        room_id: &str,
        replaces: Option<&str>,
    ) {
        let bind = BindRoom {
            lease: lease.clone(),
            key: key.map(|k| k.parse().unwrap()),
            mark: Mark {
                event_id: "$join".into(),
                read_up_to: Timestamp::from_millis(NOON - 60_000),
            },
            replaces: replaces.map(str::to_owned),
        };
        let response = self
            .send(
                Method::PUT,
                &format!("/v1/rooms/{room_id}"),
                &self.bot,
                &bind,
            )
            .await;
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
    }

    pub(crate) async fn submit(&self, submit: &Submit) -> Response {
        self.post(path::SUBMIT, submit).await
    }

    /// Submits, after the mark given.
    pub(crate) async fn submitted(
        &self,
        lease: &BotLease,
        after: &str,
        envelopes: Vec<Envelope>,
    ) -> Submitted {
        read(self.submit(&batch(lease, after, envelopes)).await).await
    }
}
