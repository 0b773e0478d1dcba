//! Help, generated from the same arguments that read a line.

use clap::Arg;

use super::token::quote;
use super::{PREFIX, mend, read};
use crate::language::{self, Verb};
use crate::problem::{Code, Problem};
use crate::reply::{HelpGroup, HelpLine, HelpView};

/// Explains a topic.
pub(super) fn view(topic: &[String]) -> Result<HelpView, Problem> {
    let words: Vec<String> = topic
        .iter()
        .flat_map(|w| w.split(['.', ' ']))
        .map(|w| w.trim_start_matches(PREFIX).to_lowercase())
        .collect();
    let name = words.join(".");
    if name.is_empty() {
        return Ok(overview());
    }
    if let Some(verb) = language::verb(&name) {
        return Ok(explain(verb));
    }
    let group = language::groups().iter().find(|(group, _)| *group == name);
    group.map_or_else(
        || Err(unknown(&name)),
        |(group, about)| {
            Ok(HelpView {
                about: (*about).to_owned(),
                groups: vec![section("Commands", members(group))],
                more: Some(format!("{PREFIX}help {} COMMAND", group.replace('.', " "))),
                ..titled(&group.replace('.', " "))
            })
        },
    )
}

/// A view of a topic without content.
fn titled(topic: &str) -> HelpView {
    HelpView {
        topic: Some(topic.to_owned()),
        about: String::new(),
        usage: None,
        groups: Vec::new(),
        notes: Vec::new(),
        more: None,
    }
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

fn overview() -> HelpView {
    let flat = language::verbs().filter(|v| !v.name.contains('.'));
    let outer = language::groups()
        .iter()
        .filter(|(group, _)| !group.contains('.'));
    let families = outer.map(|(group, about)| {
        let verbs: Vec<String> = members(group)
            .map(|v| v.name.split_once('.').map_or(v.name, |(_, verb)| verb))
            .map(|words| words.replace('.', " "))
            .collect();
        HelpLine {
            what: format!("{PREFIX}{group} {}", verbs.join(" | ")),
            about: (*about).to_owned(),
        }
    });
    let families = HelpGroup {
        title: "Families of commands".to_owned(),
        lines: families.collect(),
    };
    HelpView {
        topic: None,
        about: "What you can say".to_owned(),
        usage: None,
        groups: vec![section("Anywhere", flat), families],
        notes: Vec::new(),
        more: Some(format!("{PREFIX}help task add")),
    }
}

fn members(group: &str) -> impl Iterator<Item = &'static Verb> {
    let prefix = format!("{group}.");
    language::verbs().filter(move |v| v.name.starts_with(&prefix))
}

/// One line for each verb: what to type and what it does.
fn section(title: &str, verbs: impl Iterator<Item = &'static Verb>) -> HelpGroup {
    let line = |v: &'static Verb| HelpLine {
        what: format!("{PREFIX}{}", v.name.replace('.', " ")),
        about: about(&read::leaf(v)),
    };
    HelpGroup {
        title: title.to_owned(),
        lines: verbs.map(line).collect(),
    }
}

fn about(leaf: &clap::Command) -> String {
    leaf.get_about()
        .map(ToString::to_string)
        .unwrap_or_default()
}

fn explain(verb: &Verb) -> HelpView {
    let leaf = read::leaf(verb);
    let line = |arg: &Arg| HelpLine {
        what: form(arg),
        about: explain_arg(arg),
    };
    let part = |title: &str, wanted: bool| HelpGroup {
        title: title.to_owned(),
        lines: leaf
            .get_arguments()
            .filter(|a| a.is_required_set() == wanted)
            .map(line)
            .collect(),
    };
    let mut groups = vec![part("Needed", true), part("Optional", false)];
    groups.retain(|g| !g.lines.is_empty());
    let left_out = leaf.get_positionals().next().is_some_and(is_reference);
    HelpView {
        about: about(&leaf),
        usage: Some(usage(verb)),
        groups,
        notes: left_out
            .then(|| {
                "In a reply to its message, or in its thread, the number may be left out."
                    .to_owned()
            })
            .into_iter()
            .collect(),
        ..titled(&verb.name.replace('.', " "))
    }
}

/// How a verb is typed, on a phone's width: `!task add TITLE [options]`; the list below names them.
fn usage(verb: &Verb) -> String {
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
    let options = |required: bool| {
        leaf.get_arguments()
            .filter(move |a| !a.is_positional() && a.is_required_set() == required)
            .map(bracket)
    };
    let words: Vec<String> = positionals
        .chain(options(true))
        .chain(match options(false).count() {
            0 | 1 => options(false).collect(),
            _ => vec!["[options]".to_owned()],
        })
        .collect();
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
            .any(|n| matches!(n.as_str(), "TASK" | "MISSION" | "PROPOSAL" | "ALERT"))
}
