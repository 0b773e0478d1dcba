//! The page of commands.

use std::fmt::Write as _;

use fleet_protocol::language::{Verb, verbs};

use super::cell;
use crate::exit::Exit;

pub(super) fn page() -> String {
    let mut page = String::from(
        "# Commands\n\nGenerated from the types by `fleet docs`.\n\n\
         In a room a command begins with `!`; in a shell with `fleet`; over HTTP and in an event it is JSON, an\n\
         object whose one key is the command's dotted name.\n",
    );
    for verb in verbs() {
        section(&mut page, verb);
    }
    page.push_str("\n## Exit codes of `fleet`\n\n| code | meaning |\n|---|---|\n");
    for (exit, meaning) in Exit::ALL {
        // Writing to a String cannot fail.
        let _ = writeln!(page, "| {} | {} |", exit.code(), cell(meaning));
    }
    page
}

fn section(page: &mut String, verb: &Verb) {
    let words = verb.name.replace('.', " ");
    let mut command = (verb.augment)(clap::Command::new(verb.name)).bin_name(format!("!{words}"));
    let usage = command.render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").trim();
    let about = command
        .get_about()
        .map(ToString::to_string)
        .unwrap_or_default();
    let kind = if verb.writes { "Writes." } else { "Reads." };
    let _ = write!(
        page,
        "\n## `{words}`\n\n{about}. {kind} JSON name `{}`.\n\n```text\n{usage}\n```\n",
        verb.name
    );
    let arguments: Vec<_> = command
        .get_arguments()
        .filter(|a| !a.is_hide_set())
        .collect();
    if arguments.is_empty() {
        return;
    }
    page.push_str("\n| argument | meaning | values |\n|---|---|---|\n");
    for argument in arguments {
        let name = match argument.get_long() {
            Some(long) => format!("--{long}"),
            None => argument.get_id().as_str().to_uppercase(),
        };
        let meaning = argument
            .get_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        let values = argument.get_possible_values();
        let takes_values = argument.get_action().takes_values();
        let values: Vec<_> = values
            .iter()
            .filter(|_| takes_values)
            .map(|v| format!("`{}`", v.get_name()))
            .collect();
        let _ = writeln!(
            page,
            "| `{name}` | {} | {} |",
            cell(&meaning),
            cell(&values.join(", "))
        );
    }
}
