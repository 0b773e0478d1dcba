//! Claims that wait at the same time share a transaction, and each keeps its own effect and answer.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking; clippy knows this of functions marked as tests only, not of what they call"
)]

mod work_desk;

use fleet_protocol::Reply;
use fleet_protocol::envelope::{Outcome, Receipt};
use fleet_protocol::problem::Code;
use fleet_protocol::reply::{AuditView, WindowView};
use futures_util::future::join_all;
use serde_json::{Value, json};
use sqlx::Connection as _;
use work_desk::Desk;

async fn window(desk: &Desk) -> WindowView {
    match desk.ask("vic", "budget.status", json!({})).await {
        Ok(Reply::Budgets(mut all)) => all.remove(0),
        other => panic!("no windows: {other:?}"),
    }
}

async fn clean(desk: &Desk) {
    match desk.ask("vic", "budget.audit", json!({})).await {
        Ok(Reply::Audited(AuditView { differences, .. })) => {
            assert!(differences.is_empty(), "{differences:?}");
        }
        other => panic!("no audit: {other:?}"),
    }
}

fn claim(task: &str) -> Value {
    json!({ "request": { "task.claim": { "task": task } } })
}

/// The codes of what was refused, in order.
fn codes(receipts: &[Receipt]) -> Vec<Option<Code>> {
    let code = |r: &Receipt| r.problem.as_ref().map(|p| p.code);
    receipts.iter().map(code).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_bad_claim_fails_none_of_its_companions_and_a_key_counts_once() {
    let desk = Desk::open().await;
    let set = json!({ "provider": "claude", "limit": 10_000, "unit": "tokens", "every": "5h", "pace": "none" });
    desk.ok("ana", "budget.set", set).await;
    let paid = json!({ "provider": "claude", "projected_tokens": 1_000 });
    let tasks = join_all((0..12).map(|_| desk.add("Work", paid.clone()))).await;
    // Whoever claims waits here until all of them are on their way.
    let mut rows = desk.register_rows().await;
    let mut held = rows.begin().await.expect("a transaction");
    sqlx::query("SELECT FROM fleet.settings FOR UPDATE")
        .fetch_all(&mut *held)
        .await
        .expect("the switches");
    let mut bodies: Vec<(String, Value)> = tasks
        .iter()
        .enumerate()
        .map(|(n, task)| (format!("claim-{n}"), claim(task)))
        .collect();
    bodies.push(("nothing".to_owned(), claim("t99")));
    bodies.push(("held".to_owned(), claim(&tasks[0])));
    bodies.push(("claim-3".to_owned(), claim(&tasks[3])));
    bodies.push(("claim-4".to_owned(), claim(&tasks[5])));
    let all = bodies
        .iter()
        .map(|(key, body)| desk.under_key("ana", key, body.clone()));
    let (answers, ()) = tokio::join!(join_all(all), async {
        desk.until_waiting(1).await;
        held.rollback().await.expect("the switches are free");
    });
    let receipts: Vec<Receipt> = answers
        .iter()
        .filter_map(|a| a.as_ref().ok().cloned())
        .collect();
    let reused: Vec<Code> = answers
        .iter()
        .filter_map(|a| a.as_ref().err().map(|p| p.code))
        .collect();
    assert_eq!(
        reused,
        [Code::KeyReused],
        "another body under a key that was used"
    );
    let done = receipts
        .iter()
        .filter(|r| r.outcome == Outcome::Done && !r.replayed)
        .count();
    let replayed = receipts.iter().filter(|r| r.replayed).count();
    assert_eq!(
        (done, replayed),
        (10, 1),
        "ten of a thousand fit: {:?}",
        codes(&receipts)
    );
    let refused = |code| {
        codes(&receipts)
            .into_iter()
            .flatten()
            .filter(|c| *c == code)
            .count()
    };
    assert_eq!(refused(Code::NotFound), 1);
    let now = window(&desk).await;
    assert_eq!((now.held, now.spent), (10_000, 0));
    // Each claim has a row of the journal of its own.
    let journalled: i64 =
        sqlx::query_scalar("SELECT count(*) FROM fleet.admitted WHERE verb = 'task.claim'")
            .fetch_one(&mut rows)
            .await
            .expect("the journal");
    assert_eq!(journalled, 14);
    // Those that are plain are one statement's rows: all waited while the first had to wait for its turn.
    let written: i64 = sqlx::query_scalar(
        "SELECT count(DISTINCT xmin::text) FROM fleet.admitted WHERE verb = 'task.claim' AND outcome = 'done'",
    )
    .fetch_one(&mut rows)
    .await
    .expect("the journal");
    assert_eq!(written, 1);
    // Whoever asks again gets the same.
    for ((key, body), answer) in bodies.iter().zip(&answers) {
        let again = desk.under_key("ana", key, body.clone()).await;
        assert_eq!(
            again.as_ref().map(|r| &r.problem).ok(),
            answer.as_ref().map(|r| &r.problem).ok(),
            "{key}"
        );
        assert!(again.is_err() || again.is_ok_and(|r| r.replayed), "{key}");
    }
    assert_eq!(window(&desk).await, now);
    clean(&desk).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn agents_and_people_claim_at_once_and_every_grant_is_within_the_limit() {
    let desk = Desk::open().await;
    let set = json!({ "provider": "claude", "limit": 5_000, "unit": "tokens", "every": "5h", "pace": "none" });
    desk.ok("ana", "budget.set", set).await;
    let paid = json!({ "provider": "claude", "projected_tokens": 1_000 });
    join_all((0..20).map(|_| desk.add("Work", paid.clone()))).await;
    for (agent, name) in [
        ("a1", "code-1"),
        ("a2", "code-2"),
        ("a3", "code-3"),
        ("a4", "code-4"),
    ] {
        desk.register(agent, name, "code").await;
    }
    let who = [
        "a1", "a2", "a3", "a4", "ana", "ben", "mia", "ana", "ben", "mia",
    ];
    let claims = who.iter().map(|who| desk.run(who, "task.claim", json!({})));
    let granted = join_all(claims)
        .await
        .into_iter()
        .filter(Result::is_ok)
        .count();
    // Two agents of a role work at a time; the people take what the limit leaves.
    let now = window(&desk).await;
    assert_eq!(now.held, 1_000 * granted as u64);
    assert_eq!(granted, 5);
    clean(&desk).await;
}
