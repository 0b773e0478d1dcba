//! A fleet of real processes, with a person in its lobby.
//!
//! PostgreSQL, homeserver, gateway and bot run as in production, configured by environment and
//! 0600 files only. The bot reaches gateway and homeserver through a [`FaultProxy`] each.
//!
//! | variable | meaning |
//! |---|---|
//! | `FLEET_TEST_POSTGRES` | `wheel` or `system`; unset: as the product chooses |
//! | `FLEET_TEST_HOMESERVER` | URL of a running homeserver to use instead of an own one |
//! | `FLEET_TEST_REGISTRATION_TOKEN` | its registration token |
//! | `FLEET_TEST_SHARED_SECRET` | or its shared secret (Synapse) |
//! | `FLEET_TEST_KEEP` | set: the data folders with their logs stay |

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fleet_agent::matrix::{Follow, Matrix, RoomEvent, reply, text};
use fleet_homeserver::child::ChildSpec;
use fleet_local::stack::{ServiceSpec, Stack};
use fleet_protocol::event::TWIN;
use url::Url;

use crate::fault::FaultProxy;

mod people;
mod settings;

pub use settings::fleet;
use settings::{accounts, environment, stack_settings, tenant};

/// Anything that may go wrong while a world is made or asked.
pub type Fault = Box<dyn Error + Send + Sync>;

/// The password of every account that a test makes.
pub const PASSWORD: &str = "correct horse battery staple";

/// How long a test waits for something that must happen.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Name of the gateway among the processes.
pub const GATEWAY: &str = "gateway";
/// Name of the bot.
pub const BOT: &str = "bot";

/// A running fleet.
pub struct World {
    /// The processes.
    pub stack: Stack,
    /// In front of the gateway, as the bot sees it.
    pub gateway: FaultProxy,
    /// In front of the homeserver, as the bot sees it.
    pub homeserver: FaultProxy,
    /// Where the gateway itself listens.
    pub gateway_url: Url,
    /// The operator, as a Matrix client.
    pub operator: Matrix,
    /// The lobby.
    pub lobby: String,
    prefix: String,
    sent: AtomicU64,
    environment: BTreeMap<String, String>,
    // Removed last.
    _folder: tempfile::TempDir,
}

impl World {
    /// Raises a fleet and puts the operator into its lobby.
    ///
    /// # Errors
    /// Whatever kept it from coming up, with the end of the service's log.
    pub async fn raise() -> Result<Self, Fault> {
        let mut folder = tempfile::Builder::new().prefix("e2e").tempdir()?;
        folder.disable_cleanup(std::env::var_os("FLEET_TEST_KEEP").is_some());
        // The folder's name is the run's randomness: several worlds may share a homeserver.
        let random = folder
            .path()
            .file_name()
            .and_then(|n| n.to_str())
            .unwrap_or_default();
        let prefix = format!("t{}-", random.trim_start_matches('.').to_lowercase());
        let stack = Stack::start(stack_settings(folder.path())?, Arc::new(|_| ())).await?;
        let homeserver = FaultProxy::start(stack.homeserver().url.clone()).await?;
        let (accounts, registration) = accounts(&stack)?;
        let password = stack.folder().secret("operator-password")?;
        let name = format!("{prefix}operator");
        let session = accounts
            .ensure_account(&registration, &name, &password, None, "test")
            .await?;
        let operator = Matrix::with_token(
            stack.homeserver().url.clone(),
            session.access_token.expose(),
        )
        .await?;

        let port = stack
            .folder()
            .port(GATEWAY, [127, 0, 0, 1].into(), None, 0)
            .await?;
        let gateway_url = Url::parse(&format!("http://127.0.0.1:{port}/"))?;
        let gateway = FaultProxy::start(gateway_url.clone()).await?;
        let environment =
            environment(&stack, &registration, &prefix, operator.user_id(), port).await?;
        let mut world = Self {
            stack,
            gateway,
            homeserver,
            gateway_url,
            operator,
            lobby: String::new(),
            prefix,
            sent: AtomicU64::new(0),
            environment,
            _folder: folder,
        };
        world.init().await?;
        world.start_gateway().await?;
        world.start_bot(BOT).await?;
        world.lobby = world.enter("lobby").await?;
        Ok(world)
    }

    async fn init(&self) -> Result<(), Fault> {
        let output = self.fleet(&["gateway", "init"], &[]).await?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("fleet gateway init: {said}").into())
    }

    async fn start_gateway(&self) -> Result<(), Fault> {
        let ready_url = self.gateway_url.join("ready")?;
        self.start(GATEWAY, GATEWAY, ready_url, &self.environment)
            .await
    }

    /// Starts a bot on the fleet's account under a name of its own, and waits until it is ready.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn start_bot(&self, name: &str) -> Result<(), Fault> {
        self.start_bot_behind(name, &self.gateway, &self.homeserver)
            .await
    }

    /// The same, with a way of its own to gateway and homeserver.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn start_bot_behind(
        &self,
        name: &str,
        gateway: &FaultProxy,
        homeserver: &FaultProxy,
    ) -> Result<(), Fault> {
        let port = self
            .stack
            .folder()
            .port(name, [127, 0, 0, 1].into(), None, 0)
            .await?;
        let mut environment = self.environment.clone();
        environment.insert("FLEET__BOT__LISTEN".into(), format!("127.0.0.1:{port}"));
        environment.insert(
            "FLEET__BOT__STORE".into(),
            self.stack.folder().path().join(name).display().to_string(),
        );
        environment.insert("FLEET__GATEWAY__URL".into(), gateway.url()?.into());
        environment.insert("FLEET__HOMESERVER__URL".into(), homeserver.url()?.into());
        let ready_url = Url::parse(&format!("http://127.0.0.1:{port}/ready"))?;
        self.start(name, BOT, ready_url, &environment).await
    }

    /// Where a bot started under a name serves `/ready`.
    ///
    /// # Errors
    /// The data folder's.
    pub async fn bot_address(&self, name: &str) -> Result<String, Fault> {
        let folder = self.stack.folder();
        let port = std::fs::read_to_string(folder.path().join("ports").join(name))?;
        Ok(format!("127.0.0.1:{}", port.trim()))
    }

    async fn start(
        &self,
        name: &str,
        verb: &str,
        ready_url: Url,
        environment: &BTreeMap<String, String>,
    ) -> Result<(), Fault> {
        let mut child = ChildSpec::new(fleet()?).args([verb]);
        child.inherit_env = false;
        for (variable, value) in environment {
            child = child.env(variable, value);
        }
        self.stack
            .run(ServiceSpec {
                name: name.to_owned(),
                child,
                ready_url,
            })
            .await?;
        Ok(())
    }

    /// Accepts the invites and returns the room with a key.
    async fn enter(&self, key: &str) -> Result<String, Fault> {
        let server = self
            .operator
            .user_id()
            .split_once(':')
            .map_or("", |(_, server)| server);
        let alias = format!("#{}{key}:{server}", self.alias_prefix());
        let room = eventually("the room is made", || async {
            self.operator.resolve(&alias).await.ok()
        })
        .await?;
        eventually("the operator may join", || async {
            self.operator.join(&room).await.ok()
        })
        .await
    }

    fn alias_prefix(&self) -> String {
        format!("fleet-{}-", self.tenant())
    }

    /// The tenant's name.
    pub fn tenant(&self) -> String {
        tenant(&self.prefix)
    }

    /// A transaction id that the operator has not used yet.
    pub fn transaction(&self) -> String {
        format!(
            "{}{}",
            self.prefix,
            self.sent.fetch_add(1, Ordering::Relaxed)
        )
    }

    /// Types a line in the lobby; returns the event.
    ///
    /// # Errors
    /// The homeserver's.
    pub async fn say(&self, line: &str) -> Result<String, Fault> {
        Ok(self
            .operator
            .send(
                &self.lobby,
                "m.room.message",
                &text(line),
                &self.transaction(),
            )
            .await?)
    }

    /// Replies to an event in the lobby.
    ///
    /// # Errors
    /// The homeserver's.
    pub async fn reply(&self, to: &str, line: &str) -> Result<String, Fault> {
        Ok(self
            .operator
            .send(
                &self.lobby,
                "m.room.message",
                &reply(line, to),
                &self.transaction(),
            )
            .await?)
    }

    /// Types a line and waits for its answer.
    ///
    /// # Errors
    /// When none comes in time.
    pub async fn ask(&self, line: &str) -> Result<RoomEvent, Fault> {
        let event = self.say(line).await?;
        self.answer_to(&event).await
    }

    /// Waits for the first answer to an event.
    ///
    /// # Errors
    /// When none comes in time.
    pub async fn answer_to(&self, event: &str) -> Result<RoomEvent, Fault> {
        eventually("an answer", || async {
            self.answers_to(event).await.ok()?.into_iter().next()
        })
        .await
    }

    /// Every answer that stands in the lobby to an event: what the register said, not the bot's own
    /// word that it waits for the register.
    ///
    /// # Errors
    /// The homeserver's.
    pub async fn answers_to(&self, event: &str) -> Result<Vec<RoomEvent>, Fault> {
        let history = self.operator.history(&self.lobby, 5_000).await?;
        Ok(history
            .into_iter()
            .filter(|e| e.reply_to() == Some(event) && e.content.get(TWIN).is_some())
            .collect())
    }

    /// The receipt of an event that somebody else sent.
    ///
    /// # Errors
    /// None within half a minute.
    pub async fn receipt(&self, follow: &mut Follow, event: &str) -> Result<RoomEvent, Fault> {
        let seen = follow
            .until("the receipt", std::time::Duration::from_secs(30), |seen| {
                seen.event.event_type == "dev.mosaicstack.fleet.receipt"
                    && seen.event.relates_to("m.reference") == Some(event)
            })
            .await?;
        Ok(seen.event)
    }

    /// Follows the operator's rooms from now on.
    ///
    /// # Errors
    /// The homeserver's.
    pub async fn follow(&self) -> Result<Follow, Fault> {
        Ok(Follow::start(self.operator.clone()).await?)
    }

    /// Titles of the open tasks in the register, asked by the gateway itself.
    ///
    /// # Errors
    /// The gateway's.
    pub async fn task_titles(&self) -> Result<Vec<String>, Fault> {
        let token = self
            .stack
            .folder()
            .stored_secret("operator-token")?
            .ok_or("no operator token")?;
        let body = serde_json::json!({ "request": { "task.list": { "limit": 200 } } });
        let url = self.gateway_url.join("v1/queries")?;
        let answer: serde_json::Value = reqwest::Client::new()
            .post(url)
            .bearer_auth(token.expose())
            .json(&body)
            .send()
            .await?
            .error_for_status()?
            .json()
            .await?;
        let tasks = answer
            .pointer("/tasks/tasks")
            .and_then(serde_json::Value::as_array)
            .ok_or("no tasks in the answer")?;
        Ok(tasks
            .iter()
            .filter_map(|t| t["title"].as_str().map(str::to_owned))
            .collect())
    }

    /// Stops everything.
    pub async fn end(self) {
        self.stack.stop().await;
    }
}

/// Asks until there is an answer; the test fails, saying what it waited for, after [`PATIENCE`].
///
/// # Errors
/// When there is none in time.
pub async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut ask: impl FnMut() -> F,
) -> Result<T, Fault> {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            // Between two questions over a network, not instead of an event.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking)
        .await
        .map_err(|_| format!("waited {PATIENCE:?} in vain: {what}").into())
}
