//! Agents: names that cannot be taken over, incarnations, context, retirement.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking; clippy knows this of functions marked as tests only, not of what they call"
)]

mod work_desk;

use fleet_protocol::Reply;
use fleet_protocol::problem::Code;
use fleet_protocol::reply::{AgentView, Changed};
use fleet_protocol::verbs::task::TaskStatus;
use serde_json::{Value, json};
use work_desk::{Desk, user_id};

fn agent(reply: Reply) -> Changed<AgentView> {
    match reply {
        Reply::Agent(agent) => agent,
        other => panic!("not an agent: {other:?}"),
    }
}

fn as_code(name: &str) -> Value {
    json!({ "name": name, "role": "code", "host": "h1" })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_belongs_to_one_account_and_an_account_is_one_agent() {
    let desk = Desk::open().await;
    let first = desk.register("a1", "code-1", "code").await;
    assert_eq!(
        (first.incarnation, first.state.as_str(), first.user.as_str()),
        (1, "idle", "@a1:test")
    );
    assert_eq!(
        desk.refused("a2", "agent.register", as_code("code-1"))
            .await,
        Code::Exists
    );
    assert_eq!(
        desk.refused("a1", "agent.register", as_code("code-9"))
            .await,
        Code::Exists
    );
    let mut other = as_code("code-2");
    other["user"] = json!(user_id("a2"));
    assert_eq!(
        desk.refused("a1", "agent.register", other.clone()).await,
        Code::NotYourself
    );
    assert_eq!(
        desk.refused("mia", "agent.register", other.clone()).await,
        Code::NotYourself
    );
    assert_eq!(
        agent(desk.ok("ana", "agent.register", other).await)
            .now
            .user
            .as_str(),
        "@a2:test"
    );
    assert_eq!(
        desk.refused("vic", "agent.register", as_code("code-3"))
            .await,
        Code::WrongRole
    );
    match desk.ask("vic", "ps", json!({})).await.expect("the agents") {
        Reply::Ps(view) => assert_eq!(
            view.agents
                .iter()
                .map(|a| a.name.as_str())
                .collect::<Vec<_>>(),
            ["code-1", "code-2"]
        ),
        other => panic!("{other:?}"),
    }
    assert!(
        matches!(desk.ask("a1", "whoami", json!({})).await, Ok(Reply::WhoAmI(w)) if w.agent.is_some())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_incarnation_loses_what_the_one_before_held() {
    let desk = Desk::open().await;
    desk.register("a1", "code-1", "code").await;
    let id = desk.add("Held", json!({})).await;
    desk.claim("a1", None).await;
    assert_eq!(
        desk.ask("ana", "agent.show", json!({ "name": "code-1" }))
            .await
            .map(|r| agent(r).now.state),
        Ok("working".into())
    );
    let again = agent(desk.ok("a1", "agent.register", as_code("code-1")).await);
    assert_eq!((again.now.incarnation, again.now.task), (2, None));
    assert!(
        again.notes.iter().any(|n| n.starts_with(&id)),
        "{:?}",
        again.notes
    );
    assert_eq!(desk.task(&id).await.status, TaskStatus::Pending);
    let stale = desk
        .run_under("a1", Some((&id, 1)), "task.progress", json!({ "task": id }))
        .await
        .expect_err("stale");
    assert_eq!(stale.code, Code::StaleEpoch);
    assert_eq!(desk.claim("a1", None).await.epoch, Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_context_gets_no_new_task_until_a_fresh_incarnation() {
    let desk = Desk::open().await;
    desk.register("a1", "code-1", "code").await;
    desk.add("Waiting", json!({})).await;
    for (tokens, told) in [
        (100_000, 0),
        (160_000, 1),
        (170_000, 1),
        (200_000, 2),
        (200_001, 2),
    ] {
        desk.ok("a1", "agent.heartbeat", json!({ "context_tokens": tokens }))
            .await;
        assert_eq!(
            desk.said("ops", "of 200000 tokens").await,
            told,
            "at {tokens}"
        );
    }
    assert_eq!(
        desk.refused("a1", "task.claim", json!({})).await,
        Code::ContextFull
    );
    desk.ok("a1", "agent.heartbeat", json!({})).await;
    assert_eq!(
        desk.refused("a1", "task.claim", json!({})).await,
        Code::ContextFull,
        "silence empties no context"
    );
    desk.register("a1", "code-1", "code").await;
    desk.claim("a1", None).await;
    assert_eq!(
        desk.refused("mia", "agent.heartbeat", json!({})).await,
        Code::NotYourself
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_only_listens_is_idle_and_who_works_must_say_so() {
    let desk = Desk::open().await;
    desk.register("a1", "code-1", "code").await;
    let state = async || {
        let asked = desk.ask("vic", "agent.show", json!({ "name": "code-1" }));
        agent(asked.await.expect("the agent")).now.state
    };
    desk.clock.advance(300);
    assert_eq!(state().await, "silent");
    assert!(desk.items("a1", 50).await.is_empty());
    assert_eq!(state().await, "idle", "it asks its inbox");
    desk.add("Work", json!({})).await;
    desk.claim("a1", None).await;
    desk.clock.advance(300);
    assert!(desk.items("a1", 50).await.is_empty());
    assert_eq!(state().await, "silent", "it works, and says nothing of it");
    desk.ok("a1", "agent.heartbeat", json!({})).await;
    assert_eq!(state().await, "working");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_agent_is_seen_and_a_retired_one_holds_nothing() {
    let desk = Desk::open().await;
    desk.register("a1", "code-1", "code").await;
    let id = desk.add("Held", json!({})).await;
    desk.claim("a1", None).await;
    desk.clock.advance(300);
    let shown = desk
        .ask("vic", "agent.show", json!({ "name": "code-1" }))
        .await
        .map(|r| agent(r).now);
    assert_eq!(
        shown.map(|a| (a.state, a.heartbeat_age)),
        Ok(("silent".into(), Some(300)))
    );
    assert_eq!(
        desk.refused("mia", "agent.retire", json!({ "name": "code-1" }))
            .await,
        Code::WrongRole
    );
    let retired = agent(
        desk.ok("ana", "agent.retire", json!({ "name": "code-1" }))
            .await,
    );
    assert_eq!(
        (retired.now.state.as_str(), retired.notes.len()),
        ("retired", 1)
    );
    assert_eq!(desk.task(&id).await.status, TaskStatus::Pending);
    assert!(
        agent(
            desk.ok("ana", "agent.retire", json!({ "name": "code-1" }))
                .await
        )
        .already
    );
    assert_eq!(
        desk.refused("ana", "agent.retire", json!({ "name": "ghost" }))
            .await,
        Code::NotFound
    );
    let list = async |all| match desk
        .ask("vic", "agent.list", json!({ "all": all }))
        .await
        .expect("agents")
    {
        Reply::Agents(a) => a.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!((list(false).await, list(true).await), (0, 1));
    assert_eq!(
        desk.refused("a1", "agent.register", as_code("code-1"))
            .await,
        Code::WrongState,
        "it does not come back by itself"
    );
    let mut again = as_code("code-1");
    again["user"] = json!(user_id("a1"));
    let again = agent(desk.ok("ana", "agent.register", again).await);
    assert_eq!(
        (again.now.incarnation, again.now.state.as_str()),
        (2, "idle")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_does_not_become_an_agent_by_mistake() {
    let desk = Desk::open().await;
    for person in ["ana", "mia"] {
        let refused = desk
            .run(person, "agent.register", as_code("code-1"))
            .await
            .expect_err("a person");
        assert_eq!(refused.code, Code::Invalid);
        let remedy = refused.remedy.expect("a way out");
        let line = remedy.split_once('!').expect("a line").1;
        assert!(fleet_protocol::chat::parse(line).is_ok(), "{line}");
    }
    desk.ok("ana", "task.add", json!({ "title": "Ana still commands" }))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_former_self_cannot_act_by_leaving_out_who_it_is() {
    let desk = Desk::open().await;
    let former = desk.register("a1", "code-1", "code").await.incarnation;
    let now = desk.register("a1", "code-1", "code").await.incarnation;
    let heartbeat = json!({ "agent.heartbeat": {} });
    let life =
        |incarnation: u64| json!({ "name": "code-1", "host": "h1", "incarnation": incarnation });
    for (agent, code) in [
        (Value::Null, Some(Code::NotYourself)),
        (life(former), Some(Code::StaleIncarnation)),
        (life(now), None),
    ] {
        let body = json!({ "request": heartbeat, "agent": agent });
        assert_eq!(
            desk.call("a1", body).await.err().map(|p| p.code),
            code,
            "{agent}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn role_and_highest_model_are_the_operators_to_change() {
    let desk = Desk::open().await;
    let as_model = |role: &str, model: &str| json!({ "name": "code-1", "role": role, "host": "h1", "model": model, "user": user_id("a1") });
    desk.ok("ana", "agent.register", as_model("code", "sonnet"))
        .await;
    assert_eq!(
        desk.refused("a1", "agent.register", as_model("review", "sonnet"))
            .await,
        Code::WrongRole
    );
    let kept = agent(
        desk.ok("a1", "agent.register", as_model("code", "opus"))
            .await,
    );
    assert_eq!(
        kept.now.model.map(|m| m.to_string()).as_deref(),
        Some("sonnet")
    );
    assert!(
        kept.notes.iter().any(|n| n.contains("stays sonnet")),
        "{:?}",
        kept.notes
    );
    let raised = agent(
        desk.ok("ana", "agent.register", as_model("review", "opus"))
            .await,
    );
    assert_eq!(
        (
            raised.now.role.as_str(),
            raised.now.model.map(|m| m.to_string()).as_deref()
        ),
        ("review", Some("opus"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_agents_never_commands_whoever_its_user_is() {
    let desk = Desk::open().await;
    desk.ok(
        "ana",
        "member.add",
        json!({ "user": user_id("a1"), "role": "operator" }),
    )
    .await;
    assert_eq!(
        desk.refused("a1", "pause", json!({})).await,
        Code::WrongRole
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_on_its_way_when_its_agent_starts_anew_holds_nothing() {
    let desk = Desk::open().await;
    desk.register("a1", "code-1", "code").await;
    let id = desk.add("Taken by nobody", json!({})).await;
    // The agent's row is locked by its registration when the claim of its former self arrives.
    let mut owner = desk.register_rows().await;
    sqlx::raw_sql("BEGIN; UPDATE fleet.agents SET incarnation = incarnation + 1")
        .execute(&mut owner)
        .await
        .expect("registered anew");
    let ending = async {
        desk.until_waiting(1).await;
        sqlx::raw_sql("COMMIT")
            .execute(&mut owner)
            .await
            .expect("ended");
    };
    let (claimed, ()) = tokio::join!(desk.run("a1", "task.claim", json!({})), ending);
    assert_eq!(
        claimed.expect_err("a former self").code,
        Code::StaleIncarnation
    );
    assert_eq!(desk.task(&id).await.status, TaskStatus::Pending);
}
