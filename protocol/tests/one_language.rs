//! One table of cases: for every verb, the chat line, the shell's arguments, the JSON body and the
//! structured event are the same value, and the value's canonical line gives it back.

mod language_cases;

use std::collections::BTreeSet;

use fleet_protocol::chat;
use fleet_protocol::envelope::Call;
use fleet_protocol::event::CommandContent;
use fleet_protocol::language::{self, Request};
use language_cases::cases;
use serde_json::json;

#[test]
fn every_surface_gives_the_same_value() {
    for case in cases() {
        let line = case.line;
        let from_chat = chat::parse(line).unwrap_or_else(|e| panic!("{line}: {:?}", e.problem()));
        let root = language::augment(
            clap::Command::new("fleet")
                .no_binary_name(true)
                .disable_help_subcommand(true),
        );
        let matches = root
            .try_get_matches_from(case.argv)
            .unwrap_or_else(|e| panic!("{line}: {e}"));
        let from_shell = language::from_matches(&matches).unwrap_or_else(|e| panic!("{line}: {e}"));
        let body: Call<Request> = serde_json::from_value(json!({"request": case.json}))
            .unwrap_or_else(|e| panic!("{line}: {e}"));
        let event = CommandContent::read(&json!({
            "v": 1, "id": "k", "command": case.json, "agent": {"name": "code-1", "host": "h1", "incarnation": 1}
        }))
        .unwrap_or_else(|e| panic!("{line}: {e:?}"));

        assert_eq!(from_chat, from_shell, "chat and shell differ: {line}");
        assert_eq!(from_chat, body.request, "chat and HTTP differ: {line}");
        assert_eq!(from_chat, event.command, "chat and event differ: {line}");
    }
}

#[test]
fn the_canonical_line_gives_the_request_back() {
    for case in cases() {
        let request = chat::parse(case.line).unwrap();
        let line = chat::line(&request);
        let again = chat::parse(line.strip_prefix('!').unwrap())
            .unwrap_or_else(|e| panic!("{line}: {:?}", e.problem()));
        assert_eq!(request, again, "{line}");
    }
}

#[test]
fn every_verb_has_a_case() {
    let covered: BTreeSet<&str> = cases()
        .iter()
        .map(|c| chat::parse(c.line).unwrap().name())
        .collect();
    let all: BTreeSet<&str> = language::verbs().map(|v| v.name).collect();
    assert_eq!(covered, all);
}

#[test]
fn every_verb_and_group_has_help() {
    let groups = language::groups().iter().map(|(g, _)| *g);
    for topic in language::verbs().map(|v| v.name).chain(groups) {
        let words: Vec<String> = topic.split('.').map(str::to_owned).collect();
        let view = chat::help(&words).unwrap_or_else(|p| panic!("{topic}: {p:?}"));
        let typed = format!("!{}", words.join(" "));
        let lines = view.groups.iter().flat_map(|g| &g.lines).map(|l| &l.what);
        let mut shown = view.usage.iter().chain(lines);
        assert!(shown.any(|l| l.starts_with(&typed)), "{topic}: {view:?}");
        assert!(!view.about.is_empty(), "{topic}");
    }
}
