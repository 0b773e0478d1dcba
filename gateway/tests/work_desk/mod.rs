//! A gateway with a database of its own, and people and agents who call it over HTTP.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test binary uses its part of the desk"
)]
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking; clippy knows this of functions marked as tests only, not of what they call"
)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use fleet_gateway::{Clock, InitSettings, Scope, Secret, Settings, TokenFile, UuidIds};
use fleet_local::postgres::TemporaryCluster;
use fleet_protocol::envelope::Receipt;
use fleet_protocol::problem::Code;
use fleet_protocol::reply::{AgentView, Changed, ItemView, TaskView};
use fleet_protocol::{Problem, Reply, Timestamp};
use jiff::SignedDuration;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use tokio::net::TcpListener;
use tokio::sync::OnceCell;
use tokio_util::sync::{CancellationToken, DropGuard};

/// The cluster of this test process; each test has its own database in it.
static CLUSTER: OnceCell<TemporaryCluster> = OnceCell::const_new();
static DATABASES: AtomicU32 = AtomicU32::new(0);
static KEYS: AtomicU32 = AtomicU32::new(0);

/// People of the desk; `ana` is the first operator.
pub const PEOPLE: &[&str] = &["ana", "ben", "mia", "vic", "out"];
/// Agents of the desk, by the localpart of their users.
pub const AGENTS: &[&str] = &["a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8"];

/// Between two looks: a loop that only yields keeps the runtime's timers, and with them the sweep, from running.
pub const LOOK: std::time::Duration = std::time::Duration::from_millis(20);

/// A clock that stands until it is moved.
#[derive(Clone)]
pub struct HandClock(Arc<Mutex<Timestamp>>);

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().expect("the clock")
    }
}

impl HandClock {
    pub fn advance(&self, seconds: i64) {
        let mut now = self.0.lock().expect("the clock");
        *now = Timestamp(
            now.0
                .checked_add(SignedDuration::from_secs(seconds))
                .expect("in range"),
        );
    }
}

/// The gateway and its callers.
pub struct Desk {
    pub clock: HandClock,
    owner_url: String,
    pub base: String,
    pub client: reqwest::Client,
    tokens: BTreeMap<String, String>,
    /// What each account registered as, which its later calls name.
    lives: Mutex<BTreeMap<String, Value>>,
    _stop: DropGuard,
    _folder: tempfile::TempDir,
}

impl Desk {
    /// A fresh fleet: `ana` operator, `ben` operator, `mia` member, `vic` viewer, `out` without a
    /// role, the agents with the role of agents.
    pub async fn open() -> Self {
        let desk = Self::bare().await;
        for (user, role) in [("ben", "operator"), ("mia", "member"), ("vic", "viewer")] {
            desk.ok(
                "ana",
                "member.add",
                json!({ "user": user_id(user), "role": role }),
            )
            .await;
        }
        for agent in AGENTS {
            desk.ok(
                "ana",
                "member.add",
                json!({ "user": user_id(agent), "role": "agent" }),
            )
            .await;
        }
        desk
    }

    /// A fleet in which only `ana` has a role.
    pub async fn bare() -> Self {
        let cluster = CLUSTER
            .get_or_init(|| async {
                TemporaryCluster::start(400, &|_| {})
                    .await
                    .expect("a throw-away PostgreSQL")
            })
            .await;
        let database = format!("desk_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
        let mut owner = PgConnection::connect(&cluster.owner_url())
            .await
            .expect("the owner connects");
        let create = format!("CREATE DATABASE {database}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(create))
            .execute(&mut owner)
            .await
            .expect("a database");
        let owner_url = cluster.prepared().url("fleet_owner", &database);
        let folder = tempfile::tempdir().expect("a folder");
        let tokens = PEOPLE
            .iter()
            .map(|p| (p, Scope::Operator))
            .chain(AGENTS.iter().map(|a| (a, Scope::Agent)))
            .map(|(name, scope)| TokenFile {
                name: name.parse().expect("a name"),
                scopes: vec![scope],
                user: Some(user_id(name).parse().expect("a user")),
                path: folder.path().join(name),
            })
            .collect::<Vec<_>>();
        let init = InitSettings {
            owner_url: Secret::new(owner_url.clone()),
            tenant: "acme".parse().expect("a name"),
            zone: "Europe/Berlin".to_owned(),
            operator: Some(user_id("ana").parse().expect("a user")),
            tokens: tokens.clone(),
        };
        let start: jiff::Timestamp = "2026-11-23T12:00:00Z".parse().expect("an instant");
        let clock = HandClock(Arc::new(Mutex::new(Timestamp(start))));
        fleet_gateway::init(&init, &clock, &UuidIds)
            .await
            .expect("the register is made");
        let tokens = tokens
            .into_iter()
            .map(|t| {
                let token = std::fs::read_to_string(&t.path).expect("a token");
                (t.name.to_string(), token.trim().to_owned())
            })
            .collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let app_url = cluster.prepared().url("fleet_app", &database);
        let stop = CancellationToken::new();
        let serving = fleet_gateway::serve_on(
            listener,
            Settings::new(Secret::new(app_url)),
            clock.clone(),
            UuidIds,
            stop.clone(),
        );
        #[expect(
            clippy::disallowed_methods,
            reason = "the gateway ends with the test's runtime"
        )]
        drop(tokio::spawn(async move {
            serving.await.expect("the gateway serves")
        }));
        Self {
            clock,
            owner_url,
            base,
            client: reqwest::Client::new(),
            tokens,
            lives: Mutex::default(),
            _stop: stop.drop_guard(),
            _folder: folder,
        }
    }

    async fn post(&self, who: &str, path: &str, body: Value) -> reqwest::Response {
        self.post_with(&self.tokens[who], path, body).await
    }

    async fn post_with(&self, token: &str, path: &str, body: Value) -> reqwest::Response {
        let key = format!("k{}", KEYS.fetch_add(1, Ordering::Relaxed));
        self.client
            .post(format!("{}{path}", self.base))
            .bearer_auth(token)
            .header("idempotency-key", key)
            .json(&body)
            .send()
            .await
            .expect("the gateway answers")
    }

    /// A command, under a lease if there is one.
    pub async fn run_under(
        &self,
        who: &str,
        lease: Option<(&str, u64)>,
        verb: &str,
        args: Value,
    ) -> Result<Reply, Problem> {
        let mut body = json!({ "request": { verb: args } });
        if let Some((task, epoch)) = lease {
            body["lease"] = json!({ "task": task, "epoch": epoch });
        }
        let life = self
            .lives
            .lock()
            .expect("the lives")
            .get(&user_id(who))
            .cloned();
        if let Some(life) = life.filter(|_| verb != "agent.register") {
            body["agent"] = life;
        }
        self.call(who, body).await
    }

    /// A command as it stands, with a token that the desk does not know.
    pub async fn call_with(&self, token: &str, body: Value) -> Result<Reply, Problem> {
        let response = self.post_with(token, "/v1/commands", body).await;
        if !response.status().is_success() {
            return Err(response.json().await.expect("a problem document"));
        }
        let receipt: Receipt = response.json().await.expect("a receipt");
        receipt
            .reply
            .ok_or_else(|| receipt.problem.expect("a problem"))
    }

    /// A command that counts in a room, which must be done.
    pub async fn ok_in(&self, who: &str, room: &str, verb: &str, args: Value) -> Reply {
        let body = json!({ "request": { verb: args }, "room": room });
        let done = self.call(who, body).await;
        done.unwrap_or_else(|p| panic!("{who}: {verb} in {room} was refused: {p:?}"))
    }

    /// A command as it stands, under a key.
    pub async fn under_key(&self, who: &str, key: &str, body: Value) -> Result<Receipt, Problem> {
        let response = self
            .client
            .post(format!("{}/v1/commands", self.base))
            .bearer_auth(&self.tokens[who])
            .header("idempotency-key", key)
            .json(&body)
            .send()
            .await
            .expect("the gateway answers");
        match response.status().is_success() {
            true => Ok(response.json().await.expect("a receipt")),
            false => Err(response.json().await.expect("a problem document")),
        }
    }

    /// A command as it stands.
    pub async fn call(&self, who: &str, body: Value) -> Result<Reply, Problem> {
        let response = self.post(who, "/v1/commands", body).await;
        if !response.status().is_success() {
            return Err(response.json().await.expect("a problem document"));
        }
        let receipt: Receipt = response.json().await.expect("a receipt");
        match (receipt.reply, receipt.problem) {
            (Some(reply), None) => {
                if let Reply::Agent(agent) = &reply {
                    let AgentView {
                        name,
                        host,
                        incarnation,
                        ..
                    } = &agent.now;
                    let life = json!({ "name": name, "host": host, "incarnation": incarnation });
                    let mut lives = self.lives.lock().expect("the lives");
                    lives.insert(agent.now.user.to_string(), life);
                }
                Ok(reply)
            }
            (None, Some(problem)) => Err(problem),
            both => panic!("a receipt with {both:?}"),
        }
    }

    pub async fn run(&self, who: &str, verb: &str, args: Value) -> Result<Reply, Problem> {
        self.run_under(who, None, verb, args).await
    }

    /// A command that must be done.
    pub async fn ok(&self, who: &str, verb: &str, args: Value) -> Reply {
        let said = format!("{who}: {verb} {args}");
        self.run(who, verb, args)
            .await
            .unwrap_or_else(|p| panic!("{said} was refused: {p:?}"))
    }

    /// The code with which a command is refused.
    pub async fn refused(&self, who: &str, verb: &str, args: Value) -> Code {
        let said = format!("{who}: {verb} {args}");
        match self.run(who, verb, args).await {
            Err(problem) => problem.code,
            Ok(reply) => panic!("{said} was done: {reply:?}"),
        }
    }

    pub async fn ask(&self, who: &str, verb: &str, args: Value) -> Result<Reply, Problem> {
        let response = self
            .post(who, "/v1/queries", json!({ "request": { verb: args } }))
            .await;
        if response.status().is_success() {
            Ok(response.json().await.expect("a reply"))
        } else {
            Err(response.json().await.expect("a problem document"))
        }
    }

    /// A query of an agent as its present life.
    pub async fn ask_as(&self, who: &str, verb: &str, args: Value) -> Result<Reply, Problem> {
        let life = self
            .lives
            .lock()
            .expect("the lives")
            .get(&user_id(who))
            .cloned();
        let body = json!({ "request": { verb: args }, "agent": life });
        let response = self.post(who, "/v1/queries", body).await;
        if response.status().is_success() {
            Ok(response.json().await.expect("a reply"))
        } else {
            Err(response.json().await.expect("a problem document"))
        }
    }

    /// The code with which a body is refused, in a receipt or as a problem document.
    pub async fn problem(&self, who: &str, path: &str, body: Value) -> Code {
        let response = self.post(who, path, body).await;
        if !response.status().is_success() {
            let problem: Problem = response.json().await.expect("a problem document");
            return problem.code;
        }
        let receipt: Receipt = response.json().await.expect("a receipt");
        receipt.problem.expect("a problem").code
    }

    /// Sets something of the fleet's settings, such as `inbox_items = 2`.
    pub async fn set(&self, what: &str) {
        let set = format!("UPDATE fleet.settings SET {what}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(set))
            .execute(&mut self.register_rows().await)
            .await
            .expect("the settings");
    }

    /// Looks until so many messages with a text are in a room: the sweep says it within a second or two.
    pub async fn until_said(&self, room: &str, text: &str, times: i64) {
        let looking = async {
            while self.said(room, text).await != times {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), looking)
            .await
            .unwrap_or_else(|_| panic!("{text} is not said in {room}"));
    }

    /// A task as it is now.
    pub async fn task(&self, id: &str) -> TaskView {
        task(
            self.ask("ana", "task.show", json!({ "task": id }))
                .await
                .expect("the task"),
        )
        .now
    }

    /// Adds a task and says its short form.
    pub async fn add(&self, title: &str, more: Value) -> String {
        let mut args = json!({ "title": title });
        for (key, value) in more.as_object().into_iter().flatten() {
            args[key] = value.clone();
        }
        task(self.ok("ana", "task.add", args).await).now.id
    }

    /// Registers an agent of a role under its own account.
    pub async fn register(&self, who: &str, name: &str, role: &str) -> AgentView {
        let args = json!({ "name": name, "role": role, "host": "h1" });
        match self.ok(who, "agent.register", args).await {
            Reply::Agent(agent) => agent.now,
            other => panic!("not an agent: {other:?}"),
        }
    }

    /// Registers two coders and a reviewer.
    pub async fn with_crew() -> Self {
        let desk = Self::open().await;
        for (who, name, role) in [
            ("a1", "code-1", "code"),
            ("a2", "code-2", "code"),
            ("a3", "review-1", "review"),
        ] {
            desk.register(who, name, role).await;
        }
        desk
    }

    /// What an agent takes from its inbox, at most so many, without waiting.
    pub async fn items(&self, who: &str, limit: u32) -> Vec<ItemView> {
        let args = json!({ "wait": 0, "limit": limit });
        match self.ask_as(who, "agent.next", args).await {
            Ok(Reply::Items(items)) => items,
            other => panic!("not items: {other:?}"),
        }
    }

    /// Takes a task, or the next one.
    pub async fn claim(&self, who: &str, id: Option<&str>) -> TaskView {
        task(self.ok(who, "task.claim", json!({ "task": id })).await).now
    }

    /// Takes the board's files of a folder.
    pub async fn take_files(
        &self,
        folder: &std::path::Path,
    ) -> Result<usize, fleet_gateway::FilesError> {
        let owner = Secret::new(self.owner_url.clone());
        let tenant = "acme".parse().expect("a name");
        fleet_gateway::files(&owner, &tenant, folder).await
    }

    /// The register, with the owner's eyes.
    pub async fn register_rows(&self) -> PgConnection {
        let mut owner = PgConnection::connect(&self.owner_url)
            .await
            .expect("the owner connects");
        sqlx::query("SELECT set_config('fleet.tenant', 'acme', false)")
            .execute(&mut owner)
            .await
            .expect("the tenant");
        owner
    }

    /// How many messages with a text are in the outbox for a room.
    pub async fn said(&self, room: &str, text: &str) -> i64 {
        sqlx::query_scalar(
            "SELECT count(*) FROM fleet.outbox o JOIN fleet.rooms r ON r.tenant_id = o.tenant_id AND r.id = o.room
             WHERE r.key = $1 AND strpos(o.post::text, $2) > 0",
        )
        .bind(room)
        .bind(text)
        .fetch_one(&mut self.register_rows().await)
        .await
        .expect("the outbox")
    }

    /// Looks at the register until so many of its sessions wait for a lock.
    pub async fn until_waiting(&self, sessions: i64) {
        let mut owner = self.register_rows().await;
        let looking = async {
            loop {
                let waiting: i64 = sqlx::query_scalar(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
                )
                .fetch_one(&mut owner)
                .await
                .expect("the sessions");
                if waiting >= sessions {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), looking)
            .await
            .expect("the sessions reach the lock");
    }

    /// Looks at a task until it is as wanted: the sweep does it within a second or two.
    pub async fn until(&self, id: &str, wanted: impl Fn(&TaskView) -> bool) -> TaskView {
        let looking = async {
            loop {
                let task = self.task(id).await;
                if wanted(&task) {
                    return task;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), looking)
            .await
            .expect("the sweep reaches the task")
    }
}

/// The Matrix user of a name.
pub fn user_id(name: &str) -> String {
    format!("@{name}:test")
}

/// The task in a reply.
pub fn task(reply: Reply) -> Changed<TaskView> {
    match reply {
        Reply::Task(task) => task,
        other => panic!("not a task: {other:?}"),
    }
}
