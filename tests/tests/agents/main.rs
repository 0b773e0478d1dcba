//! Agents as real processes on a real homeserver, a real gateway and a real tmux.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helper functions too"
)]

mod deliver;
mod encrypted;
mod examples;
mod forgotten;
mod gates;
mod join;
mod revoked;
mod together;
mod watch;

use std::path::{Path, PathBuf};

use fleet_tests::world::World;
use serde_json::Value;

/// Runs the product; what it prints as JSON, or the code of its refusal.
async fn shell(world: &World, variables: &[(&str, &str)], line: &[&str]) -> Result<Value, String> {
    let arguments = [line, &["--json"]].concat();
    let output = world.fleet(&arguments, variables).await.unwrap();
    let (said, error) = (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    );
    assert!(
        !said.contains("magt_") && !error.contains("magt_"),
        "a token is shown"
    );
    if output.status.success() {
        return Ok(serde_json::from_str(&said).unwrap_or_else(|e| panic!("{e}: {said}")));
    }
    Err(format!("{said}{error}"))
}

/// Joins as an agent of a role; its credentials file.
async fn join(world: &World, state: &Path, more: &[&str]) -> (PathBuf, Value) {
    let state = [("XDG_STATE_HOME", state.to_str().unwrap())];
    let line = [&["agent", "join", "--role", "code", "--host", "box"], more].concat();
    let joined = shell(world, &state, &line).await.unwrap();
    (joined["credentials"].as_str().unwrap().into(), joined)
}

fn read(file: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

fn as_agent(file: &Path) -> [(&'static str, &str); 1] {
    [("FLEET_AGENT_CREDENTIALS", file.to_str().unwrap())]
}

fn write(file: &Path, credentials: &Value) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(file, credentials.to_string()).unwrap();
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
}
