//! What passes without a person, and what never does.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking; clippy knows this of functions marked as tests only, not of what they call"
)]

mod board_table;
mod work_desk;

use board_table::{board, closed, person, propose, settled, show, vote};
use fleet_protocol::problem::Code;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn lazy_consensus_passes_in_silence_and_never_moves_authority() {
    let desk = board().await;
    let lazy = |effect| json!({ "template": "lazy", "seats": [], "effect": effect });
    let grant =
        json!({ "member.grant": { "user": work_desk::user_id("mia"), "role": "operator" } });
    let refused = json!({ "title": "x", "template": "lazy", "effect": grant });
    assert_eq!(
        desk.refused("ana", "board.propose", refused).await,
        Code::BadEffect
    );
    let mission = json!({ "mission.new": { "title": "Ship it" } });
    propose(&desk, lazy(mission.clone())).await;
    propose(&desk, lazy(mission)).await;
    vote(&desk, "ben", "p2", "reject").await;
    desk.clock.advance(72 * 3_600);
    let p1 = closed(&desk, "p1").await;
    assert_eq!(
        (p1.state.as_str(), p1.effect_outcome.as_deref()),
        ("approved", Some("done"))
    );
    assert_eq!(closed(&desk, "p2").await.state, "rejected");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_keys_are_two_others_than_the_proposer() {
    let desk = board().await;
    let asked = json!({ "title": "x", "template": "two-key", "effect": { "pause": {} } });
    assert_eq!(
        desk.refused("ana", "board.propose", asked.clone()).await,
        Code::Invalid,
        "there is only one other operator"
    );
    let carl = json!({ "user": work_desk::user_id("mia"), "role": "operator" });
    desk.ok("ana", "member.grant", carl).await;
    desk.ok("ana", "board.propose", asked).await;
    vote(&desk, "ana", "p1", "approve").await;
    vote(&desk, "ben", "p1", "approve").await;
    assert_eq!(show(&desk, "p1").await.ends_early_at, None);
    vote(&desk, "mia", "p1", "approve").await;
    assert_eq!(settled(&desk, "p1").await.state, "approved");
}

#[tokio::test(flavor = "multi_thread")]
async fn money_passes_without_a_person_only_up_to_the_limit_of_a_week() {
    let desk = board().await;
    desk.register("a2", "code-2", "code").await;
    let agents = json!([
        { "title": "a", "holder": { "agent": "code-1" }, "weight": 1 },
        { "title": "b", "holder": { "agent": "code-2" }, "weight": 1 },
        person("c", "ben"),
    ]);
    let lift = |dollars: u64| json!({ "seats": agents, "effect": { "budget.set": { "provider": "claude", "limit": dollars * 1_000_000, "unit": "cash_usd_micro", "every": "7d" } } });
    for (dollars, id, needs) in [(15, "p1", false), (20, "p2", false), (25, "p3", true)] {
        let p = propose(&desk, lift(dollars)).await;
        assert_eq!((p.id.as_str(), p.human_required), (id, needs), "{dollars}");
        for who in ["a1", "a2"] {
            vote(&desk, who, id, "approve").await;
        }
        if needs {
            assert_eq!(
                show(&desk, id).await.ends_early_at,
                None,
                "a person is missing"
            );
            vote(&desk, "ben", id, "approve").await;
        }
        let p = settled(&desk, id).await;
        assert_eq!(p.effect_outcome.as_deref(), Some("done"), "{dollars}");
    }
    let tokens = json!({ "seats": agents, "effect": { "budget.set": { "provider": "codex", "limit": 10, "unit": "tokens" } } });
    assert!(
        propose(&desk, tokens).await.human_required,
        "no known price"
    );
}
