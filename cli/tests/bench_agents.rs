//! `fleet bench agents` with few agents and tasks, on a real homeserver and a real database.

use std::process::{Command, Stdio};

use serde_json::Value;

/// A crew of real processes, three of which are killed: nothing is lost and nothing is done twice.
#[test]
fn a_crew_whose_processes_are_killed_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_fleet"))
        .args([
            "bench", "agents", "--json", "--agents", "6", "--tasks", "60",
        ])
        .current_dir(folder.path())
        .env("TMPDIR", folder.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{told}");
    let text = String::from_utf8(output.stdout).unwrap();
    let all: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    for none in ["agents_lost", "agents_doubled", "agents_deaf"] {
        assert_eq!(all[none].as_f64(), Some(0.0), "{none}: {all}\n{told}");
    }
    // The sweep looks each second; the promise is five.
    assert!(all["ready_after_lease_s"].as_f64().unwrap() < 5.0, "{all}");
    for measured in [
        "claim_p99_ms",
        "message_p50",
        "message_p99",
        "ready_query_20k_ms",
        "rss_listener_mb",
    ] {
        assert!(all[measured].as_f64().unwrap() > 0.0, "{measured}: {all}");
    }
    let killed = told.lines().filter(|l| l.contains(" is killed"));
    assert!(killed.count() >= 3, "{told}");
}
