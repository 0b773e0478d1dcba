//! Cases of the one table for budgets and what belongs to them: each line is the same in a room and in a
//! shell.

use serde_json::{Value, json};

/// Lines without quotes, and their JSON.
pub(crate) fn cases() -> Vec<(&'static str, Value)> {
    [reads(), limits(), accounts(), grants()].concat()
}

fn reads() -> Vec<(&'static str, Value)> {
    vec![
        ("queue", json!({"queue": {}})),
        (
            "budget explain t3",
            json!({"budget.explain": {"task": "t3"}}),
        ),
        (
            "budget history --provider claude --max 5",
            json!({"budget.history": {"provider": "claude", "max": 5}}),
        ),
        (
            "budget windows --mission m7 --window weekly",
            json!({"budget.windows": {"mission": "m7", "window": "weekly"}}),
        ),
        (
            "budget chart --provider claude --window weekly",
            json!({"budget.chart": {"provider": "claude", "window": "weekly"}}),
        ),
        ("budget audit", json!({"budget.audit": {}})),
        ("budget ladder show", json!({"budget.ladder.show": {}})),
        ("budget export", json!({"budget.export": {}})),
        (
            "subscription list --all",
            json!({"subscription.list": {"all": true}}),
        ),
        (
            "subscription show claude-1",
            json!({"subscription.show": {"name": "claude-1"}}),
        ),
        ("price list", json!({"price.list": {}})),
        ("alert list", json!({"alert.list": {}})),
        ("alert show i12", json!({"alert.show": {"alert": "i12"}})),
        (
            "report spend --by day --since 2026-11-23T00:00 --mission m7",
            json!({"report.spend": {"by": "day", "since": "2026-11-23T00:00:00", "mission": "m7"}}),
        ),
    ]
}

fn limits() -> Vec<(&'static str, Value)> {
    vec![
        (
            "budget set --role code --limit 2M --unit tokens --every 5h --after-first-use --model opus --pace none --burst 10 --unknown refuse --dry-run",
            json!({"budget.set": {"role": "code", "limit": 2_000_000, "unit": "tokens", "every": "5h", "after_first_use": true,
                "model": "opus", "pace": "none", "burst": 10, "unknown": "refuse", "dry_run": true}}),
        ),
        (
            "budget set --agent code-1 --limit 5 --unit messages --reset-at 2026-11-30T09:00+01:00 --rule FREQ=WEEKLY;BYDAY=MO --zone Europe/Berlin",
            json!({"budget.set": {"agent": "code-1", "limit": 5, "unit": "messages", "reset_at": "2026-11-30T09:00+01:00",
                "rule": "FREQ=WEEKLY;BYDAY=MO", "zone": "Europe/Berlin"}}),
        ),
        (
            "budget reset --provider claude --window 5h --reset-at +3h --keep-schedule",
            json!({"budget.reset": {"provider": "claude", "window": "5h", "reset_at": "+3h", "keep_schedule": true}}),
        ),
        (
            "budget lift --provider claude --amount 500k --no-pacing --until +3h --reason release",
            json!({"budget.lift": {"provider": "claude", "amount": 500_000, "no_pacing": true, "until": "+3h", "reason": "release"}}),
        ),
        (
            "budget close --provider claude --until +1h --reason limit",
            json!({"budget.close": {"provider": "claude", "until": "+1h", "reason": "limit"}}),
        ),
        (
            "budget reopen --provider claude",
            json!({"budget.reopen": {"provider": "claude"}}),
        ),
        (
            "budget reading --provider claude --window 5h --used 43.25% --resets-at +2h",
            json!({"budget.reading": {"provider": "claude", "window": "5h", "used": "43.25", "resets_at": "+2h"}}),
        ),
        (
            "budget headers --provider claude --header retry-after:30",
            json!({"budget.headers": {"provider": "claude", "headers": ["retry-after:30"]}}),
        ),
        (
            "budget ladder set opus haiku",
            json!({"budget.ladder.set": {"models": ["opus", "haiku"]}}),
        ),
        (
            "budget import limit=5 --dry-run",
            json!({"budget.import": {"document": "limit=5", "dry_run": true}}),
        ),
    ]
}

fn accounts() -> Vec<(&'static str, Value)> {
    vec![
        (
            "subscription add claude-1 --provider claude --model opus,sonnet",
            json!({"subscription.add": {"name": "claude-1", "provider": "claude", "models": ["opus", "sonnet"]}}),
        ),
        (
            "subscription pool claude-1 claude-2 --pool max",
            json!({"subscription.pool": {"names": ["claude-1", "claude-2"], "pool": "max"}}),
        ),
        (
            "subscription retire claude-1",
            json!({"subscription.retire": {"name": "claude-1"}}),
        ),
        (
            "price set opus --input 5M --output 25M --cache-write 6M --cache-read 500k --source list",
            json!({"price.set": {"model": "opus", "input": 5_000_000, "output": 25_000_000, "cache_write": 6_000_000,
                "cache_read": 500_000, "source": "list"}}),
        ),
        ("alert ack i12", json!({"alert.ack": {"alert": "i12"}})),
    ]
}

fn grants() -> Vec<(&'static str, Value)> {
    vec![
        (
            "task start t3 --now",
            json!({"task.start": {"task": "t3", "now": true}}),
        ),
        (
            "task add Title --model opus --pin-model --max-wait 10m",
            json!({"task.add": {"title": "Title", "model": "opus", "pin_model": true, "max_wait": "10m"}}),
        ),
        (
            "spend report t3 --messages 3 --credits 4 --compute-seconds 5",
            json!({"spend.report": {"task": "t3", "messages": 3, "credits": 4, "compute_seconds": 5}}),
        ),
        ("spend hold t3", json!({"spend.hold": {"task": "t3"}})),
        (
            "spend top-up t3 --tokens 500",
            json!({"spend.top-up": {"task": "t3", "tokens": 500}}),
        ),
        (
            "spend commit t3 --tokens 500 --attempt 1",
            json!({"spend.commit": {"task": "t3", "tokens": 500, "attempt": 1}}),
        ),
        ("spend release t3", json!({"spend.release": {"task": "t3"}})),
        (
            "spend settle t3 --attempt 1 --tokens 5",
            json!({"spend.settle": {"task": "t3", "attempt": 1, "tokens": 5}}),
        ),
    ]
}
