//! Claude Code: one line per part of a message, each with the usage of the whole message so far.

use std::collections::BTreeMap;

use fleet_protocol::Timestamp;
use fleet_protocol::scalar::Name;
use serde_json::Value;

use super::{Reader, Usage, count, name};

/// Families whose prices and limits are known by one word, whatever their version is.
const FAMILIES: [&str; 3] = ["opus", "sonnet", "haiku"];
/// The model of messages that the runtime wrote itself.
const SYNTHETIC: &str = "<synthetic>";

/// The messages of a session's transcripts.
pub(crate) struct Messages {
    fallback: Name,
    /// By session, model and message: a message that is written again has one usage, its greatest.
    seen: BTreeMap<(Name, Name, String), Message>,
    /// The last message of the session itself, not of a helper that it started.
    last: Option<Usage>,
}

/// A message of the model.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Message {
    /// What it used.
    pub(crate) usage: Usage,
    /// When its first part was written, by the clock of its machine.
    pub(crate) at: Option<Timestamp>,
}

impl Messages {
    /// None yet; `fallback` names a session that the lines do not name.
    pub(crate) fn new(fallback: Name) -> Self {
        Self {
            fallback,
            seen: BTreeMap::new(),
            last: None,
        }
    }

    /// Each message once, with its model.
    pub(crate) fn each(&self) -> impl Iterator<Item = (&Name, &Message)> {
        self.seen
            .iter()
            .map(|((_, model, _), message)| (model, message))
    }

    /// Tokens in the context now, if the lines say.
    pub(crate) fn context(&self) -> Option<u64> {
        self.last.map(Usage::all)
    }
}

impl Reader for Messages {
    fn line(&mut self, line: &Value) -> bool {
        let Some(kind) = line.get("type").and_then(Value::as_str) else {
            return false;
        };
        if kind != "assistant" {
            // Questions, summaries, snapshots of files: nothing was spent on them.
            return true;
        }
        let Some(message) = line.get("message") else {
            return false;
        };
        let text = |key| message.get(key).and_then(Value::as_str);
        if text("model") == Some(SYNTHETIC) {
            return true;
        }
        let usage = message.get("usage").and_then(usage);
        let (Some(model), Some(id), Some(usage)) = (text("model"), text("id"), usage) else {
            return false;
        };
        let Some(model) = family(model) else {
            return false;
        };
        if line.get("isSidechain").and_then(Value::as_bool) != Some(true) {
            self.last = Some(usage);
        }
        let session = line.get("sessionId").and_then(Value::as_str);
        let session = session.and_then(name).unwrap_or(self.fallback.clone());
        let known = self
            .seen
            .entry((session, model, id.to_owned()))
            .or_default();
        known.usage = known.usage.most(usage);
        let at = || line.get("timestamp").and_then(Value::as_str)?.parse().ok();
        known.at = known.at.or_else(|| at().map(Timestamp));
        true
    }

    fn totals(self: Box<Self>) -> BTreeMap<(Name, Name), Usage> {
        let mut totals: BTreeMap<(Name, Name), Usage> = BTreeMap::new();
        for ((session, model, _), message) in self.seen {
            totals
                .entry((session, model))
                .or_default()
                .add(message.usage);
        }
        totals
    }
}

/// Input and output must be there; a cache that is not mentioned was not used.
fn usage(of: &Value) -> Option<Usage> {
    let cached = |key| match of.get(key) {
        None | Some(Value::Null) => Some(0),
        Some(_) => count(of, key),
    };
    Some(Usage {
        input: count(of, "input_tokens")?,
        output: count(of, "output_tokens")?,
        cache_write: cached("cache_creation_input_tokens")?,
        cache_read: cached("cache_read_input_tokens")?,
    })
}

/// `claude-opus-4-5-20251101` is `opus`; a model of no known family keeps its name.
fn family(model: &str) -> Option<Name> {
    let family = FAMILIES.into_iter().find(|family| model.contains(family));
    name(family.unwrap_or(model))
}
