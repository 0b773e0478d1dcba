//! Who changed what of the fleet's authority, limits and switches, and by which admission.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking; clippy knows this of functions marked as tests only, not of what they call"
)]

mod board_table;
mod work_desk;

use board_table::{board, propose, settled};
use serde_json::{Value, json};
use work_desk::Desk;

type Row = (String, String, String, Value, Option<String>);

/// The audit's rows since the desk was set up, in order, each with the verb of its admission.
async fn audited(desk: &Desk) -> Vec<Row> {
    sqlx::query_as(
        "SELECT a.principal, a.action, a.subject, a.detail, m.verb FROM fleet.audit a
         LEFT JOIN fleet.admitted m ON m.tenant_id = a.tenant_id AND m.id = a.cause
         WHERE a.subject NOT LIKE '@a_:test' AND a.subject NOT IN ('@ben:test', '@mia:test', '@vic:test')
         ORDER BY a.id",
    )
    .fetch_all(&mut desk.register_rows().await)
    .await
    .expect("the audit")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_of_authority_limits_and_switches_is_noted_once() {
    let desk = board().await;
    let out = work_desk::user_id("out");
    let changes = [
        ("member.add", json!({ "user": out })),
        (
            "member.grant",
            json!({ "user": out, "role": "viewer", "room": "board" }),
        ),
        ("member.revoke", json!({ "user": out })),
        ("pause", json!({ "reason": "a look" })),
        ("resume", json!({})),
        (
            "budget.set",
            json!({ "provider": "claude", "limit": 500, "unit": "tokens", "every": "7d" }),
        ),
        (
            "budget.reset",
            json!({ "provider": "claude", "reset_at": "+1h" }),
        ),
        ("agent.retire", json!({ "name": "code-1" })),
    ];
    for (verb, args) in &changes {
        desk.ok("ben", verb, args.clone()).await;
        // Once more: what changes nothing, or is refused, is not noted.
        let again = desk.run("ben", verb, args.clone()).await;
        assert!(
            again.is_ok() || *verb == "budget.reset",
            "{verb}: {again:?}"
        );
    }
    propose(
        &desk,
        json!({ "seats": [{ "title": "ceo", "holder": { "user": "@ana:test" }, "weight": 1 }] }),
    )
    .await;
    let close = json!({ "proposal": "p1", "reason": "not now" });
    for _ in 0..2 {
        desk.ok("ben", "board.close", close.clone()).await;
    }
    let rows = audited(&desk).await;
    let told: Vec<_> = rows
        .iter()
        .map(|(who, action, subject, ..)| (who.as_str(), action.as_str(), subject.as_str()))
        .collect();
    let expected = [
        ("@ben:test", "member.grant", "@out:test"),
        ("@ben:test", "member.grant", "@out:test"),
        ("@ben:test", "member.revoke", "@out:test"),
        ("@ben:test", "pause", "fleet"),
        ("@ben:test", "resume", "fleet"),
        ("@ben:test", "budget.set", "claude weekly"),
        ("@ben:test", "budget.reset", "claude weekly"),
        ("@ben:test", "agent.retire", "code-1"),
        ("@ben:test", "board.close", "p1"),
    ];
    assert_eq!(told, expected);
    let verbs: Vec<_> = rows.iter().filter_map(|row| row.4.as_deref()).collect();
    let asked = changes.iter().map(|(verb, _)| *verb).chain(["board.close"]);
    assert_eq!(verbs, asked.collect::<Vec<_>>(), "each names its admission");
    assert_eq!(rows[5].3["limit"], 500);
    assert_eq!(
        rows[8].3,
        json!({ "outcome": "rejected", "reason": "not now" })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_board_decides_is_noted_as_the_boards() {
    let desk = board().await;
    let seats = json!([{ "title": "ceo", "holder": { "user": "@ana:test" }, "weight": 1 }]);
    propose(&desk, json!({ "seats": seats, "effect": { "pause": {} } })).await;
    let vote = json!({ "proposal": "p1", "verdict": "approve" });
    desk.ok("ana", "board.vote", vote).await;
    settled(&desk, "p1").await;
    let rows = audited(&desk).await;
    let told: Vec<_> = rows
        .iter()
        .map(|(who, action, .., verb)| (who.as_str(), action.as_str(), verb.as_deref()))
        .collect();
    let decision: String = sqlx::query_scalar("SELECT 'board:' || id FROM fleet.decisions")
        .fetch_one(&mut desk.register_rows().await)
        .await
        .expect("the decision");
    // It was time that ended the vote, and nobody's request.
    assert_eq!(told, [(decision.as_str(), "pause", None)]);
}
