//! A board of four seats, and how its proposals are opened, voted on and looked at.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::expect_used,
    clippy::panic,
    reason = "each test binary uses its part of the table, and a test fails by panicking"
)]

use fleet_protocol::Reply;
use fleet_protocol::problem::Code;
use fleet_protocol::record::Export;
use fleet_protocol::reply::ProposalView;
use fleet_protocol::verbs::board::Verdict;
use serde_json::{Value, json};

use crate::work_desk::{self, Desk};

/// Four seats: three people and an agent.
pub fn seats() -> Value {
    let agent = json!({ "title": "coo", "holder": { "agent": "code-1" }, "weight": 1 });
    json!([
        person("ceo", "ana"),
        person("cto", "ben"),
        person("cfo", "mia"),
        agent
    ])
}

pub async fn board() -> Desk {
    let desk = Desk::open().await;
    desk.register("a1", "code-1", "code").await;
    desk
}

pub async fn propose(desk: &Desk, more: Value) -> ProposalView {
    let mut args = json!({ "title": "Shall we?", "seats": seats() });
    for (key, value) in more.as_object().into_iter().flatten() {
        args[key] = value.clone();
    }
    proposal(desk.ok("ana", "board.propose", args).await)
}

/// Lets the notice of an early end pass, and waits for the end.
pub async fn settled(desk: &Desk, id: &str) -> ProposalView {
    let view = show(desk, id).await;
    assert!(
        view.ends_early_at.is_some(),
        "{id} is not settled: {view:?}"
    );
    desk.clock.advance(60);
    closed(desk, id).await
}

/// A seat of a person.
pub fn person(title: &str, who: &str) -> Value {
    json!({ "title": title, "holder": { "user": work_desk::user_id(who) }, "weight": 1 })
}

/// The code with which a ballot is refused.
pub async fn vote_refused(desk: &Desk, who: &str, id: &str, verdict: &str) -> Code {
    let args = json!({ "proposal": id, "verdict": verdict });
    desk.refused(who, "board.vote", args).await
}

/// The record of a proposal, which must prove itself.
pub async fn record(desk: &Desk, id: &str) -> Export {
    let exported = desk.ask("vic", "board.export", json!({ "proposal": id }));
    match exported.await.expect("the record") {
        Reply::Export(export) => {
            fleet_policy::board::verify(&export, None).expect("the record proves itself");
            *export
        }
        other => panic!("not a record: {other:?}"),
    }
}

pub fn proposal(reply: Reply) -> ProposalView {
    match reply {
        Reply::Proposal(changed) => changed.now,
        other => panic!("not a proposal: {other:?}"),
    }
}

pub async fn vote(desk: &Desk, who: &str, id: &str, verdict: &str) -> Option<Verdict> {
    let args = json!({ "proposal": id, "verdict": verdict, "reason": ["because", "so"] });
    match desk.ok(who, "board.vote", args).await {
        Reply::Ballot(ballot) => ballot.replaces,
        other => panic!("not a ballot: {other:?}"),
    }
}

pub async fn show(desk: &Desk, id: &str) -> ProposalView {
    proposal(
        desk.ask("vic", "board.show", json!({ "proposal": id }))
            .await
            .expect("the proposal"),
    )
}

pub async fn paused(desk: &Desk) -> bool {
    match desk
        .ask("vic", "status", json!({}))
        .await
        .expect("the status")
    {
        Reply::Status(status) => status.pause.paused,
        other => panic!("not a status: {other:?}"),
    }
}

/// Looks at a proposal until the sweep has closed it.
pub async fn closed(desk: &Desk, id: &str) -> ProposalView {
    let looking = async {
        loop {
            let view = show(desk, id).await;
            if view.state != "open" {
                return view;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), looking)
        .await
        .expect("the sweep reaches the proposal")
}
