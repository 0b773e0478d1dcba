//! Processes that join at the same moment: as one agent of a machine, and on two machines.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fleet_agent::credentials::Credentials;
use fleet_tests::world::World;
use serde_json::{Value, json};

use crate::{as_agent, read, shell, write};

const JOIN: [&str; 6] = ["agent", "join", "--role", "code", "--no-matrix", "--json"];

/// Starts all of them before any has ended; what each answered.
async fn at_once(world: &World, state: &str, hosts: &[&str]) -> Vec<Value> {
    let running: Vec<_> = hosts
        .iter()
        .map(|host| {
            let line = [&JOIN[..], &["--host", host]].concat();
            let mut command = world.command(&line, &[("XDG_STATE_HOME", state)]).unwrap();
            command.spawn().unwrap()
        })
        .collect();
    let mut joined = Vec::new();
    for process in running {
        let output = process.wait_with_output().await.unwrap();
        assert!(output.status.success(), "{output:?}");
        joined.push(serde_json::from_slice(&output.stdout).unwrap());
    }
    joined
}

#[tokio::test(flavor = "multi_thread")]
async fn of_processes_that_join_as_one_agent_at_once_the_last_is_it() {
    let world = World::raise().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().to_str().unwrap();

    // Whoever reads the file meanwhile reads it whole.
    let file = folder.path().join("fleet/agents/code-1@box.json");
    let ends = Arc::new(AtomicBool::new(false));
    let reader = std::thread::spawn({
        let (file, ends) = (file.clone(), ends.clone());
        move || {
            let mut seen = BTreeSet::new();
            while !ends.load(Ordering::Relaxed) {
                if file.exists() {
                    seen.insert(Credentials::read(&file).unwrap().joined_as);
                }
            }
            seen
        }
    });
    let joined = at_once(&world, state, &["box"; 4]).await;
    ends.store(true, Ordering::Relaxed);
    let seen = reader.join().unwrap();
    assert!(seen.len() > 1 && seen.iter().all(|n| *n <= 4), "{seen:?}");

    let files: BTreeSet<_> = joined
        .iter()
        .map(|j| PathBuf::from(j["credentials"].as_str().unwrap()))
        .collect();
    assert_eq!(files, BTreeSet::from([file.clone()]));
    let lives: BTreeSet<_> = joined
        .iter()
        .map(|j| j["agent"]["incarnation"].as_u64().unwrap())
        .collect();
    assert_eq!(lives, BTreeSet::from([1, 2, 3, 4]));
    let newest = read(&file);
    assert_eq!(newest["agent"]["incarnation"], 4);
    assert_eq!(newest["joined_as"], 4);

    // Each earlier one is a former self, with the same token.
    let former = folder.path().join("former.json");
    for life in 1..4 {
        let mut credentials = newest.clone();
        credentials["agent"]["incarnation"] = json!(life);
        credentials["joined_as"] = json!(life);
        write(&former, &credentials);
        let refused = shell(&world, &as_agent(&former), &["agent", "heartbeat"])
            .await
            .unwrap_err();
        assert!(refused.contains("agent.stale_incarnation"), "{refused}");
    }
    shell(&world, &as_agent(&file), &["agent", "heartbeat"])
        .await
        .unwrap();

    // On other machines they are other agents.
    let others = at_once(&world, state, &["left", "right"]).await;
    let names: BTreeSet<_> = others
        .iter()
        .map(|j| j["agent"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, BTreeSet::from(["code-2", "code-3"]));
    for other in &others {
        let file = PathBuf::from(other["credentials"].as_str().unwrap());
        shell(&world, &as_agent(&file), &["agent", "heartbeat"])
            .await
            .unwrap();
    }
    let agents = shell(&world, &[], &["agent", "list"]).await.unwrap();
    assert_eq!(agents["agents"].as_array().unwrap().len(), 3, "{agents}");
    world.end().await;
}
