//! The simulated fleet: its register, accounts, agents, and what happens when.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use fleet_gateway::{Clock, Door, InitSettings, Secret, Settings, UuidIds};
use fleet_local::postgres::TemporaryCluster;
use fleet_protocol::envelope::{Call, Receipt};
use fleet_protocol::event::{AgentIdentity, LeaseClaim};
use fleet_protocol::scalar::{Name, UserId};
use fleet_protocol::{Command, Query, Reply, Timestamp};
use serde_json::{Value, json};

use super::agents::{Agent, Job, State};
use super::chance::Chance;
use super::figures::Measures;
use super::internal;
use super::provider::{Account, Instant, hours};
use crate::args::SimulateBudget;
use crate::error::CliError;

mod scenario;

pub(super) use scenario::KINDS;
use scenario::{ACCOUNTS, ZONES};

/// Where the month begins: it holds the end of summer time in Europe and in America.
const START: &str = "2026-10-12T00:00:00Z";
/// The throw-away cluster's database.
const DATABASE: &str = "fleet";
/// How often limits are looked at, and what is due is done.
const TICK: Instant = 600_000;

/// The virtual clock.
#[derive(Clone)]
pub(super) struct VirtualClock(Arc<AtomicI64>);

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Relaxed))
    }
}

/// What happens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    /// A task arrives.
    Arrive(usize),
    /// An agent ends a step of a run.
    Step { agent: usize, run: u64 },
    /// A dead agent is started anew, and may report what it owes.
    Revive(usize),
    /// A report that is late or comes twice.
    Report(usize, String),
    /// A provider says "limit reached".
    Close(usize),
    /// Limits are looked at; what is due is done.
    Tick,
}

/// The simulated fleet.
pub(super) struct World {
    pub(super) door: Door,
    clock: VirtualClock,
    pub(super) operator: UserId,
    pub(super) agents: Vec<Agent>,
    pub(super) accounts: Vec<Account>,
    pub(super) jobs: BTreeMap<u32, Job>,
    pub(super) chance: Chance,
    pub(super) measures: Measures,
    pub(super) start: Instant,
    pub(super) days: u32,
    sizes: Vec<(usize, u64)>,
    heap: BinaryHeap<Reverse<(Instant, u64, Event)>>,
    sequence: u64,
    keys: u64,
}

pub(super) fn user(name: &str) -> Result<UserId, CliError> {
    format!("@{name}:sim")
        .parse()
        .map_err(|e| CliError::Internal(format!("{name}: {e}")))
}

impl World {
    /// Makes the register, the accounts with their limits, and the agents; draws the work.
    pub(super) async fn make(
        cluster: &TemporaryCluster,
        args: &SimulateBudget,
    ) -> Result<Self, CliError> {
        let start: jiff::Timestamp = START.parse().map_err(internal)?;
        let clock = VirtualClock(Arc::new(AtomicI64::new(start.as_millisecond())));
        let operator = user("operator")?;
        let tenant: Name = "simulated".parse().map_err(internal)?;
        let init = InitSettings {
            owner_url: Secret::new(cluster.owner_url()),
            tenant: tenant.clone(),
            zone: ZONES[0].to_owned(),
            operator: Some(operator.clone()),
            tokens: Vec::new(),
        };
        fleet_gateway::init(&init, &clock, &UuidIds)
            .await
            .map_err(|e| CliError::service("the register", &e))?;
        let settings = Settings {
            pool_size: 1,
            ..Settings::new(Secret::new(cluster.prepared().url("fleet_app", DATABASE)))
        };
        let door = Door::open(&settings, tenant, clock.clone(), UuidIds).map_err(internal)?;
        let mut world = Self {
            door,
            clock,
            operator,
            agents: Vec::new(),
            accounts: Vec::new(),
            jobs: BTreeMap::new(),
            chance: Chance::new(args.seed),
            measures: Measures::default(),
            start: start.as_millisecond(),
            days: args.days,
            sizes: Vec::new(),
            heap: BinaryHeap::new(),
            sequence: 0,
            keys: 0,
        };
        world.draw(args.tasks);
        world.open_accounts(args.demand).await?;
        world.register_agents().await?;
        world.at(0, Event::Tick);
        for day in 0..args.days / 5 {
            let account = world.chance.below(ACCOUNTS as u64) as usize;
            let at = i64::from(day * 5) * hours(24) + hours(30);
            world.at(at, Event::Close(account));
        }
        Ok(world)
    }

    /// Registers an agent, anew when it lives already.
    pub(super) async fn register(&mut self, agent: usize) -> Result<(), CliError> {
        let (name, role) = (self.agents[agent].name.clone(), self.agents[agent].role);
        let request = json!({ "agent.register": { "name": name, "role": role, "host": "h1" } });
        self.agents[agent].identity = None;
        let receipt = self.say(agent, request, None).await?;
        let Some(Reply::Agent(registered)) = receipt.reply else {
            return Err(CliError::Internal(format!("{name} was not registered")));
        };
        self.agents[agent].identity = Some(AgentIdentity {
            name: registered.now.name,
            host: registered.now.host,
            incarnation: registered.now.incarnation,
        });
        Ok(())
    }

    /// Plans an event so many milliseconds after the start.
    fn at(&mut self, since_start: Instant, event: Event) {
        self.sequence += 1;
        self.heap
            .push(Reverse((self.start + since_start, self.sequence, event)));
    }

    /// Plans an event so many milliseconds from now.
    pub(super) fn after(&mut self, wait: Instant, event: Event) {
        let since = self.now() - self.start + wait.max(1);
        self.at(since, event);
    }

    pub(super) fn now(&self) -> Instant {
        self.clock.0.load(Ordering::Relaxed)
    }

    fn key(&mut self) -> String {
        self.keys += 1;
        format!("k{}", self.keys)
    }

    /// A command of the operator, which must be done.
    pub(super) async fn order(&mut self, request: Value) -> Result<Receipt, CliError> {
        let user = self.operator.clone();
        let said = request.to_string();
        let receipt = self.command(&user, request, None, None).await?;
        match &receipt.problem {
            Some(problem) => Err(CliError::Internal(format!("{said}: {}", problem.detail))),
            None => Ok(receipt),
        }
    }

    /// A command of an agent.
    pub(super) async fn say(
        &mut self,
        agent: usize,
        request: Value,
        lease: Option<LeaseClaim>,
    ) -> Result<Receipt, CliError> {
        let (user, identity) = (
            self.agents[agent].user.clone(),
            self.agents[agent].identity.clone(),
        );
        self.command(&user, request, identity, lease).await
    }

    async fn command(
        &mut self,
        user: &UserId,
        request: Value,
        agent: Option<AgentIdentity>,
        lease: Option<LeaseClaim>,
    ) -> Result<Receipt, CliError> {
        let request: Command = serde_json::from_value(request).map_err(internal)?;
        let call = Call {
            request,
            agent,
            lease,
            chain: None,
            room: None,
        };
        let key = self.key();
        self.measures.commands += 1;
        self.door
            .command(user, &key, &call)
            .await
            .map_err(|e| CliError::service("the gateway", &e))
    }

    /// A query of the operator.
    pub(super) async fn ask(&self, request: Value) -> Result<Reply, CliError> {
        self.query(&self.operator, request, None).await
    }

    /// A query of an agent.
    pub(super) async fn hear(&self, agent: usize, request: Value) -> Result<Reply, CliError> {
        let agent = &self.agents[agent];
        self.query(&agent.user, request, agent.identity.clone())
            .await
    }

    async fn query(
        &self,
        user: &UserId,
        request: Value,
        agent: Option<AgentIdentity>,
    ) -> Result<Reply, CliError> {
        let request: Query = serde_json::from_value(request).map_err(internal)?;
        let call = Call {
            request,
            agent,
            lease: None,
            chain: None,
            room: None,
        };
        self.door
            .query(user, &call)
            .await
            .map_err(|e| CliError::service("the gateway", &e))
    }

    /// Runs all that happens until the end of a day.
    pub(super) async fn run_day(&mut self, day: u32) -> Result<(), CliError> {
        let end = self.start + i64::from(day) * hours(24);
        while let Some(Reverse((at, _, _))) = self.heap.peek() {
            if *at > end {
                break;
            }
            let Some(Reverse((at, _, event))) = self.heap.pop() else {
                break;
            };
            self.clock.0.fetch_max(at, Ordering::Relaxed);
            self.happen(event).await?;
        }
        Ok(())
    }

    async fn happen(&mut self, event: Event) -> Result<(), CliError> {
        match event {
            Event::Arrive(n) => self.arrive(n).await,
            Event::Step { agent, run } => self.step(agent, run).await,
            Event::Revive(agent) => self.revive(agent).await,
            Event::Report(agent, request) => {
                let request = serde_json::from_str(&request).map_err(internal)?;
                self.say(agent, request, None).await.map(drop)
            }
            Event::Close(account) => {
                let until = Timestamp::from_millis(self.now() + hours(1)).to_string();
                let name = self.accounts[account].name.clone();
                let close = json!({ "budget.close": { "provider": name, "window": "5h", "until": until, "reason": "limit reached" } });
                self.order(close).await.map(drop)
            }
            Event::Tick => {
                self.tick().await?;
                self.after(TICK, Event::Tick);
                Ok(())
            }
        }
    }

    /// A task arrives; an idle agent of its role takes it.
    async fn arrive(&mut self, n: usize) -> Result<(), CliError> {
        let (kind, size) = self.sizes[n];
        let (task_type, role, _) = KINDS[kind];
        let add = json!({ "task.add": { "title": format!("Work {n}"), "type": task_type, "role": role, "provider": "pool",
            "max_attempts": 100 } });
        let receipt = self.order(add).await?;
        let Some(Reply::Task(task)) = receipt.reply else {
            return Err(CliError::Internal("a task that was not added".into()));
        };
        let number = task
            .now
            .id
            .trim_start_matches('t')
            .parse()
            .map_err(internal)?;
        self.jobs.insert(number, Job::new(size));
        let idle = |a: &Agent| a.role == role && matches!(a.state, State::Idle);
        match self.agents.iter().position(idle) {
            Some(agent) => self.claim(agent).await,
            None => Ok(()),
        }
    }

    /// What a day came to, for who watches.
    pub(super) fn day(&self, day: u32) -> Value {
        let done = self.jobs.values().filter(|j| j.done_at.is_some()).count();
        json!({ "day": day, "tasks": self.jobs.len(), "done": done, "commands": self.measures.commands })
    }
}
