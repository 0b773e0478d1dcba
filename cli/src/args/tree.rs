//! The command tree: the fleet's language, with what a shell adds to it and beside it.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args as _, Subcommand as _};
use fleet_protocol::language;
use fleet_protocol::scalar::Brief;

use super::{
    AgentConfig, AgentDeliver, AgentGate, AgentJoin, AgentMeter, AgentRotate, AgentWatch,
    BoardVerify, Doctor, Global, Operate,
};
use crate::exit::Exit;

/// What a command line is read with. A listener stays, one beside each agent of a machine: it builds only its
/// own part, as pages that are touched once stay in memory.
pub fn command_for(line: &[OsString]) -> clap::Command {
    match line {
        [_, group, verb, ..] if group == "agent" && verb == "listen" => {
            root().subcommand(clap::Command::new("agent").subcommand(listen()))
        }
        _ => command(),
    }
}

/// The whole command line.
pub fn command() -> clap::Command {
    let root = Operate::augment_subcommands(language::augment(root()));
    let root = root
        .mut_subcommand("board", board)
        .mut_subcommand("agent", agent);
    let root = root.mut_subcommand("provision", document);
    let root = root.mut_subcommand("budget", |budget| budget.mut_subcommand("import", document));
    let root = root.mut_subcommand("budget", |group| group.mut_subcommand("chart", chart));
    // In a shell `doctor` walks every hop; the register's view is one of them.
    root.mut_subcommand("doctor", |_| {
        Doctor::augment_args(clap::Command::new("doctor"))
            .about("Walk every hop of the fleet, name what is broken and the remedy")
    })
}

/// The program with its options, without a verb.
fn root() -> clap::Command {
    let codes: String = Exit::ALL
        .iter()
        .map(|(exit, meaning)| format!("  {:>2}  {meaning}\n", exit.code()))
        .collect();
    let root = clap::Command::new("fleet")
        .about("Mosaic Fleet Transport: commands typed in Matrix rooms as durable work")
        .version(env!("CARGO_PKG_VERSION"))
        // `help` is a word of the language.
        .disable_help_subcommand(true)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .after_help(format!("Exit codes:\n{codes}"));
    Global::augment_args(root)
}

fn listen() -> clap::Command {
    clap::Command::new("listen")
        .about("Print what is said to the agent, one JSON object a line, as it comes")
}

/// A command whose document is typed in a room: in a shell it is a file.
fn document(command: clap::Command) -> clap::Command {
    command.mut_arg("document", |document| {
        document
            .value_name("FILE")
            .help("The file; - reads standard input")
            .value_parser(read_document)
    })
}

fn read_document(path: &str) -> Result<Brief, String> {
    let read = if path == "-" {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(path)
    };
    let text = read.map_err(|e| format!("{path} cannot be read: {e}"))?;
    text.try_into().map_err(|e| format!("{path} {e}"))
}

/// What `agent` can do beside the language, which only the agent's own machine can.
fn agent(group: clap::Command) -> clap::Command {
    let config = clap::Command::new("config").about(
        "Print what a runtime needs so that its model has the fleet's tools, ready to paste",
    );
    let hook = clap::Command::new("hook").about(
        "Report heartbeat, context use and spend of an agent: a runtime's hook, its JSON on standard input",
    );
    let watch = clap::Command::new("watch")
        .about("Show what an agent's terminal shows; it only reads, unless you take over");
    let reconcile = clap::Command::new("reconcile")
        .about("Compare the agents of the register with the accounts on the homeserver");
    let meter = clap::Command::new("meter")
        .about("Report a task's spend from the transcripts of its runtime, as they grow");
    let join = clap::Command::new("join")
        .about("Join the fleet as an agent of a role, or come back as a new incarnation");
    let rotate = clap::Command::new("rotate").about("Change an agent's token");
    let deliver = clap::Command::new("deliver")
        .about("Deliver what is said to the agent into its terminal or room, until stopped");
    let gate = clap::Command::new("gate")
        .about("Run the quality gates of a task here, and tell the fleet what they came to");
    group
        .subcommand(AgentJoin::augment_args(join))
        .subcommand(AgentRotate::augment_args(rotate))
        .subcommand(listen())
        .subcommand(AgentMeter::augment_args(meter))
        .subcommand(AgentConfig::augment_args(config))
        .subcommand(AgentDeliver::augment_args(deliver))
        .subcommand(AgentGate::augment_args(gate))
        .subcommand(AgentWatch::augment_args(watch))
        .subcommand(hook)
        .subcommand(reconcile)
}

/// A shell draws a chart into a file.
fn chart(verb: clap::Command) -> clap::Command {
    verb.arg(
        clap::Arg::new(OUT)
            .long("out")
            .value_name("FILE.png")
            .value_parser(clap::value_parser!(PathBuf))
            .help("Write the picture to this file; without it, its figures are printed"),
    )
}

/// The option of `budget chart` that names the file.
pub const OUT: &str = "out";

/// What `board` can do with files, which only a shell has.
fn board(group: clap::Command) -> clap::Command {
    let verify = clap::Command::new("verify")
        .about("Check a proposal's record without a fleet: hashes, sequence, tally, head");
    let from_file = clap::Arg::new(FROM_FILE)
        .long("from-file")
        .value_name("FILE")
        .value_parser(clap::value_parser!(PathBuf))
        .help("Take everything from a Markdown file with YAML front matter");
    group
        .subcommand(BoardVerify::augment_args(verify))
        .mut_subcommand("propose", |propose| {
            let own: Vec<_> = propose
                .get_arguments()
                .map(|a| a.get_id().clone())
                .collect();
            propose
                .mut_arg("title", |title| {
                    title.required(false).required_unless_present(FROM_FILE)
                })
                .arg(from_file.conflicts_with_all(own))
        })
}

/// The option of `board propose` that names a brief.
pub const FROM_FILE: &str = "from_file";
