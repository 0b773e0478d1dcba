//! SIGTERM ends a gateway in good order: nothing new, what is under way is answered, exit code 0.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helper functions too"
)]

use fleet_homeserver::child::{Child, ChildSpec, Output, Signal, spawn};
use fleet_tests::world::{World, eventually, fleet};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A gateway beside the world's own, on the same register: gateways are stateless.
async fn second_gateway(world: &World) -> (Child, String) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let folder = world.stack.folder();
    let url = folder.secret_file("database-url").unwrap();
    let mut spec = ChildSpec::new(fleet().unwrap())
        .args(["gateway"])
        .env("FLEET__TENANT__ID", world.tenant())
        .env("FLEET__DATABASE__URL_FILE", url)
        .env("FLEET__GATEWAY__LISTEN", &address)
        .output(Output::Log(folder.log("second-gateway")));
    spec.inherit_env = false;
    let child = spawn(&spec).await.unwrap();
    let ready = format!("http://{address}/ready");
    eventually("the second gateway is ready", || async {
        let answer = reqwest::get(&ready).await.ok()?;
        answer.status().is_success().then_some(())
    })
    .await
    .unwrap();
    (child, address)
}

/// Reads until a text has come.
async fn until(stream: &mut TcpStream, text: &str) -> String {
    let mut got = Vec::new();
    while !String::from_utf8_lossy(&got).contains(text) {
        let n = stream.read_buf(&mut got).await.unwrap();
        assert_ne!(n, 0, "closed after: {}", String::from_utf8_lossy(&got));
    }
    String::from_utf8(got).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_told_to_stop_answers_what_is_under_way_and_exits_with_0() {
    let world = World::raise().await.unwrap();
    let (gateway, address) = second_gateway(&world).await;
    let token = world
        .stack
        .folder()
        .stored_secret("operator-token")
        .unwrap()
        .unwrap();
    let body = r#"{"request":{"task.add":{"title":"under way"}}}"#;
    let head = format!(
        "POST /v1/commands HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\nidempotency-key: shutdown-1\r\n\
         content-type: application/json\r\ncontent-length: {}\r\nexpect: 100-continue\r\n\r\n",
        token.expose(),
        body.len()
    );
    let mut caller = TcpStream::connect(&address).await.unwrap();
    caller.write_all(head.as_bytes()).await.unwrap();
    // The gateway asks for the body: from now on the request is under way.
    until(&mut caller, "100 Continue\r\n\r\n").await;

    gateway.signal(Signal::Terminate).await;
    eventually("nobody new is let in", || async {
        TcpStream::connect(&address).await.err()
    })
    .await
    .unwrap();
    assert_eq!(gateway.exit_status(), None, "a request is under way");
    caller.write_all(body.as_bytes()).await.unwrap();
    let answer = until(&mut caller, "\"outcome\"").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let status = gateway.exited().await.unwrap();
    assert_eq!(status.code(), Some(0), "{status}");
    assert_eq!(world.task_titles().await.unwrap(), ["under way"]);
    world.end().await;
}
