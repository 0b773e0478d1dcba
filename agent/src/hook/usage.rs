//! What a runtime's own record of a session says about tokens: pure reading of JSON lines.
//!
//! Claude Code writes one line per block of an answer, so the same answer comes several times, with
//! its id; the last line of an id counts.

use std::collections::BTreeMap;

use fleet_protocol::Timestamp;
use fleet_protocol::scalar::Name;
use serde::Deserialize;

/// Tokens of one answer, or of several.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Tokens {
    /// Input that was not cached.
    #[serde(default, rename = "input_tokens")]
    pub(super) input: u64,
    /// Output.
    #[serde(default, rename = "output_tokens")]
    pub(super) output: u64,
    /// Input that was written to the cache.
    #[serde(default, rename = "cache_creation_input_tokens")]
    pub(super) cache_write: u64,
    /// Input that was read from the cache.
    #[serde(default, rename = "cache_read_input_tokens")]
    pub(super) cache_read: u64,
}

impl Tokens {
    /// All of them: what the model had before it, and what it added.
    pub(super) fn all(self) -> u64 {
        [self.output, self.cache_write, self.cache_read]
            .into_iter()
            .fold(self.input, u64::saturating_add)
    }

    fn add(&mut self, more: Self) {
        self.input = self.input.saturating_add(more.input);
        self.output = self.output.saturating_add(more.output);
        self.cache_write = self.cache_write.saturating_add(more.cache_write);
        self.cache_read = self.cache_read.saturating_add(more.cache_read);
    }
}

/// The answers of a session, each once.
#[derive(Debug, Default)]
pub(super) struct Usage {
    answers: BTreeMap<String, Answer>,
    /// The last answer of the session itself, not of a helper that it started.
    last: Option<Tokens>,
}

#[derive(Debug)]
struct Answer {
    at: Timestamp,
    model: Name,
    tokens: Tokens,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    timestamp: Timestamp,
    #[serde(default)]
    is_sidechain: bool,
    message: Message,
}

#[derive(Deserialize)]
struct Message {
    id: String,
    model: String,
    usage: Tokens,
}

impl Usage {
    /// Takes a line of the record; a line that is no answer is passed over.
    pub(super) fn take(&mut self, line: &str) {
        // Most lines are not about tokens; a record has many megabytes.
        if !line.contains("\"usage\"") {
            return;
        }
        let Ok(line) = serde_json::from_str::<Line>(line) else {
            return;
        };
        // What the runtime itself put in has a model in angle brackets and cost nothing.
        let Ok(model) = line.message.model.parse::<Name>() else {
            return;
        };
        if !line.is_sidechain {
            self.last = Some(line.message.usage);
        }
        let answer = Answer {
            at: line.timestamp,
            model,
            tokens: line.message.usage,
        };
        self.answers
            .entry(line.message.id)
            .and_modify(|known| known.tokens = answer.tokens)
            .or_insert(answer);
    }

    /// Tokens in the context now, if the record says.
    pub(super) fn context(&self) -> Option<u64> {
        self.last.map(Tokens::all)
    }

    /// Totals by model of each span of work: an answer belongs to the span that began last before it.
    /// `begun` holds the beginnings, ascending.
    pub(super) fn by_span(&self, begun: &[Timestamp]) -> Vec<BTreeMap<Name, Tokens>> {
        let mut spans = vec![BTreeMap::<Name, Tokens>::new(); begun.len()];
        for answer in self.answers.values() {
            let after = begun.partition_point(|began| *began <= answer.at);
            if let Some(span) = after.checked_sub(1).and_then(|i| spans.get_mut(i)) {
                span.entry(answer.model.clone())
                    .or_default()
                    .add(answer.tokens);
            }
        }
        spans
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: &str, minute: u32, model: &str, side: bool, tokens: [u64; 4]) -> String {
        let [input, output, write, read] = tokens;
        serde_json::json!({
            "type": "assistant", "timestamp": format!("2026-11-25T10:{minute:02}:00.000Z"), "isSidechain": side,
            "message": { "id": id, "model": model, "role": "assistant", "content": [], "usage": {
                "input_tokens": input, "output_tokens": output,
                "cache_creation_input_tokens": write, "cache_read_input_tokens": read,
                "service_tier": "standard" } },
        })
        .to_string()
    }

    fn at(minute: u32) -> Timestamp {
        serde_json::from_value(serde_json::json!(format!("2026-11-25T10:{minute:02}:00Z"))).unwrap()
    }

    #[test]
    fn an_answer_on_several_lines_counts_once_and_belongs_to_the_work_begun_before_it() {
        let mut usage = Usage::default();
        for text in [
            line("m0", 1, "opus", false, [5, 5, 5, 5]),
            line("m1", 11, "opus", false, [10, 1, 100, 0]),
            line("m1", 11, "opus", false, [10, 20, 100, 0]),
            line("m2", 12, "haiku", true, [7, 7, 0, 0]),
            line("m3", 21, "opus", false, [2, 30, 0, 130]),
            line("m4", 22, "<synthetic>", false, [0, 0, 0, 0]),
            "{\"type\":\"user\",\"message\":{\"content\":\"\\\"usage\\\"\"}}".into(),
            "half a li".into(),
        ] {
            usage.take(&text);
        }
        assert_eq!(usage.context(), Some(162));
        let spans = usage.by_span(&[at(10), at(20)]);
        let of =
            |span: usize, model: &str| spans[span].get(&model.parse::<Name>().unwrap()).copied();
        let first = Tokens {
            input: 10,
            output: 20,
            cache_write: 100,
            cache_read: 0,
        };
        assert_eq!(of(0, "opus"), Some(first));
        assert_eq!(of(0, "haiku").map(Tokens::all), Some(14));
        assert_eq!(of(1, "opus").map(Tokens::all), Some(162));
        assert_eq!(of(1, "haiku"), None);
        assert!(usage.by_span(&[]).is_empty());
    }

    #[test]
    fn a_record_without_answers_says_nothing_about_the_context() {
        assert_eq!(Usage::default().context(), None);
    }
}
