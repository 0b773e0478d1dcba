//! From words to a request.

use clap::Arg;

use super::fault::{self, Fault};
use super::token::{self, Word};
use super::{MAX_LINE, PREFIX, mend, place};
use crate::ids::{IncidentRef, MissionRef, ProposalRef, TaskRef};
use crate::language::{self, Query, Request, Verb};
use crate::problem::{Code, Problem};
use crate::verbs::fleet::Help;

/// Whether to look for a line that works when one does not.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Suggest {
    Yes,
    No,
}

/// Reads a line.
pub(super) fn line(line: &str, suggest: Suggest) -> Result<Request, Problem> {
    let line = line.strip_prefix(PREFIX).unwrap_or(line);
    if line.len() > MAX_LINE {
        let detail = format!(
            "the line has {} bytes; at most {MAX_LINE} are read",
            line.len()
        );
        return Err(Problem::new(Code::LineTooLong, detail)
            .remedy("send a shorter line and put the long text into a file"));
    }
    let words = token::split(line).map_err(|e| unclosed(line, &e))?;
    if let Some(second) = words.iter().skip(1).find(|w| w.starts_command) {
        return Err(Problem::new(
            Code::TwoCommands,
            "there are two commands in one message; nothing was run",
        )
        .remedy("send each command as a message of its own; quote a text that starts a line with !")
        .at(place::of(line, &second.span)));
    }
    request(&words).map_err(|fault| {
        let suggestion = if suggest == Suggest::Yes {
            mend::suggestion(&fault, &words)
        } else {
            None
        };
        let span = match fault.word.and_then(|i| words.get(i)) {
            Some(word) => word.span.clone(),
            None => line.trim_end().len()..line.len(),
        };
        let problem = fault.problem.at(place::of(line, &span));
        suggestion.into_iter().fold(problem, |p, s| p.suggest(s))
    })
}

fn unclosed(line: &str, error: &token::UnclosedQuote) -> Problem {
    Problem::new(
        Code::UnclosedQuote,
        "a quote is opened here and never closed",
    )
    .remedy("close it, or write \\ in front of it if it is part of the text")
    .at(place::of(line, &error.span))
}

/// Reads words.
pub(super) fn request(words: &[Word]) -> Result<Request, Fault> {
    match resolve(words)? {
        Path::Help(topic) => Ok(Query::Help(Help { topic }).into()),
        Path::Verb(verb, used) => arguments(verb, words, used),
    }
}

/// What the first words of a line lead to.
enum Path {
    /// A verb, and how many words name it.
    Verb(&'static Verb, usize),
    /// A wish for help.
    Help(Vec<String>),
}

fn resolve(words: &[Word]) -> Result<Path, Fault> {
    let Some(first) = words.first() else {
        return Err(fault::no_command());
    };
    let first = first.text.to_lowercase();
    if is_help_flag(&first) {
        return Ok(Path::Help(Vec::new()));
    }
    if let Some(verb) = language::verb(&first) {
        return Ok(Path::Verb(verb, 1));
    }
    in_group(words, first, 1)
}

/// Reads on in a group named by the words so far.
fn in_group(words: &[Word], group: String, used: usize) -> Result<Path, Fault> {
    if !language::is_group(&group) {
        return Err(fault::unknown_command(words, used - 1));
    }
    let topic = || group.split('.').map(str::to_owned).collect();
    let Some(next) = words.get(used).map(|w| w.text.to_lowercase()) else {
        return Ok(Path::Help(topic()));
    };
    if next == "help" || is_help_flag(&next) {
        return Ok(Path::Help(topic()));
    }
    let name = format!("{group}.{next}");
    match language::verb(&name) {
        Some(verb) => Ok(Path::Verb(verb, used + 1)),
        None => in_group(words, name, used + 1),
    }
}

fn is_help_flag(word: &str) -> bool {
    matches!(word, "-h" | "--help" | "-help")
}

/// The verb's arguments as a clap command without name, colours or terminal.
pub(super) fn leaf(verb: &Verb) -> clap::Command {
    (verb.augment)(clap::Command::new(verb.name))
        .no_binary_name(true)
        .color(clap::ColorChoice::Never)
        .mut_args(|arg| {
            let chooses = arg.get_action().takes_values() && !arg.get_possible_values().is_empty();
            if chooses { arg.ignore_case(true) } else { arg }
        })
}

fn arguments(verb: &'static Verb, words: &[Word], used: usize) -> Result<Request, Fault> {
    let leaf = leaf(verb);
    let given: Vec<&str> = words[used..].iter().map(|w| w.text.as_str()).collect();
    let left_out = leaves_out_reference(&leaf, &given);
    let argv = left_out.then_some("this").into_iter().chain(given);
    let argv = with_text_as_one(&leaf, &argv.collect::<Vec<_>>());
    leaf.clone()
        .try_get_matches_from(argv)
        .and_then(|matches| (verb.from_matches)(&matches))
        .or_else(|error| fault::from_clap(&error, verb, &leaf, words, used))
}

/// The words, those of a free text at the end as one: who types `!tell code-1 how far is it?` quotes nothing.
fn with_text_as_one(leaf: &clap::Command, given: &[&str]) -> Vec<String> {
    let last = leaf.get_positionals().count().saturating_sub(1);
    let begins = leaf
        .get_positionals()
        .nth(last)
        .filter(|arg| is_free_text(arg))
        .and_then(|_| positionals_of(leaf, given).nth(last));
    let (before, text) = given.split_at(begins.map_or(given.len(), |(at, _)| at));
    let text = (!text.is_empty()).then(|| text.join(" "));
    before.iter().map(ToString::to_string).chain(text).collect()
}

/// Whether an argument is the free text with which a line ends.
fn is_free_text(arg: &Arg) -> bool {
    arg.get_value_names()
        .and_then(|names| names.first())
        .is_some_and(|name| name == "WORDS")
}

/// Whether the verb starts with a reference that the line leaves out, because it replies to the
/// thing's message: `task complete --summary done`, `board vote approve because ...`.
fn leaves_out_reference(leaf: &clap::Command, given: &[&str]) -> bool {
    let Some(reads) = leaf.get_positionals().next().and_then(reference_reader) else {
        return false;
    };
    let mut positionals = positionals_of(leaf, given).map(|(_, word)| word);
    let Some(first) = positionals.next() else {
        return true;
    };
    if reads(first) {
        return false;
    }
    // A word that is no reference is either a mistyped one, or the next argument's. It is the
    // latter only if that argument is free text, or chooses among words and the word behind is none of them.
    if leaf.get_positionals().nth(1).is_some_and(is_free_text) {
        return true;
    }
    let Some(choices) = leaf
        .get_positionals()
        .nth(1)
        .map(Arg::get_possible_values)
        .filter(|v| !v.is_empty())
    else {
        return false;
    };
    let chooses = |word: &str| choices.iter().any(|v| v.matches(word, true));
    chooses(first) || !positionals.next().is_some_and(chooses)
}

/// Tells references of the kind an argument takes; none when it takes no reference or needs none.
fn reference_reader(arg: &Arg) -> Option<fn(&str) -> bool> {
    let name = arg
        .get_value_names()?
        .first()
        .filter(|_| arg.is_required_set())?;
    match name.as_str() {
        "TASK" => Some(|word| word.parse::<TaskRef>().is_ok()),
        "MISSION" => Some(|word| word.parse::<MissionRef>().is_ok()),
        "PROPOSAL" => Some(|word| word.parse::<ProposalRef>().is_ok()),
        "ALERT" => Some(|word| word.parse::<IncidentRef>().is_ok()),
        _ => None,
    }
}

/// The words that are neither options nor their values, each with its place.
fn positionals_of<'w>(
    leaf: &clap::Command,
    given: &'w [&str],
) -> impl Iterator<Item = (usize, &'w str)> {
    let valued: Vec<String> = leaf
        .get_opts()
        .filter(|arg| arg.get_action().takes_values())
        .filter_map(|arg| arg.get_long().map(|long| format!("--{long}")))
        .collect();
    let mut is_value = false;
    given.iter().copied().enumerate().filter(move |(_, word)| {
        let was_value = std::mem::take(&mut is_value);
        if was_value {
            return false;
        }
        is_value = valued.iter().any(|option| option == word);
        !(word.starts_with('-') && word.len() > 1)
    })
}
