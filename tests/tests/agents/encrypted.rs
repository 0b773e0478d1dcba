//! Agents on another machine than the gateway: TLS in front of it, with an authority of one's own.

use fleet_tests::tls::{Authority, Terminator};
use fleet_tests::world::World;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::shell;

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_works_through_tls_and_trusts_nobody_it_was_not_told_to() {
    let world = World::raise().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (ours, theirs) = (path("ours.pem"), path("theirs.pem"));
    let authority = Authority::new("ours").unwrap();
    std::fs::write(&ours, authority.pem()).unwrap();
    std::fs::write(&theirs, Authority::new("theirs").unwrap().pem()).unwrap();
    let terminator = Terminator::start(&authority, &world.gateway_url)
        .await
        .unwrap();
    let url = terminator.url().unwrap();

    let state = path("state");
    let join = [
        "agent",
        "join",
        "--role",
        "code",
        "--host",
        "box",
        "--no-matrix",
    ];
    let by = [
        ("XDG_STATE_HOME", state.as_str()),
        ("FLEET__GATEWAY__URL", url.as_str()),
        ("SSL_CERT_FILE", ours.as_str()),
    ];
    let joined = shell(&world, &by, &join).await.unwrap();
    let file = joined["credentials"].as_str().unwrap();
    let trusting = |authority| {
        [
            ("FLEET_AGENT_CREDENTIALS", file),
            ("SSL_CERT_FILE", authority),
        ]
    };

    // An authority that nobody named: said at once, with what to do, and no token has left.
    let heartbeat = ["agent", "heartbeat"];
    let refused = world.fleet(&heartbeat, &trusting(&theirs)).await.unwrap();
    assert_eq!(refused.status.code(), Some(3), "{refused:?}");
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(
        said.contains("not trusted here") && said.contains("SSL_CERT_FILE"),
        "{said}"
    );

    let mine = trusting(&ours);
    let mut listens = world.command(&["agent", "listen"], &mine).unwrap();
    let mut listens = listens.spawn().unwrap();
    let mut heard = BufReader::new(listens.stdout.take().unwrap()).lines();
    shell(&world, &[], &["agent", "send", "--to", "code-1", "hello"])
        .await
        .unwrap();
    let item: Value = serde_json::from_str(&heard.next_line().await.unwrap().unwrap()).unwrap();
    assert_eq!(item["text"], "hello");
    shell(&world, &[], &["task", "add", "Far away"])
        .await
        .unwrap();
    let claimed = shell(&world, &mine, &["task", "claim"]).await.unwrap();
    assert_eq!(
        claimed["reply"]["task"]["now"]["holder"], "code-1",
        "{claimed}"
    );
    shell(&world, &mine, &["task", "complete", "t1"])
        .await
        .unwrap();

    // Without TLS, to an address that is not this machine's own: done, and told.
    let mut plain = world.gateway_url.clone();
    plain.set_host(Some("0.0.0.0")).unwrap();
    let by = [
        ("XDG_STATE_HOME", state.as_str()),
        ("FLEET__GATEWAY__URL", plain.as_str()),
    ];
    let joined = world
        .fleet(&[&join[..], &["--name", "code-7"]].concat(), &by)
        .await
        .unwrap();
    assert!(joined.status.success(), "{joined:?}");
    let said = String::from_utf8(joined.stderr).unwrap();
    assert!(said.contains("has no TLS"), "{said}");
    world.end().await;
}
