//! The canonical line of a request, built from its JSON and the verb's clap arguments.

use clap::Arg;
use serde_json::Value;

use super::token::quote;
use super::{PREFIX, read};
use crate::language::{self, Request};
use crate::verbs::board::{Holder, Seat};
use crate::verbs::gate::{Gate, GateOutcome};
use crate::verbs::hand_back::HandBack;

/// The line, with its prefix.
pub(super) fn of(request: &Request) -> String {
    format!("{PREFIX}{}", without_prefix(request))
}

fn without_prefix(request: &Request) -> String {
    let name = request.name();
    let mut line = name.replace('.', " ");
    // Serialising our own types to JSON cannot fail; a value without entries says the bare verb.
    let json = serde_json::to_value(request).unwrap_or_default();
    let Some((fields, verb)) = json
        .get(name)
        .and_then(Value::as_object)
        .zip(language::verb(name))
    else {
        return line;
    };
    let leaf = read::leaf(verb);
    for arg in leaf.get_opts().filter(|a| a.get_action().takes_values()) {
        for value in value_of(arg, fields).iter().flat_map(|v| texts(v)) {
            line.push(' ');
            line.push_str(&option(arg.get_long().unwrap_or_default(), &value));
        }
    }
    for arg in leaf
        .get_arguments()
        .filter(|a| !a.is_positional() && !a.get_action().takes_values())
    {
        if value_of(arg, fields).and_then(Value::as_bool) == Some(true) {
            line.push_str(" --");
            line.push_str(arg.get_long().unwrap_or_default());
        }
    }
    let positionals: Vec<String> = leaf
        .get_positionals()
        .filter_map(|arg| value_of(arg, fields))
        .flat_map(texts)
        .collect();
    if positionals.iter().any(|text| text.starts_with('-')) {
        line.push_str(" --");
    }
    for text in positionals {
        line.push(' ');
        line.push_str(&quote(&text));
    }
    line
}

/// The argument's entry; JSON names it like the field, or, where that is no word, like the option.
fn value_of<'v>(arg: &Arg, fields: &'v serde_json::Map<String, Value>) -> Option<&'v Value> {
    let by_option = || fields.get(&arg.get_long()?.replace('-', "_"));
    fields.get(arg.get_id().as_str()).or_else(by_option)
}

fn option(long: &str, value: &str) -> String {
    if value.starts_with('-') {
        return quote(&format!("--{long}={value}"));
    }
    format!("--{long} {}", quote(value))
}

/// The texts to type for a value: one, or one for each entry of a list.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(all) => all.iter().flat_map(texts).collect(),
        Value::String(text) => vec![text.clone()],
        Value::Object(_) => vec![object(value)],
        Value::Bool(_) | Value::Number(_) => vec![value.to_string()],
    }
}

/// A seat, its holder, a gate and its outcome, a partial result, or a command within a command.
fn object(value: &Value) -> String {
    let seat = serde_json::from_value::<Seat>(value.clone()).map(|s| s.to_string());
    let holder = || serde_json::from_value::<Holder>(value.clone()).map(|h| h.to_string());
    let gate = || serde_json::from_value::<Gate>(value.clone()).map(|g| g.to_string());
    let outcome = || serde_json::from_value::<GateOutcome>(value.clone()).map(|o| o.to_string());
    let left = || serde_json::from_value::<HandBack>(value.clone()).map(|_| value.to_string());
    let inner = || serde_json::from_value::<Request>(value.clone()).map(|r| without_prefix(&r));
    seat.or_else(|_| holder())
        .or_else(|_| gate())
        .or_else(|_| outcome())
        .or_else(|_| left())
        .or_else(|_| inner())
        .unwrap_or_default()
}
