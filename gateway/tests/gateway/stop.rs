//! Being told to stop: what is under way is answered, what only waits ends at once.

use std::time::Duration;

use fleet_protocol::api::path;
use reqwest::StatusCode;
use sqlx::{Connection as _, PgConnection};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::stage::Stage;

/// Far less than a long poll may wait, and than a stopping gateway grants.
const SOON: Duration = Duration::from_secs(10);

/// Reads until a text has come.
async fn until(stream: &mut TcpStream, text: &str) -> String {
    let mut got = Vec::new();
    while !String::from_utf8_lossy(&got).contains(text) {
        let n = stream.read_buf(&mut got).await.unwrap();
        assert_ne!(n, 0, "closed after: {}", String::from_utf8_lossy(&got));
    }
    String::from_utf8(got).unwrap()
}

#[tokio::test]
async fn a_request_under_way_is_answered_and_a_long_poll_ends_at_once() {
    let stage = Stage::new().await;
    let body = r#"{"request":{"task.add":{"title":"under way"}}}"#;
    let mut caller = TcpStream::connect(stage.url.trim_start_matches("http://"))
        .await
        .unwrap();
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {}\r\nidempotency-key: k1\r\n\
         content-type: application/json\r\ncontent-length: {}\r\nexpect: 100-continue\r\n\r\n",
        path::COMMANDS,
        stage.operator,
        body.len()
    );
    caller.write_all(head.as_bytes()).await.unwrap();
    // The gateway says so when it begins to read the body: from now on the request is under way.
    until(&mut caller, "100 Continue\r\n\r\n").await;

    let url = format!("{}{}?wait=25", stage.url, path::OUTBOX);
    let mut owner = PgConnection::connect(stage.database.owner.as_str())
        .await
        .unwrap();
    sqlx::raw_sql("BEGIN; LOCK TABLE fleet.outbox IN ACCESS EXCLUSIVE MODE")
        .execute(&mut owner)
        .await
        .unwrap();
    let ending = async {
        // The poll has begun when it waits for the lock, and goes on when that is gone.
        until_looking(&stage).await;
        sqlx::raw_sql("ROLLBACK").execute(&mut owner).await.unwrap();
        stage.tell_to_stop();
        caller.write_all(body.as_bytes()).await.unwrap();
        until(&mut caller, "\"outcome\"").await
    };
    let poll = stage.http.get(url).bearer_auth(&stage.bot).send();
    let (answer, polled) = tokio::time::timeout(SOON, async { tokio::join!(ending, poll) })
        .await
        .unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(polled.unwrap().status(), StatusCode::OK);
    let tasks = "SELECT count(*) FROM fleet.tasks WHERE title = 'under way'";
    assert_eq!(stage.database.count(tasks).await, 1);
    tokio::time::timeout(SOON, stage.stop()).await.unwrap();
}

/// Looks until a call for the outbox waits for a lock.
async fn until_looking(stage: &Stage) {
    let waiting = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%FROM fleet.rooms r%FROM fleet.outbox o%'";
    while stage.database.count(waiting).await == 0 {
        tokio::task::yield_now().await;
    }
}
