//! What people read of every answer and of typical problems, as plain text; and the wire form of
//! the values that cross borders.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helper functions too"
)]
#![recursion_limit = "256"]

use fleet_protocol::chat;
use fleet_protocol::problem::{Code, Place, Problem};
use fleet_protocol::reply::{ProposalView, Reply, RoleCard};
use fleet_protocol::{Reader, Timestamp};
use jiff::tz::TimeZone;
use serde_json::{Value, json};

/// Reads a reply on the morning of a Friday in Berlin.
fn read(reply: &Reply) -> String {
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    let now = Timestamp("2026-11-27T08:00:00Z".parse().unwrap());
    reply.document(&Reader { now, zone: &zone }).plain()
}

/// One answer of every kind, and the states that read differently, in their wire form.
fn replies() -> Value {
    let at = "2026-11-30T08:00:00Z";
    let before = "2026-11-27T07:20:00Z";
    let task = json!({"id": "t142", "title": "Write the release notes", "status": "pending", "type": "documentation", "role": "code", "priority": 50, "attempts": 0, "max_attempts": 3, "actual_tokens": 0});
    let mut running = task.clone();
    for (key, value) in [
        ("status", json!("running")),
        ("holder", json!("code-1")),
        ("epoch", json!(2)),
        ("lease_until", json!(at)),
        ("percent", json!(40)),
        ("attempts", json!(1)),
        ("projected_tokens", json!(50_000)),
        ("actual_tokens", json!(41_200)),
        ("brief", json!("All of them.")),
        (
            "quality_gates",
            json!([{"name": "tests", "command": "cargo test"}, {"name": "lint", "command": "make lint"}, {"name": "docs", "command": "make docs"}]),
        ),
        (
            "gate_results",
            json!([{"name": "tests", "command": "cargo test", "type": "mechanical", "exit_code": 0, "epoch": 2},
                {"name": "lint", "command": "make lint", "type": "mechanical", "exit_code": 2, "output": "line 3 is too long", "epoch": 2}]),
        ),
        (
            "history",
            json!([{"at": before, "event": "task.started", "by": "code-1", "note": "begun"}]),
        ),
    ] {
        running[key] = value;
    }
    let agent = json!({"name": "code-1", "role": "code", "host": "h1", "user": "@agent-code-1-h1:example.org", "incarnation": 2, "state": "working", "task": "t142", "lease_until": "2026-11-27T08:12:00Z", "context_tokens": 160_000, "heartbeat_age": 30});
    let window = json!({"scope": "subscription", "key": "claude", "window": "weekly", "unit": "tokens", "limit": 2_000_000, "spent": 500_000, "held": 100_000, "presumed": 0, "planned": 400_000, "allowance": 500_000, "expected": 1_900_000, "worst_beyond": 0, "knowledge": "known", "checked_at": before, "starts_at": before, "resets_at": at, "alert_at": 95, "source": "user_entered"});
    let seat = |title: &str| json!({"title": title, "holder": {"user": "@kim:example.org"}, "weight": 1, "may_veto": true});
    let rule = json!({"quorum": 50, "threshold": "majority", "default": "rejected", "principals": 1, "two_keys": false, "human_above": null});
    let proposal = json!({"id": "p12", "title": "Stop for the weekend", "text": "Everybody rests.", "kind": "pause", "proposer": "@dana:example.org", "effect": {"pause": {}}, "effect_text": "Pauses the fleet.", "seats": [{"seat": seat("ceo"), "verdict": "approve", "confidence": 80, "statement": {"reason": "rest"}}, {"seat": seat("cto")}], "rule": rule, "opened_at": before, "closes_at": at, "ends_at": at, "state": "open", "if_nothing": "approved", "tally": {"approve": 1, "reject": 0, "abstain": 0, "conditional": 0, "cast": 1, "total": 2}, "hash": "0123456789abcdef", "head": "fedcba9876543210"});
    let mut decided = proposal.clone();
    for (key, value) in [
        ("state", json!("approved")),
        ("effect_outcome", json!("done")),
        ("supersedes", json!("p11")),
        (
            "decision",
            json!({"id": "00000000-0000-0000-0000-00000000000d", "at": before, "ended_by": "operator", "closed_by": "@dana:example.org", "reason": "enough"}),
        ),
    ] {
        decided[key] = value;
    }
    let content = json!({"tenant": "acme", "id": "00000000-0000-0000-0000-000000000001", "title": "Stop for the weekend", "text": null, "kind": "pause", "proposer": "@dana:example.org", "room": "board", "effect": null, "seats": [{"title": "ceo", "holder": {"user": "@kim:example.org"}, "weight": 1, "may_veto": false, "human": true, "proposer": false}], "opened_at": before, "closes_at": at, "rule": rule, "supersedes": null});
    let entry = json!({"sequence": 1, "at": before, "by": "@kim:example.org", "event": "$vote", "act": {"cast": {"seat": "ceo", "verdict": "approve", "via": "reply", "incarnation": null, "confidence": null, "reasoned": true, "statement_hash": "00ff", "statement": {"reason": "rest", "concerns": [], "recommendations": [], "key_risks": []}}}});
    let template = json!({"about": "Lazy consensus", "kinds": ["free_text"], "seats": [{"title": "ceo", "weight": 1, "may_veto": false}], "quorum": 0, "threshold": "1/1", "default": "approved", "principals": 1, "two_keys": false, "hours": 72});
    let mission = json!({"id": "m7", "title": "Ship 1.0", "goal": "All of it", "open": true, "tasks": [["pending", 3], ["budget_paused", 1]], "projected_tokens": 2_000_000, "actual_tokens": 41_200});
    let member = json!({"user": "@dana:example.org", "grants": [{"role": "member"}, {"role": "operator", "room": "board"}]});
    let status = json!({"tenant": "acme", "pause": {"paused": true, "by": "@dana:example.org", "reason": "release", "since": before}, "tasks": [["pending", 3]], "ready": 2, "agents": 3, "alive": 2, "open_proposals": 1, "incidents": [{"rule": "budget.threshold", "subject": "claude weekly", "detail": "95 % used", "since": before}], "budgets": [window]});
    let mut answers = json!([
        {"help": {"topic": "task add", "about": "Add a task", "usage": "!task add TITLE", "groups": [{"title": "Needed", "lines": [{"what": "TITLE", "about": "What is to be done"}]}]}},
        {"who_am_i": {"principal": "@dana:example.org", "tenant": "acme", "roles": ["operator"], "agent": "code-1", "power_level": 100, "zone": "Europe/Berlin"}},
        {"who_am_i": {"principal": "@new:example.org", "tenant": "acme", "roles": [], "zone": "UTC"}},
        {"status": status},
        {"agents": [agent]}, {"agents": []}, {"ps": {"agents": [agent], "drift": ["code-2 has not joined (code on box)"]}}, {"agent": {"change": "registered", "now": agent}},
        {"doctor": {"checks": [{"name": "outbox", "state": "ok", "found": "empty"}, {"name": "floor", "state": "broken", "found": "no enhancer", "remedy": "register one"}]}},
        {"pause": {"paused": true, "by": "@dana:example.org", "reason": "release", "since": before}}, {"pause": {"paused": false, "already": true}},
        {"verbosity": "quiet"},
        {"member": {"change": "added", "now": member}}, {"members": [member]}, {"members": []},
        {"mission": {"change": "opened", "now": mission}}, {"missions": [mission]}, {"missions": []},
        {"task": {"change": "added", "now": task}}, {"task": {"now": running, "notes": ["The lease was renewed."]}}, {"task": {"change": "cancelled", "already": true, "now": task}},
        {"tasks": {"tasks": [task, running], "total": 1_002}}, {"tasks": {"tasks": [], "total": 0}},
        {"spend": {"task": "t142", "added_tokens": 1_200, "total_tokens": 41_200, "late": true}},
        {"budget": {"change": "set", "now": window}}, {"budgets": [window]}, {"budgets": []},
        {"proposal": {"change": "opened", "now": proposal}}, {"proposals": [proposal]}, {"proposals": []},
        {"ballot": {"proposal": "p12", "title": "Stop for the weekend", "seat": "cto", "verdict": "reject", "replaces": "approve", "sequence": 2}},
        {"ballot": {"proposal": "p12", "title": "Stop for the weekend", "seat": "cto", "replaces": "approve", "sequence": 3}},
        {"proposal": {"change": "closed", "now": decided}},
        {"board_seats": [{"seat": seat("ceo")}, {"seat": seat("cto"), "suspended": true}]}, {"board_seats": []},
        {"board_seat": {"change": "suspended", "now": {"seat": seat("cto"), "suspended": true}}},
        {"templates": {"lazy": template}},
        {"roles": {"code": {"title": "Code", "mandate": "Writes the code of one task.", "boundaries": ["Never merges."],
            "persona": "You write code.", "room": "code", "may_command": ["operator"]}}},
        {"roles": {"code": {"title": "Code", "mandate": "Writes code."}, "review": {"title": "Review", "mandate": "Reads it.", "room": "tasks"}}},
        {"profiles": {"research": {"title": "Research", "description": "Finds out.", "lead": "orchestrator", "floor": ["orchestrator"],
            "roster": [{"class": "orchestrator", "multiplicity": 1}, {"class": "code", "reports_to": "orchestrator", "multiplicity": 2, "notes": "One task each."}]}}},
        {"profiles": {"a": {"title": "A", "description": "First.", "lead": "x", "floor": [], "roster": []}, "b": {"title": "B", "description": "Second.", "lead": "x", "floor": [], "roster": []}}},
        {"provisioned": {"dry_run": true, "changes": ["agent code-1: expected, code with claude"], "kept": ["agent code-2"], "notes": ["a fleet has exactly one enhancer, and this roster has 0"]}},
        {"workers": {"change": "set", "now": {"fleet": 20, "role": 4, "working": 3}}},
        {"provisioned": {"dry_run": false, "changes": []}},
        {"personas": {"cfo": {"title": "CFO", "mandate": "What it costs.", "questions": ["What is the most it can cost?"]}}},
        {"export": {"format": "dev.mosaicstack.fleet.board/1", "proposal": content, "hash": "0123", "entries": [{"entry": entry, "hash": "4567"}], "head": "4567"}},
        {"minutes": {"since": before, "decided": [decided]}}, {"minutes": {"since": before, "decided": []}},
    ]);
    let governance = governance(&window, at, before);
    let said = inboxes(at, before);
    if let (Some(all), Some(more)) = (answers.as_array_mut(), said.as_array()) {
        all.extend(more.iter().cloned());
    }
    let governed = answers.as_array_mut().unwrap();
    governed.extend(
        dispatched(&task, before)
            .as_array()
            .unwrap()
            .iter()
            .cloned(),
    );
    let report = json!({"mission_report": {"mission": mission, "tasks": [running, task]}});
    answers.as_array_mut().unwrap().push(report);
    if let (Some(all), Some(more)) = (answers.as_array_mut(), governance.as_array()) {
        all.extend(more.iter().cloned());
    }
    answers
}

/// A task as an agent gets it, one that is kept for an agent, and one that waits for the operators.
fn dispatched(task: &Value, before: &str) -> Value {
    let with = |more: Value| {
        let mut task = task.clone();
        for (key, value) in more.as_object().unwrap() {
            task[key] = value.clone();
        }
        task
    };
    let role = json!({"title": "Code", "mandate": "Writes code.", "boundaries": ["Never merges."], "persona": "You write code."});
    let result = json!({"summary": "The parser stands", "done": ["parser"], "remains": ["tests"], "artefacts": ["branch t142"]});
    let claimed = with(json!({
        "status": "running", "holder": "code-2", "epoch": 3, "brief": "All of them.", "attempts": 2,
        "dispatch": {"role": role, "mission": {"id": "m7", "title": "Ship 1.0", "goal": "By May."}},
        "handed_back": {"by": "code-1", "at": before, "attempt": 1, "result": result},
        "escalation": {"reason": "Which key?", "answer": "That of staging.", "answered_by": "@dana:example.org"},
    }));
    let kept = with(json!({"reserved_for": "code-2"}));
    let asks = with(
        json!({"status": "escalated", "note": "Which key?", "escalation": {"reason": "Which key?"}}),
    );
    json!([
        {"task": {"change": "claimed", "now": claimed}}, {"task": {"now": kept}}, {"tasks": {"tasks": [kept], "total": 1}},
        {"task": {"change": "escalated", "now": asks}},
    ])
}

/// What agents say to each other, and rooms in which they do not.
fn inboxes(at: &str, before: &str) -> Value {
    let item = json!({"id": "n12", "from": "h1:code-1", "to": "h2:review-1", "class": "actionable", "text": "Look at <b>t3</b>", "sender": "@agent-code-1-h1:example.org", "sent_at": before, "chain": {"id": "00000000-0000-0000-0000-00000000000c", "hop": 3}, "task": "t3", "deliveries": 0});
    let reminder = json!({"id": "n11", "from": "matrix:dana", "to": "h2:review-1", "class": "human", "text": "How far is it?", "sender": "@dana:example.org", "sent_at": before, "chain": {"id": "00000000-0000-0000-0000-00000000000d", "hop": 0}, "reply_to": "n10", "deliveries": 2, "reminder": true});
    json!([
        {"item": {"change": "sent", "now": item}}, {"items": [item, reminder]}, {"items": []},
        {"chain_limits": {"change": "set", "now": {"hops": 20, "messages": 300, "tokens": 2_000_000}}},
        {"hushed": {"until": at}}, {"hushed": {}},
    ])
}

/// Answers about budgets beside limits.
fn governance(window: &Value, at: &str, before: &str) -> Value {
    let mut closed = window.clone();
    for (key, value) in [
        ("scope", json!("role")),
        ("key", json!("code")),
        ("closed_until", json!(at)),
        ("knowledge", json!("unknown")),
        ("worst_beyond", Value::Null),
        ("planned", Value::Null),
        ("allowance", Value::Null),
        ("external", json!(1_700_000)),
    ] {
        closed[key] = value;
    }
    let figures = json!({"series": "claude weekly", "limit": 2_000_000, "spent": 500_000, "held": 100_000, "median": 60_000, "grant": 40_000, "allowance": 550_000});
    let role =
        json!({"series": "role code", "limit": 9_000_000, "spent": 0, "held": 0, "grant": 40_000});
    let decided = json!({"at": before, "outcome": "queued", "reason": "claude weekly: 600,000 of 550,000 tokens allowed by now", "eta": at, "inputs": {"series": [role, figures]}, "by": "code-1"});
    let admitted = json!({"at": before, "outcome": "downgraded", "subscription": "claude-1", "model": "sonnet", "inputs": {"asked": "opus", "series": [figures]}, "by": "fleet"});
    let account = json!({"name": "claude-1", "provider": "claude", "models": ["opus", "sonnet"], "pool": "max", "windows": [window]});
    let price = json!({"model": "opus", "input": 5_000_000, "output": 25_000_000, "cache_write": 6_250_000, "cache_read": 500_000, "dated": "2026-11-24", "source": "list price"});
    let alert = json!({"id": "i12", "rule": "budget.threshold", "subject": "claude weekly", "detail": "96,000 of 100,000 tokens spent (96 %)", "since": before});
    let waiting = json!({"task": "t7", "title": "Tag it", "place": 1, "since": before, "claimed_by": "code-2", "binding": "claude weekly", "because": "pacing", "reason": "claude weekly is ahead of its plan", "eta": at, "remedy": "time, or !task start t7 --now"});
    let row = json!({"what": "m7 Ship 1.0", "tasks": 3, "projected_tokens": 100_000, "tokens": 41_200, "cash_usd_micro": 1_250_000, "api_equivalent_usd_micro": 123_456});
    json!([
        {"budgets": [closed]},
        {"granted": {"task": "t7", "remaining_tokens": 30_000, "added_tokens": 10_000}},
        {"granted": {"task": "t7", "remaining_tokens": 3_000, "added_tokens": 0, "hand_back": true, "notes": ["claude weekly has no room for 10,000 tokens more."]}},
        {"meter": {"provider": "claude", "understood": ["requests: 59 of 60 left"]}}, {"meter": {"provider": "claude", "understood": []}},
        {"explained": {"task": "t7", "decisions": [decided, admitted]}}, {"explained": {"task": "t7", "decisions": [admitted]}}, {"explained": {"task": "t8", "decisions": []}},
        {"limits": [{"series": "claude weekly", "amount": 2_000_000, "unit": "tokens", "from": before, "by": "@dana:example.org"}, {"series": "claude weekly", "amount": 500_000, "unit": "tokens", "from": before, "until": at, "by": "@dana:example.org"}]}, {"limits": []},
        {"windows": [{"series": "claude weekly", "unit": "tokens", "starts_at": before, "resets_at": at, "spent": 500_000, "presumed": 0}]}, {"windows": []},
        {"charts": [{"title": "claude weekly", "unit": "tokens", "limit": 2_000_000, "spent": 900_000, "held": 50_000, "planned": 1_000_000,
            "starts_at": before, "resets_at": at, "at": before, "ticks": [{"at": at, "label": "Mon 30"}], "points": [{"at": before, "spent": 900_000}]}]}, {"charts": []},
        {"audited": {"series": 2, "windows": 3, "holds": 4, "rows": 1_000, "differences": []}},
        {"audited": {"series": 1, "windows": 1, "holds": 1, "rows": 9, "differences": ["claude weekly, held: 5 is kept, 6 is the sum of the rows"]}},
        {"ladder": {"change": "set", "now": ["opus", "sonnet"], "notes": ["Only tried: nothing was changed."]}},
        {"exported": "[[limit]]\nkey = \"claude\"\n"},
        {"imported": {"dry_run": true, "changes": ["subscription claude weekly: 9000 → 8000 tokens"]}}, {"imported": {"dry_run": false, "changes": []}},
        {"queue": [waiting]}, {"queue": []},
        {"subscription": {"change": "added", "now": account}}, {"subscriptions": [account]}, {"subscriptions": []},
        {"price": {"change": "priced", "now": price}}, {"prices": [price]},
        {"alert": {"change": "acknowledged", "now": alert}}, {"alerts": [alert]}, {"alerts": []},
        {"spend_report": {"by": "mission", "rows": [row], "calibration": {"tasks": 100, "p95_bp": 9_500, "granted_over_actual_bp": 12_500}}}, {"spend_report": {"by": "day", "rows": []}},
    ])
}

#[test]
fn every_answer_reads_well_and_keeps_its_wire_form() {
    let wire = replies();
    let all: Vec<Reply> = serde_json::from_value(wire).unwrap();
    let plain: Vec<String> = all.iter().map(read).collect();
    insta::assert_snapshot!("answers", plain.join("\n\n================\n\n"));
    for reply in &all {
        let again: Reply = serde_json::from_value(serde_json::to_value(reply).unwrap()).unwrap();
        assert_eq!(&again, reply);
    }
    insta::assert_json_snapshot!("answers_wire", all);
}

/// The proposal of the examples, with what differs.
fn proposal(differs: Value) -> ProposalView {
    let all = replies();
    let found = all
        .as_array()
        .unwrap()
        .iter()
        .find_map(|r| r.get("proposal"));
    let mut view = found.unwrap()["now"].clone();
    for (key, value) in differs.as_object().unwrap() {
        view[key] = value.clone();
    }
    serde_json::from_value(view).unwrap()
}

#[test]
fn the_boards_room_reads_well() {
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    let now = Timestamp("2026-11-27T08:00:00Z".parse().unwrap());
    let reader = Reader { now, zone: &zone };
    let soon = "2026-11-27T08:01:00Z";
    let open = proposal(json!({}));
    let early = proposal(json!({"ends_early_at": soon}));
    let demanding = proposal(json!({
        "extended": "room_unread", "human_required": true, "if_nothing": "rejected", "supersedes": "p11",
        "rule": {"quorum": 75, "threshold": "1/1", "default": "approved", "principals": 2, "two_keys": true, "human_above": 0},
    }));
    let closed = proposal(json!({"state": "superseded", "superseded_by": "p13"}));
    let decision = |state: &str, ended_by: &str, more: Value| {
        let mut differs = json!({"state": state, "decision": {"id": "00000000-0000-0000-0000-00000000000d", "at": soon, "ended_by": ended_by, "by_default": ended_by == "time"}});
        for (key, value) in more.as_object().unwrap() {
            differs[key] = value.clone();
        }
        proposal(differs).decided().plain()
    };
    let dissent = json!([{"seat": {"title": "cto", "holder": {"agent": "code-1"}, "weight": 2}, "verdict": "veto", "confidence": 90,
        "statement": {"reason": "<b>too</b> dear, @room", "concerns": ["cost"], "recommendations": ["wait"], "key_risks": ["a [link](x)"]}}]);
    let review = proposal(json!({"seats": dissent}));
    let texts = [
        open.card(&reader).plain(),
        early.card(&reader).plain(),
        demanding.card(&reader).plain(),
        closed.card(&reader).plain(),
        open.reminder(&reader).plain(),
        review.seats[0].review().plain(),
        decision("approved", "settled", json!({"effect_outcome": "done"})),
        decision(
            "approved",
            "operator",
            json!({"effect_outcome": "refused: it is gone"}),
        ),
        decision("approved_with_conditions", "operator", json!({})),
        decision("rejected", "time", json!({"seats": dissent})),
        decision("superseded", "amended", json!({})),
    ];
    insta::assert_snapshot!("board_room", texts.join("\n\n================\n\n"));
}

#[test]
fn the_card_of_a_role_reads_well() {
    let agent = |name: &str, state: &str, task: Option<&str>| {
        json!({"name": name, "role": "code", "host": "h1", "user": format!("@agent-{name}-h1:example.org"), "incarnation": 2,
            "state": state, "task": task, "lease_until": task.map(|_| "2026-11-30T08:00:00Z"), "context_tokens": task.map(|_| 90_000),
            "heartbeat_at": "2026-11-27T07:59:00Z", "heartbeat_age": 60, "unread": 1, "spent_today": 41_200})
    };
    let card = |agents: Value, stuck: u64| -> RoleCard {
        let view =
            json!({"role": "code", "agents": agents, "waiting": 12, "running": 1, "stuck": stuck});
        serde_json::from_value(view).unwrap()
    };
    let busy = json!([
        agent("code-1", "working", Some("t142")),
        agent("code-2", "silent", None)
    ]);
    let texts = [
        card(busy.clone(), 0).card().plain(),
        card(busy, 1).card().plain(),
        card(json!([]), 0).card().plain(),
    ];
    insta::assert_snapshot!("role_card", texts.join("\n\n================\n\n"));
}

#[test]
fn every_kind_of_answer_is_among_the_examples() {
    let schema = schemars::schema_for!(Reply).to_value();
    let kinds = schema["oneOf"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|k| k["required"][0].as_str());
    let examples = replies();
    for kind in kinds {
        assert!(
            examples
                .as_array()
                .unwrap()
                .iter()
                .any(|r| r.get(kind).is_some()),
            "{kind}"
        );
    }
}

#[test]
fn problems_point_at_the_wrong_word() {
    let typed = [
        "tsak add x",
        "task add x --type codng",
        "task fail t1",
        "task add \"x",
        "task add x\n!task add y",
    ];
    let mut all: Vec<Problem> = typed
        .iter()
        .map(|l| chat::parse(l).unwrap_err().problem())
        .collect();
    all.push(
        Problem::new(Code::Malformed, "invalid type")
            .at(Place::Path("command.task.add.title".into()))
            .reference("0190a5d"),
    );
    all.push(
        Problem::new(Code::TooLate, "not run, arrived 3 h late")
            .remedy("send it again if it is still wanted")
            .suggest("!pause"),
    );
    let plain: Vec<String> = all.iter().map(|p| p.document().plain()).collect();
    insta::assert_snapshot!("problems", plain.join("\n\n================\n\n"));
    insta::assert_json_snapshot!("problems_wire", all);
}

#[test]
fn a_family_is_suggested_by_what_it_reads() {
    let table = [
        ("members", "!member list"),
        ("tasks", "!task list"),
        ("budgets", "!budget status"),
        ("boards", "!board list"),
        ("spends", "!help spend"),
    ];
    for (typed, meant) in table {
        let problem = chat::parse(typed).unwrap_err().problem();
        assert_eq!(problem.suggestion.as_deref(), Some(meant), "{typed}");
        assert!(chat::parse(&meant[1..]).is_ok(), "{meant}");
    }
}

#[test]
fn the_books_samples_are_what_the_product_says() {
    let room = include_str!("../../docs/src/room.md");
    let mistake = chat::parse("task ad \"Write the release notes\"").unwrap_err();
    let mistake = mistake.problem().document().plain();
    assert!(room.contains(&mistake), "room.md does not show:\n{mistake}");
    let added = replies().as_array().unwrap().iter().find_map(|r| {
        let mut added = r.get("task").filter(|t| t["change"] == "added")?.clone();
        added["now"]["role"] = "documentation".into();
        serde_json::from_value(json!({ "task": added })).ok()
    });
    let added = read(&added.unwrap());
    let introduction = include_str!("../../docs/src/introduction.md");
    let first = added.lines().next().unwrap();
    assert!(
        introduction.contains(first),
        "introduction.md does not show:\n{first}"
    );
}

#[test]
fn help_is_complete() {
    let topics = [
        vec![],
        vec!["task".to_owned()],
        vec!["task".to_owned(), "add".to_owned()],
        vec!["board".to_owned(), "vote".to_owned()],
    ];
    let texts: Vec<String> = topics
        .iter()
        .map(|t| read(&Reply::Help(chat::help(t).unwrap())))
        .collect();
    insta::assert_snapshot!("help", texts.join("\n\n================\n\n"));
}

/// Words that the reader replaces by their own.
const BLANKS: &[(&str, &str)] = &[("HOST", "h1"), ("SERVER", "example.org")];

/// The pieces of a document that are set so that they can be copied.
fn codes(json: &Value, found: &mut Vec<String>) {
    match json {
        Value::Object(map) => {
            found.extend(map.get("code").and_then(Value::as_str).map(str::to_owned));
            map.values().for_each(|v| codes(v, found));
        }
        Value::Array(all) => all.iter().for_each(|v| codes(v, found)),
        _ => {}
    }
}

#[test]
fn every_line_that_an_answer_proposes_is_a_command() {
    let zone = TimeZone::UTC;
    let now = Timestamp("2026-11-27T08:00:00Z".parse().unwrap());
    let reader = Reader { now, zone: &zone };
    let all: Vec<Reply> = serde_json::from_value(replies()).unwrap();
    let mut proposed = Vec::new();
    for reply in all.iter().filter(|r| !matches!(r, Reply::Help(_))) {
        let document = serde_json::to_value(reply.document(&reader)).unwrap();
        codes(&document, &mut proposed);
    }
    let lines: Vec<_> = proposed.iter().filter(|c| c.starts_with('!')).collect();
    assert!(lines.len() > 5, "{lines:?}");
    for line in lines {
        let typed = BLANKS
            .iter()
            .fold(line.clone(), |line, (blank, own)| line.replace(blank, own));
        assert!(
            chat::parse(&typed).is_ok(),
            "{line}: {:?}",
            chat::parse(&typed)
        );
    }
}
