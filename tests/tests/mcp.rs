//! `fleet mcp` under an independent MCP client, the official Python SDK, against a real gateway.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helper functions too"
)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use fleet_homeserver::python::{Requirements, default_cache, environment};
use fleet_tests::world::{GATEWAY, World, fleet};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// The official Python SDK and what it needs.
const SDK: Requirements = Requirements {
    name: "mcp",
    lock: include_str!("../requirements/mcp.txt"),
};

async fn fed(mut command: Command, input: &str) -> Output {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).await.unwrap();
    drop(stdin);
    child.wait_with_output().await.unwrap()
}

/// The client, at a server with these credentials.
async fn talks(credentials: &Path, mode: &str, steps: Value) -> Output {
    let python = environment(&SDK, &default_cache().unwrap(), &|_| {})
        .await
        .unwrap();
    let mut command = Command::new(python.python());
    command
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mcp/client.py"))
        .arg(fleet().unwrap())
        .arg(credentials)
        .arg(mode);
    fed(command, &steps.to_string()).await
}

/// What it reports.
async fn client(credentials: &Path, mode: &str, steps: Value) -> Value {
    let output = talks(credentials, mode, steps).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {said}"))
}

/// Registers code-1 and writes its credentials as `join` does.
async fn joined(world: &World, folder: &Path) -> PathBuf {
    let user = world.user("agent-code-1-box");
    world
        .ask(&format!("!member add {user} --role agent"))
        .await
        .unwrap();
    let token = folder.join("token");
    let new = [
        "gateway", "token", "new", "code-1", "--user", &user, "--out",
    ];
    let made = world
        .fleet(&[&new[..], &[token.to_str().unwrap()]].concat(), &[])
        .await
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let register = [
        "agent", "register", "code-1", "--role", "code", "--host", "box",
    ];
    let variables = [
        ("FLEET__OPERATOR__TOKEN_FILE", token.to_str().unwrap()),
        ("FLEET_AGENT", "code-1@box"),
    ];
    let registered = world.fleet(&register, &variables).await.unwrap();
    assert!(registered.status.success(), "{registered:?}");
    let credentials = json!({
        "v": 1,
        "gateway": world.gateway_url,
        "token": std::fs::read_to_string(&token).unwrap().trim(),
        "agent": { "name": "code-1", "host": "box", "incarnation": 1 },
        "joined_as": 1,
        "role": "code",
    });
    let file = folder.join("code-1.json");
    std::fs::write(&file, credentials.to_string()).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_works_a_task_votes_and_reads_with_nothing_but_the_tools() {
    let world = World::raise().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let credentials = joined(&world, folder.path()).await;
    world
        .ask("!task add \"Write the release notes\" --brief \"In three lines.\"")
        .await
        .unwrap();
    world.ask("!task add \"A second one\"").await.unwrap();
    world
        .ask("!board propose \"Ship on Friday?\" --seat cto=code-1")
        .await
        .unwrap();

    let user = world.user("agent-review-1-box");
    world
        .ask(&format!(
            "!agent register review-1 --role review --host box --user {user}"
        ))
        .await
        .unwrap();
    world
        .ask("!agent send --to code-1 \"is it done?\"")
        .await
        .unwrap();

    let steps = json!([
        { "tool": "task_claim" },
        { "tool": "task_progress", "arguments": { "task": "t1", "percent": 40, "note": "outline done" } },
        { "read": "fleet://task/t1" },
        { "tool": "task_renew", "arguments": { "task": "t1" } },
        { "tool": "spend_report", "arguments": { "task": "t1", "input_tokens": 1200, "output_tokens": 300, "session": "s1" } },
        { "tool": "task_complete", "arguments": { "task": "t1", "summary": "written", "files_changed": ["NOTES.md"] } },
        { "tool": "board_vote", "arguments": { "proposal": "p1", "verdict": "approve", "reason": ["tests are green"], "confidence": 80 } },
        { "prompt": "review_as_cto", "arguments": { "proposal": "p1" } },
        { "read": "fleet://room/board" },
        { "tool": "task_progress", "arguments": { "task": "t2", "percent": 10 } },
        { "tool": "task_progress", "arguments": { "task": "t2", "percent": 1000 } },
        { "tool": "task_show", "arguments": { "task": "t99" } },
        { "tool": "budget_set", "arguments": {} },
        { "read": "fleet://task/x" },
        { "prompt": "review_as_nobody" },
        { "tool": "status" },
        { "prompt": "be_code" },
        { "tool": "agent_next", "arguments": { "wait": 0, "limit": 5 } },
        { "tool": "agent_reply", "arguments": { "item": "n1", "text": "it is", "ack": true } },
        { "tool": "agent_ack", "arguments": { "items": ["n1"] } },
        { "tool": "agent_inbox" },
        { "tool": "agent_send", "arguments": { "to": "review-1", "text": "t1 is done" } },
        { "tool": "agent_broadcast", "arguments": { "role": "review", "text": "all is done", "class": "reaction" } },
        { "tool": "agent_delegate", "arguments": { "task": "t2", "to": "review-1" } },
        { "tool": "agent_send", "arguments": { "to": "nobody-9", "text": "hello?" } },
    ]);
    // The handshake of older clients; the newest protocol is spoken below.
    let report = client(&credentials, "legacy", steps).await;
    let s = report["steps"].as_array().unwrap();
    let done = |i: usize| {
        assert_ne!(s[i]["isError"], true, "{:#}", s[i]);
        &s[i]["structuredContent"]
    };
    assert_eq!(done(0)["task"]["now"]["id"], "t1");
    assert_eq!(
        done(0)["task"]["now"]["dispatch"]["role"]["title"],
        "Code",
        "a model without memory is told who it is"
    );
    let begin = s[0]["content"][0]["text"].as_str().unwrap();
    assert!(begin.contains("You are the fleet's Code."), "{begin}");
    assert!(begin.contains("In three lines."), "{begin}");
    assert_eq!(done(1)["task"]["now"]["percent"], 40);
    let (text, value) = (&s[2]["contents"][0]["text"], &s[2]["contents"][1]["text"]);
    assert!(text.as_str().unwrap().contains("In three lines."), "{text}");
    let value: Value = serde_json::from_str(value.as_str().unwrap()).unwrap();
    assert_eq!(value[0]["task"]["now"]["note"], "outline done");
    done(3);
    done(4);
    assert_eq!(done(5)["task"]["now"]["status"], "completed");
    assert_eq!(done(5)["task"]["now"]["actual_tokens"], 1500);
    assert_eq!(done(6)["ballot"]["verdict"], "approve");
    let persona = s[7]["messages"][0]["content"]["text"].as_str().unwrap();
    assert!(persona.contains("Ship on Friday?"), "{persona}");
    assert!(
        s[8]["contents"][0]["text"]
            .as_str()
            .unwrap()
            .contains("Ship on Friday?")
    );

    // A refusal is a result that the model reads: cause, remedy, code.
    let refused = |i: usize, code: &str| {
        assert_eq!(s[i]["isError"], true, "{:#}", s[i]);
        let error = &s[i]["structuredContent"]["error"];
        assert_eq!(error["code"], code, "{:#}", s[i]);
        let text = s[i]["content"][0]["text"].as_str().unwrap().to_owned();
        assert!(text.contains(code), "{text}");
        assert!(text.contains(error["detail"].as_str().unwrap()), "{text}");
        text
    };
    refused(9, "register.wrong_state");
    assert!(refused(10, "event.malformed").contains("percent"));
    refused(11, "register.not_found");
    for i in [12, 13, 14] {
        assert!(s[i]["protocol_error"]["message"].is_string(), "{:#}", s[i]);
    }
    done(15);
    let role = s[16]["messages"][0]["content"]["text"].as_str().unwrap();
    assert!(role.contains("What you must not do"), "{role}");

    // The inbox: taken, answered, settled, empty; what is said goes out, and a worker does not assign.
    let item = &done(17)["items"][0];
    assert_eq!(
        (&item["id"], &item["text"]),
        (&json!("n1"), &json!("is it done?"))
    );
    assert_eq!(done(18)["item"]["now"]["text"], "it is");
    assert!(done(19)["items"][0]["acknowledged_at"].is_string());
    // What the fleet says of ready work may have come meanwhile.
    let left = done(20)["items"].as_array().unwrap();
    assert!(
        left.iter().all(|i| i["from"] == "gateway:fleet"),
        "{left:?}"
    );
    assert_eq!(done(21)["item"]["now"]["to"], "box:review-1");
    assert_eq!(done(22)["items"].as_array().unwrap().len(), 1);
    assert!(refused(23, "auth.wrong_role").contains("orchestrator"));
    refused(24, "register.not_found");

    // Nobody but the tools did it.
    assert_eq!(world.task_titles().await.unwrap(), ["A second one"]);
    says_what_it_is(&report);

    // The newest protocol, a process that was started since, and a lease that only the register knows.
    let claimed = client(&credentials, "auto", json!([{ "tool": "task_claim" }])).await;
    assert_eq!(claimed["protocol"], "2026-07-28");
    let steps = json!([{ "tool": "task_release", "arguments": { "task": "t2", "result": { "summary": "half done" } } }]);
    let released = client(&credentials, "auto", steps).await;
    let released = &released["steps"][0]["structuredContent"]["task"]["now"];
    assert_eq!(released["status"], "pending");
    let steps = json!([{ "tool": "task_claim" },
        { "tool": "task_escalate", "arguments": { "task": "t2", "reason": "Which one?" } }]);
    let asked = client(&credentials, "auto", steps).await;
    let now = |i: usize| &asked["steps"][i]["structuredContent"]["task"]["now"];
    assert_eq!(now(0)["handed_back"]["result"]["summary"], "half done");
    assert_eq!(now(1)["status"], "escalated");

    // Its token revoked, the client is told the code and what to do.
    world.ask("!agent revoke code-1").await.unwrap();
    let refused = talks(&credentials, "auto", json!([])).await;
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success(), "{said}");
    assert!(
        said.contains("auth.unauthenticated") && said.contains("fleet agent join"),
        "{said}"
    );
    world.end().await;
}

fn says_what_it_is(report: &Value) {
    assert_eq!(report["server"]["name"], "fleet");
    assert!(
        report["instructions"]
            .as_str()
            .unwrap()
            .starts_with("You are code-1 on box.")
    );
    let tools = report["tools"].as_array().unwrap();
    let tool = |name: &str| tools.iter().find(|t| t["name"] == name).unwrap();
    assert_eq!(tool("status")["annotations"]["readOnlyHint"], true);
    assert_eq!(tool("task_claim")["annotations"]["idempotentHint"], false);
    assert_eq!(tool("task_renew")["annotations"]["idempotentHint"], true);
    assert_eq!(tool("task_fail")["annotations"]["destructiveHint"], true);
    assert_eq!(
        tool("task_complete")["inputSchema"]["required"],
        json!(["task"])
    );
    assert_eq!(report["resources"].as_array().unwrap().len(), 4);
    assert_eq!(report["templates"].as_array().unwrap().len(), 3);
    assert!(
        report["prompts"]
            .as_array()
            .unwrap()
            .iter()
            .any(|p| p["name"] == "review_as_cto")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_the_protocol_is_on_standard_output_and_no_argument_names_the_agent() {
    let folder = tempfile::tempdir().unwrap();
    let credentials = folder.path().join("code-1.json");
    let nowhere = json!({
        "v": 1, "gateway": "http://127.0.0.1:9/", "token": "magt_none",
        "agent": { "name": "code-1", "host": "box", "incarnation": 1 }, "joined_as": 1, "role": "code",
    });
    std::fs::write(&credentials, nowhere.to_string()).unwrap();
    let serve = |arguments: &[&str]| {
        let mut command = Command::new(fleet().unwrap());
        command
            .args(arguments)
            .env("FLEET_AGENT_CREDENTIALS", &credentials)
            .env("RUST_LOG", "trace");
        command
    };
    // Others could read the file: nothing is served.
    std::fs::set_permissions(&credentials, std::fs::Permissions::from_mode(0o644)).unwrap();
    let refused = fed(serve(&["mcp"]), "").await;
    assert_eq!(refused.status.code(), Some(5));
    assert!(refused.stdout.is_empty());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("chmod 600"));
    std::fs::set_permissions(&credentials, std::fs::Permissions::from_mode(0o600)).unwrap();
    let named = fed(serve(&["mcp", "--as-agent", "code-2@box"]), "").await;
    assert_eq!(named.status.code(), Some(2));

    let initialize = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "raw", "version": "1" } } });
    let list = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list" });
    let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    let input = format!("{initialize}\n{initialized}\nthis is no JSON\n{list}\n");
    let output = fed(serve(&["mcp"]), &input).await;
    let said = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect();
    assert!(lines.iter().all(|l| l["jsonrpc"] == "2.0"), "{said}");
    assert!(
        lines
            .iter()
            .any(|l| l["id"] == 2 && l["result"]["tools"].is_array()),
        "{said}"
    );
}

/// What Claude Code writes of an answer.
fn answer(id: &str, at: &str, tokens: [u64; 4]) -> String {
    let [input, output, cache_write, cache_read] = tokens;
    json!({ "type": "assistant", "timestamp": at, "isSidechain": false, "message": {
        "id": id, "role": "assistant", "model": "claude-opus-4-5", "content": [],
        "usage": { "input_tokens": input, "output_tokens": output,
            "cache_creation_input_tokens": cache_write, "cache_read_input_tokens": cache_read } } })
    .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn hooks_report_heartbeat_context_and_spend_and_never_fail_the_turn() {
    let world = World::raise().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let credentials = joined(&world, folder.path()).await;
    world.ask("!task add \"by a model\"").await.unwrap();
    client(&credentials, "auto", json!([{ "tool": "task_claim" }])).await;

    let record = folder.path().join("s-1.jsonl");
    let hook = |input: Value| {
        let mut command = Command::new(fleet().unwrap());
        command
            .args(["agent", "hook"])
            .env("FLEET_AGENT_CREDENTIALS", &credentials);
        async move { fed(command, &input.to_string()).await }
    };
    let event = |name: &str, source: Option<&str>| json!({ "session_id": "s-1", "transcript_path": record, "cwd": "/", "hook_event_name": name, "source": source });
    let started = hook(event("SessionStart", Some("startup"))).await;
    assert!(started.status.success(), "{started:?}");
    let greeting = String::from_utf8(started.stdout).unwrap();
    assert!(
        greeting.contains("You hold t1 \"by a model\"."),
        "{greeting}"
    );

    let lines = [
        answer("m1", "2000-01-01T00:00:00Z", [9, 9, 9, 9]),
        answer("m2", "2100-01-01T00:00:00Z", [1_000, 100, 0, 0]),
        answer("m2", "2100-01-01T00:00:00Z", [1_000, 200, 0, 0]),
        answer("m3", "2100-01-01T00:01:00Z", [500, 300, 0, 40_000]),
    ];
    std::fs::write(&record, lines.join("\n") + "\n").unwrap();
    // Twice: totals are cumulative, nothing is counted twice.
    for _ in 0..2 {
        let stopped = hook(event("Stop", None)).await;
        assert!(
            stopped.status.success() && stopped.stdout.is_empty(),
            "{stopped:?}"
        );
        assert!(stopped.stderr.is_empty(), "{stopped:?}");
    }
    let steps = json!([{ "tool": "task_show", "arguments": { "task": "t1" } }, { "tool": "ps" }]);
    let seen = client(&credentials, "auto", steps).await;
    let task = &seen["steps"][0]["structuredContent"]["task"]["now"];
    // 1,500 in, 500 out, and a tenth of what came from the cache.
    assert_eq!(task["actual_tokens"], 6_000, "{task:#}");
    let agent = &seen["steps"][1]["structuredContent"]["ps"]["agents"][0];
    assert_eq!(agent["context_tokens"], 40_800, "{agent:#}");

    // An emptied context is the next incarnation, and whoever has the file goes on as it.
    let cleared = hook(event("SessionStart", Some("clear"))).await;
    assert!(
        cleared.status.success() && cleared.stderr.is_empty(),
        "{cleared:?}"
    );
    let seen = client(&credentials, "auto", json!([{ "tool": "ps" }])).await;
    let agent = &seen["steps"][0]["structuredContent"]["ps"]["agents"][0];
    assert_eq!(agent["incarnation"], 2);
    assert_eq!(agent["context_tokens"], 0);

    // Whatever is wrong, the model's turn goes on.
    world.stack.processes().stop(GATEWAY).await.unwrap();
    for input in [event("Stop", None), json!("no hook")] {
        let failed = hook(input).await;
        assert_eq!(failed.status.code(), Some(0));
        assert!(failed.stdout.is_empty() && !failed.stderr.is_empty());
    }
    world.end().await;
}
