//! `fleet simulate budget`, a small month: what must never happen does not, whatever is asked of the
//! limits, and the same seed is the same run.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking; clippy knows this of functions marked as tests only, not of what they call"
)]

use std::process::{Command, Stdio};

use serde_json::Value;

/// The figures at the end of two days.
fn figures(demand: &str) -> Value {
    let folder = tempfile::tempdir().expect("a folder");
    let output = Command::new(env!("CARGO_BIN_EXE_fleet"))
        .args([
            "simulate", "budget", "--json", "--seed", "7", "--days", "2", "--tasks", "120",
        ])
        .args(["--demand", demand])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let text = String::from_utf8(output.stdout).expect("text");
    let last = text.lines().last().unwrap_or_else(|| panic!("{told}"));
    let mut figures: Value = serde_json::from_str(last).expect("JSON");
    // Wall time is the machine's.
    let object = figures.as_object_mut().expect("an object");
    object.remove("seconds").expect("how long it took");
    figures
}

fn hold(figures: &Value) {
    for never in ["overspend_beyond_bound", "leaked_holds", "false_refusals"] {
        assert_eq!(figures[never], 0, "{never}: {figures}");
    }
    assert_eq!(figures["audit"], serde_json::json!([]), "{figures}");
    assert_eq!(figures["tasks"], 120, "{figures}");
    assert!(figures["completed"].as_u64() > Some(0), "{figures}");
}

#[test]
fn enough_for_all_serves_all() {
    let figures = figures("0.5");
    hold(&figures);
    assert_eq!(figures["unserved_fit"], 0, "{figures}");
}

#[test]
fn as_much_as_the_limits_allow_stays_within_them() {
    hold(&figures("1"));
}

#[test]
fn three_times_too_much_stays_within_the_limits_and_the_same_seed_is_the_same_run() {
    let first = figures("3");
    hold(&first);
    assert_eq!(first, figures("3"));
}
