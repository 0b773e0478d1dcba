//! Help, generated from the same arguments that read a line.

use std::fmt::Write as _;

use clap::Arg;

use super::token::quote;
use super::{PREFIX, mend, read};
use crate::language::{self, Verb};
use crate::problem::{Code, Problem};
use crate::reply::HelpView;

/// Explains a topic.
pub(super) fn view(topic: &[String]) -> Result<HelpView, Problem> {
    let words: Vec<String> = topic
        .iter()
        .flat_map(|w| w.split(['.', ' ']))
        .map(|w| w.trim_start_matches(PREFIX).to_lowercase())
        .collect();
    let name = words.join(".");
    if name.is_empty() {
        return Ok(HelpView {
            topic: None,
            text: overview(),
        });
    }
    let text = if let Some(verb) = language::verb(&name) {
        explain(verb)
    } else if let Some((group, about)) = language::groups().iter().find(|(group, _)| *group == name)
    {
        format!(
            "{about}\n\n{}\nMore on one: {PREFIX}help {group} COMMAND",
            list(members(group))
        )
    } else {
        return Err(unknown(&name));
    };
    Ok(HelpView {
        topic: Some(name.replace('.', " ")),
        text,
    })
}

fn unknown(name: &str) -> Problem {
    let shown: String = name.replace('.', " ").chars().take(60).collect();
    let problem = Problem::new(
        Code::UnknownCommand,
        format!("\"{shown}\" is not a command"),
    )
    .remedy(format!("type: {PREFIX}help"));
    let known = language::verbs()
        .map(|v| v.name)
        .chain(language::groups().iter().map(|(g, _)| *g));
    match mend::nearest(name, known) {
        Some(near) => problem.suggest(format!("{PREFIX}help {}", near.replace('.', " "))),
        None => problem,
    }
}

fn overview() -> String {
    let flat = list(language::verbs().filter(|v| !v.name.contains('.')));
    let groups = language::groups()
        .iter()
        .map(|(group, about)| format!("{about}\n{}", list(members(group))));
    let blocks: Vec<String> = std::iter::once(flat).chain(groups).collect();
    format!("{}\nMore on one: {PREFIX}help task add", blocks.join("\n"))
}

fn members(group: &str) -> impl Iterator<Item = &'static Verb> {
    let prefix = format!("{group}.");
    language::verbs().filter(move |v| v.name.starts_with(&prefix))
}

/// One line for each verb: what to type and what it does.
fn list(verbs: impl Iterator<Item = &'static Verb>) -> String {
    let rows: Vec<(String, String)> = verbs
        .map(|v| {
            let leaf = read::leaf(v);
            (
                format!("{PREFIX}{}", v.name.replace('.', " ")),
                about(&leaf),
            )
        })
        .collect();
    aligned(&rows)
}

fn aligned(rows: &[(String, String)]) -> String {
    let width = rows
        .iter()
        .map(|(left, _)| left.chars().count())
        .max()
        .unwrap_or(0);
    rows.iter().fold(String::new(), |mut out, (left, right)| {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "  {left:width$}  {right}");
        out
    })
}

fn about(leaf: &clap::Command) -> String {
    leaf.get_about()
        .map(ToString::to_string)
        .unwrap_or_default()
}

fn explain(verb: &Verb) -> String {
    let leaf = read::leaf(verb);
    let mut text = format!("{}\n\n  {}\n", about(&leaf), usage(verb));
    let rows: Vec<(String, String)> = leaf
        .get_arguments()
        .map(|arg| (form(arg), explain_arg(arg)))
        .collect();
    if !rows.is_empty() {
        text.push('\n');
        text.push_str(&aligned(&rows));
    }
    if leaf.get_positionals().next().is_some_and(is_reference) {
        text.push_str("\nIn a reply to its message, or in its thread, it may be left out.\n");
    }
    text.truncate(text.trim_end().len());
    text
}

/// How a verb is typed: `!task add TITLE [--brief BRIEF] ...`.
pub(crate) fn usage(verb: &Verb) -> String {
    let leaf = read::leaf(verb);
    let bracket = |arg: &Arg| {
        let repeats = if matches!(arg.get_action(), clap::ArgAction::Append) && !arg.is_positional()
        {
            " ..."
        } else {
            ""
        };
        if arg.is_required_set() {
            form(arg)
        } else {
            format!("[{}]{repeats}", form(arg))
        }
    };
    let positionals = leaf.get_positionals().map(bracket);
    let required = leaf
        .get_arguments()
        .filter(|a| !a.is_positional() && a.is_required_set())
        .map(bracket);
    let others = leaf
        .get_arguments()
        .filter(|a| !a.is_positional() && !a.is_required_set())
        .map(bracket);
    let words: Vec<String> = positionals.chain(required).chain(others).collect();
    format!(
        "{PREFIX}{} {}",
        verb.name.replace('.', " "),
        words.join(" ")
    )
    .trim_end()
    .to_owned()
}

fn form(arg: &Arg) -> String {
    let value = arg
        .get_value_names()
        .and_then(|v| v.first())
        .map_or_else(|| "VALUE".to_owned(), ToString::to_string);
    match arg.get_long() {
        Some(long) if arg.get_action().takes_values() => format!("--{long} {value}"),
        Some(long) => format!("--{long}"),
        None => value,
    }
}

fn explain_arg(arg: &Arg) -> String {
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let values: Vec<String> = if arg.get_action().takes_values() {
        arg.get_possible_values()
            .iter()
            .map(|v| quote(v.get_name()))
            .collect()
    } else {
        Vec::new()
    };
    if values.is_empty() {
        help
    } else {
        format!("{help}: {}", values.join(", "))
    }
}

fn is_reference(arg: &Arg) -> bool {
    let names = arg.get_value_names().unwrap_or_default();
    arg.is_required_set()
        && names
            .iter()
            .any(|n| matches!(n.as_str(), "TASK" | "MISSION" | "PROPOSAL"))
}
