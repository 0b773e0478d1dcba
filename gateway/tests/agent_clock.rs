//! The clock of an agent's machine is an hour off: nothing of the gateway counts on it.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking; clippy knows this of functions marked as tests only, not of what they call"
)]

mod work_desk;

use fleet_protocol::Timestamp;
use fleet_protocol::problem::Code;
use fleet_protocol::verbs::task::TaskStatus;
use serde_json::json;
use work_desk::Desk;

/// The desk's time, so many seconds from now.
fn off(desk: &Desk, seconds: i64) -> Timestamp {
    let now = fleet_gateway::Clock::now(&desk.clock);
    Timestamp::from_millis(now.as_millis() + seconds * 1_000)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_spent_belongs_to_its_attempt_whatever_time_the_agent_tells() {
    let desk = Desk::open().await;
    desk.register("a1", "code-1", "code").await;
    for (hour, session) in [(-3_600, "behind"), (0, "right"), (3_600, "ahead")] {
        let task = desk.add("Metered", json!({})).await;
        let began = off(&desk, 0);
        let epoch = desk.claim("a1", Some(&task)).await.epoch;
        desk.clock.advance(60);
        let report = json!({ "task": task, "input_tokens": 100, "session": session, "spent_at": off(&desk, hour - 30) });
        let lease = Some((task.as_str(), epoch.expect("an epoch")));
        desk.run_under("a1", lease, "spend.report", report)
            .await
            .expect("a fact is recorded");
        let spent_at: i64 = sqlx::query_scalar(
            "SELECT extract(epoch FROM spent_at)::bigint FROM fleet.spend_reports WHERE session = $1",
        )
        .bind(session)
        .fetch_one(&mut desk.register_rows().await)
        .await
        .expect("the report");
        let expected = match hour {
            ..0 => 0,
            0 => 30,
            _ => 60,
        };
        let after = spent_at - began.as_millis() / 1_000;
        assert_eq!(
            after, expected,
            "{session}: seconds after its attempt began"
        );
        desk.run_under("a1", lease, "task.complete", json!({ "task": task }))
            .await
            .expect("completed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_heartbeats_and_chains_have_no_time_of_the_agents_in_them() {
    let desk = Desk::open().await;
    desk.register("a1", "code-1", "code").await;
    let task = desk.add("Held", json!({})).await;
    // A lease lasts 900 s of the gateway's time.
    let claimed = desk.claim("a1", Some(&task)).await;
    assert_eq!(claimed.lease_until, Some(off(&desk, 900)));
    for body in [
        json!({ "request": { "agent.heartbeat": { "at": off(&desk, 3_600) } } }),
        json!({ "request": { "task.renew": { "task": task, "until": off(&desk, 3_600) } } }),
        json!({ "request": { "agent.heartbeat": {} }, "at": off(&desk, 3_600) }),
        json!({ "request": { "agent.send": { "to": "code-1", "text": "x" } },
            "chain": { "id": "01890000-0000-7000-8000-000000000000", "hop": 0, "at": off(&desk, -3_600) } }),
    ] {
        let refused = desk
            .call("a1", body.clone())
            .await
            .expect_err("no such key");
        assert_eq!(refused.code, Code::Malformed, "{body}");
    }
    desk.clock.advance(901);
    desk.until(&task, |t| t.status == TaskStatus::Pending).await;
}
