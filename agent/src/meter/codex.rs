//! Codex: now and then a line with the totals of the session.

use std::collections::BTreeMap;

use fleet_protocol::scalar::Name;
use serde_json::Value;

use super::{Reader, Usage, count, name};

/// The model while no line has named one.
const UNNAMED: &str = "codex";

/// The counts of a transcript.
pub(super) struct Counts {
    session: Name,
    model: Option<Name>,
    /// The session's totals as they were last told.
    last: Usage,
    totals: BTreeMap<(Name, Name), Usage>,
}

impl Counts {
    pub(super) fn new(fallback: Name) -> Self {
        Self {
            session: fallback,
            model: None,
            last: Usage::default(),
            totals: BTreeMap::new(),
        }
    }

    /// Totals are of the session; what they gained since is the present model's.
    fn counted(&mut self, now: Usage) -> bool {
        let Some(model) = self.model.clone().or_else(|| name(UNNAMED)) else {
            return false;
        };
        let gained = now.beyond(self.last);
        self.last = now;
        let key = (self.session.clone(), model);
        self.totals.entry(key).or_default().add(gained);
        true
    }
}

impl Reader for Counts {
    fn line(&mut self, line: &Value) -> bool {
        let text = |of: &Value, key: &str| of.get(key).and_then(Value::as_str).map(str::to_owned);
        let (Some(kind), Some(payload)) = (text(line, "type"), line.get("payload")) else {
            return false;
        };
        match (kind.as_str(), text(payload, "type").as_deref()) {
            ("session_meta", _) => {
                // Another session is another count.
                if let Some(id) = text(payload, "id").as_deref().and_then(name) {
                    if id != self.session {
                        self.last = Usage::default();
                    }
                    self.session = id;
                }
                true
            }
            ("turn_context", _) => {
                self.model = text(payload, "model")
                    .as_deref()
                    .and_then(name)
                    .or(self.model.take());
                true
            }
            ("event_msg", Some("token_count")) => match payload.get("info") {
                // Limits are told before anything was spent.
                None | Some(Value::Null) => true,
                Some(info) => info
                    .get("total_token_usage")
                    .and_then(usage)
                    .is_some_and(|now| self.counted(now)),
            },
            ("event_msg" | "response_item" | "compacted", _) => true,
            _ => false,
        }
    }

    fn totals(self: Box<Self>) -> BTreeMap<(Name, Name), Usage> {
        self.totals
    }
}

/// Input counts what came from the cache as well; output counts the reasoning.
fn usage(of: &Value) -> Option<Usage> {
    let cached = match of.get("cached_input_tokens") {
        None | Some(Value::Null) => 0,
        Some(_) => count(of, "cached_input_tokens")?,
    };
    Some(Usage {
        input: count(of, "input_tokens")?.saturating_sub(cached),
        output: count(of, "output_tokens")?,
        cache_write: 0,
        cache_read: cached,
    })
}
