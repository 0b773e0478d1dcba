//! The digest that tells a replay of an event from another event under the same key.

use std::fmt::Write as _;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::Incoming;

/// SHA-256, hex, over room, sender, type and content with its keys in order.
pub(super) fn of(incoming: &Incoming) -> String {
    let mut canonical = String::new();
    for part in [&incoming.room_id, &incoming.sender, &incoming.event_type] {
        string(&mut canonical, part);
    }
    write(&mut canonical, &incoming.content);
    Sha256::digest(canonical.as_bytes())
        .iter()
        .fold(String::with_capacity(64), |mut hex, byte| {
            // Writing to a String cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}

/// Writes JSON without white space, keys in order whatever order the map keeps.
fn write(out: &mut String, value: &Value) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            out.push('{');
            for (key, value) in entries {
                string(out, key);
                write(out, value);
            }
            out.push('}');
        }
        Value::Array(all) => {
            out.push('[');
            all.iter().for_each(|value| write(out, value));
            out.push(']');
        }
        Value::String(text) => string(out, text),
        Value::Null | Value::Bool(_) | Value::Number(_) => {
            let _ = write!(out, "{value},");
        }
    }
}

/// A string with its length in front, so that no two lists of strings look alike.
fn string(out: &mut String, text: &str) {
    let _ = write!(out, "{}:{text},", text.len());
}
