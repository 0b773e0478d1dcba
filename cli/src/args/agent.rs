//! What `fleet agent` can be asked for beside the language: only the agent's own machine can do it.

use std::path::PathBuf;

use clap::Args;
use fleet_protocol::ids::TaskRef;
use fleet_protocol::scalar::{Count, Name};
use fleet_protocol::time::Length;

/// `fleet agent meter`.
#[derive(Debug, Clone, Args)]
pub struct AgentMeter {
    /// Whose transcripts they are
    #[arg(long, value_enum)]
    pub runtime: MeteredRuntime,
    /// The task that they are about
    #[arg(long)]
    pub task: TaskRef,
    /// The attempt that they are about (default: the current one)
    #[arg(long, value_name = "N")]
    pub attempt: Option<Count>,
    /// The provider account that pays (default: the task's)
    #[arg(long)]
    pub provider: Option<Name>,
    /// Report what is there now and end, instead of following the transcripts
    #[arg(long)]
    pub once: bool,
    /// The transcripts of the task's sessions (JSONL)
    #[arg(required = true, value_name = "PATH", value_parser = crate::command::meter::file)]
    pub paths: Vec<PathBuf>,
}

/// Runtimes whose transcripts are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum MeteredRuntime {
    /// Claude Code
    ClaudeCode,
    /// Codex
    Codex,
}

impl From<MeteredRuntime> for fleet_agent::meter::Runtime {
    fn from(runtime: MeteredRuntime) -> Self {
        match runtime {
            MeteredRuntime::ClaudeCode => Self::ClaudeCode,
            MeteredRuntime::Codex => Self::Codex,
        }
    }
}

/// `fleet agent config`.
#[derive(Debug, Clone, Args)]
pub struct AgentConfig {
    /// What runs the agent
    #[arg(long, value_enum)]
    pub runtime: AgentRuntime,
    /// The agent's credentials file
    #[arg(long, value_name = "FILE", env = fleet_agent::credentials::VARIABLE)]
    pub credentials: PathBuf,
}

/// `fleet agent watch`.
#[derive(Debug, Clone, Args)]
pub struct AgentWatch {
    /// The agent; its tmux session has the same name
    pub name: Name,
    /// tmux socket, by name or path; `default` is tmux's own (default: mosaic-fleet)
    #[arg(long, value_name = "SOCKET")]
    pub socket: Option<String>,
    /// Type there, for this reason; the session must allow it, and what it shows is recorded
    #[arg(long, value_name = "REASON")]
    pub take_over: Option<String>,
}

/// `fleet agent deliver`.
#[derive(Debug, Clone, Args)]
pub struct AgentDeliver {
    /// Where the agent sits
    #[arg(long, value_enum, default_value = "tmux")]
    pub connector: AgentConnector,
    /// tmux socket, by name or path; `default` is tmux's own (default: mosaic-fleet)
    #[arg(long, value_name = "SOCKET")]
    pub socket: Option<String>,
    /// Matrix room, by id or alias, which the agent's account is in
    #[arg(long, value_name = "ROOM", required_if_eq("connector", "matrix"))]
    pub room: Option<String>,
    /// The event whose thread it is said in
    #[arg(long, value_name = "EVENT", requires = "room")]
    pub thread: Option<String>,
}

/// Connectors by the words of the roster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum AgentConnector {
    /// A tmux session of the agent's name
    Tmux,
    /// A Matrix room, as the agent's own account
    Matrix,
    /// Known, not made yet
    Discord,
}

/// `fleet agent gate`.
#[derive(Debug, Clone, Args)]
pub struct AgentGate {
    /// The task, which the agent holds
    pub task: TaskRef,
    /// Where its work is (default: here)
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// How long each gate may take (default: 10m)
    #[arg(long, value_name = "LENGTH")]
    pub limit: Option<Length>,
}

/// Programs that run agents, whose configuration is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum AgentRuntime {
    /// Claude Code
    ClaudeCode,
    /// Codex
    Codex,
}

/// `fleet agent join`.
#[derive(Debug, Clone, Args)]
pub struct AgentJoin {
    /// The role
    #[arg(long)]
    pub role: Name,
    /// The name (default: who has joined from here with that role, else the role and the first free number)
    #[arg(long)]
    pub name: Option<Name>,
    /// The machine (default: this one's name)
    #[arg(long)]
    pub host: Option<Name>,
    /// What runs it, for example claude-code, codex, script
    #[arg(long)]
    pub runtime: Option<Name>,
    /// The highest model it may use
    #[arg(long)]
    pub model: Option<Name>,
    /// File for its credentials (default: one for each agent, in $XDG_STATE_HOME/fleet/agents)
    #[arg(long, value_name = "FILE", env = fleet_agent::credentials::VARIABLE)]
    pub credentials: Option<PathBuf>,
    /// Make no Matrix account; the agent works through the gateway alone
    #[arg(long)]
    pub no_matrix: bool,
}

/// `fleet agent rotate`.
#[derive(Debug, Clone, Args)]
pub struct AgentRotate {
    /// The agent's credentials file
    #[arg(long, value_name = "FILE", env = fleet_agent::credentials::VARIABLE)]
    pub credentials: PathBuf,
}
