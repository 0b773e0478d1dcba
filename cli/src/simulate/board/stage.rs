//! A gateway in this process, with a register and a clock of its own, and everybody who speaks to it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fleet_client::{ClientError, Gateway};
use fleet_gateway::{Clock, InitSettings, Scope, Secret, Settings, Sweeper, TokenFile, UuidIds};
use fleet_local::postgres::TemporaryCluster;
use fleet_protocol::api::{BindRoom, LeaseRequest, Settled, Settlements};
use fleet_protocol::envelope::{
    Body, BotLease, Call, Context, Envelope, Mark, Outcome, Provenance, Receipt, Submit,
};
use fleet_protocol::outbox::{Post, Settlement};
use fleet_protocol::record::Export;
use fleet_protocol::reply::ProposalView;
use fleet_protocol::scalar::{Name, UserId};
use fleet_protocol::verbs::{board, member};
use fleet_protocol::{Command, Query, Reply, Timestamp};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use url::Url;
use uuid::Uuid;

use crate::error::{CliError, fixed};

/// Everybody with a voice; the first is the operator, who has no seat.
pub(super) const PEOPLE: [&str; 5] = ["op", "v0", "v1", "v2", "v3"];
const ROOM: &str = "!board:sim";
/// Where every clock begins: a Monday.
const BEGIN: i64 = 1_780_000_000_000;

/// A clock that is moved by hand.
#[derive(Debug, Clone)]
struct HandClock(Arc<Mutex<i64>>);

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        let now = self.0.lock().map_or_else(|p| *p.into_inner(), |now| *now);
        Timestamp::from_millis(now)
    }
}

/// The gateway and its callers.
pub(super) struct Stage {
    clock: HandClock,
    app_url: String,
    sweeper: Sweeper,
    people: BTreeMap<&'static str, Gateway>,
    bot: Gateway,
    lease: BotLease,
    tokens: BTreeMap<String, String>,
    serving: JoinSet<Result<(), fleet_gateway::ServeError>>,
    stop: CancellationToken,
    /// The room's mark: the last event, and until when nothing was missed.
    pub(super) mark: (String, i64),
    keys: u64,
    _folder: tempfile::TempDir,
    _cluster: TemporaryCluster,
}

/// An event of the room that the bot has not handed in yet.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    pub(super) key: String,
    pub(super) sender: String,
    pub(super) at: i64,
    pub(super) body: Body,
}

fn fault(error: &(dyn std::error::Error + 'static)) -> CliError {
    CliError::service("the simulated gateway", error)
}

pub(super) fn user(name: &str) -> Result<UserId, CliError> {
    fixed(&format!("@{name}:sim"))
}

impl Stage {
    /// A gateway on a throw-away register.
    pub(super) async fn open() -> Result<Self, CliError> {
        let cluster = TemporaryCluster::start(40, &|_| {})
            .await
            .map_err(|e| CliError::service("PostgreSQL", &e))?;
        let folder = tempfile::tempdir().map_err(|e| CliError::file(std::env::temp_dir(), e))?;
        let clock = HandClock(Arc::new(Mutex::new(BEGIN)));
        let bot: Name = fixed("bot")?;
        let mut tokens = vec![TokenFile {
            path: folder.path().join("bot"),
            name: bot,
            scopes: vec![Scope::Bot],
            user: None,
        }];
        for name in PEOPLE {
            tokens.push(TokenFile {
                path: folder.path().join(name),
                name: fixed(name)?,
                scopes: vec![Scope::Operator],
                user: Some(user(name)?),
            });
        }
        let init = InitSettings {
            owner_url: Secret::new(cluster.owner_url()),
            tenant: fixed("sim")?,
            zone: "UTC".to_owned(),
            operator: Some(user("op")?),
            tokens: tokens.clone(),
        };
        fleet_gateway::init(&init, &clock, &UuidIds)
            .await
            .map_err(|e| fault(&e))?;
        let mut secrets = BTreeMap::new();
        for file in &tokens {
            let text = std::fs::read_to_string(&file.path);
            let text = text.map_err(|e| CliError::file(&file.path, e))?;
            secrets.insert(file.name.to_string(), text.trim().to_owned());
        }
        let mut app: Url = fixed(&cluster.owner_url())?;
        app.set_username("fleet_app")
            .map_err(|()| CliError::Internal("the register's address takes no user".into()))?;
        let app_url = app.to_string();
        let sweeper = Sweeper::new(&Secret::new(app_url.clone()), clock.clone(), UuidIds)
            .map_err(|e| fault(&e))?;
        let nobody: Url = fixed("http://127.0.0.1:9")?;
        let mut stage = Self {
            clock,
            app_url,
            sweeper,
            people: BTreeMap::new(),
            bot: Gateway::new(nobody, "unused-before-the-first-start")?,
            lease: BotLease {
                account: user("bot")?,
                epoch: 0,
            },
            tokens: secrets,
            serving: JoinSet::new(),
            stop: CancellationToken::new(),
            mark: ("$0".to_owned(), BEGIN),
            keys: 0,
            _folder: folder,
            _cluster: cluster,
        };
        stage.start().await?;
        stage.furnish().await?;
        Ok(stage)
    }

    /// Starts a gateway on the register, whatever ran on it before.
    async fn start(&mut self) -> Result<(), CliError> {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .map_err(|e| fault(&e))?;
        let address = listener.local_addr().map_err(|e| fault(&e))?;
        let base: Url = fixed(&format!("http://{address}"))?;
        self.stop = CancellationToken::new();
        self.serving.spawn(fleet_gateway::serve_on(
            listener,
            Settings::new(Secret::new(self.app_url.clone())),
            self.clock.clone(),
            UuidIds,
            self.stop.clone(),
        ));
        let client = |name: &str| {
            let token = self.tokens.get(name).cloned().unwrap_or_default();
            Gateway::new(base.clone(), token)
        };
        self.bot = client("bot")?;
        for name in PEOPLE {
            self.people.insert(name, client(name)?);
        }
        Ok(())
    }

    /// Stops the gateway and starts another.
    pub(super) async fn restart(&mut self) -> Result<(), CliError> {
        self.close().await;
        self.start().await
    }

    /// Stops the gateway.
    pub(super) async fn close(&mut self) {
        self.stop.cancel();
        while self.serving.join_next().await.is_some() {}
    }

    /// Members, the bot's lease, the board's room.
    async fn furnish(&mut self) -> Result<(), CliError> {
        for name in PEOPLE.iter().skip(1) {
            let add = member::Add {
                user: user(name)?,
                role: None,
            };
            self.says("op", Command::from(add)).await?;
        }
        self.lend().await?;
        let bind = BindRoom {
            lease: self.lease.clone(),
            key: Some(fixed("board")?),
            mark: self.mark_at(),
            replaces: None,
        };
        Ok(self.bot.bind_room(ROOM, &bind).await?)
    }

    /// Asks for the bot's lease, which the moved clock lets run out.
    async fn lend(&mut self) -> Result<(), CliError> {
        let request = LeaseRequest {
            account: self.lease.account.clone(),
            holder: Uuid::nil(),
            epoch: (self.lease.epoch > 0).then_some(self.lease.epoch),
            release: false,
        };
        self.lease = self.bot.bot_lease(&request).await?.lease;
        Ok(())
    }

    fn mark_at(&self) -> Mark {
        Mark {
            event_id: self.mark.0.clone(),
            read_up_to: Timestamp::from_millis(self.mark.1),
        }
    }

    /// The present, in milliseconds.
    pub(super) fn now(&self) -> i64 {
        self.clock.now().as_millis()
    }

    /// Moves the clock.
    pub(super) fn pass(&mut self, millis: i64) {
        if let Ok(mut now) = self.clock.0.lock() {
            *now += millis;
        }
    }

    /// Does what is due.
    pub(super) async fn sweep(&self) -> Result<(), CliError> {
        self.sweeper.once().await.map_err(|e| fault(&e))
    }

    /// A key that nobody has used.
    pub(super) fn key(&mut self, prefix: &str) -> String {
        self.keys += 1;
        format!("{prefix}{}", self.keys)
    }

    /// A command of somebody over HTTP, once or twice under one key; the reply, if it was done.
    pub(super) async fn says(
        &mut self,
        who: &'static str,
        command: Command,
    ) -> Result<Option<Reply>, CliError> {
        let key = self.key("k");
        let call = call(command);
        let caller = self
            .people
            .get(who)
            .ok_or_else(|| CliError::Internal(format!("nobody is called {who}")))?;
        let first = answer(caller.command(&call, &key).await)?;
        let again = answer(caller.command(&call, &key).await)?;
        if first != again {
            return Err(CliError::Missed(format!(
                "a repeated call was answered differently: {first:?}, then {again:?}"
            )));
        }
        Ok(first)
    }

    /// Hands in events with the room's mark behind them; how each was answered.
    pub(super) async fn submits(
        &mut self,
        events: &[Waiting],
        mark: (String, i64),
        is_replay: bool,
    ) -> Result<Vec<Outcome>, CliError> {
        self.lend().await?;
        let envelopes: Result<Vec<Envelope>, CliError> = events.iter().map(envelope).collect();
        let expected = if is_replay {
            "$long-ago".to_owned()
        } else {
            self.mark.0.clone()
        };
        let submit = Submit {
            lease: self.lease.clone(),
            device: "SIM".to_owned(),
            room_id: ROOM.to_owned(),
            expected_mark: Some(expected),
            envelopes: envelopes?,
            mark: Mark {
                event_id: mark.0.clone(),
                read_up_to: Timestamp::from_millis(mark.1),
            },
        };
        let submitted = self.bot.submit(&submit).await?;
        if !is_replay {
            self.mark = mark;
        }
        Ok(submitted.receipts.iter().map(|r| r.outcome).collect())
    }

    /// Sends what is to be said; the event of the card of a proposal, if it is among it.
    pub(super) async fn sends(&mut self, proposal: &str) -> Result<Option<String>, CliError> {
        self.lend().await?;
        let mut card = None;
        loop {
            let rows = self.bot.outbox(Duration::ZERO).await?.rows;
            if rows.is_empty() {
                return Ok(card);
            }
            let mut settled = Vec::with_capacity(rows.len());
            for row in rows {
                let event_id = format!("$row-{}", row.id.simple());
                if let Post::Message(message) = &row.post
                    && message
                        .twin
                        .pointer("/proposal/id")
                        .and_then(|id| id.as_str())
                        == Some(proposal)
                {
                    card = Some(event_id.clone());
                }
                settled.push(Settled {
                    row: row.id,
                    settlement: Settlement::Sent { event_id },
                });
            }
            let settlements = Settlements {
                lease: self.lease.clone(),
                rows: settled,
            };
            self.bot.settle(&settlements).await?;
        }
    }

    /// A proposal as the register has it.
    pub(super) async fn shows(&self, id: &str) -> Result<ProposalView, CliError> {
        let show = board::Show {
            proposal: fixed(id)?,
        };
        match self.asks(Query::from(show)).await? {
            Reply::Proposal(changed) => Ok(changed.now),
            other => Err(CliError::Missed(format!("no proposal: {other:?}"))),
        }
    }

    /// A proposal's record.
    pub(super) async fn exports(&self, id: &str) -> Result<Export, CliError> {
        let export = board::Export {
            proposal: fixed(id)?,
        };
        match self.asks(Query::from(export)).await? {
            Reply::Export(export) => Ok(*export),
            other => Err(CliError::Missed(format!("no record: {other:?}"))),
        }
    }

    async fn asks(&self, query: Query) -> Result<Reply, CliError> {
        let caller = self
            .people
            .get("op")
            .ok_or_else(|| CliError::Internal("there is no operator".into()))?;
        Ok(caller.query(&call(query)).await?)
    }
}

fn call<R>(request: R) -> Call<R> {
    Call {
        request,
        agent: None,
        lease: None,
        chain: None,
        room: None,
    }
}

/// The reply of a command, none where it was refused.
fn answer(receipt: Result<Receipt, ClientError>) -> Result<Option<Reply>, CliError> {
    match receipt {
        Ok(receipt) => Ok(receipt.reply),
        Err(ClientError::Problem { status, .. }) if status < 500 => Ok(None),
        Err(e) => Err(e.into()),
    }
}

fn envelope(event: &Waiting) -> Result<Envelope, CliError> {
    Ok(Envelope {
        key: event.key.clone(),
        sender: fixed(&event.sender)?,
        joined: true,
        power_level: 0,
        origin_ts: Timestamp::from_millis(event.at),
        provenance: Provenance::Live,
        digest: event.key.clone(),
        context: Context::default(),
        body: event.body.clone(),
    })
}
