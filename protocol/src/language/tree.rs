//! The language as a tree of words: what a shell and a chat line are read with.

use clap::ArgMatches;

use super::{Request, verb, verbs};

/// Groups of verbs and what help says of them.
const GROUPS: &[(&str, &str)] = &[
    ("member", "Who may do what"),
    ("role", "What agents are for"),
    ("profile", "Which roles a kind of fleet has"),
    ("mission", "Goals that group tasks"),
    ("task", "Units of work: add, claim, report, finish"),
    ("agent", "The agents of the fleet"),
    ("workers", "How many agents work at the same time"),
    ("chain", "What agents say because of what they were told"),
    ("chain.limits", "How far that goes"),
    ("spend", "What work has cost"),
    ("budget", "Limits on spend, and how much is left"),
    ("budget.ladder", "Which models work is lowered along"),
    ("subscription", "The accounts that pay"),
    ("price", "What models cost"),
    ("alert", "What somebody must look at"),
    ("report", "Sums over what the register holds"),
    ("export", "Documents made from what the register holds"),
    ("board", "Proposals and votes"),
];

/// The groups of verbs, each with what help says of it.
pub fn groups() -> &'static [(&'static str, &'static str)] {
    GROUPS
}

/// Whether a word, or words joined by dots, name a group of verbs, such as `task` or `budget.ladder`.
pub fn is_group(word: &str) -> bool {
    GROUPS.iter().any(|(group, _)| *group == word)
}

/// Adds the language to a clap command: one sub-command per verb, grouped by the dotted names.
pub fn augment(root: clap::Command) -> clap::Command {
    let flat = verbs().filter(|v| !v.name.contains('.'));
    let root = flat.fold(root, |c, v| {
        c.subcommand((v.augment)(clap::Command::new(v.name)))
    });
    let outer = GROUPS.iter().filter(|(group, _)| !group.contains('.'));
    outer.fold(root, |c, (group, about)| {
        c.subcommand(group_command(group, group, about))
    })
}

/// The command of a group with the verbs and groups directly in it; `word` is the last of its name.
fn group_command(group: &'static str, word: &'static str, about: &'static str) -> clap::Command {
    let within = |name: &'static str| {
        let leaf = name.strip_prefix(group)?.strip_prefix('.')?;
        (!leaf.contains('.')).then_some(leaf)
    };
    let empty = clap::Command::new(word)
        .about(about)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true);
    let with_verbs = verbs()
        .filter_map(|v| within(v.name).map(|leaf| (v, leaf)))
        .fold(empty, |c, (v, leaf)| {
            c.subcommand((v.augment)(clap::Command::new(leaf)))
        });
    GROUPS
        .iter()
        .filter_map(|(inner, about)| within(inner).map(|leaf| (*inner, leaf, *about)))
        .fold(with_verbs, |c, (inner, leaf, about)| {
            c.subcommand(group_command(inner, leaf, about))
        })
}

/// Reads a request from clap's matches of a command made by [`augment`].
///
/// # Errors
/// clap's own, when a value does not fit; [`clap::error::ErrorKind::InvalidSubcommand`] when the
/// matches are of no verb of the language.
pub fn from_matches(matches: &ArgMatches) -> Result<Request, clap::Error> {
    let mut name = String::new();
    let mut at = matches;
    while let Some((word, inner)) = at.subcommand() {
        if !name.is_empty() {
            name.push('.');
        }
        name.push_str(word);
        at = inner;
    }
    match verb(&name) {
        Some(verb) => (verb.from_matches)(at),
        None => Err(clap::Error::new(clap::error::ErrorKind::InvalidSubcommand)),
    }
}
