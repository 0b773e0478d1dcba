//! Tokens of agents, and an agent from which everything is taken.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking; clippy knows this of functions marked as tests only, not of what they call"
)]

mod work_desk;

use fleet_protocol::Reply;
use fleet_protocol::problem::Code;
use fleet_protocol::verbs::task::TaskStatus;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use work_desk::{Desk, user_id};

fn sha256(token: &str) -> String {
    Sha256::digest(token)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}

/// Registers `new-1` for an account that has no token yet, and gives it one.
async fn joined(desk: &Desk, token: &str) {
    let user = user_id("agent-new-1-h1");
    desk.ok(
        "ana",
        "member.add",
        json!({ "user": user, "role": "agent" }),
    )
    .await;
    let args = json!({ "name": "new-1", "role": "code", "host": "h1", "user": user });
    desk.ok("ana", "agent.register", args).await;
    desk.ok(
        "ana",
        "agent.token",
        json!({ "name": "new-1", "sha256": sha256(token) }),
    )
    .await;
}

fn as_new(request: Value) -> Value {
    json!({ "request": request, "agent": { "name": "new-1", "host": "h1", "incarnation": 1 } })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_speaks_with_the_token_it_made_and_changes_it() {
    let desk = Desk::open().await;
    joined(&desk, "magt_one").await;
    let beat = || as_new(json!({ "agent.heartbeat": {} }));
    assert!(matches!(
        desk.call_with("magt_one", beat()).await,
        Ok(Reply::Agent(_))
    ));
    // The register knows it by its SHA-256, and the journal not at all.
    let kept: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM fleet.admitted WHERE strpos(body::text, 'magt_') > 0",
    )
    .fetch_one(&mut desk.register_rows().await)
    .await
    .expect("the journal");
    assert_eq!(kept, 0);
    let change =
        as_new(json!({ "agent.token": { "name": "new-1", "sha256": sha256("magt_two") } }));
    assert!(desk.call_with("magt_one", change).await.is_ok());
    assert!(desk.call_with("magt_two", beat()).await.is_ok());
    // A gateway trusts what it has seen for five seconds.
    desk.clock.advance(6);
    let code = |p: Result<Reply, fleet_protocol::Problem>| p.expect_err("revoked").code;
    assert_eq!(
        code(desk.call_with("magt_one", beat()).await),
        Code::Unauthenticated
    );
    // What was revoked never comes back, and nobody changes the token of another.
    let back = json!({ "name": "new-1", "sha256": sha256("magt_one") });
    assert_eq!(
        desk.refused("ana", "agent.token", back.clone()).await,
        Code::Exists
    );
    desk.register("a1", "code-1", "code").await;
    assert_eq!(
        desk.refused("a1", "agent.token", back.clone()).await,
        Code::NotYourself
    );
    assert_eq!(
        desk.refused("mia", "agent.token", back).await,
        Code::NotYourself
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_agent_loses_its_lease_and_its_tokens() {
    let desk = Desk::open().await;
    joined(&desk, "magt_one").await;
    let task = desk.add("Held", json!({})).await;
    desk.call_with("magt_one", as_new(json!({ "task.claim": {} })))
        .await
        .expect("claimed");
    let revoke = json!({ "name": "new-1" });
    assert_eq!(
        desk.refused("mia", "agent.revoke", revoke.clone()).await,
        Code::WrongRole
    );
    let Reply::Agent(agent) = desk.ok("ana", "agent.revoke", revoke).await else {
        panic!("an agent")
    };
    assert_eq!(agent.now.state, "retired");
    assert!(
        agent.notes.iter().any(|n| n == "t1 is no longer held"),
        "{:?}",
        agent.notes
    );
    assert_eq!(desk.task(&task).await.status, TaskStatus::Pending);
    // From the very next call on, although a gateway trusts for five seconds what it has seen.
    for seconds in [0, 0, 6] {
        desk.clock.advance(seconds);
        let progress = as_new(json!({ "task.progress": { "task": task } }));
        let refused = desk
            .call_with("magt_one", progress)
            .await
            .expect_err("revoked");
        assert_eq!(refused.code, Code::Unauthenticated);
        assert!(
            refused
                .remedy
                .is_some_and(|r| r.contains("fleet agent join"))
        );
    }
    let again = json!({ "name": "new-1", "sha256": sha256("magt_two") });
    assert_eq!(
        desk.refused("ana", "agent.token", again).await,
        Code::WrongState
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hushed_room_hears_no_agent_until_it_ends() {
    let desk = Desk::open().await;
    desk.register("a1", "code-1", "code").await;
    desk.register("a2", "code-2", "code").await;
    let say = json!({ "to": "code-2", "text": "x" });
    desk.ok("a1", "agent.send", say.clone()).await;
    desk.ok_in("mia", "tasks", "hush", json!({ "time": "10m" }))
        .await;
    assert_eq!(
        desk.refused("a1", "agent.send", say.clone()).await,
        Code::Hushed
    );
    // People go on.
    desk.ok("mia", "agent.send", say.clone()).await;
    desk.clock.advance(601);
    desk.ok("a1", "agent.send", say.clone()).await;
    desk.ok_in("mia", "tasks", "hush", json!({})).await;
    assert_eq!(
        desk.refused("a1", "agent.send", say.clone()).await,
        Code::Hushed
    );
    desk.ok_in("mia", "tasks", "hush", json!({ "off": true }))
        .await;
    desk.ok("a1", "agent.send", say).await;
}
