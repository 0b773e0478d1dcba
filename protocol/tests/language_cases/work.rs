//! Cases of the one table for tasks.

use serde_json::json;

use super::{Case, case};

pub(super) fn task_commands() -> Vec<Case> {
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
