//! One table of cases: for every verb, the chat line, the shell's arguments, the JSON body and the
//! structured event are the same value, and the value's canonical line gives it back.

mod budget_cases;

use std::collections::BTreeSet;

use fleet_protocol::chat;
use fleet_protocol::envelope::Call;
use fleet_protocol::event::CommandContent;
use fleet_protocol::language::{self, Request};
use serde_json::{Value, json};

/// A line as typed, the same for a shell, and the same as JSON.
struct Case {
    line: &'static str,
    argv: Vec<&'static str>,
    json: Value,
}

fn case(line: &'static str, argv: &'static [&'static str], json: Value) -> Case {
    let argv = argv.to_vec();
    Case { line, argv, json }
}

/// A line that a shell splits as a room does.
fn plain((line, json): (&'static str, Value)) -> Case {
    let argv = line.split(' ').collect();
    Case { line, argv, json }
}

fn queries() -> Vec<Case> {
    vec![
        case("help", &["help"], json!({"help": {}})),
        case(
            "help task add",
            &["help", "task", "add"],
            json!({"help": {"topic": ["task", "add"]}}),
        ),
        case("whoami", &["whoami"], json!({"whoami": {}})),
        case("Status", &["status"], json!({"status": {}})),
        case("ps", &["ps"], json!({"ps": {}})),
        case("doctor", &["doctor"], json!({"doctor": {}})),
        plain(("workers show", json!({"workers.show": {}}))),
        plain(("role list", json!({"role.list": {}}))),
        plain(("role show code", json!({"role.show": {"role": "code"}}))),
        plain(("profile list", json!({"profile.list": {}}))),
        plain((
            "profile show research",
            json!({"profile.show": {"profile": "research"}}),
        )),
        case(
            "member list",
            &["member", "list"],
            json!({"member.list": {}}),
        ),
        case(
            "mission list —all",
            &["mission", "list", "--all"],
            json!({"mission.list": {"all": true}}),
        ),
        case(
            "mission show m7",
            &["mission", "show", "m7"],
            json!({"mission.show": {"mission": "m7"}}),
        ),
        case(
            "mission show",
            &["mission", "show", "this"],
            json!({"mission.show": {"mission": "this"}}),
        ),
        case(
            "task list --status Running --mission m7 --ready --mine --limit 5",
            &[
                "task",
                "list",
                "--status",
                "running",
                "--mission=m7",
                "--ready",
                "--mine",
                "--limit",
                "5",
            ],
            json!({"task.list": {"status": "running", "mission": "m7", "ready": true, "mine": true, "limit": 5}}),
        ),
        case(
            "task show T142",
            &["task", "show", "t142"],
            json!({"task.show": {"task": "t142"}}),
        ),
        case(
            "agent list --all",
            &["agent", "list", "--all"],
            json!({"agent.list": {"all": true}}),
        ),
        case(
            "agent show code-1",
            &["agent", "show", "code-1"],
            json!({"agent.show": {"name": "code-1"}}),
        ),
        case(
            "report mission m7",
            &["report", "mission", "m7"],
            json!({"report.mission": {"mission": "m7"}}),
        ),
        case(
            "export tasks --mission m7",
            &["export", "tasks", "--mission", "m7"],
            json!({"export.tasks": {"mission": "m7"}}),
        ),
        case(
            "export manifest",
            &["export", "manifest"],
            json!({"export.manifest": {}}),
        ),
        case("agent next", &["agent", "next"], json!({"agent.next": {}})),
        case(
            "agent next --wait 5 --limit 10",
            &["agent", "next", "--wait", "5", "--limit", "10"],
            json!({"agent.next": {"wait": 5, "limit": 10}}),
        ),
        case(
            "agent inbox code-1 --all",
            &["agent", "inbox", "code-1", "--all"],
            json!({"agent.inbox": {"agent": "code-1", "all": true}}),
        ),
        case(
            "budget status --provider claude",
            &["budget", "status", "--provider", "claude"],
            json!({"budget.status": {"provider": "claude"}}),
        ),
        case(
            "board show p12",
            &["board", "show", "p12"],
            json!({"board.show": {"proposal": "p12"}}),
        ),
        case(
            "board list",
            &["board", "list"],
            json!({"board.list": {"all": false}}),
        ),
        case("board mine", &["board", "mine"], json!({"board.mine": {}})),
        case(
            "board seats",
            &["board", "seats"],
            json!({"board.seats": {}}),
        ),
        case(
            "board templates",
            &["board", "templates"],
            json!({"board.templates": {}}),
        ),
        case(
            "board personas cfo",
            &["board", "personas", "cfo"],
            json!({"board.personas": {"persona": "cfo"}}),
        ),
        case(
            "board export p12",
            &["board", "export", "p12"],
            json!({"board.export": {"proposal": "p12"}}),
        ),
        case(
            "board minutes --since 2026-11-01T00:00Z",
            &["board", "minutes", "--since", "2026-11-01T00:00Z"],
            json!({"board.minutes": {"since": "2026-11-01T00:00:00Z"}}),
        ),
    ]
}

fn fleet_commands() -> Vec<Case> {
    vec![
        case(
            "pause —reason “Friday’s release”",
            &["pause", "--reason", "Friday’s release"],
            json!({"pause": {"reason": "Friday’s release"}}),
        ),
        case("resume", &["resume"], json!({"resume": {}})),
        case(
            "verbosity quiet",
            &["verbosity", "quiet"],
            json!({"verbosity": {"level": "quiet"}}),
        ),
        plain((
            "workers set --fleet 20 --role 4",
            json!({"workers.set": {"fleet": 20, "role": 4}}),
        )),
        case(
            "provision \"version: 1\" --prune --dry-run",
            &["provision", "version: 1", "--prune", "--dry-run"],
            json!({"provision": {"document": "version: 1", "prune": true, "dry_run": true}}),
        ),
        case(
            "member add @dana:example.org --role member",
            &["member", "add", "@dana:example.org", "--role", "member"],
            json!({"member.add": {"user": "@dana:example.org", "role": "member"}}),
        ),
        case(
            "member grant @dana:example.org operator --room board",
            &[
                "member",
                "grant",
                "@dana:example.org",
                "operator",
                "--room",
                "board",
            ],
            json!({"member.grant": {"user": "@dana:example.org", "role": "operator", "room": "board"}}),
        ),
        case(
            "member revoke @dana:example.org",
            &["member", "revoke", "@dana:example.org"],
            json!({"member.revoke": {"user": "@dana:example.org"}}),
        ),
        case(
            "mission new 'Ship 1.0' --goal \"All of it\" --projected-tokens 2M",
            &[
                "mission",
                "new",
                "Ship 1.0",
                "--goal",
                "All of it",
                "--projected-tokens",
                "2000000",
            ],
            json!({"mission.new": {"title": "Ship 1.0", "goal": "All of it", "projected_tokens": 2_000_000}}),
        ),
        case(
            "mission close --summary done",
            &["mission", "close", "this", "--summary", "done"],
            json!({"mission.close": {"mission": "this", "summary": "done"}}),
        ),
        case(
            "agent register code-1 --role code --host h1 --runtime codex --model opus --user @a:example.org",
            &[
                "agent",
                "register",
                "code-1",
                "--role",
                "code",
                "--host",
                "h1",
                "--runtime",
                "codex",
                "--model",
                "opus",
                "--user",
                "@a:example.org",
            ],
            json!({"agent.register": {"name": "code-1", "role": "code", "host": "h1", "runtime": "codex", "model": "opus", "user": "@a:example.org"}}),
        ),
        case(
            "agent heartbeat --context-tokens 120k",
            &["agent", "heartbeat", "--context-tokens", "120000"],
            json!({"agent.heartbeat": {"context_tokens": 120_000}}),
        ),
        case(
            "agent send --to H2:code-2 \"look at t3\" --class human",
            &[
                "agent",
                "send",
                "--to",
                "h2:code-2",
                "look at t3",
                "--class",
                "human",
            ],
            json!({"agent.send": {"to": "h2:code-2", "text": "look at t3", "class": "human"}}),
        ),
        case(
            "agent reply n12 done --ack",
            &["agent", "reply", "n12", "done", "--ack"],
            json!({"agent.reply": {"item": "n12", "text": "done", "ack": true}}),
        ),
        case(
            "agent broadcast --role code frozen",
            &["agent", "broadcast", "--role", "code", "frozen"],
            json!({"agent.broadcast": {"role": "code", "text": "frozen"}}),
        ),
        case(
            "agent delegate t3 --to code --text today",
            &["agent", "delegate", "t3", "--to", "code", "--text", "today"],
            json!({"agent.delegate": {"task": "t3", "to": "code", "text": "today"}}),
        ),
        case(
            "agent ack n12 N13",
            &["agent", "ack", "n12", "n13"],
            json!({"agent.ack": {"items": ["n12", "n13"]}}),
        ),
        case(
            "agent revoke code-1",
            &["agent", "revoke", "code-1"],
            json!({"agent.revoke": {"name": "code-1"}}),
        ),
        case(
            "agent token code-1 --sha256 0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0A",
            &[
                "agent",
                "token",
                "code-1",
                "--sha256",
                "0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a",
            ],
            json!({"agent.token": {"name": "code-1", "sha256": "0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a"}}),
        ),
        case("hush 2h", &["hush", "2h"], json!({"hush": {"time": "2h"}})),
        case(
            "tell CODE-2 how far is it? -- don't stop",
            &["tell", "code-2", "how far is it? -- don't stop"],
            json!({"tell": {"to": "code-2", "text": "how far is it? -- don't stop"}}),
        ),
        case(
            "tell h1:code-2 \"how far --really is it?\"",
            &["tell", "h1:code-2", "how far --really is it?"],
            json!({"tell": {"to": "h1:code-2", "text": "how far --really is it?"}}),
        ),
        plain((
            "chain limits set --hops 20 --messages 300 --tokens 2M --dry-run",
            json!({"chain.limits.set": {"hops": 20, "messages": 300, "tokens": 2_000_000, "dry_run": true}}),
        )),
        plain(("chain limits show", json!({"chain.limits.show": {}}))),
        case(
            "hush --off",
            &["hush", "--off"],
            json!({"hush": {"off": true}}),
        ),
        case(
            "agent retire code-1",
            &["agent", "retire", "code-1"],
            json!({"agent.retire": {"name": "code-1"}}),
        ),
    ]
}

fn task_commands() -> Vec<Case> {
    vec![
        case(
            "task add \"Write the notes\" --brief \"-v is gone\" --mission m7 --type documentation --role code --priority 90 --depends-on t1,t2 --provider claude --projected-tokens 50_000 --max-attempts 2 --gate \"tests=A=1 cargo test\"",
            &[
                "task",
                "add",
                "Write the notes",
                "--brief",
                "-v is gone",
                "--mission",
                "m7",
                "--type",
                "documentation",
                "--role",
                "code",
                "--priority",
                "90",
                "--depends-on",
                "t1",
                "--depends-on",
                "t2",
                "--provider",
                "claude",
                "--projected-tokens",
                "50000",
                "--max-attempts",
                "2",
                "--gate",
                "tests=A=1 cargo test",
            ],
            json!({"task.add": {"title": "Write the notes", "brief": "-v is gone", "mission": "m7", "type": "documentation", "role": "code", "priority": 90, "depends_on": ["t1", "t2"], "provider": "claude", "projected_tokens": 50_000, "max_attempts": 2, "gates": [{"name": "tests", "command": "A=1 cargo test"}]}}),
        ),
        case("task claim", &["task", "claim"], json!({"task.claim": {}})),
        case(
            "task claim t3",
            &["task", "claim", "t3"],
            json!({"task.claim": {"task": "t3"}}),
        ),
        case(
            "task check t3 --result tests=0 --result lint=2",
            &[
                "task", "check", "t3", "--result", "tests=0", "--result", "lint=2",
            ],
            json!({"task.check": {"task": "t3", "results": [{"name": "tests", "exit_code": 0}, {"name": "lint", "exit_code": 2}]}}),
        ),
        case(
            "task renew t3",
            &["task", "renew", "t3"],
            json!({"task.renew": {"task": "t3"}}),
        ),
        case(
            "task progress —percent 40 —note ‘it’s half done’",
            &[
                "task",
                "progress",
                "this",
                "--percent",
                "40",
                "--note",
                "it’s half done",
            ],
            json!({"task.progress": {"task": "this", "percent": 40, "note": "it’s half done"}}),
        ),
        case(
            "task complete t3 --summary \"all green\" --tokens 41_200 --file a.rs --file b.rs",
            &[
                "task",
                "complete",
                "t3",
                "--summary",
                "all green",
                "--tokens",
                "41200",
                "--file",
                "a.rs",
                "--file",
                "b.rs",
            ],
            json!({"task.complete": {"task": "t3", "summary": "all green", "tokens": 41_200, "files_changed": ["a.rs", "b.rs"]}}),
        ),
        case(
            "task complete t3 --unknown-spend 'no meter'",
            &["task", "complete", "t3", "--unknown-spend", "no meter"],
            json!({"task.complete": {"task": "t3", "unknown_spend": "no meter"}}),
        ),
        case(
            "task fail --reason flaky",
            &["task", "fail", "this", "--reason", "flaky"],
            json!({"task.fail": {"task": "this", "reason": "flaky"}}),
        ),
        case(
            "task block t3 --reason wait",
            &["task", "block", "t3", "--reason", "wait"],
            json!({"task.block": {"task": "t3", "reason": "wait"}}),
        ),
        case(
            "task unblock t3",
            &["task", "unblock", "t3"],
            json!({"task.unblock": {"task": "t3"}}),
        ),
        case(
            "task release t3",
            &["task", "release", "t3"],
            json!({"task.release": {"task": "t3"}}),
        ),
        case(
            r#"task release t3 --result '{"summary": "Half", "remains": ["the tests"]}'"#,
            &[
                "task",
                "release",
                "t3",
                "--result",
                r#"{"summary": "Half", "remains": ["the tests"]}"#,
            ],
            json!({"task.release": {"task": "t3", "result": {"summary": "Half", "remains": ["the tests"]}}}),
        ),
        case(
            "task escalate t3 --reason \"which key?\" --result Half",
            &[
                "task",
                "escalate",
                "t3",
                "--reason",
                "which key?",
                "--result",
                "Half",
            ],
            json!({"task.escalate": {"task": "t3", "reason": "which key?", "result": {"summary": "Half"}}}),
        ),
        case(
            "task answer t3 use the key of staging",
            &["task", "answer", "t3", "use the key of staging"],
            json!({"task.answer": {"task": "t3", "text": "use the key of staging"}}),
        ),
        case(
            "task answer wait until Friday",
            &["task", "answer", "this", "wait until Friday"],
            json!({"task.answer": {"task": "this", "text": "wait until Friday"}}),
        ),
        case(
            "task cancel t3 --reason -",
            &["task", "cancel", "t3", "--reason", "-"],
            json!({"task.cancel": {"task": "t3", "reason": "-"}}),
        ),
        case(
            "task retry 01890a5d-ac96-774b-bcce-b302099a8057",
            &["task", "retry", "01890a5d-ac96-774b-bcce-b302099a8057"],
            json!({"task.retry": {"task": "01890a5d-ac96-774b-bcce-b302099a8057"}}),
        ),
        case(
            "task depend t3 --on t1 --remove",
            &["task", "depend", "t3", "--on", "t1", "--remove"],
            json!({"task.depend": {"task": "t3", "on": "t1", "remove": true}}),
        ),
    ]
}

fn governance_commands() -> Vec<Case> {
    vec![
        case(
            "spend report t3 --input-tokens 10k --output-tokens 2k --cache-write-tokens 1 --cache-read-tokens 9 --cash-usd-micro 120 --model opus --provider claude --session s1 --attempt 1 --spent-at 2026-11-30T09:00Z",
            &[
                "spend",
                "report",
                "t3",
                "--input-tokens",
                "10000",
                "--output-tokens",
                "2000",
                "--cache-write-tokens",
                "1",
                "--cache-read-tokens",
                "9",
                "--cash-usd-micro",
                "120",
                "--model",
                "opus",
                "--provider",
                "claude",
                "--session",
                "s1",
                "--attempt",
                "1",
                "--spent-at",
                "2026-11-30T09:00:00Z",
            ],
            json!({"spend.report": {"task": "t3", "input_tokens": 10_000, "output_tokens": 2_000, "cache_write_tokens": 1, "cache_read_tokens": 9, "cash_usd_micro": 120, "model": "opus", "provider": "claude", "session": "s1", "attempt": 1, "spent_at": "2026-11-30T09:00:00Z"}}),
        ),
        case(
            "budget set --provider claude --limit 2000000 --unit tokens --reset-at 2026-11-30T09:00+01:00 --window weekly --every 7d --alert-at 80%",
            &[
                "budget",
                "set",
                "--provider",
                "claude",
                "--limit",
                "2000000",
                "--unit",
                "tokens",
                "--reset-at",
                "2026-11-30T09:00+01:00",
                "--window",
                "weekly",
                "--every",
                "7d",
                "--alert-at",
                "80",
            ],
            json!({"budget.set": {"provider": "claude", "limit": 2_000_000, "unit": "tokens", "reset_at": "2026-11-30T09:00+01:00", "window": "weekly", "every": "7d", "alert_at": 80}}),
        ),
        case(
            "budget reset --provider claude --reset-at +3h",
            &[
                "budget",
                "reset",
                "--provider",
                "claude",
                "--reset-at",
                "+3h",
            ],
            json!({"budget.reset": {"provider": "claude", "reset_at": "+3h"}}),
        ),
        case(
            "board propose \"Stop for the weekend\" --text Why --kind pause --effect \"pause --reason 'weekend rest'\" --closes-at +2h --seat ceo=@kim:example.org!veto --seat cfo=code-1*2 --quorum 60",
            &[
                "board",
                "propose",
                "Stop for the weekend",
                "--text",
                "Why",
                "--kind",
                "pause",
                "--effect",
                "pause --reason 'weekend rest'",
                "--closes-at",
                "+2h",
                "--seat",
                "ceo=@kim:example.org!veto",
                "--seat",
                "cfo=code-1*2",
                "--quorum",
                "60",
            ],
            json!({"board.propose": {"title": "Stop for the weekend", "text": "Why", "kind": "pause", "effect": {"pause": {"reason": "weekend rest"}}, "closes_at": "+2h",
                "seats": [{"title": "ceo", "holder": {"user": "@kim:example.org"}, "weight": 1, "may_veto": true}, {"title": "cfo", "holder": {"agent": "code-1"}, "weight": 2}], "quorum": 60}}),
        ),
        case(
            "board vote approve because it's - well - time",
            &[
                "board", "vote", "this", "approve", "because", "it's", "-", "well", "-", "time",
            ],
            json!({"board.vote": {"proposal": "this", "verdict": "approve", "reason": ["because", "it's", "-", "well", "-", "time"]}}),
        ),
        case(
            "board vote --as cto --confidence 80 p12 reject",
            &[
                "board",
                "vote",
                "p12",
                "reject",
                "--as",
                "cto",
                "--confidence",
                "80",
            ],
            json!({"board.vote": {"proposal": "p12", "verdict": "reject", "as": "cto", "confidence": 80}}),
        ),
        case(
            "board close p12 --reason enough",
            &["board", "close", "p12", "--reason", "enough"],
            json!({"board.close": {"proposal": "p12", "reason": "enough"}}),
        ),
    ]
}

fn board_commands() -> Vec<Case> {
    vec![
        case(
            "board propose x --threshold 2/3 --template forge",
            &[
                "board",
                "propose",
                "x",
                "--threshold",
                "2/3",
                "--template",
                "forge",
            ],
            json!({"board.propose": {"title": "x", "threshold": "2/3", "template": "forge"}}),
        ),
        case(
            "board vote p12 conditional --concern \"-1 is possible\" --recommendation wait --risk late because it depends",
            &[
                "board",
                "vote",
                "p12",
                "conditional",
                "--concern",
                "-1 is possible",
                "--recommendation",
                "wait",
                "--risk",
                "late",
                "because",
                "it",
                "depends",
            ],
            json!({"board.vote": {"proposal": "p12", "verdict": "conditional", "reason": ["because", "it", "depends"], "concerns": ["-1 is possible"], "recommendations": ["wait"], "key_risks": ["late"]}}),
        ),
        case(
            "board withdraw p12 --as cto",
            &["board", "withdraw", "p12", "--as", "cto"],
            json!({"board.withdraw": {"proposal": "p12", "as": "cto"}}),
        ),
        case(
            "board amend p12 --title Rest --effect pause --reason \"as asked\"",
            &[
                "board", "amend", "p12", "--title", "Rest", "--effect", "pause", "--reason",
                "as asked",
            ],
            json!({"board.amend": {"proposal": "p12", "title": "Rest", "effect": {"pause": {}}, "no_effect": false, "reason": "as asked"}}),
        ),
        case(
            "board seat set cto --holder @dana:example.org --weight 2 --veto",
            &[
                "board",
                "seat",
                "set",
                "cto",
                "--holder",
                "@dana:example.org",
                "--weight",
                "2",
                "--veto",
            ],
            json!({"board.seat": {"change": "set", "seat": "cto", "holder": {"user": "@dana:example.org"}, "weight": 2, "veto": true}}),
        ),
        case(
            "task priority t3 90",
            &["task", "priority", "t3", "90"],
            json!({"task.priority": {"task": "t3", "priority": 90}}),
        ),
    ]
}

fn cases() -> Vec<Case> {
    [
        board_commands(),
        queries(),
        fleet_commands(),
        task_commands(),
        governance_commands(),
        budget_cases::cases().into_iter().map(plain).collect(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

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
