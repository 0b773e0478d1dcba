//! A child does not outlive a parent that is killed.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

#[tokio::test]
async fn sigkill_of_the_parent_ends_the_child() {
    assert!(
        fleet_homeserver::child::dies_with_parent(),
        "util-linux's setpriv is needed"
    );
    let test = std::env::current_exe().unwrap();
    let example = test.ancestors().nth(2).unwrap().join("examples/hold_child");
    let mut parent = tokio::process::Command::new(&example)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|e| panic!("{e}: build the examples first ({})", example.display()));
    let mut output = BufReader::new(parent.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).await.unwrap();
    assert_eq!(line, "started\n");

    parent.kill().await.unwrap();
    // The child holds the pipe's other end: its end is the pipe's end.
    let mut rest = String::new();
    let ended = tokio::time::timeout(Duration::from_secs(20), output.read_to_string(&mut rest));
    assert_eq!(ended.await.expect("the child still lives").unwrap(), 0);
}
