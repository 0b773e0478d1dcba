//! What tests of budgets ask of a desk.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::expect_used,
    clippy::panic,
    reason = "each test file is a crate of its own and uses a part; a test fails by panicking"
)]

use fleet_protocol::Reply;
use fleet_protocol::reply::{AuditView, ExplainView, GrantedView, WaitingView, WindowView};
use serde_json::{Value, json};

use crate::work_desk::Desk;

/// A limit on `claude` in tokens, a thousand a day and paced, unless told otherwise.
pub async fn limit(desk: &Desk, more: Value) {
    let mut args = json!({ "provider": "claude", "limit": 1_000, "unit": "tokens", "every": "1d", "window": "daily" });
    for (key, value) in more.as_object().into_iter().flatten() {
        args[key] = value.clone();
    }
    desk.ok("ana", "budget.set", args).await;
}

/// A task of that account, projected to use so many tokens.
pub async fn work(desk: &Desk, tokens: u64, more: Value) -> String {
    let mut args = json!({ "provider": "claude", "projected_tokens": tokens });
    for (key, value) in more.as_object().into_iter().flatten() {
        args[key] = value.clone();
    }
    desk.add("Work", args).await
}

pub async fn windows(desk: &Desk) -> Vec<WindowView> {
    match desk
        .ask("vic", "budget.status", json!({}))
        .await
        .expect("the status")
    {
        Reply::Budgets(all) => all,
        other => panic!("not windows: {other:?}"),
    }
}

pub async fn queue(desk: &Desk) -> Vec<WaitingView> {
    match desk
        .ask("vic", "queue", json!({}))
        .await
        .expect("the queue")
    {
        Reply::Queue(all) => all,
        other => panic!("not a queue: {other:?}"),
    }
}

pub async fn explained(desk: &Desk, task: &str) -> ExplainView {
    match desk
        .ask("vic", "budget.explain", json!({ "task": task }))
        .await
        .expect("an explanation")
    {
        Reply::Explained(view) => view,
        other => panic!("no explanation: {other:?}"),
    }
}

/// Every total is the sum of its rows.
pub async fn clean(desk: &Desk) {
    let audit: AuditView = match desk
        .ask("vic", "budget.audit", json!({}))
        .await
        .expect("an audit")
    {
        Reply::Audited(view) => view,
        other => panic!("no audit: {other:?}"),
    };
    assert_eq!(audit.differences, Vec::<String>::new());
}

pub async fn granted(desk: &Desk, task: &str, tokens: u64) -> GrantedView {
    let ask = json!({ "task": task, "tokens": tokens });
    let reply = desk
        .run_under("a1", Some((task, 1)), "spend.top-up", ask)
        .await;
    match reply.expect("an answer") {
        Reply::Granted(view) => view,
        other => panic!("no grant: {other:?}"),
    }
}
