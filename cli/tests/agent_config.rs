//! What `fleet agent config` prints can be pasted as it is.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helper functions too"
)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn config(credentials: &Path, runtime: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fleet"))
        .args(["--json", "agent", "config", "--runtime", runtime])
        .env_clear()
        .env("FLEET_AGENT_CREDENTIALS", credentials)
        .output()
        .unwrap()
}

fn snippets(credentials: &Path, runtime: &str) -> Vec<(String, String)> {
    let output = config(credentials, runtime);
    assert!(output.status.success(), "{output:?}");
    let all: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |v: &Value| v.as_str().unwrap().to_owned();
    let of = |s: &Value| (text(&s["file"]), text(&s["text"]));
    all.as_array().unwrap().iter().map(of).collect()
}

#[test]
fn the_configuration_of_each_runtime_is_of_its_format_and_holds_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("it's code-1.json");
    let credentials = serde_json::json!({
        "v": 1, "gateway": "http://127.0.0.1:14242/", "token": "magt_secret",
        "agent": { "name": "code-1", "host": "box", "incarnation": 1 }, "joined_as": 1, "role": "code",
    });
    std::fs::write(&file, credentials.to_string()).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(config(&file, "codex").status.code(), Some(5));
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();

    let claude = snippets(&file, "claude-code");
    let names: Vec<&str> = claude.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, [".mcp.json", ".claude/settings.json"]);
    let server: Value = serde_json::from_str(&claude[0].1).unwrap();
    let server = &server["mcpServers"]["fleet"];
    assert_eq!(server["args"], serde_json::json!(["mcp"]));
    assert_eq!(
        server["env"]["FLEET_AGENT_CREDENTIALS"],
        file.to_str().unwrap()
    );
    let hooks: Value = serde_json::from_str(&claude[1].1).unwrap();
    for event in [
        "SessionStart",
        "PreToolUse",
        "PostToolUse",
        "Stop",
        "SessionEnd",
    ] {
        let command = hooks["hooks"][event][0]["hooks"][0]["command"]
            .as_str()
            .unwrap();
        // The shell reads it as it was meant, quote included; without input it says so and ends well.
        let ran = Command::new("sh").args(["-c", command]).output().unwrap();
        assert_eq!(ran.status.code(), Some(0), "{event}");
        assert!(
            String::from_utf8_lossy(&ran.stderr).contains("no input of a hook"),
            "{ran:?}"
        );
    }

    let codex = snippets(&file, "codex");
    let table: toml::Table = codex[0].1.parse().unwrap();
    let server = &table["mcp_servers"]["fleet"];
    assert_eq!(
        server["env"]["FLEET_AGENT_CREDENTIALS"].as_str(),
        file.to_str()
    );
    for (_, text) in claude.iter().chain(&codex) {
        assert!(!text.contains("magt_"), "{text}");
    }
}
