//! Cases of the one table for spend and for the board.

use serde_json::json;

use super::{Case, case};

pub(super) fn governance_commands() -> Vec<Case> {
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

pub(super) fn board_commands() -> Vec<Case> {
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
