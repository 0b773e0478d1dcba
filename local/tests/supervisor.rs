//! The supervisor with small shell children.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test fails it by panicking, as the test itself does"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fleet_homeserver::child::{ChildSpec, Output};
use fleet_local::supervisor::{Policy, Program, State, Step, Supervisor, SupervisorError};
use tokio::sync::watch;

/// A shell script; ready when the file is there, or at once.
struct Shell {
    script: String,
    log: PathBuf,
    ready: Option<PathBuf>,
}

impl Shell {
    fn new(folder: &Path, script: &str) -> Self {
        Self {
            script: script.to_owned(),
            log: folder.join("log"),
            ready: None,
        }
    }
}

impl Program for Shell {
    fn spec(&self) -> ChildSpec {
        ChildSpec::new("/bin/sh")
            .args(["-c", &self.script])
            .output(Output::Log(self.log.clone()))
    }

    fn ready(&self, _pid: u32) -> Step<'_> {
        Box::pin(async {
            while self.ready.as_ref().is_some_and(|file| !file.exists()) {
                tokio::task::yield_now().await;
            }
            Ok(())
        })
    }
}

fn quick() -> Policy {
    Policy {
        attempts: 3,
        first_pause: Duration::from_millis(1),
        longest_pause: Duration::from_millis(5),
        start_limit: Duration::from_secs(20),
        ..Policy::default()
    }
}

fn sleeper(folder: &Path) -> Arc<Shell> {
    Arc::new(Shell::new(folder, "exec sleep 100000"))
}

async fn other_pid(state: &mut watch::Receiver<State>, than: u32) -> u32 {
    let ready = state.wait_for(|s| matches!(s, State::Ready { pid } if *pid != than));
    match *tokio::time::timeout(Duration::from_secs(20), ready)
        .await
        .unwrap()
        .unwrap()
    {
        State::Ready { pid } => pid,
        _ => unreachable!(),
    }
}

fn kill_from_outside(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid.try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[tokio::test]
async fn a_killed_child_is_started_again() {
    let folder = tempfile::tempdir().unwrap();
    let supervisor = Supervisor::new();
    let first = supervisor
        .start("one", sleeper(folder.path()), quick())
        .await
        .unwrap();
    let mut state = supervisor.state("one").unwrap();
    kill_from_outside(first);
    let second = other_pid(&mut state, first).await;
    assert_eq!(supervisor.pid("one").unwrap(), Some(second));

    supervisor.kill("one").await.unwrap();
    assert!(!Path::new(&format!("/proc/{second}")).exists());
    let third = supervisor.ready("one").await.unwrap();
    assert_ne!(third, second);
    supervisor.shutdown().await;
    assert!(!Path::new(&format!("/proc/{third}")).exists());
    assert_eq!(*state.borrow(), State::Stopped);
}

#[tokio::test]
async fn whoever_watches_is_told_what_was_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let supervisor = Supervisor::new();
    let sound = sleeper(folder.path());
    supervisor.start("sound", sound, quick()).await.unwrap();
    let mut broken = Shell::new(folder.path(), "echo out of luck; exit 3");
    broken.ready = Some(folder.path().join("never"));
    supervisor.add("broken", Arc::new(broken), quick()).unwrap();
    let Some(SupervisorError::Failed { name, why }) = supervisor.given_up().await else {
        unreachable!("a child that always ends is given up");
    };
    assert_eq!(name, "broken");
    assert!(why.contains("out of luck"), "{why}");
    supervisor.shutdown().await;
    assert!(supervisor.given_up().await.is_none());
}

#[tokio::test]
async fn many_kills_are_no_reason_to_give_up() {
    let folder = tempfile::tempdir().unwrap();
    let supervisor = Supervisor::new();
    let mut pid = supervisor
        .start("one", sleeper(folder.path()), quick())
        .await
        .unwrap();
    let mut state = supervisor.state("one").unwrap();
    for _ in 0..8 {
        kill_from_outside(pid);
        pid = other_pid(&mut state, pid).await;
    }
    supervisor.shutdown().await;
}

#[tokio::test]
async fn what_never_gets_ready_is_given_up_with_the_end_of_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let fixed = folder.path().join("fixed");
    let script = format!(
        "test -e {} && exec sleep 100000; echo no licence; exit 4",
        fixed.display()
    );
    let program = Shell {
        ready: Some(fixed.clone()),
        ..Shell::new(folder.path(), &script)
    };
    let supervisor = Supervisor::new();
    let error = supervisor
        .start("one", Arc::new(program), quick())
        .await
        .unwrap_err();
    let SupervisorError::Failed { why, .. } = error else {
        panic!("{error}")
    };
    assert!(
        why.contains("exit status: 4") && why.contains("no licence"),
        "{why}"
    );
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    assert_eq!(log.lines().count(), 3, "as many tries as the policy says");
    assert_eq!(supervisor.pid("one").unwrap(), None);

    std::fs::write(fixed, "").unwrap();
    supervisor.restart("one").await.unwrap();
    supervisor.shutdown().await;
}

#[tokio::test]
async fn what_hangs_at_its_start_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let never = folder.path().join("never");
    let program = Shell {
        ready: Some(never),
        ..Shell::new(folder.path(), "echo $$; exec sleep 100000")
    };
    let policy = Policy {
        start_limit: Duration::from_millis(100),
        attempts: 1,
        ..quick()
    };
    let error = Supervisor::new()
        .start("one", Arc::new(program), policy)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("not ready after"), "{error}");
    let pid = std::fs::read_to_string(folder.path().join("log")).unwrap();
    assert!(!Path::new(&format!("/proc/{}", pid.trim())).exists());
}

#[tokio::test]
async fn a_stopped_child_stays_stopped_until_restarted() {
    let folder = tempfile::tempdir().unwrap();
    let supervisor = Supervisor::new();
    let first = supervisor
        .start("one", sleeper(folder.path()), quick())
        .await
        .unwrap();
    supervisor.stop("one").await.unwrap();
    assert_eq!(*supervisor.state("one").unwrap().borrow(), State::Stopped);
    supervisor.kill("one").await.unwrap();
    assert!(matches!(
        supervisor.ready("one").await,
        Err(SupervisorError::Stopped(_))
    ));
    let second = supervisor.restart("one").await.unwrap();
    assert_ne!(first, second);
    let third = supervisor.restart("one").await.unwrap();
    assert_ne!(second, third);
    supervisor.shutdown().await;
}

#[tokio::test]
async fn the_last_started_is_stopped_first() {
    let folder = tempfile::tempdir().unwrap();
    let supervisor = Supervisor::new();
    for name in ["one", "two", "three"] {
        let up = folder.path().join(name);
        let script = format!(
            "trap 'echo {name}; exit 0' TERM; touch {}; while :; do sleep 0.01; done",
            up.display()
        );
        let program = Shell {
            ready: Some(up),
            ..Shell::new(folder.path(), &script)
        };
        supervisor
            .start(name, Arc::new(program), quick())
            .await
            .unwrap();
    }
    supervisor.shutdown().await;
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    assert_eq!(log, "three\ntwo\none\n");
}

#[tokio::test]
async fn names_are_unique_and_known() {
    let folder = tempfile::tempdir().unwrap();
    let supervisor = Supervisor::new();
    supervisor
        .start("one", sleeper(folder.path()), quick())
        .await
        .unwrap();
    let twice = supervisor
        .add("one", sleeper(folder.path()), quick())
        .unwrap_err();
    assert!(matches!(twice, SupervisorError::Duplicate(_)), "{twice}");
    let unknown = supervisor.kill("two").await.unwrap_err();
    assert!(matches!(unknown, SupervisorError::Unknown(_)), "{unknown}");
    supervisor.shutdown().await;
}
