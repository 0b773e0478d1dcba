//! Cases of the one table that read.

use serde_json::json;

use super::{Case, case, plain};

pub(super) fn queries() -> Vec<Case> {
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
