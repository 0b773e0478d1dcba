use serde_json::json;

use super::*;

fn of(runtime: Runtime, text: &str) -> Result<Transcript, MeterError> {
    read(runtime, &"file".parse().unwrap(), text.as_bytes())
}

fn lines(all: &[Value]) -> String {
    all.iter().map(|line| format!("{line}\n")).collect()
}

/// A part of a message of Claude Code.
fn part(id: &str, model: &str, output: u64) -> Value {
    json!({
        "type": "assistant", "sessionId": "0A-session", "timestamp": "2026-11-23T12:00:00.000Z", "isSidechain": false,
        "message": { "id": id, "model": model, "role": "assistant", "content": [], "usage": {
            "input_tokens": 3, "cache_creation_input_tokens": 1_000, "cache_read_input_tokens": 20_000, "output_tokens": output,
            "service_tier": "standard", "what_is_new": { "nested": 1 },
        } },
    })
}

fn total(transcript: &Transcript, session: &str, model: &str) -> Option<Usage> {
    let key = (session.parse().unwrap(), model.parse().unwrap());
    transcript.totals.get(&key).copied()
}

#[test]
fn a_message_counts_once_with_its_greatest_usage_per_session_and_model() {
    let transcript = lines(&[
        json!({ "type": "summary", "summary": "a chat", "leafUuid": "x" }),
        json!({ "type": "user", "sessionId": "0A-session", "message": { "content": "hello" } }),
        part("m1", "claude-opus-4-5-20251101", 1),
        part("m1", "claude-opus-4-5-20251101", 200),
        part("m2", "claude-opus-4-5-20251101", 50),
        part("m3", "claude-haiku-4-5", 7),
        part("m4", "<synthetic>", 0),
    ]);
    let read = of(Runtime::ClaudeCode, &transcript).unwrap();
    let opus = Usage {
        input: 6,
        output: 250,
        cache_write: 2_000,
        cache_read: 40_000,
    };
    assert_eq!(total(&read, "0a-session", "opus"), Some(opus));
    assert_eq!(
        total(&read, "0a-session", "haiku").map(|u| u.output),
        Some(7)
    );
    assert_eq!(
        (read.totals.len(), read.passed_over, read.is_half),
        (2, 0, false)
    );
    assert_eq!(read.last.as_deref(), Some("2026-11-23T12:00:00.000Z"));
}

#[test]
fn a_half_line_is_read_when_it_is_whole() {
    let whole = lines(&[
        part("m1", "claude-sonnet-4-5", 10),
        part("m2", "claude-sonnet-4-5", 20),
    ]);
    let output = |text: &str| {
        let read = of(Runtime::ClaudeCode, text).unwrap();
        (
            total(&read, "0a-session", "sonnet").map(|u| u.output),
            read.is_half,
        )
    };
    assert_eq!(output(&whole), (Some(30), false));
    // Wherever it was cut: what is known never shrinks to less than the whole lines before.
    let first = whole.find('\n').unwrap() + 1;
    for cut in first + 1..whole.len() {
        assert_eq!(output(&whole[..cut]), (Some(10), true), "{cut}");
    }
    let nothing = of(Runtime::ClaudeCode, &whole[..first - 1]).unwrap();
    assert!(
        nothing.totals.is_empty() && nothing.is_half,
        "no total is no zero"
    );
}

#[test]
fn what_is_not_understood_is_unknown_and_never_zero() {
    for text in [
        "hello\n",
        "{\"a\": 1}\n",
        "[1, 2]\n\n{\"type\": \"assistant\"}\n",
        "{\"type\": \"assistant\", \"message\": {\"id\": \"m\", \"model\": \"claude-opus\", \"usage\": {\"input_tokens\": -5, \"output_tokens\": 1}}}\n",
        "{\"type\": \"assistant\", \"message\": {\"id\": \"m\", \"model\": \"claude-opus\", \"usage\": {\"tokens\": 5}}}\n",
    ] {
        for runtime in [Runtime::ClaudeCode, Runtime::Codex] {
            let read = of(runtime, text);
            assert!(
                matches!(read, Err(MeterError::Unknown { .. })),
                "{text}: {read:?}"
            );
        }
    }
    for runtime in [Runtime::ClaudeCode, Runtime::Codex] {
        let empty = of(runtime, "\n").unwrap();
        assert!(
            empty.totals.is_empty(),
            "an empty transcript has no total, not one of zero"
        );
    }
    // One odd line among others is counted, and the rest is a lower bound.
    let mixed = format!("{{oops\n{}", lines(&[part("m1", "claude-opus-4-5", 10)]));
    let read = of(Runtime::ClaudeCode, &mixed).unwrap();
    assert_eq!(
        (
            read.passed_over,
            total(&read, "0a-session", "opus").map(|u| u.output)
        ),
        (1, Some(10))
    );
}

#[test]
fn totals_of_codex_belong_to_the_model_of_their_time_and_never_go_back() {
    let count = |input: u64, cached: u64, output: u64| {
        let total = json!({ "input_tokens": input, "cached_input_tokens": cached, "output_tokens": output, "reasoning_output_tokens": 1, "total_tokens": 0 });
        json!({ "timestamp": "t", "type": "event_msg", "payload": { "type": "token_count", "info": { "total_token_usage": total, "model_context_window": 1 }, "rate_limits": {} } })
    };
    let model =
        |model: &str| json!({ "type": "turn_context", "payload": { "model": model, "cwd": "/" } });
    let transcript = lines(&[
        json!({ "type": "session_meta", "payload": { "id": "0199-abc", "cwd": "/" } }),
        json!({ "type": "event_msg", "payload": { "type": "token_count", "info": null } }),
        model("gpt-5-codex"),
        count(1_000, 600, 50),
        json!({ "type": "response_item", "payload": { "type": "message" } }),
        count(3_000, 2_000, 90),
        model("gpt-5"),
        count(2_500, 2_000, 80),
        count(4_500, 3_000, 200),
    ]);
    let read = of(Runtime::Codex, &transcript).unwrap();
    let codex = Usage {
        input: 1_000,
        output: 90,
        cache_write: 0,
        cache_read: 2_000,
    };
    assert_eq!(total(&read, "0199-abc", "gpt-5-codex"), Some(codex));
    // From 2,500 back again to 4,500: 1,000 that did not come from the cache, and 1,000 that did.
    let later = total(&read, "0199-abc", "gpt-5").unwrap();
    assert_eq!(
        (later.input, later.cache_read, later.output),
        (1_000, 1_000, 120)
    );
    assert_eq!(read.passed_over, 0);
}

#[test]
fn a_line_longer_than_any_usage_is_passed_over() {
    let long = format!(
        "{{\"type\": \"user\", \"text\": \"{}\"}}\n",
        "x".repeat(LONGEST)
    );
    let text = format!("{long}{}", lines(&[part("m1", "claude-opus-4-5", 10)]));
    let read = of(Runtime::ClaudeCode, &text).unwrap();
    assert_eq!((read.passed_over, read.totals.len()), (1, 1));
}

#[test]
fn words_of_others_become_names() {
    for (word, expected) in [
        ("GPT-5 Codex", Some("gpt-5-codex")),
        ("us.anthropic/claude:1", Some("us.anthropic-claude-1")),
        ("..x", Some("x")),
        ("  ", None),
        ("--", None),
    ] {
        assert_eq!(name(word).as_ref().map(Name::as_str), expected, "{word}");
    }
}
