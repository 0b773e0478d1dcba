//! `fleet bench` on a real homeserver and a real database, with few samples: what it says has the
//! form that programs read, and every measure is there.

use std::process::{Command, Stdio};

use serde_json::Value;

const KEYS: [&str; 10] = [
    "added_ms",
    "build",
    "floor",
    "homeserver",
    "name",
    "ok",
    "ratio",
    "target",
    "unit",
    "value",
];

/// Name, unit, whether there is a floor, whether there is a target.
const MEASURES: [(&str, &str, bool, bool); 10] = [
    ("gateway_commits", "commits/s", true, true),
    ("gateway_p99", "ms", true, false),
    ("roundtrip_p50", "ms", true, true),
    ("roundtrip_p99", "ms", true, true),
    ("ballot_to_card_p50", "ms", true, true),
    ("ballot_burst_s", "s", false, true),
    ("burst_rate", "answers/s", true, true),
    ("rss_bot_mb", "MB", false, true),
    ("rss_gateway_mb", "MB", false, true),
    ("idle_cpu", "% of a core", false, true),
];

#[test]
fn every_measure_is_one_object_and_nothing_stays_behind() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleet"));
    command
        .args(["bench", "all", "--json"])
        .args(["--samples", "8", "--burst", "2", "--idle", "1"])
        .current_dir(folder.path())
        .env("TMPDIR", folder.path())
        .stdin(Stdio::null());
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    // Whether targets are met is not asked here: a debug build beside other tests proves nothing.
    assert_eq!(output.status.code(), Some(0), "{told}");
    let lines: Vec<Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect();
    assert_eq!(lines.len(), MEASURES.len(), "{lines:?}");
    for (object, (name, unit, has_floor, has_target)) in lines.iter().zip(MEASURES) {
        let mut keys: Vec<_> = object.as_object().unwrap().keys().collect();
        keys.sort();
        assert_eq!(keys, KEYS);
        assert_eq!(object["name"], name);
        assert_eq!(object["unit"], unit, "{name}");
        assert!(object["value"].as_f64().unwrap() >= 0.0, "{object}");
        let floor = object["floor"].as_f64();
        assert_eq!(
            floor.is_some_and(|floor| floor > 0.0),
            has_floor,
            "{object}"
        );
        assert_eq!(object["ratio"].is_number(), has_floor, "{object}");
        assert_eq!(
            object["added_ms"].is_number(),
            has_floor && unit == "ms",
            "{object}"
        );
        assert_eq!(object["target"].is_string(), has_target, "{object}");
        assert_eq!(object["ok"].is_boolean(), has_target, "{object}");
    }
    assert!(
        told.contains("debug build") || !cfg!(debug_assertions),
        "{told}"
    );
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}
