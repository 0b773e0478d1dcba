//! What is wrong with a line: clap's errors in words that name the wrong word and what was expected.

use std::error::Error as _;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::PREFIX;
use super::mend;
use super::token::Word;
use crate::language::{Query, Request, Verb};
use crate::problem::{Code, Problem};
use crate::verbs::fleet::Help;

/// A problem, the word it is about, and the words that were probably meant.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) problem: Problem,
    /// Index of the wrong word; none when something is missing at the end.
    pub(super) word: Option<usize>,
    /// The words of the line that was probably meant.
    pub(super) meant: Option<Vec<String>>,
}

pub(super) fn no_command() -> Fault {
    let problem = Problem::new(Code::UnknownCommand, "there is no command here")
        .remedy(format!("type: {PREFIX}help"));
    Fault {
        problem,
        word: None,
        meant: None,
    }
}

/// The word at `index` is no command, or no command of the group that the first word names.
pub(super) fn unknown_command(words: &[Word], index: usize) -> Fault {
    let word = &words[index].text;
    let names: Vec<String> = words[..index]
        .iter()
        .map(|w| w.text.to_lowercase())
        .collect();
    let group = (index > 0).then(|| names.join("."));
    let (detail, topic) = match &group {
        Some(_) => (
            format!("\"{word}\" is not a {} command", names.join(" ")),
            format!("help {}", names.join(" ")),
        ),
        None => (format!("\"{word}\" is not a command"), "help".to_owned()),
    };
    let problem =
        Problem::new(Code::UnknownCommand, detail).remedy(format!("type: {PREFIX}{topic}"));
    Fault {
        problem,
        word: Some(index),
        meant: mend::command(words, index, group.as_deref()),
    }
}

/// Puts clap's error about the words behind a verb into our words; a wish for help is no error.
pub(super) fn from_clap(
    error: &clap::Error,
    verb: &Verb,
    leaf: &clap::Command,
    words: &[Word],
    used: usize,
) -> Result<Request, Fault> {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    ) {
        let topic = verb.name.split('.').map(str::to_owned).collect();
        return Ok(Query::Help(Help { topic }).into());
    }
    let name = verb.name.replace('.', " ");
    let facts = Facts::of(error);
    let detail = detail(error, leaf, &facts, &name);
    let word = facts.locate(words, used);
    let meant =
        word.and_then(|at| mend::arguments(error.kind(), leaf, words, used, at, &facts.valid));
    let problem =
        Problem::new(Code::BadArgument, detail).remedy(format!("type: {PREFIX}help {name}"));
    Err(Fault {
        problem,
        word,
        meant,
    })
}

/// What clap says about an error.
struct Facts {
    kind: ErrorKind,
    /// The argument, as clap shows it: `--type <TYPE>`, `<VERDICT>`; several when they are missing.
    args: Vec<String>,
    /// The argument it contradicts.
    prior: Vec<String>,
    /// The value that does not fit.
    value: Option<String>,
    /// Values that would.
    valid: Vec<String>,
}

impl Facts {
    fn of(error: &clap::Error) -> Self {
        let strings = |kind| match error.get(kind) {
            Some(ContextValue::String(s)) => vec![s.clone()],
            Some(ContextValue::Strings(all)) => all.clone(),
            _ => Vec::new(),
        };
        Self {
            kind: error.kind(),
            args: strings(ContextKind::InvalidArg),
            prior: strings(ContextKind::PriorArg),
            value: strings(ContextKind::InvalidValue).into_iter().next(),
            valid: strings(ContextKind::ValidValue),
        }
    }

    fn arg(&self) -> &str {
        self.args.first().map_or("", String::as_str)
    }

    /// The wrong word's index; none when a word is missing.
    fn locate(&self, words: &[Word], used: usize) -> Option<usize> {
        let option = self
            .arg()
            .split(' ')
            .next()
            .filter(|o| o.starts_with('-'))
            .unwrap_or("");
        let option = option.split('=').next().unwrap_or("");
        let is_option = |w: &Word| {
            !option.is_empty() && (w.text == option || w.text.starts_with(&format!("{option}=")))
        };
        let mut behind = (used..words.len()).rev();
        match self.kind {
            ErrorKind::MissingRequiredArgument => None,
            ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
                let value = self.value.as_deref().unwrap_or("");
                let fits = |w: &Word| !value.is_empty() && w.text.contains(value);
                let as_option = (used..words.len()).find(|i| {
                    is_option(&words[*i])
                        && (fits(&words[*i]) || words.get(i + 1).is_some_and(fits))
                });
                let exact = (used..words.len()).find(|i| words[*i].text == value);
                match as_option {
                    Some(i) if fits(&words[i]) => Some(i),
                    Some(i) => Some(i + 1),
                    None => exact
                        .or_else(|| (used..words.len()).find(|i| fits(&words[*i])))
                        .or_else(|| behind.find(|i| is_option(&words[*i]))),
                }
            }
            _ => {
                let arg = self.arg();
                // A bundle of short options: clap names only the first letter of `-summary`.
                let bundle = |w: &Word| {
                    arg.len() == 2 && w.text.starts_with(arg) && !w.text.starts_with("--")
                };
                let exact = (used..words.len()).find(|i| words[*i].text == arg);
                let last = behind.find(|i| is_option(&words[*i]));
                let by_kind = if self.kind == ErrorKind::ArgumentConflict {
                    last.or(exact)
                } else {
                    exact.or(last)
                };
                by_kind.or_else(|| (used..words.len()).find(|i| bundle(&words[*i])))
            }
        }
    }
}

fn detail(error: &clap::Error, leaf: &clap::Command, facts: &Facts, name: &str) -> String {
    let arg = plain_arg(facts.arg());
    let value = facts.value.as_deref().unwrap_or("");
    match facts.kind {
        ErrorKind::InvalidValue if value.is_empty() => match facts.valid.as_slice() {
            [] => format!("{arg} needs a value behind it"),
            valid => format!("{arg} needs a value behind it: {}", choice(valid)),
        },
        ErrorKind::InvalidValue => format!(
            "\"{}\" is not one of {}",
            short(value),
            choice(&facts.valid)
        ),
        ErrorKind::ValueValidation => match error.source() {
            Some(source) => format!("\"{}\" {source}", short(value)),
            None => format!("\"{}\" does not fit {arg}", short(value)),
        },
        ErrorKind::UnknownArgument if arg.starts_with('-') => {
            format!(
                "{PREFIX}{name} has no option {}; it takes {}",
                short(arg),
                options(leaf)
            )
        }
        ErrorKind::UnknownArgument => format!(
            "\"{}\" is one word too many; put a text of several words in quotes",
            short(arg)
        ),
        ErrorKind::MissingRequiredArgument => missing(leaf, &facts.args),
        ErrorKind::ArgumentConflict => match facts.prior.first().map(|p| plain_arg(p)) {
            Some(prior) if prior != arg => format!("{arg} and {prior} exclude each other"),
            _ => format!("{arg} is given twice"),
        },
        ErrorKind::TooManyValues => {
            format!("{arg} takes no value; \"{}\" is too much", short(value))
        }
        _ => format!("the words behind {PREFIX}{name} cannot be read"),
    }
}

/// `--type <TYPE>` as `--type`, `<TITLE>` and `[TASK]` as the bare word.
fn plain_arg(arg: &str) -> &str {
    let first = arg.split(' ').next().unwrap_or(arg);
    let first = if first.starts_with("--") {
        first.split('=').next().unwrap_or(first)
    } else {
        first
    };
    first.trim_matches(|c| matches!(c, '<' | '>' | '[' | ']' | '.'))
}

/// A value as it may be shown within a sentence.
fn short(value: &str) -> String {
    if value.chars().count() <= 60 {
        return value.to_owned();
    }
    value.chars().take(60).chain(std::iter::once('…')).collect()
}

fn choice(values: &[String]) -> String {
    match values {
        [] => "the accepted values".to_owned(),
        [one] => one.clone(),
        [init @ .., last] => format!("{} or {last}", init.join(", ")),
    }
}

fn options(leaf: &clap::Command) -> String {
    let all: Vec<String> = leaf
        .get_arguments()
        .filter_map(clap::Arg::get_long)
        .map(|long| format!("--{long}"))
        .collect();
    if all.is_empty() {
        "none".to_owned()
    } else {
        all.join(", ")
    }
}

fn missing(leaf: &clap::Command, args: &[String]) -> String {
    // clap shows an argument only after it has filled in its own defaults.
    let mut leaf = leaf.clone();
    leaf.build();
    let named: Vec<String> = args
        .iter()
        .map(|shown| {
            let arg = leaf.get_arguments().find(|a| a.to_string() == *shown);
            let help = arg.and_then(clap::Arg::get_help).map(ToString::to_string);
            match help {
                Some(help) => format!("{} ({help})", plain_arg(shown)),
                None => plain_arg(shown).to_owned(),
            }
        })
        .collect();
    format!(
        "{} missing: {}",
        if named.len() == 1 {
            "an argument is"
        } else {
            "arguments are"
        },
        named.join("; ")
    )
}
