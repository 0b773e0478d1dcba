//! The stack with a real PostgreSQL, a real Synapse and a stand-in service.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test fails it by panicking, as the test itself does"
)]

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fleet_homeserver::accounts::Accounts;
use fleet_homeserver::child::ChildSpec;
use fleet_homeserver::process::Software;
use fleet_homeserver::{Secret, health};
use fleet_local::data_folder::DataFolderError;
use fleet_local::postgres::Source;
use fleet_local::stack::{
    Database, HOMESERVER, HomeserverChoice, POSTGRES, Progress, ProgressState, Report, ServiceSpec,
    Stack, StackError, StackSettings,
};

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn settings(folder: PathBuf) -> StackSettings {
    let mut homeserver = HomeserverChoice::embedded("fleet.localhost");
    if let HomeserverChoice::Embedded {
        software,
        fast_hashing,
        ..
    } = &mut homeserver
    {
        *software = Software::Synapse;
        *fast_hashing = true;
    }
    StackSettings {
        folder,
        database: Database::Embedded(Source::of_tests().unwrap()),
        homeserver,
        throwaway: true,
    }
}

fn sql(url: &Secret, statement: &str) -> String {
    let output = Command::new("psql")
        .args(["-XAtqd", url.expose(), "-c", statement])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{statement}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn quiet() -> Report {
    Arc::new(|_| {})
}

/// A service that answers 200 on its address.
async fn web(stack: &Stack) -> ServiceSpec {
    let port = stack.folder().port("web", HERE, None, 0).await.unwrap();
    let args = [
        "-m",
        "http.server",
        "--bind",
        "127.0.0.1",
        "--directory",
        "/var/empty",
    ];
    let child = ChildSpec::new("python3")
        .args(args)
        .args([port.to_string()]);
    let ready_url = format!("http://127.0.0.1:{port}/").parse().unwrap();
    std::fs::create_dir_all("/var/empty").unwrap();
    ServiceSpec {
        name: "web".to_owned(),
        child,
        ready_url,
    }
}

/// Whether the process can still do anything. A dead orphan stays listed as a zombie for as long as
/// the system's first process takes to collect it.
fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    // After the name in parentheses (which may hold anything) comes the state.
    stat.is_ok_and(|stat| {
        let state = stat
            .rsplit_once(") ")
            .and_then(|(_, rest)| rest.chars().next());
        !matches!(state, Some('Z' | 'X'))
    })
}

/// Ends when the process has ended: the kernel kills an orphan in its own time.
async fn died(pid: u32) {
    let gone = async {
        while is_alive(pid) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let limit = Duration::from_secs(20);
    let ended = tokio::time::timeout(limit, gone).await;
    assert!(ended.is_ok(), "{pid} did not die with its parent");
}

#[tokio::test]
async fn up_kill_everything_down_and_up_again() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("fleet");
    let told: Arc<Mutex<Vec<Progress>>> = Arc::default();
    let teller = Arc::clone(&told);
    let stack = Stack::start(
        settings(root.clone()),
        Arc::new(move |p| teller.lock().unwrap().push(p)),
    );
    let stack = stack.await.unwrap();
    stack.run(web(&stack).await).await.unwrap();
    let done: Vec<String> = {
        let told = told.lock().unwrap();
        let done = told
            .iter()
            .filter(|p| matches!(p.state, ProgressState::Done { .. }));
        done.map(|p| p.step.clone()).collect()
    };
    assert_eq!(done, ["folder", POSTGRES, HOMESERVER, "web"]);

    let refused = Stack::start(settings(root.clone()), quiet())
        .await
        .unwrap_err();
    assert!(
        matches!(refused, StackError::Folder(DataFolderError::InUse { .. })),
        "{refused}"
    );

    sql(
        stack.database_url(),
        "CREATE TABLE t (n int); INSERT INTO t VALUES (42)",
    );
    let access = stack.homeserver().clone();
    let registration = access.registration.clone().unwrap();
    let password = stack.folder().secret("ada-password").unwrap();
    let accounts = Accounts::new(access.url.clone()).unwrap();
    accounts
        .register(&registration, "ada", &password)
        .await
        .unwrap();

    for name in ["web", HOMESERVER, POSTGRES] {
        let before = stack.processes().pid(name).unwrap().unwrap();
        stack.processes().kill(name).await.unwrap();
        assert!(!is_alive(before), "{name}");
        assert_ne!(
            stack.processes().ready(name).await.unwrap(),
            before,
            "{name}"
        );
    }
    assert_eq!(sql(stack.database_url(), "SELECT n FROM t"), "42");
    let pids =
        ["web", HOMESERVER, POSTGRES].map(|name| stack.processes().pid(name).unwrap().unwrap());
    drop(stack.stop().await);
    assert!(!pids.into_iter().any(is_alive));

    let again = Stack::start(settings(root.clone()), quiet()).await.unwrap();
    assert_eq!(again.homeserver().url, access.url);
    assert_eq!(sql(again.database_url(), "SELECT n FROM t"), "42");
    assert_eq!(again.folder().secret("ada-password").unwrap(), password);
    let accounts = Accounts::new(again.homeserver().url.clone()).unwrap();
    accounts
        .login("ada", &password, None, "a test")
        .await
        .unwrap();

    given_ones_are_used(place.path().join("other"), &again).await;
    again.stop().await.remove().unwrap();
    assert!(!root.exists());
}

/// A service whose port somebody else has is not ready because that one answers.
async fn another_s_answer_is_not_ours(stack: &Stack) {
    let script = "sleep 0.2; echo address in use; exit 1";
    let service = ServiceSpec {
        name: "late".to_owned(),
        child: ChildSpec::new("/bin/sh").args(["-c", script]),
        ready_url: stack
            .homeserver()
            .url
            .join("_matrix/client/versions")
            .unwrap(),
    };
    let error = stack.run(service).await.unwrap_err();
    assert!(error.to_string().contains("address in use"), "{error}");
}

/// Kill the process that holds the stack as rudely as possible, start another at once.
#[tokio::test]
async fn a_start_after_a_sigkill_resumes() {
    use tokio::io::AsyncBufReadExt as _;
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("fleet");
    let test = std::env::current_exe().unwrap();
    let example = test.ancestors().nth(2).unwrap().join("examples/hold_stack");
    let mut holder = tokio::process::Command::new(&example)
        .arg(&root)
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|e| panic!("{e}: build the examples first ({})", example.display()));
    let mut lines = tokio::io::BufReader::new(holder.stdout.take().unwrap()).lines();
    let mut line = async || lines.next_line().await.unwrap().unwrap();
    let (url, pids) = (line().await, [line().await, line().await]);
    let pids = pids.map(|pid| pid.parse::<u32>().unwrap());
    assert!(pids.into_iter().all(is_alive));
    holder.kill().await.unwrap();

    let again = Stack::start(settings(root), quiet()).await.unwrap();
    for pid in pids {
        died(pid).await;
    }
    assert_eq!(again.homeserver().url.as_str(), url);
    assert_eq!(sql(again.database_url(), "SELECT 1"), "1");
    again.stop().await.remove().unwrap();
}

/// A stack on the database and homeserver of another one starts no process of its own.
async fn given_ones_are_used(folder: PathBuf, other: &Stack) {
    let access = other.homeserver().clone();
    let settings = StackSettings {
        folder,
        database: Database::Url(other.database_url().clone()),
        homeserver: HomeserverChoice::Existing {
            url: access.url.clone(),
            registration: access.registration,
        },
        throwaway: false,
    };
    let stack = Stack::start(settings, quiet()).await.unwrap();
    assert!(stack.processes().pid(HOMESERVER).is_err() && stack.processes().pid(POSTGRES).is_err());
    assert_eq!(stack.homeserver().url, access.url);
    another_s_answer_is_not_ours(&stack).await;
    drop(stack.stop().await);
    health::probe(&access.url).await.unwrap();
}

#[tokio::test]
async fn a_service_that_fails_is_told_with_its_log_and_the_folder_is_free_again() {
    let place = tempfile::tempdir().unwrap();
    let server = tokio::net::TcpListener::bind((HERE, 0)).await.unwrap();
    let silent = format!("http://{}/", server.local_addr().unwrap());
    drop(server);
    let unreachable = StackSettings {
        folder: place.path().join("fleet"),
        database: Database::Url(Secret::new("postgres://nowhere")),
        homeserver: HomeserverChoice::Existing {
            url: silent.parse().unwrap(),
            registration: None,
        },
        throwaway: true,
    };
    let told: Arc<Mutex<Vec<Progress>>> = Arc::default();
    let teller = Arc::clone(&told);
    let error = Stack::start(
        unreachable.clone(),
        Arc::new(move |p| teller.lock().unwrap().push(p)),
    );
    let error = error.await.unwrap_err();
    assert!(matches!(error, StackError::Health(_)), "{error}");
    let last = told.lock().unwrap().last().cloned().unwrap();
    assert_eq!(
        (last.step.as_str(), last.state),
        (HOMESERVER, ProgressState::Failed)
    );
    let again = Stack::start(unreachable, quiet()).await.unwrap_err();
    assert!(
        matches!(again, StackError::Health(_)),
        "the folder's lock was given back: {again}"
    );
}

#[test]
fn progress_is_flat_json() {
    let step = Progress {
        step: POSTGRES.to_owned(),
        state: ProgressState::Done { ms: 120 },
        detail: String::new(),
    };
    let json = serde_json::to_value(step).unwrap();
    assert_eq!(
        json,
        serde_json::json!({"step": "postgres", "state": "done", "ms": 120, "detail": ""})
    );
}

#[test]
fn a_start_can_be_awaited_on_any_thread() {
    fn is_send<T: Send>(_: &T) {}
    let place = tempfile::tempdir().unwrap();
    is_send(&Stack::start(settings(place.path().to_owned()), quiet()));
}
