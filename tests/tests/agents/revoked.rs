//! A token that is revoked while its agent works.

use std::process::{Output, Stdio};

use fleet_tests::world::World;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use crate::{as_agent, join, shell};

#[tokio::test(flavor = "multi_thread")]
async fn who_is_revoked_at_work_is_told_so_stops_and_another_goes_on() {
    let world = World::raise().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (one, _) = join(&world, folder.path(), &["--name", "code-1", "--no-matrix"]).await;
    let (two, _) = join(&world, folder.path(), &["--name", "code-2", "--no-matrix"]).await;
    let as_one = as_agent(&one);
    shell(&world, &[], &["task", "add", "Held"]).await.unwrap();
    let claimed = shell(&world, &as_one, &["task", "claim"]).await.unwrap();
    assert_eq!(claimed["reply"]["task"]["now"]["epoch"], 1, "{claimed}");
    let mut listens = world.command(&["agent", "listen"], &as_one).unwrap();
    let listens = listens.spawn().unwrap();
    let hook = async |event: &str| -> Output {
        let input = json!({ "session_id": "s-1", "hook_event_name": event }).to_string();
        let mut command = world.command(&["agent", "hook"], &as_one).unwrap();
        let mut hook = command.stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = hook.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).await.unwrap();
        drop(stdin);
        hook.wait_with_output().await.unwrap()
    };
    let quiet = hook("Stop").await;
    assert!(
        quiet.status.success() && quiet.stderr.is_empty(),
        "{quiet:?}"
    );

    shell(&world, &[], &["agent", "revoke", "code-1"])
        .await
        .unwrap();
    // From the very next call on.
    let progress = ["task", "progress", "t1", "--percent", "50"];
    let refused = async || {
        let output = world.fleet(&progress, &as_one).await.unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let said = refused().await;
    assert!(
        said.contains("auth.unauthenticated") && said.contains("fleet agent join"),
        "{said}"
    );

    // What runs ends, and says why once.
    let ended = listens.wait_with_output().await.unwrap();
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(said.matches("auth.unauthenticated").count(), 1, "{said}");
    // A hook never fails the model's turn.
    let told = hook("Stop").await;
    assert!(told.status.success(), "{told:?}");
    let said = String::from_utf8(told.stderr).unwrap();
    assert_eq!(said.matches("auth.unauthenticated").count(), 1, "{said}");
    let again = hook("Stop").await;
    assert!(
        again.status.success() && again.stderr.is_empty(),
        "{again:?}"
    );

    // The task came back, and the new epoch protects it.
    let claimed = shell(&world, &as_agent(&two), &["task", "claim"])
        .await
        .unwrap();
    let now = &claimed["reply"]["task"]["now"];
    assert_eq!(
        (&now["id"], &now["epoch"]),
        (&json!("t1"), &json!(2)),
        "{now}"
    );
    refused().await;
    shell(&world, &as_agent(&two), &["task", "complete", "t1"])
        .await
        .unwrap();
    world.end().await;
}
