//! What people type, above all on phones, and what they are told when it is wrong.

#![expect(clippy::panic, reason = "a helper of tests fails the test")]

use fleet_protocol::chat::{self, token};
use fleet_protocol::language::{Query, Request};
use fleet_protocol::problem::{Code, Place, Problem};
use fleet_protocol::verbs::fleet::Help;
use proptest::prelude::*;

fn problem(line: &str) -> Problem {
    match chat::parse(line) {
        Ok(request) => panic!("{line} was read as {request:?}"),
        Err(error) => error.problem(),
    }
}

/// The word that the caret stands under.
fn marked(problem: &Problem) -> String {
    match &problem.at {
        Some(Place::Word { line, start, len }) => line
            .chars()
            .skip(*start as usize)
            .take(*len as usize)
            .collect(),
        other => panic!("no word: {other:?}"),
    }
}

#[test]
fn what_phones_type_means_what_was_meant() {
    for (phone, plain) in [
        ("task add “Write notes”", "task add \"Write notes\""),
        ("task add „Write notes‟", "task add \"Write notes\""),
        (
            "task add “Don't” —type coding",
            "task add \"Don't\" --type coding",
        ),
        ("task add Don't", "task add \"Don't\""),
        ("task add Don’t", "task add \"Don’t\""),
        ("task add x –priority 5", "task add x --priority 5"),
        ("task add x —-priority 5", "task add x --priority 5"),
        ("Task Add x", "task add x"),
        ("task\u{a0}add\u{200b} x\u{feff}", "task add x"),
        ("\u{200f}task add x", "task add x"),
        ("!task add x", "task add x"),
        ("task.add x", "task add x"),
        ("task add 'it's done'", "task add \"it's done\""),
        (
            "task add --brief='two words' x",
            "task add --brief \"two words\" x",
        ),
        ("task add C:\\temp", "task add \"C:\\\\temp\""),
        ("task add a\\ b", "task add \"a b\""),
        ("task add x\n--priority 5", "task add x --priority 5"),
        ("board vote p1 Approve", "board vote p1 approve"),
    ] {
        assert_eq!(chat::parse(phone), chat::parse(plain), "{phone}");
        assert!(
            chat::parse(phone).is_ok(),
            "{phone}: {:?}",
            chat::parse(phone)
        );
    }
}

#[test]
fn text_in_quotes_is_kept_to_the_letter() {
    let Ok(request) = chat::parse("task add \"a\u{200d}b — ‘c’ <b>\" --brief \"one\n!two\"")
    else {
        panic!("refused")
    };
    let json = serde_json::to_value(request).unwrap();
    assert_eq!(json["task.add"]["title"], "a\u{200d}b — ‘c’ <b>");
    assert_eq!(json["task.add"]["brief"], "one\n!two");
}

#[test]
fn the_wrong_word_is_named_with_a_line_that_works() {
    for (line, code, word, detail, suggestion) in [
        (
            "tsak add x",
            Code::UnknownCommand,
            "tsak",
            "\"tsak\" is not a command",
            Some("!task add x"),
        ),
        (
            "task ad x",
            Code::UnknownCommand,
            "ad",
            "\"ad\" is not a task command",
            Some("!task add x"),
        ),
        (
            "vote p1 approve",
            Code::UnknownCommand,
            "vote",
            "\"vote\" is not a command",
            Some("!board vote p1 approve"),
        ),
        (
            "frobnicate",
            Code::UnknownCommand,
            "frobnicate",
            "\"frobnicate\" is not a command",
            None,
        ),
        (
            "task add x --type codng",
            Code::BadArgument,
            "codng",
            "\"codng\" is not one of coding, deploy, research, review, documentation or infrastructure",
            Some("!task add x --type coding"),
        ),
        (
            "task add Write the notes --priority 5",
            Code::BadArgument,
            "the",
            "\"the\" is one word too many",
            Some("!task add \"Write the notes\" --priority 5"),
        ),
        (
            "task complete t3 --summary all green",
            Code::BadArgument,
            "green",
            "one word too many",
            Some("!task complete t3 --summary \"all green\""),
        ),
        (
            "task add x --prioritty 5",
            Code::BadArgument,
            "--prioritty",
            "!task add has no option --prioritty; it takes --brief,",
            Some("!task add x --priority 5"),
        ),
        (
            "task add x -priority 5",
            Code::BadArgument,
            "-priority",
            "has no option",
            Some("!task add x --priority 5"),
        ),
        (
            "task add x --priority 101",
            Code::BadArgument,
            "101",
            "\"101\" is not a percentage; write a whole number from 0 to 100",
            None,
        ),
        (
            "task show 142",
            Code::BadArgument,
            "142",
            "\"142\" is not a task; write it like t12",
            None,
        ),
        (
            "task add x --depends-on t1,y2",
            Code::BadArgument,
            "t1,y2",
            "\"y2\" is not a task",
            None,
        ),
        (
            "board vote 12 approve",
            Code::BadArgument,
            "12",
            "\"12\" is not a proposal",
            None,
        ),
        (
            "board vote aprove",
            Code::BadArgument,
            "aprove",
            "is not one of approve, reject, abstain, veto or conditional",
            Some("!board vote approve"),
        ),
        (
            "budget set --provider claude --limit 1.5 --unit tokens",
            Code::BadArgument,
            "1.5",
            "is not a whole number",
            None,
        ),
        (
            "budget set --provider claude --limit 99999999999999999999 --unit tokens",
            Code::BadArgument,
            "99999999999999999999",
            "is too large",
            None,
        ),
        (
            "budget set --provider claude --limit -5 --unit tokens",
            Code::BadArgument,
            "-5",
            "is not a whole number",
            None,
        ),
        (
            "budget reset --provider claude --reset-at 2026-02-31T09:00",
            Code::BadArgument,
            "2026-02-31T09:00",
            "is not a time",
            None,
        ),
        (
            "member add dana",
            Code::BadArgument,
            "dana",
            "is not a Matrix user id",
            None,
        ),
        (
            "task progress t1 --note a --note b",
            Code::BadArgument,
            "--note",
            "--note is given twice",
            None,
        ),
        (
            "task complete t1 --tokens 5 --unknown-spend no",
            Code::BadArgument,
            "--tokens",
            "exclude each other",
            None,
        ),
        (
            "task list --ready=yes",
            Code::BadArgument,
            "--ready=yes",
            "takes no value",
            None,
        ),
        (
            "task add x --type",
            Code::BadArgument,
            "--type",
            "--type needs a value behind it: coding,",
            None,
        ),
        (
            "board propose x --effect \"pause --reson y\"",
            Code::BadArgument,
            "\"pause --reson y\"",
            "is not a command",
            None,
        ),
        (
            "board propose x --effect ps",
            Code::BadArgument,
            "ps",
            "only reads",
            None,
        ),
        (
            "task add \"never closed",
            Code::UnclosedQuote,
            "\"",
            "never closed",
            None,
        ),
        (
            "task add x\n!task add y",
            Code::TwoCommands,
            "!task",
            "two commands in one message",
            None,
        ),
    ] {
        let problem = problem(line);
        assert_eq!(problem.code, code, "{line}: {problem:?}");
        assert!(
            problem.detail.contains(detail),
            "{line}: {}",
            problem.detail
        );
        assert_eq!(marked(&problem), word, "{line}: {:?}", problem.at);
        assert_eq!(problem.suggestion.as_deref(), suggestion, "{line}");
        assert!(problem.remedy.is_some(), "{line}");
    }
}

#[test]
fn what_is_missing_is_named_and_the_caret_stands_behind_the_line() {
    let problem = problem("task fail t1");
    assert_eq!(problem.detail, "an argument is missing: --reason (Why)");
    assert_eq!(
        problem.at,
        Some(Place::Word {
            line: "!task fail t1 ".into(),
            start: 13,
            len: 1
        })
    );
    assert_eq!(problem.remedy.as_deref(), Some("type: !help task fail"));
}

#[test]
fn help_is_understood_wherever_it_is_asked_for() {
    for (line, topic) in [
        ("help", vec![]),
        ("--help", vec![]),
        ("task", vec!["task"]),
        ("task help", vec!["task"]),
        ("task add -h", vec!["task", "add"]),
        ("task add x —help", vec!["task", "add"]),
    ] {
        let topic = topic.into_iter().map(str::to_owned).collect();
        assert_eq!(
            chat::parse(line).ok(),
            Some(Request::Query(Query::Help(Help { topic }))),
            "{line}"
        );
    }
}

#[test]
fn a_line_beyond_the_limit_is_refused_before_it_is_read() {
    assert_eq!(
        problem(&format!("task add {}", "x".repeat(chat::MAX_LINE))).code,
        Code::LineTooLong
    );
}

#[test]
fn a_long_line_is_shown_cut_around_the_wrong_word() {
    let problem = problem(&format!(
        "task add \"{}\" --wrong {}",
        "a".repeat(500),
        "b".repeat(500)
    ));
    assert_eq!(marked(&problem), "--wrong");
    let Some(Place::Word { line, .. }) = &problem.at else {
        panic!("no word")
    };
    assert!(line.chars().count() < 300, "{line}");
}

#[test]
fn help_for_an_unknown_topic_names_the_nearest() {
    let problem = chat::help(&["task".into(), "ad".into()]).unwrap_err();
    assert_eq!(problem.suggestion.as_deref(), Some("!help task add"));
}

/// Lines of pieces that exercise the grammar, and any Unicode between them.
fn lines() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        any::<String>(),
        prop::sample::select(vec![
            " ", "\n", "\"", "'", "“", "”", "’", "—", "–", "-", "--", "\\", "!", "=", "\u{200b}",
            "task", "add", "board", "vote", "propose", "approve", "t1", "p2", "--type", "--type=x",
            "--reason", "--effect", "because", "help", "@a:b", "--seat", "é", "日", "👍🏽",
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|p| p.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_line_is_read_or_refused_with_a_place_that_fits(line in lines()) {
        if let Err(error) = chat::parse(&line) {
            let problem = error.problem();
            if let Some(Place::Word { line, start, len }) = &problem.at {
                prop_assert!(*len >= 1);
                prop_assert!((*start as usize) < line.chars().count(), "{problem:?}");
                prop_assert!(!line.contains('\n'));
            }
            if let Some(suggestion) = problem.suggestion {
                prop_assert!(chat::parse(&suggestion).is_ok(), "{suggestion}");
            }
        }
    }

    #[test]
    fn any_word_behind_a_verb_is_read_or_refused(verb in prop::sample::select(fleet_protocol::language::verbs().map(|v| v.name).collect::<Vec<_>>()), rest in lines()) {
        if let Ok(request) = chat::parse(&format!("{} {rest}", verb.replace('.', " "))) {
            let line = chat::line(&request);
            prop_assert_eq!(chat::parse(&line).ok(), Some(request), "{}", line);
        }
    }

    #[test]
    fn spans_lie_on_character_boundaries_in_order(line in lines()) {
        if let Ok(words) = token::split(&line) {
            let mut end = 0;
            for word in words {
                prop_assert!(line.get(word.span.clone()).is_some_and(|w| !w.is_empty()));
                prop_assert!(word.span.start >= end);
                end = word.span.end;
            }
        }
    }

    #[test]
    fn a_quoted_text_is_one_word_again(texts in prop::collection::vec(any::<String>(), 1..5)) {
        let line = texts.iter().map(|t| token::quote(t)).collect::<Vec<_>>().join(" ");
        let words: Vec<String> = token::split(&line).unwrap().into_iter().map(|w| w.text).collect();
        prop_assert_eq!(words, texts);
    }
}
