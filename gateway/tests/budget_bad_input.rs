//! Bad input of budgets: each has one clear outcome, loses nothing, and leaves every total the sum of its rows.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking; clippy knows this of functions marked as tests only, not of what they call"
)]

mod work_desk;

use fleet_protocol::Reply;
use fleet_protocol::problem::Code;
use fleet_protocol::reply::{AuditView, PastWindowView, SpendView, WindowView};
use futures_util::future::join_all;
use serde_json::{Value, json};
use work_desk::Desk;

const MOST: u64 = (1 << 53) - 1;

/// A limit of 1,000 tokens on `claude` for each five hours, unpaced, with more arguments.
async fn limit(desk: &Desk, more: Value) {
    let set = json!({ "provider": "claude", "window": "5h", "limit": 1_000, "unit": "tokens", "every": "5h", "pace": "none" });
    desk.ok("ana", "budget.set", merged(set, &more)).await;
}

fn merged(mut args: Value, more: &Value) -> Value {
    for (key, value) in more.as_object().into_iter().flatten() {
        args[key] = value.clone();
    }
    args
}

async fn window(desk: &Desk) -> WindowView {
    match desk.ask("vic", "budget.status", json!({})).await {
        Ok(Reply::Budgets(mut all)) => all.remove(0),
        other => panic!("no windows: {other:?}"),
    }
}

/// The windows that there were, the newest first: what was spent and presumed in each.
async fn past(desk: &Desk) -> Vec<(u64, u64)> {
    let all: Vec<PastWindowView> = match desk.ask("vic", "budget.windows", json!({})).await {
        Ok(Reply::Windows(all)) => all,
        other => panic!("no windows: {other:?}"),
    };
    all.into_iter().map(|w| (w.spent, w.presumed)).collect()
}

async fn clean(desk: &Desk) {
    match desk.ask("vic", "budget.audit", json!({})).await {
        Ok(Reply::Audited(AuditView { differences, .. })) => {
            assert!(differences.is_empty(), "{differences:?}")
        }
        other => panic!("no audit: {other:?}"),
    }
}

/// A task of `a1` that holds 400 of the limit.
async fn held(desk: &Desk) -> String {
    desk.register("a1", "code-1", "code").await;
    let task = desk
        .add(
            "Work",
            json!({ "provider": "claude", "projected_tokens": 400 }),
        )
        .await;
    desk.claim("a1", Some(&task)).await;
    task
}

/// Reports totals of a task under a lease.
async fn report(desk: &Desk, (task, epoch): (&str, u64), more: Value) -> SpendView {
    let args = merged(json!({ "task": task }), &more);
    match desk
        .run_under("a1", Some((task, epoch)), "spend.report", args)
        .await
    {
        Ok(Reply::Spend(spend)) => spend,
        other => panic!("not recorded: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn amounts_times_and_names_that_make_no_sense_are_refused_with_one_reason() {
    let desk = Desk::open().await;
    limit(&desk, json!({})).await;
    let task = held(&desk).await;
    let of = |more: Value| merged(json!({ "provider": "claude", "window": "5h" }), &more);
    let before = window(&desk).await;
    let cases = [
        // Negative and overflowing amounts.
        (
            "budget.set",
            of(json!({ "limit": -1, "unit": "tokens" })),
            Code::Malformed,
        ),
        (
            "budget.set",
            of(json!({ "limit": MOST + 1, "unit": "tokens" })),
            Code::Malformed,
        ),
        (
            "budget.set",
            of(json!({ "limit": 1.5, "unit": "tokens" })),
            Code::Malformed,
        ),
        (
            "budget.lift",
            of(json!({ "amount": -5, "until": "+1h" })),
            Code::Malformed,
        ),
        (
            "spend.report",
            json!({ "task": task, "input_tokens": -1 }),
            Code::Malformed,
        ),
        (
            "spend.report",
            json!({ "task": task, "input_tokens": MOST, "output_tokens": 1 }),
            Code::BadArgument,
        ),
        ("spend.report", json!({ "task": task }), Code::BadArgument),
        (
            "price.set",
            json!({ "model": "m", "input": -1, "output": 1, "source": "s" }),
            Code::Malformed,
        ),
        // Instants: before the window, skipped in spring, twice in autumn, no instant at all.
        (
            "budget.reset",
            of(json!({ "reset_at": "2026-11-23T11:59:59Z" })),
            Code::Invalid,
        ),
        (
            "budget.reset",
            of(json!({ "reset_at": "2027-03-28T02:30" })),
            Code::BadArgument,
        ),
        (
            "budget.reset",
            of(json!({ "reset_at": "2027-10-31T02:30" })),
            Code::BadArgument,
        ),
        (
            "budget.reset",
            of(json!({ "reset_at": "soon" })),
            Code::Malformed,
        ),
        // Units and names.
        (
            "budget.set",
            of(json!({ "limit": 5, "unit": "credits" })),
            Code::Invalid,
        ),
        (
            "budget.set",
            of(json!({ "limit": 5, "unit": "bananas" })),
            Code::Malformed,
        ),
        (
            "budget.set",
            json!({ "provider": "Claude!", "limit": 5, "unit": "tokens" }),
            Code::Malformed,
        ),
        (
            "budget.lift",
            json!({ "provider": "nobody", "amount": 1, "until": "+1h" }),
            Code::NotFound,
        ),
        (
            "budget.lift",
            json!({ "provider": "claude", "window": "monthly", "amount": 1, "until": "+1h" }),
            Code::NotFound,
        ),
        (
            "subscription.retire",
            json!({ "name": "nobody" }),
            Code::NotFound,
        ),
        (
            "spend.report",
            json!({ "task": "t99", "input_tokens": 1 }),
            Code::NotFound,
        ),
        (
            "spend.report",
            json!({ "task": task, "attempt": 2, "input_tokens": 1 }),
            Code::Invalid,
        ),
    ];
    for (verb, args, code) in cases {
        let said = desk.run("ana", verb, args.clone()).await;
        let problem = said.expect_err(&format!("{verb} {args}"));
        assert_eq!(problem.code, code, "{verb} {args}: {}", problem.detail);
        assert!(!problem.detail.is_empty(), "{verb} {args}");
    }
    assert_eq!(window(&desk).await, before, "nothing was changed");
    clean(&desk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn spend_after_the_lease_and_after_the_reset_is_recorded_where_it_belongs() {
    let desk = Desk::open().await;
    limit(&desk, json!({})).await;
    let task = held(&desk).await;
    desk.clock.advance(901);
    desk.until(&task, |t| t.holder.is_none()).await;
    assert_eq!(past(&desk).await, [(0, 400)], "its hold is presumed");
    // After expiry, by the epoch that was lost: a fact, and late.
    let late = report(
        &desk,
        (&task, 1),
        json!({ "attempt": 1, "input_tokens": 300 }),
    )
    .await;
    assert!(late.late && late.added_tokens == 300, "{late:?}");
    let (spent, presumed) = past(&desk).await[0];
    assert_eq!(
        (spent, spent + presumed),
        (300, 400),
        "what was reported is presumed no more"
    );
    desk.clock.advance(5 * 3_600);
    // After the reset, of a time before it: it belongs to the window of its time.
    let spent_at = json!({ "attempt": 1, "input_tokens": 350, "spent_at": "2026-11-23T12:10:00Z" });
    assert_eq!(report(&desk, (&task, 1), spent_at).await.added_tokens, 50);
    // Of a time before the grant, or still to come: clamped to [grant, receipt].
    let early = json!({ "attempt": 1, "input_tokens": 360, "spent_at": "2020-01-01T00:00:00Z" });
    assert_eq!(report(&desk, (&task, 1), early).await.added_tokens, 10);
    let future = json!({ "attempt": 1, "input_tokens": 390, "spent_at": "2036-01-01T00:00:00Z" });
    assert_eq!(report(&desk, (&task, 1), future).await.added_tokens, 30);
    let now = window(&desk).await;
    assert_eq!(
        (now.spent, now.held),
        (30, 0),
        "only what was spent since the reset"
    );
    let before = past(&desk).await;
    assert_eq!(
        before.last().map(|(spent, _)| *spent),
        Some(360),
        "{before:?}"
    );
    clean(&desk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn totals_and_clocks_that_go_back_change_nothing_that_was_counted() {
    let desk = Desk::open().await;
    limit(&desk, json!({})).await;
    let task = held(&desk).await;
    // A second before the lease ends: the sweep has nothing to settle.
    desk.clock.advance(899);
    let lease = (task.as_str(), 1);
    for (total, added) in [(100, 100), (60, 0), (0, 0), (100, 0), (110, 10)] {
        let spend = report(&desk, lease, json!({ "input_tokens": total })).await;
        assert_eq!(spend.added_tokens, added, "{total}");
    }
    // The machine's clock is set back to before the window began.
    desk.clock.advance(-7_200);
    assert_eq!(
        report(&desk, lease, json!({ "input_tokens": 130 }))
            .await
            .added_tokens,
        20
    );
    clean(&desk).await;
    desk.clock.advance(7_200);
    let now = window(&desk).await;
    assert_eq!((now.spent, now.held), (130, 270));
    clean(&desk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_is_counted_once_however_it_comes() {
    let desk = Desk::open().await;
    limit(&desk, json!({})).await;
    let task = held(&desk).await;
    // Above the hold, and twice.
    for (total, added) in [(450, 450), (450, 0)] {
        let spend = report(&desk, (&task, 1), json!({ "input_tokens": total })).await;
        assert_eq!(spend.added_tokens, added);
    }
    assert_eq!(
        (window(&desk).await.spent, window(&desk).await.held),
        (450, 0)
    );
    // The same at once from many connections.
    let same = json!({ "task": task, "input_tokens": 600 });
    let all = join_all((0..20).map(|_| desk.run("ana", "spend.report", same.clone()))).await;
    let added = |reply: &Result<Reply, _>| match reply {
        Ok(Reply::Spend(spend)) => spend.added_tokens,
        other => panic!("not recorded: {other:?}"),
    };
    assert_eq!(all.iter().map(added).sum::<u64>(), 150);
    // A limit set below what is spent is taken, and said.
    limit(&desk, json!({ "limit": 500 })).await;
    assert_eq!(window(&desk).await.over(), 100);
    let next = desk
        .add(
            "Work",
            json!({ "provider": "claude", "projected_tokens": 1 }),
        )
        .await;
    assert_eq!(
        desk.refused("ana", "task.claim", json!({ "task": next }))
            .await,
        Code::BudgetCap
    );
    clean(&desk).await;
}
