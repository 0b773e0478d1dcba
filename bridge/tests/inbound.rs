//! Which events are said to the fleet, and what they say.

#![expect(clippy::panic, reason = "a helper of tests fails the test")]

use fleet_bridge::inbound::{Incoming, Limits, Reading, read};
use fleet_protocol::Timestamp;
use fleet_protocol::envelope::{BallotInput, Body, Envelope, Provenance};
use fleet_protocol::problem::{Code, Place, Problem};
use fleet_protocol::verbs::board::Verdict;
use proptest::prelude::*;
use serde_json::{Value, json};

const NOW: i64 = 1_780_000_000_000;
const HOUR: i64 = 3_600_000;

fn event(event_type: &str, content: Value) -> Incoming {
    Incoming {
        room_id: "!room:example.org".into(),
        event_id: "$event".into(),
        sender: "@dana:example.org".into(),
        origin_ts: NOW - 1_000,
        event_type: event_type.into(),
        content,
        state_key: None,
        redacts: None,
        joined: true,
        power_level: 50,
        provenance: Provenance::Live,
    }
}

fn message(body: &str) -> Incoming {
    event("m.room.message", json!({"msgtype": "m.text", "body": body}))
}

fn mentioning(body: &str) -> Incoming {
    let mut incoming = message(body);
    incoming.content["m.mentions"] = json!({"user_ids": ["@fleet:example.org"]});
    incoming
}

fn reply(body: &str) -> Incoming {
    let mut incoming = mentioning(body);
    incoming.content["m.relates_to"] = json!({"m.in_reply_to": {"event_id": "$card"}});
    incoming
}

fn reaction(key: &str) -> Incoming {
    let relation = json!({"rel_type": "m.annotation", "event_id": "$card", "key": key});
    event("m.reaction", json!({ "m.relates_to": relation }))
}

fn command(change: impl Fn(&mut Value)) -> Incoming {
    let mut content = json!({
        "v": 1, "id": "k1", "command": {"task.claim": {}},
        "agent": {"name": "code-1", "host": "h1", "incarnation": 2}
    });
    change(&mut content);
    event("dev.mosaicstack.fleet.command", content)
}

fn reading(incoming: &Incoming) -> Reading {
    let Ok(bot) = "@fleet:example.org".parse() else {
        panic!("no user id")
    };
    read(incoming, &Limits::new(bot, Timestamp::from_millis(NOW)))
}

fn envelope(incoming: &Incoming) -> Envelope {
    match reading(incoming) {
        Reading::Submit(envelope) => *envelope,
        Reading::Skip => panic!("skipped: {incoming:?}"),
    }
}

fn problem(incoming: &Incoming) -> Problem {
    match envelope(incoming).body {
        Body::Refused(problem) | Body::RefusedEvent { problem, .. } => problem,
        other => panic!("not refused: {other:?}"),
    }
}

fn line(incoming: &Incoming) -> (String, String) {
    match envelope(incoming).body {
        Body::Line { line, request } => (line, request.name().to_owned()),
        other => panic!("no line: {other:?}"),
    }
}

#[test]
fn what_is_not_said_to_the_fleet_is_skipped() {
    let mut notice = message("!status");
    notice.content["msgtype"] = json!("m.notice");
    let mut between_agents = message("!status");
    between_agents.content["dev.mosaicstack.fleet"] = json!({});
    for skipped in [
        Incoming {
            sender: "@fleet:example.org".into(),
            ..message("!status")
        },
        Incoming {
            state_key: Some(String::new()),
            ..message("!status")
        },
        notice,
        between_agents,
        event("m.room.message", json!({})),
        event("m.sticker", json!({"body": "x"})),
        event("m.room.redaction", json!({})),
        reaction("🎉"),
    ] {
        assert_eq!(reading(&skipped), Reading::Skip, "{skipped:?}");
    }
    for text in [
        "good morning",
        "!!",
        "! task add x",
        "!",
        "wow!",
        "",
        "!5",
        "approve",
    ] {
        assert_eq!(reading(&message(text)), Reading::Skip, "{text}");
    }
    for text in ["thank you", "approve it", "approved", "I approve"] {
        assert_eq!(reading(&reply(text)), Reading::Skip, "{text}");
    }
}

#[test]
fn a_line_is_read_from_the_body_alone() {
    let mut incoming = message("!task add \"<b>x</b>\"");
    incoming.content["formatted_body"] = "!pause".into();
    assert_eq!(
        line(&incoming),
        ("!task add \"<b>x</b>\"".into(), "task.add".into())
    );
    assert_eq!(
        line(&message("\u{200f} !status ")),
        ("!status".into(), "status".into())
    );
}

#[test]
fn the_quotation_in_front_of_a_reply_is_stripped() {
    let incoming = reply("> <@fleet:example.org> t3 added\n> more\n\n!task complete —summary done");
    assert_eq!(
        envelope(&incoming).context.reply_to.as_deref(),
        Some("$card")
    );
    assert_eq!(
        line(&incoming),
        (
            "!task complete —summary done".into(),
            "task.complete".into()
        )
    );
}

#[test]
fn a_thread_is_followed_and_its_fallback_is_no_reply() {
    let mut incoming = message("!task show");
    incoming.content["m.relates_to"] = json!({"rel_type": "m.thread", "event_id": "$root", "is_falling_back": true, "m.in_reply_to": {"event_id": "$last"}});
    let context = envelope(&incoming).context;
    assert_eq!(
        (context.reply_to, context.thread_root.as_deref()),
        (None, Some("$root"))
    );
    incoming.content["m.relates_to"]["is_falling_back"] = json!(false);
    assert_eq!(
        envelope(&incoming).context.reply_to.as_deref(),
        Some("$last")
    );
}

#[test]
fn a_mention_may_stand_in_front_of_a_command() {
    assert_eq!(
        line(&mentioning("Mosaic Fleet:  task list --ready")),
        ("!task list --ready".into(), "task.list".into())
    );
    assert_eq!(
        line(&mentioning("@fleet !status")),
        ("!status".into(), "status".into())
    );
    assert_eq!(
        problem(&mentioning("Fleet: good morning")).code,
        Code::UnknownCommand
    );
}

#[test]
fn a_wrong_line_is_refused_with_its_problem() {
    assert_eq!(
        problem(&message("!tsak list")).suggestion.as_deref(),
        Some("!task list")
    );
    assert_eq!(
        problem(&message("!task add x\n!task add y")).code,
        Code::TwoCommands
    );
    assert_eq!(
        problem(&message(&format!("!task add {}", "x".repeat(65_536)))).code,
        Code::LineTooLong
    );
}

#[test]
fn an_edit_is_never_run() {
    let mut incoming = message("* !pause");
    incoming.content["m.new_content"] = json!({"msgtype": "m.text", "body": "!pause"});
    incoming.content["m.relates_to"] = json!({"rel_type": "m.replace", "event_id": "$first"});
    assert_eq!(
        envelope(&incoming).body,
        Body::Edit {
            target: "$first".into()
        }
    );
}

#[test]
fn a_reply_that_starts_with_a_verdict_may_be_a_ballot() {
    for (text, verdict, reason) in [
        ("approve", Verdict::Approve, None),
        ("Approve.", Verdict::Approve, None),
        (
            "reject because it's late\nand more",
            Verdict::Reject,
            Some("it's late"),
        ),
        ("VETO, because of cost", Verdict::Veto, Some("of cost")),
        (
            "conditional because tests",
            Verdict::Conditional,
            Some("tests"),
        ),
    ] {
        let reason = reason.map(str::to_owned);
        let expected = Body::Ballot {
            target: "$card".into(),
            verdict,
            reason,
            via: BallotInput::Reply,
        };
        assert_eq!(envelope(&reply(text)).body, expected, "{text}");
    }
}

#[test]
fn a_message_in_the_cards_thread_speaks_to_the_card_whatever_it_replies_to() {
    for (falls_back, to) in [(true, "$last"), (false, "$other")] {
        let mut incoming = message("approve because it is tested");
        incoming.content["m.relates_to"] = json!({"rel_type": "m.thread", "event_id": "$card", "is_falling_back": falls_back, "m.in_reply_to": {"event_id": to}});
        let expected = Body::Ballot {
            target: "$card".into(),
            verdict: Verdict::Approve,
            reason: Some("it is tested".into()),
            via: BallotInput::Reply,
        };
        assert_eq!(envelope(&incoming).body, expected, "{to}");
        incoming.content["body"] = json!("I would approve because it is tested");
        assert_eq!(reading(&incoming), Reading::Skip, "{to}");
    }
}

#[test]
fn a_reaction_may_be_a_ballot_whatever_its_skin_or_presentation() {
    for (key, verdict) in [
        ("✅", Verdict::Approve),
        ("👍", Verdict::Approve),
        ("👍🏽", Verdict::Approve),
        ("👎\u{fe0f}", Verdict::Reject),
        ("❌", Verdict::Reject),
        ("🤷", Verdict::Abstain),
        ("🤷🏻\u{200d}♀\u{fe0f}", Verdict::Abstain),
    ] {
        let expected = Body::Ballot {
            target: "$card".into(),
            verdict,
            reason: None,
            via: BallotInput::Reaction,
        };
        assert_eq!(envelope(&reaction(key)).body, expected, "{key}");
    }
    for key in ["🗳", "🗳\u{fe0f}"] {
        let target = "$card".into();
        assert_eq!(envelope(&reaction(key)).body, Body::Ask { target }, "{key}");
    }
    let target = "$card".into();
    assert_eq!(envelope(&reaction("👀")).body, Body::Acknowledge { target });
}

#[test]
fn a_redaction_names_its_target_in_either_place() {
    let new = event("m.room.redaction", json!({"redacts": "$first"}));
    let old = Incoming {
        redacts: Some("$first".into()),
        ..event("m.room.redaction", json!({}))
    };
    for incoming in [new, old] {
        assert_eq!(
            envelope(&incoming).body,
            Body::Redaction {
                target: "$first".into()
            }
        );
    }
}

#[test]
fn what_is_still_encrypted_is_answered() {
    let incoming = event(
        "m.room.encrypted",
        json!({"algorithm": "m.megolm.v1.aes-sha2"}),
    );
    assert_eq!(problem(&incoming).code, Code::Undecryptable);
}

#[test]
fn lateness_counts_only_for_what_was_recovered() {
    let late = |provenance, hours| Incoming {
        provenance,
        origin_ts: NOW - hours * HOUR,
        ..message("!pause")
    };
    assert_eq!(line(&late(Provenance::Live, 3)).1, "pause");
    assert_eq!(line(&late(Provenance::Recovered, 1)).1, "pause");
    let refused = problem(&late(Provenance::Recovered, 3));
    assert_eq!(
        (refused.code, refused.detail.as_str()),
        (Code::TooLate, "not run, arrived 3 h late")
    );
    assert_eq!(refused.suggestion.as_deref(), Some("!pause"));
    // A sender's clock ahead of ours is not late.
    assert_eq!(line(&late(Provenance::Recovered, -3)).1, "pause");
}

#[test]
fn a_structured_command_is_read_with_its_identity() {
    let Body::Event {
        id, request, agent, ..
    } = envelope(&command(|_| ())).body
    else {
        panic!("no event")
    };
    assert_eq!(
        (
            id.as_str(),
            request.name(),
            agent.name.as_str(),
            agent.incarnation
        ),
        ("k1", "task.claim", "code-1", 2)
    );
}

#[test]
fn a_malformed_structured_command_is_refused_at_its_path() {
    type Change = fn(&mut Value);
    let cases: [(Change, Code, &str); 5] = [
        (|c| c["v"] = json!(2), Code::UnknownVersion, "v"),
        (
            |c| c["command"] = json!({"task.add": {"title": 5}}),
            Code::Malformed,
            "command.task.add.title",
        ),
        (
            |c| c["agent"]["incarnation"] = json!(1.5),
            Code::Malformed,
            "agent.incarnation",
        ),
        (
            |c| c["agent"]["mood"] = json!("good"),
            Code::Malformed,
            "agent.mood",
        ),
        (
            |c| c["command"] = json!({"board.propose": {"title": "x", "seats": [{"weight": 0.5}]}}),
            Code::Malformed,
            "command.board.propose.seats[0].weight",
        ),
    ];
    for (change, code, path) in cases {
        let incoming = command(change);
        let refused = problem(&incoming);
        assert_eq!(
            (refused.code, refused.at),
            (code, Some(Place::Path(path.into()))),
            "{}",
            refused.detail
        );
        assert!(
            matches!(envelope(&incoming).body, Body::RefusedEvent { id: Some(id), .. } if id == "k1")
        );
    }
}

#[test]
fn an_oversized_or_late_structured_command_is_refused() {
    let brief = "x".repeat(61 * 1024);
    let oversized = command(|c| c["command"] = json!({"task.add": {"title": "x", "brief": brief}}));
    assert_eq!(problem(&oversized).code, Code::TooLarge);
    let late = |hours| Incoming {
        provenance: Provenance::Recovered,
        origin_ts: NOW - hours * HOUR,
        ..command(|_| ())
    };
    assert_eq!(problem(&late(25)).code, Code::TooLate);
    assert!(matches!(envelope(&late(23)).body, Body::Event { .. }));
}

#[test]
fn the_digest_depends_on_what_was_said_and_by_whom_alone() {
    let first = envelope(&message("!pause")).digest;
    let again = Incoming {
        provenance: Provenance::Recovered,
        power_level: 0,
        event_id: "$other".into(),
        ..message("!pause")
    };
    assert_eq!(first, envelope(&again).digest);
    assert_eq!(first.len(), 64);
    for other in [
        message("!resume"),
        Incoming {
            sender: "@kim:example.org".into(),
            ..message("!pause")
        },
        Incoming {
            room_id: "!b:c".into(),
            ..message("!pause")
        },
    ] {
        assert_ne!(first, envelope(&other).digest);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_body_is_read_or_skipped(
        body in any::<String>(),
        prefix in prop::sample::select(vec!["", "!", "!task add ", "> ", "> <@a:b>\n\n!", "approve "]),
    ) {
        let text = format!("{prefix}{body}");
        for incoming in [message(&text), reply(&text), mentioning(&text)] {
            let _ = reading(&incoming);
        }
    }

    #[test]
    fn any_content_of_any_event_is_read_or_skipped(
        event_type in prop::sample::select(vec!["m.room.message", "m.reaction", "m.room.redaction", "m.room.encrypted", "dev.mosaicstack.fleet.command"]),
        key in prop::sample::select(vec!["body", "msgtype", "m.relates_to", "m.mentions", "redacts", "v", "id", "command", "agent"]),
        value in prop_oneof![any::<String>().prop_map(Value::from), any::<f64>().prop_map(Value::from), Just(Value::Null), Just(json!([{}])), Just(json!({"a": [1.5]}))],
    ) {
        for mut incoming in [message("!status"), command(|_| ())] {
            incoming.event_type = event_type.into();
            incoming.content[key] = value.clone();
            let _ = reading(&incoming);
        }
    }
}

fn said(change: impl Fn(&mut Value)) -> Incoming {
    let mut content = json!({
        "msgtype": "m.text", "body": "[h1:code-1 -> h2:review-1] look at t3",
        "dev.mosaicstack.fleet": {"v": 1, "from": "h1:code-1", "to": "h2:review-1", "incarnation": 2}
    });
    change(&mut content);
    event("m.room.message", content)
}

#[test]
fn what_an_agent_says_by_a_message_is_a_command_that_is_shown_already() {
    let Body::Event {
        id,
        request,
        agent,
        is_shown,
        ..
    } = envelope(&said(|_| ())).body
    else {
        panic!("no event")
    };
    assert_eq!((id.as_str(), is_shown), ("$event", true));
    assert_eq!(
        (agent.name.as_str(), agent.host.as_str(), agent.incarnation),
        ("code-1", "h1", 2)
    );
    assert_eq!(
        serde_json::to_value(request).unwrap_or_default(),
        json!({"agent.send": {"to": "h2:review-1", "text": "look at t3", "class": "actionable"}})
    );
}

#[test]
fn a_forged_address_line_is_refused() {
    type Change = fn(&mut Value);
    const TWIN: &str = "dev.mosaicstack.fleet";
    let cases: [(Change, Code); 8] = [
        (|c| c["body"] = json!("look at t3"), Code::Malformed),
        (
            |c| c["body"] = json!("[h1:code-1 -> h2:review-1]"),
            Code::Malformed,
        ),
        (
            |c| c["body"] = json!("[h1:code-2 -> h2:review-1] x"),
            Code::NotYourself,
        ),
        (
            |c| c["body"] = json!("[h1:code-1 -> h2:code-9] x"),
            Code::NotYourself,
        ),
        (
            |c| c["body"] = json!("[h1:code-1 -> h3:review-1] x"),
            Code::NotYourself,
        ),
        (|c| c[TWIN]["class"] = json!("human"), Code::NotYourself),
        (|c| c[TWIN]["v"] = json!(3), Code::UnknownVersion),
        (|c| c[TWIN]["mood"] = json!("good"), Code::Malformed),
    ];
    for (change, code) in cases {
        let incoming = said(change);
        assert_eq!(problem(&incoming).code, code, "{:?}", incoming.content);
    }
    let long =
        said(|c| c["body"] = json!(format!("[h1:code-1 -> h2:review-1] {}", "x".repeat(16_001))));
    assert_eq!(problem(&long).code, Code::Malformed);
    // What the fleet's own messages carry beside their text is no address.
    let other = said(|c| c[TWIN] = json!({"reply": {}}));
    assert!(matches!(reading(&other), Reading::Skip));
}
