//! Messages that people type: commands, ballots by reply, edits.

use fleet_protocol::chat;
use fleet_protocol::envelope::{BallotInput, Body};
use fleet_protocol::event::TWIN;
use fleet_protocol::language;
use fleet_protocol::problem::{Code, Problem};
use fleet_protocol::scalar::is_invisible;
use fleet_protocol::verbs::board::Verdict;
use serde_json::Value;

use super::{Incoming, Limits};

/// Words of a mention that a client may put in front of a command: a display name has spaces.
const MENTION_WORDS: usize = 5;
/// The longest reason of a ballot, in characters.
const MAX_REASON: usize = 2_000;

/// What a message says to the fleet, if anything.
pub(super) fn read(incoming: &Incoming, limits: &Limits) -> Option<Body> {
    let content = &incoming.content;
    // A message with a twin is between agents, and notices come from programs.
    if content.get(TWIN).is_some() {
        return super::said::read(incoming, limits);
    }
    if content.get("msgtype").and_then(Value::as_str) != Some("m.text") {
        return None;
    }
    if let Some(target) = edited(content) {
        return Some(Body::Edit { target });
    }
    let context = super::context(content);
    let is_reply = content
        .pointer("/m.relates_to/m.in_reply_to/event_id")
        .is_some();
    // No register holds U+0000, and nobody types it.
    let body = content.get("body")?.as_str()?.replace('\0', "");
    let text = visible(if is_reply {
        without_fallback(&body)
    } else {
        &body
    });
    if is_command(text) {
        return Some(line(text, incoming, limits));
    }
    // In a card's thread every message speaks to the card, whatever it replies to there.
    if let Some(target) = context.thread_root.or(context.reply_to) {
        // Clients mention whom they reply to, so a mention in a reply says nothing.
        return ballot(text, target, incoming, limits);
    }
    if mentions(content, limits.bot.as_str()) {
        Some(mentioned(text, incoming, limits))
    } else {
        None
    }
}

fn edited(content: &Value) -> Option<String> {
    let relation = content.get("m.relates_to")?;
    let replaces = relation.get("rel_type").and_then(Value::as_str) == Some("m.replace");
    super::event_id(relation.get("event_id").filter(|_| replaces))
}

fn visible(text: &str) -> &str {
    text.trim_start_matches(|c: char| c.is_whitespace() || is_invisible(c))
        .trim_end()
}

/// The text without the quotation that older clients put in front of a reply.
fn without_fallback(body: &str) -> &str {
    if !body.starts_with("> ") {
        return body;
    }
    let mut rest = body;
    while rest.starts_with('>') {
        rest = rest.split_once('\n').map_or("", |(_, rest)| rest);
    }
    rest.strip_prefix('\n').unwrap_or(rest)
}

/// `!` and a letter; `!!`, `! ` and a lone `!` are conversation.
fn is_command(text: &str) -> bool {
    let behind = text
        .strip_prefix(chat::PREFIX)
        .and_then(|rest| rest.chars().find(|c| !is_invisible(*c)));
    behind.is_some_and(char::is_alphabetic)
}

/// A line with its prefix.
fn line(typed: &str, incoming: &Incoming, limits: &Limits) -> Body {
    let request = match chat::parse(typed.strip_prefix(chat::PREFIX).unwrap_or(typed)) {
        Ok(request) => request,
        Err(error) => return Body::Refused(error.into()),
    };
    match limits.lateness(incoming, limits.chat_max_age) {
        Some(seconds) => Body::Refused(super::too_late(seconds).suggest(typed)),
        None => Body::Line {
            line: typed.to_owned(),
            request,
        },
    }
}

fn mentions(content: &Value, bot: &str) -> bool {
    let users = content
        .pointer("/m.mentions/user_ids")
        .and_then(Value::as_array);
    users.is_some_and(|all| all.iter().any(|user| user.as_str() == Some(bot)))
}

/// A line behind a mention, which clients put into the text as they like.
fn mentioned(text: &str, incoming: &Incoming, limits: &Limits) -> Body {
    let mut rest = text;
    for _ in 0..MENTION_WORDS {
        let word = rest.split_whitespace().next().unwrap_or("");
        let lower = word.trim_start_matches(chat::PREFIX).to_lowercase();
        if language::verb(&lower).is_some() || language::is_group(&lower) {
            return line(
                &format!("{}{}", chat::PREFIX, rest.trim_start_matches(chat::PREFIX)),
                incoming,
                limits,
            );
        }
        rest = rest[word.len()..].trim_start();
    }
    Body::Refused(
        Problem::new(
            Code::UnknownCommand,
            "you mentioned me, but there is no command here",
        )
        .remedy("put the command first, for example !status, or type: !help"),
    )
}

/// A reply that starts with a verdict, alone or with a reason: `approve because it is tested`.
fn ballot(text: &str, target: String, incoming: &Incoming, limits: &Limits) -> Option<Body> {
    let first = text.lines().next()?.trim();
    let (word, rest) = first.split_once(char::is_whitespace).unwrap_or((first, ""));
    let word = word.trim_end_matches(['.', ',', ':', '!']).to_lowercase();
    let verdict = Verdict::from_word(&word)?;
    let rest = rest.trim();
    let reason = match rest.split_once(char::is_whitespace) {
        Some((because, reason)) if because.eq_ignore_ascii_case("because") => Some(reason.trim()),
        _ if rest.is_empty() => None,
        _ => return None,
    };
    if let Some(seconds) = limits.lateness(incoming, limits.event_max_age) {
        return Some(Body::Refused(super::too_late(seconds)));
    }
    let reason = reason.map(|r| r.chars().take(MAX_REASON).collect());
    Some(Body::Ballot {
        target,
        verdict,
        reason,
        via: BallotInput::Reply,
    })
}
