use super::*;
use std::os::unix::process::ExitStatusExt as _;

fn shell(script: &str) -> ChildSpec {
    ChildSpec::new("/bin/sh").args(["-c", script])
}

#[tokio::test]
async fn the_exit_status_and_output_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let spec = shell("echo one; echo \"$WORD\" >&2; exit 7")
        .env("WORD", "two")
        .output(Output::Log(log.clone()));
    let child = spawn(&spec).await.unwrap();
    assert_eq!(child.exited().await.unwrap().code(), Some(7));
    assert_eq!(log_tail(&log, 10), "one\ntwo");
    assert_eq!(log_tail(&log, 1), "two");
}

#[tokio::test]
async fn stop_asks_first_and_kills_when_not_heard() {
    let polite = spawn(&shell("exec sleep 1000")).await.unwrap();
    let status = polite
        .stop(Signal::Terminate, Duration::from_secs(20))
        .await
        .unwrap();
    assert_eq!(status.signal(), Some(15));

    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let deaf = shell("trap '' TERM; echo deaf; while :; do sleep 1000; done")
        .output(Output::Log(log.clone()));
    let deaf = spawn(&deaf).await.unwrap();
    while log_tail(&log, 1) != "deaf" {
        tokio::task::yield_now().await;
    }
    let status = deaf
        .stop(Signal::Terminate, Duration::from_millis(50))
        .await
        .unwrap();
    assert_eq!(status.signal(), Some(9));
}

#[tokio::test]
async fn a_dropped_handle_ends_the_child() {
    let child = spawn(&shell("exec sleep 1000")).await.unwrap();
    let mut exit = child.exit.clone();
    drop(child);
    let status = exit.wait_for(Option::is_some).await.unwrap().unwrap();
    assert_eq!(status.signal(), Some(15));
}

#[test]
fn a_child_outlives_the_runtime_that_started_it() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let child = std::thread::spawn(move || {
        runtime()
            .block_on(spawn(&shell("exec sleep 1000")))
            .unwrap()
    })
    .join()
    .unwrap();
    let status = runtime().block_on(child.stop(Signal::Interrupt, Duration::from_secs(20)));
    assert_eq!(
        status.unwrap().signal(),
        Some(2),
        "ended by our signal, not by the first thread's death"
    );
}

#[tokio::test]
async fn an_absent_program_is_named() {
    let error = spawn(&ChildSpec::new("/no/such/program"))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("/no/such/program"), "{error}");
}

#[test]
fn debug_shows_no_environment_value() {
    let shown = format!("{:?}", shell("true").env("TOKEN", "open sesame"));
    assert!(
        shown.contains("TOKEN") && !shown.contains("sesame"),
        "{shown}"
    );
}
