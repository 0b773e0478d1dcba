//! The `fleet` command: the fleet's language in a shell, and everything that operates a fleet.

// The commands' futures are deep.
#![recursion_limit = "256"]

pub mod args;
mod bench;
mod command;
mod demo;
pub mod error;
pub mod exit;
mod log;
mod output;
mod raise;
pub mod settings;
mod simulate;
mod system;
mod throwaway;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::FromArgMatches as _;
use clap::error::ErrorKind;
use clap::parser::ValueSource;

use args::{Global, Operate};
use error::CliError;
use exit::Exit;
use output::Output;
use settings::Settings;

/// What every command gets.
struct Context {
    global: Global,
    out: Output,
}

impl Context {
    fn settings(&self) -> Result<Settings, CliError> {
        Ok(Settings::load(self.global.config.as_deref())?)
    }
}

/// Runs a command line; everything it has to say is printed.
///
/// Not generic, so that all of the program is compiled with this crate and not once more with each binary.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    let matches = match args::command_for(&arguments).try_get_matches_from(&arguments) {
        Ok(matches) => matches,
        Err(error) => return usage(&error),
    };
    let global = match Global::from_arg_matches(&matches) {
        Ok(global) => global,
        Err(error) => return usage(&error),
    };
    let out = Output::new(global.json);
    let context = Context { global, out };
    let runtime = match runtime(matches.subcommand_name()) {
        Ok(runtime) => runtime,
        Err(error) => {
            out.error(&CliError::Internal(format!(
                "the runtime cannot start: {error}"
            )));
            return Exit::Internal.into();
        }
    };
    let exit = match runtime.block_on(dispatch(&context, &matches)) {
        Ok(exit) => exit,
        Err(Failure::Usage(error)) => return usage(&error),
        Err(Failure::Command(error)) if error.is_reader_gone() => Exit::Done,
        Err(Failure::Command(error)) => {
            out.error(&error);
            error.exit()
        }
    };
    exit.into()
}

/// What serves many at once has a thread for each core; who says or hears one thing at a time needs one,
/// and less memory.
fn runtime(command: Option<&str>) -> std::io::Result<tokio::runtime::Runtime> {
    let mut builder = match command {
        Some("up" | "demo" | "bench" | "gateway" | "bot" | "doctor") => {
            tokio::runtime::Builder::new_multi_thread()
        }
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    builder.enable_all().build()
}

/// Why a command line did not run to its end.
enum Failure {
    Usage(clap::Error),
    Command(CliError),
}

impl From<clap::Error> for Failure {
    fn from(error: clap::Error) -> Self {
        Self::Usage(error)
    }
}

impl From<CliError> for Failure {
    fn from(error: CliError) -> Self {
        Self::Command(error)
    }
}

async fn dispatch(context: &Context, matches: &clap::ArgMatches) -> Result<Exit, Failure> {
    let (name, inner) = matches
        .subcommand()
        .ok_or_else(|| clap::Error::new(ErrorKind::MissingSubcommand))?;
    if name == "doctor" {
        return Ok(command::doctor::run(context, &args::Doctor::from_arg_matches(inner)?).await?);
    }
    if let Some(exit) = board(context, name, inner).await? {
        return Ok(exit);
    }
    // Boxed: the types of all commands nested would be too deep for the compiler.
    if let Some(exit) = Box::pin(agent(context, name, inner)).await? {
        return Ok(exit);
    }
    if name == "agent" && inner.subcommand_name() == Some("revoke") {
        let request = fleet_protocol::language::from_matches(matches)?;
        return Ok(Box::pin(command::agent::revoke::run(context, request)).await?);
    }
    if let Some(file) = picture(name, inner) {
        let request = fleet_protocol::language::from_matches(matches)?;
        return Ok(Box::pin(command::chart::run(context, request, file)).await?);
    }
    if !<Operate as clap::Subcommand>::has_subcommand(name) {
        let request = fleet_protocol::language::from_matches(matches)?;
        return Ok(Box::pin(command::say::run(context, request)).await?);
    }
    let ran = match Operate::from_arg_matches(matches)? {
        Operate::Up(args) => Box::pin(command::up::run(context, &args)).await,
        Operate::Demo(args) => Box::pin(demo::run(context, &args)).await,
        Operate::Bench(args) => Box::pin(bench::run(context, &args)).await,
        Operate::Simulate(args) => Box::pin(simulate::run(context, &args)).await,
        Operate::Gateway(args) => Box::pin(command::gateway::run(context, &args)).await,
        Operate::Bot => command::bot::run(context).await,
        Operate::Mcp if named_by_argument(inner) => Err(CliError::Usage(
            "a model's agent is named by its credentials file or the environment, not by an argument".into(),
        )),
        Operate::Mcp => Box::pin(command::mcp::run(context)).await,
        Operate::Watch(args) => Box::pin(command::watch::run(context, &args)).await,
        Operate::Config(args) => command::config::run(context, &args),
        Operate::Completion { shell } => command::completion::run(context, shell),
        Operate::Docs { out } => command::docs::run(context, &out),
    };
    Ok(ran?)
}

/// The file that `budget chart` draws into, if it names one.
fn picture<'m>(name: &str, matches: &'m clap::ArgMatches) -> Option<&'m PathBuf> {
    match (name, matches.subcommand()) {
        ("budget", Some(("chart", inner))) => inner.get_one(args::OUT),
        _ => None,
    }
}

/// What `board` does with files; none for what the fleet does.
async fn board(
    context: &Context,
    name: &str,
    matches: &clap::ArgMatches,
) -> Result<Option<Exit>, Failure> {
    match (name, matches.subcommand()) {
        ("board", Some(("verify", inner))) => {
            let args = args::BoardVerify::from_arg_matches(inner)?;
            Ok(Some(command::board::verify(context, &args)?))
        }
        ("board", Some(("propose", inner))) => {
            let Some(file) = inner.get_one::<PathBuf>(args::FROM_FILE) else {
                return Ok(None);
            };
            Ok(Some(command::board::propose(context, file).await?))
        }
        _ => Ok(None),
    }
}

/// What `agent` does on the agent's own machine; none for what the fleet does.
async fn agent(
    context: &Context,
    name: &str,
    matches: &clap::ArgMatches,
) -> Result<Option<Exit>, Failure> {
    match (name, matches.subcommand()) {
        ("agent", Some(("meter", inner))) => {
            let args = args::AgentMeter::from_arg_matches(inner)?;
            Ok(Some(command::meter::run(context, &args).await?))
        }
        ("agent", Some(("join", inner))) => {
            let args = args::AgentJoin::from_arg_matches(inner)?;
            Ok(Some(command::agent::join::run(context, &args).await?))
        }
        ("agent", Some(("rotate", inner))) => {
            let args = args::AgentRotate::from_arg_matches(inner)?;
            Ok(Some(command::agent::join::rotate(context, &args).await?))
        }
        ("agent", Some(("listen", _))) => Ok(Some(command::agent::listen::run(context).await?)),
        ("agent", Some(("deliver", inner))) => {
            let args = args::AgentDeliver::from_arg_matches(inner)?;
            Ok(Some(command::agent::deliver::run(context, &args).await?))
        }
        ("agent", Some(("gate", inner))) => {
            let args = args::AgentGate::from_arg_matches(inner)?;
            Ok(Some(command::agent::gate::run(context, &args).await?))
        }
        ("agent", Some(("config", inner))) => {
            let args = args::AgentConfig::from_arg_matches(inner)?;
            Ok(Some(command::agent::config(context, &args)?))
        }
        ("agent", Some(("watch", inner))) => {
            let args = args::AgentWatch::from_arg_matches(inner)?;
            Ok(Some(command::agent::terminal::watch(context, &args).await?))
        }
        ("agent", Some(("reconcile", _))) => {
            Ok(Some(command::agent::reconcile::run(context).await?))
        }
        ("agent", Some(("hook", _))) => Ok(Some(command::agent::hook(context).await)),
        _ => Ok(None),
    }
}

/// Whether an argument, not the environment, says which agent speaks.
fn named_by_argument(matches: &clap::ArgMatches) -> bool {
    ["as_agent", "incarnation"]
        .iter()
        .any(|id| matches.value_source(id) == Some(ValueSource::CommandLine))
}

/// Prints clap's help, version or error.
fn usage(error: &clap::Error) -> ExitCode {
    // Nobody is left to tell when the output is closed.
    let _ = error.print();
    if error.use_stderr() {
        Exit::Usage.into()
    } else {
        Exit::Done.into()
    }
}
