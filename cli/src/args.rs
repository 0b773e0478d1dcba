//! The command line: what a shell can ask for beside the fleet's language.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;
use fleet_protocol::scalar::{Name, UserId};
use fleet_protocol::time::Length;
use url::Url;

mod agent;
mod tree;

pub use agent::{
    AgentConfig, AgentConnector, AgentDeliver, AgentGate, AgentJoin, AgentMeter, AgentRotate,
    AgentRuntime, AgentWatch, MeteredRuntime,
};
pub use tree::{FROM_FILE, OUT, command, command_for};

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Configuration file (default: ./fleet.toml, if there is one)
    #[arg(long, global = true, value_name = "FILE", env = "FLEET_CONFIG")]
    pub config: Option<PathBuf>,
    /// Answer in JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// Key under which a write runs once; give the same one to repeat a write whose answer was lost
    #[arg(long, global = true, value_name = "KEY", hide_short_help = true)]
    pub idempotency_key: Option<String>,
    /// Room, by key, in which the command counts (default: the lobby)
    #[arg(long, global = true, value_name = "KEY", hide_short_help = true)]
    pub in_room: Option<Name>,
    /// Speak as this agent: its name and machine, for example code-1@worker-a
    #[arg(
        id = "as_agent",
        long = "as-agent",
        global = true,
        value_name = "NAME@HOST",
        env = "FLEET_AGENT",
        hide_short_help = true
    )]
    pub agent: Option<AgentAddress>,
    /// The agent's incarnation, as `agent register` answered (default: 0, not registered yet)
    #[arg(
        long,
        global = true,
        value_name = "N",
        env = "FLEET_INCARNATION",
        hide_short_help = true
    )]
    pub incarnation: Option<u64>,
    /// Epoch of the agent's lease on the task that the command names, as `task claim` answered
    #[arg(long, global = true, value_name = "N", hide_short_help = true)]
    pub epoch: Option<u64>,
}

/// An agent's name and the machine it runs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentAddress {
    /// Its name.
    pub name: Name,
    /// The machine.
    pub host: Name,
}

impl std::str::FromStr for AgentAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, host) = text
            .split_once('@')
            .ok_or("is no agent; write it like code-1@worker-a")?;
        Ok(Self {
            name: name.parse().map_err(|e| format!("name {e}"))?,
            host: host.parse().map_err(|e| format!("host {e}"))?,
        })
    }
}

/// What operates the fleet.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Operate {
    /// Start everything on this machine: PostgreSQL, homeserver, gateway, bot
    Up(Up),
    /// Play the whole story in a throw-away folder, with crashes, and compare rooms with register
    Demo(Demo),
    /// Measure a throw-away fleet against an echo bot and bare transactions
    Bench(Bench),
    /// Try the fleet's decisions through the gateway with its real SQL, against the truth
    Simulate(Simulate),
    /// Serve the gateway, or prepare its register
    Gateway(Gateway),
    /// Run the bot
    Bot,
    /// Serve the fleet to an agent's model: tools, resources and prompts over MCP on standard input and output
    Mcp,
    /// Watch agents, what waits and budgets live; it only reads
    Watch(Watch),
    /// Check or show the configuration
    Config(Config),
    /// Print a completion script for a shell
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the reference pages of the book, generated from the types
    Docs {
        /// Folder to write into
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
}

/// `fleet up`.
#[derive(Debug, Clone, Args)]
pub struct Up {
    /// Data folder; removing it removes the fleet
    #[arg(long, value_name = "DIR", default_value = "fleet-data")]
    pub data: PathBuf,
    /// Address on which the homeserver listens, for other devices than this one
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    pub listen: IpAddr,
    /// Where other devices reach the homeserver, behind a proxy that does TLS
    #[arg(long, value_name = "URL")]
    pub public_url: Option<Url>,
    /// Server name of a new homeserver: what stands behind the colon of its users
    #[arg(long, value_name = "NAME", default_value = "fleet.localhost")]
    pub server_name: String,
}

/// An existing homeserver instead of an embedded one.
#[derive(Debug, Clone, Default, Args)]
pub struct Existing {
    /// Use this homeserver instead of starting one
    #[arg(long, value_name = "URL")]
    pub homeserver: Option<Url>,
    /// File (mode 0600) with a registration token of it
    #[arg(
        long,
        value_name = "FILE",
        requires = "homeserver",
        conflicts_with = "shared_secret_file"
    )]
    pub registration_token_file: Option<PathBuf>,
    /// File (mode 0600) with Synapse's registration_shared_secret
    #[arg(long, value_name = "FILE", requires = "homeserver")]
    pub shared_secret_file: Option<PathBuf>,
}

/// `fleet demo`.
#[derive(Debug, Clone, Args)]
pub struct Demo {
    /// The homeserver.
    #[command(flatten)]
    pub existing: Existing,
    /// Keep the folder with its logs
    #[arg(long)]
    pub keep: bool,
}

/// What `fleet bench` measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Measured {
    /// From a command's send to the receipt of its answer, one at a time
    Roundtrip,
    /// Answers per second when many commands come at once
    Burst,
    /// Commands per second over HTTP
    Gateway,
    /// Admissions per second under limits that all share, and the status of a long ledger; not one of `all`
    Budget,
    /// From a ballot to its card, and a thousand ballots at once
    Board,
    /// Messages between agents, and a crew of processes that claims and completes while some of it is killed
    Agents,
    /// Memory after a burst, and processor time when nothing happens
    Memory,
    /// All of it but budget and agents, which take minutes each
    All,
    /// The echo bot itself, a process that `fleet bench` starts
    #[value(hide = true)]
    EchoBot,
    /// One agent of a crew, a process that `fleet bench` starts
    #[value(hide = true)]
    Agent,
}

/// `fleet bench`.
#[derive(Debug, Clone, Args)]
pub struct Bench {
    /// What to measure
    #[arg(value_enum, default_value = "all")]
    pub measured: Measured,
    /// The homeserver.
    #[command(flatten)]
    pub existing: Existing,
    /// Round trips, and commands over HTTP, of each side
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(8..=100_000))]
    pub samples: u32,
    /// Commands in each of the 8 rooms of a burst
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub burst: u32,
    /// Seconds without traffic over which processor time is measured
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub idle: u32,
    /// Agents of a crew
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(4..=1_000))]
    pub agents: u32,
    /// Tasks of a crew
    #[arg(long, value_name = "N", default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub tasks: u32,
    /// Exit with code 6 if a measure misses its target
    #[arg(long)]
    pub strict: bool,
    /// Keep the folder with its logs
    #[arg(long)]
    pub keep: bool,
    /// File with the answer that the echo bot gives
    #[arg(long, value_name = "FILE", hide = true)]
    pub answer: Option<PathBuf>,
}

/// `fleet simulate`.
#[derive(Debug, Clone, Args)]
pub struct Simulate {
    /// What to simulate.
    #[command(subcommand)]
    pub what: Simulated,
}

/// What `fleet simulate` simulates.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Simulated {
    /// Votes of the board
    Board(SimulateBoard),
    /// A month of work over several subscriptions, against synthetic providers whose count is the truth
    Budget(SimulateBudget),
}

/// `fleet simulate budget`.
#[derive(Debug, Clone, Copy, Args)]
pub struct SimulateBudget {
    /// Seed; the same seed, the same run
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Days
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(2..=366))]
    pub days: u32,
    /// Work over what the limits allow, for example 0.5, 1 or 3
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    pub demand: f64,
    /// Tasks
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub tasks: u32,
}

/// `fleet simulate board`.
#[derive(Debug, Clone, Args)]
pub struct SimulateBoard {
    /// What the histories are made from; the same seed makes the same histories
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// How many
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub histories: u32,
}

/// `fleet board verify`.
#[derive(Debug, Clone, Args)]
pub struct BoardVerify {
    /// The record, as `fleet board export --json` wrote it
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The head that the decision in the room shows, 64 hex digits
    #[arg(long, value_name = "HEX")]
    pub head: Option<String>,
}

/// `fleet gateway`.
#[derive(Debug, Clone, Args)]
pub struct Gateway {
    /// What to do; nothing: serve.
    #[command(subcommand)]
    pub action: Option<GatewayAction>,
}

/// What `fleet gateway` does besides serving.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum GatewayAction {
    /// Migrate the register, make the tenant, its first operator and the services' tokens
    Init,
    /// Make, list and revoke tokens
    #[command(subcommand)]
    Token(TokenAction),
}

/// What `fleet gateway token` does.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum TokenAction {
    /// Make a token; it is shown once, or written into a file
    New {
        /// Its name, unique among the tokens in use
        name: Name,
        /// What it may be used for
        #[arg(long, value_enum, default_value = "agent")]
        scope: TokenScope,
        /// The Matrix user for whom it acts, whose grants then decide; an agent's token needs one
        #[arg(long, value_name = "USER")]
        user: Option<UserId>,
        /// Write it into this new file (mode 0600) and do not show it
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// List tokens, revoked ones too; what they are is nowhere stored
    List,
    /// Revoke what has a name, or an id; a running gateway forgets it within seconds
    Revoke {
        /// Name or id
        which: String,
    },
}

/// What a token may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum TokenScope {
    /// Calls in the name of an agent
    Agent,
    /// Calls in the name of a person, and metrics
    Operator,
    /// Metrics
    Metrics,
    /// Submitting events and sending what the outbox holds
    Bot,
}

/// `fleet watch`.
#[derive(Debug, Clone, Args)]
pub struct Watch {
    /// Between two looks (default: 2s)
    #[arg(long, value_name = "LENGTH")]
    pub every: Option<Length>,
    /// Look once, and end
    #[arg(long)]
    pub once: bool,
}

/// `fleet config`.
#[derive(Debug, Clone, Args)]
pub struct Config {
    /// What to do.
    #[command(subcommand)]
    pub action: ConfigAction,
}

/// What `fleet config` does.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum ConfigAction {
    /// Read everything, secret files included, and name each fault
    Check,
    /// Show what counts, secrets hidden
    Show,
    /// List every key, its variable, meaning and default
    Keys,
}

/// `fleet doctor`.
#[derive(Debug, Clone, Args)]
pub struct Doctor {
    /// Data folder of `fleet up`, whose configuration is used
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// File (mode 0600) with a Matrix access token: a command is typed in a room by that account.
    /// Without it the operator's account is used if operator.password_file is set
    #[arg(long, value_name = "FILE")]
    pub access_token_file: Option<PathBuf>,
}
