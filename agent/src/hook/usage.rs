//! What a session's transcripts say to the hooks: how full the context is, and what each span of work has cost.

use std::collections::BTreeMap;
use std::io::{BufRead, Error};

use fleet_protocol::Timestamp;
use fleet_protocol::scalar::Name;

use crate::meter::claude::Messages;
use crate::meter::{Reader as _, Usage, whole_line};

/// Takes in a transcript. A line that is no message is passed over, and one without its end is not written yet.
///
/// # Errors
/// The transcript's; what was read before it counts.
pub(super) fn take(messages: &mut Messages, mut transcript: impl BufRead) -> Result<(), Error> {
    while let Some(line) = whole_line(&mut transcript)? {
        // Most lines are not about tokens; a transcript has many megabytes.
        if !std::str::from_utf8(&line).is_ok_and(|text| text.contains("\"usage\"")) {
            continue;
        }
        if let Ok(line) = serde_json::from_slice(&line) {
            messages.line(&line);
        }
    }
    Ok(())
}

/// Totals by model of each span of work: a message belongs to the span that began last before it.
/// `begun` holds the beginnings, ascending, by the clock that the transcript has its times from.
pub(super) fn by_span(messages: &Messages, begun: &[Timestamp]) -> Vec<BTreeMap<Name, Usage>> {
    let mut spans = vec![BTreeMap::<Name, Usage>::new(); begun.len()];
    for (model, message) in messages.each() {
        let Some(at) = message.at else { continue };
        let after = begun.partition_point(|began| *began <= at);
        if let Some(span) = after.checked_sub(1).and_then(|i| spans.get_mut(i)) {
            span.entry(model.clone()).or_default().add(message.usage);
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: &str, minute: u32, model: &str, side: bool, tokens: [u64; 4]) -> String {
        let [input, output, write, read] = tokens;
        let line = serde_json::json!({
            "type": "assistant", "timestamp": format!("2026-11-25T10:{minute:02}:00.000Z"), "isSidechain": side,
            "message": { "id": id, "model": model, "role": "assistant", "content": [], "usage": {
                "input_tokens": input, "output_tokens": output,
                "cache_creation_input_tokens": write, "cache_read_input_tokens": read,
                "service_tier": "standard" } },
        });
        format!("{line}\n")
    }

    fn at(minute: u32) -> Timestamp {
        serde_json::from_value(serde_json::json!(format!("2026-11-25T10:{minute:02}:00Z"))).unwrap()
    }

    fn none() -> Messages {
        Messages::new("s-1".parse().unwrap())
    }

    #[test]
    fn a_message_in_several_parts_counts_once_and_belongs_to_the_work_begun_before_it() {
        let mut messages = none();
        let text = [
            line("m0", 1, "opus", false, [5, 5, 5, 5]),
            line("m1", 11, "opus", false, [10, 1, 100, 0]),
            line("m1", 11, "opus", false, [10, 20, 100, 0]),
            line("m2", 12, "haiku", true, [7, 7, 0, 0]),
            line("m3", 21, "claude-opus-4-5", false, [2, 30, 0, 130]),
            line("m4", 22, "<synthetic>", false, [0, 0, 0, 0]),
            "{\"type\":\"user\",\"message\":{\"content\":\"\\\"usage\\\"\"}}\n".into(),
            "{\"usage\"\n".into(),
            line("m5", 23, "opus", false, [9, 9, 9, 9])
                .trim_end()
                .into(),
        ];
        take(&mut messages, text.concat().as_bytes()).unwrap();
        assert_eq!(messages.context(), Some(162));
        let spans = by_span(&messages, &[at(10), at(20)]);
        let of =
            |span: usize, model: &str| spans[span].get(&model.parse::<Name>().unwrap()).copied();
        let first = Usage {
            input: 10,
            output: 20,
            cache_write: 100,
            cache_read: 0,
        };
        assert_eq!(of(0, "opus"), Some(first));
        assert_eq!(of(0, "haiku").map(Usage::all), Some(14));
        assert_eq!(of(1, "opus").map(Usage::all), Some(162));
        assert_eq!(of(1, "haiku"), None);
        assert!(by_span(&messages, &[]).is_empty());
    }

    #[test]
    fn a_transcript_without_messages_says_nothing_about_the_context() {
        assert_eq!(none().context(), None);
    }
}
