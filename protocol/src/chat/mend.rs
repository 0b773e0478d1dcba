//! Guesses what a wrong line was meant to say. A guess is only offered when it can be read.

use clap::error::ErrorKind;

use super::PREFIX;
use super::fault::Fault;
use super::read;
use super::token::{Word, quote};
use crate::language;

/// How many faults of one line are mended on the way to a suggestion.
const ROUNDS: usize = 3;

/// A line that works, if mending the fault (and those behind it) leads to one.
pub(super) fn suggestion(fault: &Fault, words: &[Word]) -> Option<String> {
    let mut meant = fault.meant.clone()?;
    for _ in 0..ROUNDS {
        let again: Vec<Word> = meant
            .iter()
            .map(|text| Word {
                text: text.clone(),
                span: 0..0,
                starts_command: false,
            })
            .collect();
        match read::request(&again) {
            Ok(_) => {
                let line = meant.iter().map(|w| quote(w)).collect::<Vec<_>>().join(" ");
                let same = words.iter().map(|w| &w.text).eq(meant.iter());
                return (!same && line.len() < super::MAX_LINE).then(|| format!("{PREFIX}{line}"));
            }
            Err(next) => meant = next.meant?,
        }
    }
    None
}

/// The words with the unknown command at `index` replaced by the nearest known one.
pub(super) fn command(words: &[Word], index: usize, group: Option<&str>) -> Option<Vec<String>> {
    let typed = words[index].text.to_lowercase();
    let mut meant = texts(words);
    let prefix = group.map_or_else(String::new, |g| format!("{g}."));
    let candidates: Vec<&str> = language::verbs()
        .filter_map(|v| v.name.strip_prefix(prefix.as_str()))
        .filter(|name| !name.contains('.'))
        .chain(
            language::groups()
                .iter()
                .map(|(g, _)| *g)
                .filter(|_| group.is_none()),
        )
        .collect();
    // `!vote p1 approve`: the group was left out.
    let leaves: Vec<&str> = language::verbs()
        .filter_map(|v| v.name.split_once('.'))
        .filter(|(_, leaf)| *leaf == typed)
        .map(|(g, _)| g)
        .collect();
    // `!tasks` means the family, although `export tasks` ends in that word.
    let is_family = typed.strip_suffix('s').is_some_and(language::is_group);
    if let (None, false, [only]) = (group, is_family, leaves.as_slice()) {
        meant.insert(index, (*only).to_owned());
        return Some(meant);
    }
    let best = nearest(&typed, candidates.into_iter())?;
    best.clone_into(&mut meant[index]);
    if group.is_none() && words.len() == 1 && language::is_group(&meant[index]) {
        // A family alone does nothing: what it reads, or else its help.
        match reading(&meant[index]) {
            Some(leaf) => meant.push(leaf.to_owned()),
            None => meant.insert(index, "help".to_owned()),
        }
    }
    Some(meant)
}

/// The verb of a family that reads and needs no argument: `list`, `status`.
fn reading(group: &str) -> Option<&'static str> {
    language::verbs()
        .filter(|v| !v.writes)
        .filter(|v| {
            let words: [&str; 0] = [];
            read::leaf(v).try_get_matches_from(words).is_ok()
        })
        .filter_map(|v| v.name.split_once('.'))
        .find_map(|(of, leaf)| (of == group).then_some(leaf))
}

/// The words behind a verb with the wrong one, at `at`, mended.
pub(super) fn arguments(
    kind: ErrorKind,
    leaf: &clap::Command,
    words: &[Word],
    used: usize,
    at: usize,
    valid: &[String],
) -> Option<Vec<String>> {
    let typed = &words[at].text;
    match kind {
        ErrorKind::InvalidValue => {
            let (option, value) = match typed.split_once('=') {
                Some((option, value)) if option.starts_with("--") => (format!("{option}="), value),
                _ => (String::new(), typed.as_str()),
            };
            let best = nearest(&value.to_lowercase(), valid.iter().map(String::as_str))?;
            Some(replaced(words, at, format!("{option}{best}")))
        }
        ErrorKind::UnknownArgument if typed.starts_with('-') => {
            let (name, value) = typed
                .split_once('=')
                .map_or((typed.as_str(), None), |(n, v)| (n, Some(v)));
            let longs = leaf.get_arguments().filter_map(clap::Arg::get_long);
            let best = nearest(&name.trim_start_matches('-').to_lowercase(), longs)?;
            let mended = value.map_or_else(|| format!("--{best}"), |v| format!("--{best}={v}"));
            Some(replaced(words, at, mended))
        }
        ErrorKind::UnknownArgument => joined(leaf, words, used, at),
        _ => None,
    }
}

/// The words with the run of plain words around `at` as one: somebody forgot the quotes.
fn joined(leaf: &clap::Command, words: &[Word], used: usize, at: usize) -> Option<Vec<String>> {
    let is_option = |i: usize| words[i].text.starts_with("--");
    let begin = (used..at)
        .rev()
        .find(|i| is_option(*i))
        .map_or(used, |i| i + 1);
    let end = (at..words.len())
        .find(|i| is_option(*i))
        .unwrap_or(words.len());
    let behind_option = begin > used;
    // In front of the text there may be other positional arguments, which stay as they are.
    let others = if behind_option {
        0
    } else {
        leaf.get_positionals().count().saturating_sub(1)
    };
    let first = begin + others;
    if first >= end || end - first < 2 {
        return None;
    }
    let all = texts(words);
    let text = all[first..end].join(" ");
    Some([&all[..first], &[text], &all[end..]].concat())
}

fn replaced(words: &[Word], at: usize, text: String) -> Vec<String> {
    let mut meant = texts(words);
    meant[at] = text;
    meant
}

fn texts(words: &[Word]) -> Vec<String> {
    words.iter().map(|w| w.text.clone()).collect()
}

/// The nearest candidate, if it is near: one slip of the finger in three letters.
pub(super) fn nearest<'c>(
    typed: &str,
    candidates: impl Iterator<Item = &'c str>,
) -> Option<&'c str> {
    // Beyond this length nothing is near, and the distance is quadratic.
    if typed.len() > 64 {
        return None;
    }
    let allowed = (typed.chars().count() / 3).max(1);
    candidates
        .map(|c| {
            let abbreviates = typed.len() >= 3 && c.starts_with(typed);
            (
                if abbreviates {
                    1
                } else {
                    strsim::damerau_levenshtein(typed, c)
                },
                c,
            )
        })
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, c)| c)
}
