//! Cases of the one table for the fleet, its members and its agents.

use serde_json::json;

use super::{Case, case, plain};

pub(super) fn fleet_commands() -> Vec<Case> {
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
