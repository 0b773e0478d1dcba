//! Cutting a message that the homeserver finds too large (architecture.md, "Way out" 4).

use serde_json::{Value, json};

use fleet_protocol::event::TWIN;

/// Longest plain body that is left: the homeserver's limit of 64 KiB is on the whole event.
const BODY: usize = 40 * 1_024;

/// The content with its plain body cut, without HTML and without all of the twin but the row's id.
/// None if it has no body to cut.
pub(crate) fn cut(content: &Value) -> Option<Value> {
    let mut short = content.as_object()?.clone();
    let body = cut_text(short.get("body")?.as_str()?);
    short.remove("format");
    short.remove("formatted_body");
    short.insert("body".to_owned(), body.clone().into());
    if let Some(new) = short
        .get_mut("m.new_content")
        .and_then(Value::as_object_mut)
    {
        new.remove("format");
        new.remove("formatted_body");
        new.remove(TWIN);
        let inner = new
            .get("body")
            .and_then(Value::as_str)
            .map_or(body, cut_text);
        // Both texts are in one event: the one that clients show after the edit keeps its length.
        short.insert("body".to_owned(), "* (shortened)".into());
        if let Some(new) = short
            .get_mut("m.new_content")
            .and_then(Value::as_object_mut)
        {
            new.insert("body".to_owned(), inner.into());
        }
    }
    if let Some(row) = short.get(TWIN).and_then(|twin| twin.get("row")).cloned() {
        short.insert(TWIN.to_owned(), json!({ "row": row, "cut": true }));
    }
    Some(Value::Object(short))
}

/// Whole lines up to the limit, and how many are missing.
fn cut_text(text: &str) -> String {
    let Some(end) = fitting(text, BODY - 120) else {
        return text.to_owned();
    };
    let head = text.get(..end).unwrap_or_default();
    let head = head
        .rfind('\n')
        .and_then(|line| head.get(..line))
        .unwrap_or(head);
    let more = text
        .get(head.len()..)
        .unwrap_or_default()
        .trim_start_matches('\n')
        .lines()
        .count();
    let lines = if more == 1 { "line" } else { "lines" };
    format!(
        "{head}\n… {more} more {lines}; use a narrower command, or the same with `fleet … --json` in a shell."
    )
}

/// How much of a text takes at most `room` bytes as JSON, where a line break takes two; none if all.
fn fitting(text: &str, room: usize) -> Option<usize> {
    let mut taken = 0;
    text.char_indices().find_map(|(at, c)| {
        taken += match c {
            '"' | '\\' | '\n' | '\r' | '\t' => 2,
            c if c.is_control() => 6,
            c => c.len_utf8(),
        };
        (taken > room).then_some(at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_body_ends_at_a_line_and_says_what_is_missing() {
        let body = (0..10_000)
            .map(|n| format!("line {n}\n"))
            .collect::<String>();
        let content = json!({
            "msgtype": "m.notice", "body": body, "format": "org.matrix.custom.html", "formatted_body": body,
            TWIN: { "row": "5c1d", "reply": "x".repeat(60_000) },
        });
        let short = cut(&content).unwrap();
        let text = short["body"].as_str().unwrap();
        assert!(serde_json::to_vec(&short).unwrap().len() < 48 * 1_024);
        assert!(short.get("formatted_body").is_none());
        assert_eq!(short[TWIN], json!({ "row": "5c1d", "cut": true }));
        let (kept, rest) = text.split_once("\n… ").unwrap();
        let kept_lines = kept.lines().count();
        assert!(
            kept.ends_with(&format!("line {}", kept_lines - 1)),
            "a line is cut in its middle"
        );
        assert!(
            rest.starts_with(&format!("{} more lines", 10_000 - kept_lines)),
            "{rest}"
        );
    }

    #[test]
    fn one_endless_line_is_cut_between_characters() {
        let short = cut_text(&"é".repeat(50_000));
        assert!(
            short.len() <= BODY && short.contains("1 more line;"),
            "{}",
            short.len()
        );
    }

    #[test]
    fn an_edit_keeps_its_new_text() {
        let long = "word\n".repeat(20_000);
        let content = json!({ "body": format!("* {long}"), "m.new_content": { "body": long, "formatted_body": long } });
        let short = cut(&content).unwrap();
        assert!(
            short["m.new_content"]["body"]
                .as_str()
                .unwrap()
                .starts_with("word\n")
        );
        assert!(serde_json::to_vec(&short).unwrap().len() < 48 * 1_024);
    }

    #[test]
    fn what_has_no_body_cannot_be_cut() {
        assert_eq!(cut(&json!({ "v": 1 })), None);
    }
}
