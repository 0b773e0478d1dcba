//! What people are told of budgets without asking: meters that differ or are read no more, prices that nobody
//! knows, totals that are wrong; and who takes care.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking; clippy knows this of functions marked as tests only, not of what they call"
)]

mod work_desk;

use fleet_protocol::Reply;
use fleet_protocol::reply::{AlertView, AuditView, WindowView};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use work_desk::{Desk, LOOK};

async fn alerts(desk: &Desk) -> Vec<AlertView> {
    match desk.ask("vic", "alert.list", json!({})).await {
        Ok(Reply::Alerts(all)) => all,
        other => panic!("no alerts: {other:?}"),
    }
}

/// The rule and subject of each open alert, the newest first.
async fn open(desk: &Desk) -> Vec<(String, String)> {
    let all = alerts(desk).await.into_iter();
    all.map(|a| (a.rule, a.subject)).collect()
}

/// Looks until the alerts are as wanted: the sweep does it within a second or two.
async fn until_open(desk: &Desk, wanted: &[(&str, &str)]) {
    let mut seen = Vec::new();
    let looking = async {
        loop {
            let open = open(desk).await;
            seen.clone_from(&open);
            if open
                .iter()
                .map(|(r, s)| (r.as_str(), s.as_str()))
                .eq(wanted.iter().copied())
            {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), looking)
        .await
        .unwrap_or_else(|_| panic!("the alerts are {seen:?}, and never {wanted:?}"));
}

/// Waits until the first look has planned the day.
async fn planned(desk: &Desk) {
    let mut rows = desk.register_rows().await;
    let looking = async {
        loop {
            let days: i64 = sqlx::query_scalar("SELECT count(*) FROM fleet.budget_days")
                .fetch_one(&mut rows)
                .await
                .expect("the days");
            if days > 0 {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), looking)
        .await
        .expect("the first look plans the day");
}

async fn windows(desk: &Desk) -> Vec<WindowView> {
    match desk.ask("vic", "budget.status", json!({})).await {
        Ok(Reply::Budgets(all)) => all,
        other => panic!("no windows: {other:?}"),
    }
}

async fn clean(desk: &Desk) {
    match desk.ask("vic", "budget.audit", json!({})).await {
        Ok(Reply::Audited(AuditView { differences, .. })) => {
            assert!(differences.is_empty(), "{differences:?}")
        }
        other => panic!("no audit: {other:?}"),
    }
}

/// A claimed task that `claude` pays, under a limit in tokens of a window shorter than a day: no burn rate is told
/// beside what a test is about.
async fn claimed(desk: &Desk, limit: u64) -> String {
    let set = json!({ "provider": "claude", "limit": limit, "unit": "tokens", "pace": "none", "every": "5h" });
    desk.ok("ana", "budget.set", set).await;
    let task = desk
        .add(
            "Work",
            json!({ "provider": "claude", "projected_tokens": 1_000 }),
        )
        .await;
    desk.claim("ana", Some(&task)).await;
    task
}

async fn report(desk: &Desk, task: &str, tokens: u64, more: Value) {
    let mut args = json!({ "task": task, "input_tokens": tokens });
    for (key, value) in more.as_object().into_iter().flatten() {
        args[key] = value.clone();
    }
    desk.ok("ana", "spend.report", args).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_meters_charge_once_and_their_difference_is_told_once_a_day() {
    let desk = Desk::open().await;
    let task = claimed(&desk, 1_000_000).await;
    let transcript = |model| json!({ "meter": "transcript", "session": "s1", "model": model });
    // The agent's word, under a session of its own.
    report(&desk, &task, 20_000, json!({ "session": "mine" })).await;
    report(&desk, &task, 12_000, transcript("sonnet")).await;
    report(&desk, &task, 12_000, transcript("haiku")).await;
    assert_eq!(
        windows(&desk).await[0].spent,
        24_000,
        "the transcript counts alone"
    );
    report(&desk, &task, 23_500, json!({})).await;
    assert_eq!(windows(&desk).await[0].spent, 24_000);
    assert_eq!(
        open(&desk).await,
        [],
        "the agent's word may be a little older"
    );
    for said in [19_000, 18_000] {
        report(&desk, &task, said, json!({})).await;
        report(
            &desk,
            &task,
            said / 2,
            json!({ "session": "s1", "model": "haiku" }),
        )
        .await;
    }
    let told = alerts(&desk).await;
    assert_eq!(
        (told.len(), told[0].rule.as_str(), told[0].subject.as_str()),
        (1, "budget.difference", "claude")
    );
    assert_eq!(
        told[0].detail,
        "t1: the agent says 9,000 tokens, and the transcript said 12,000 before; the transcript counts, and nothing is \
         charged twice. Look which of the two misses something"
    );
    assert_eq!(
        windows(&desk).await[0].spent,
        24_000,
        "nothing is charged twice"
    );
    planned(&desk).await;
    desk.clock.advance(2 * 86_400);
    until_open(&desk, &[]).await;
    clean(&desk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_meter_that_nobody_reads_any_more_is_told_until_it_is_read() {
    let desk = Desk::open().await;
    let set = json!({ "provider": "claude", "limit": 10_000, "unit": "basis_points", "every": "5h", "pace": "none" });
    desk.ok("ana", "budget.set", set).await;
    let read = |used: &str| json!({ "provider": "claude", "used": used });
    desk.ok("ana", "budget.reading", read("20")).await;
    desk.clock.advance(6 * 3_600);
    assert_eq!(open(&desk).await, []);
    desk.clock.advance(1);
    until_open(&desk, &[("budget.stale", "claude 5h")]).await;
    desk.ok("ana", "budget.reading", read("30")).await;
    assert_eq!(open(&desk).await, [], "it was read");
    assert_eq!(
        desk.said("budget", "It is over").await,
        2,
        "the edit, and its line in the thread"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_price_that_nobody_knows_is_told_until_it_is_set() {
    let desk = Desk::open().await;
    let set = json!({ "provider": "api", "limit": 50_000_000, "unit": "api_equivalent_usd_micro", "every": "5h", "pace": "none" });
    desk.ok("ana", "budget.set", set).await;
    let ask = json!({ "provider": "api", "model": "unheard-of", "projected_tokens": 1_000 });
    let task = desk.add("Work", ask).await;
    for _ in 0..2 {
        let claim = desk.run("ana", "task.claim", json!({ "task": task })).await;
        assert!(claim.is_err(), "{claim:?}");
        desk.ok("ana", "task.unblock", json!({ "task": task }))
            .await;
    }
    assert_eq!(
        open(&desk).await,
        [("budget.unpriced".to_owned(), "unheard-of".to_owned())]
    );
    let price = json!({ "model": "unheard-of", "input": 0, "output": 0, "source": "a gift" });
    desk.ok("ana", "price.set", price).await;
    assert_eq!(open(&desk).await, []);
    desk.claim("ana", Some(&task)).await;
    // What runs on a model without a price is told by its report as well.
    report(&desk, &task, 900, json!({ "model": "another" })).await;
    assert_eq!(
        open(&desk).await,
        [("budget.unpriced".to_owned(), "another".to_owned())]
    );
    clean(&desk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn totals_that_are_not_the_sums_of_their_rows_are_told_in_the_morning() {
    let desk = Desk::open().await;
    let task = claimed(&desk, 1_000_000).await;
    report(&desk, &task, 5_000, json!({})).await;
    planned(&desk).await;
    let mut rows = desk.register_rows().await;
    let corrupt = "UPDATE fleet.budget_windows SET committed = committed + $1";
    sqlx::query(corrupt)
        .bind(7_i64)
        .execute(&mut rows)
        .await
        .expect("a corruption");
    // 08:00 in Berlin.
    desk.clock.advance(19 * 3_600 - 1);
    assert_eq!(open(&desk).await, []);
    desk.clock.advance(1);
    until_open(&desk, &[("budget.audit", "ledger")]).await;
    let detail = alerts(&desk).await.remove(0).detail;
    assert!(
        detail.starts_with("1 totals are not the sums") && detail.contains("5,007 is kept, 5,000"),
        "{detail}"
    );
    sqlx::query(corrupt)
        .bind(-7_i64)
        .execute(&mut rows)
        .await
        .expect("a repair");
    desk.clock.advance(86_400);
    until_open(&desk, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reaction_on_an_alert_acknowledges_it_and_its_thread_says_who() {
    let desk = Desk::open().await;
    let task = claimed(&desk, 10_000).await;
    report(&desk, &task, 9_600, json!({})).await;
    assert_eq!(alerts(&desk).await[0].acknowledged_by, None);
    let mut rows = desk.register_rows().await;
    let taps: Vec<String> = sqlx::query_scalar(
        "SELECT post #>> '{reaction,key}' FROM fleet.outbox WHERE post ? 'reaction' ORDER BY id",
    )
    .fetch_all(&mut rows)
    .await
    .expect("the taps");
    assert_eq!(taps, ["👀", "🗳"]);
    let post = |path: &str, body: Value| {
        desk.client
            .post(format!("{}{path}", desk.base))
            .bearer_auth("secret")
            .json(&body)
    };
    for statement in [
        "INSERT INTO fleet.tokens (tenant_id, id, sha256, name, scopes, created_at) VALUES ('acme', gen_random_uuid(), $1, 'bot', '{bot}', now())",
        "UPDATE fleet.rooms SET room_id = '!budget:test', mark_event_id = '$0', read_up_to = '2026-11-23T12:00:00Z' WHERE key = 'budget' AND $1 IS NOT NULL",
        "UPDATE fleet.outbox o SET state = 'sent', event_id = '$alert', settled_at = now() FROM fleet.incidents i WHERE i.message = o.id AND $1 IS NOT NULL",
    ] {
        sqlx::query(statement)
            .bind(Sha256::digest("secret").as_slice())
            .execute(&mut rows)
            .await
            .expect("a bot with the alert's room");
    }
    let asked = json!({ "account": "@bot:test", "holder": uuid::Uuid::nil() });
    let lease: Value = post("/v1/bot/lease", asked)
        .send()
        .await
        .expect("an answer")
        .json()
        .await
        .expect("a lease");
    let tapped = |key: &str, who: &str, before: &str, target: &str| {
        json!({
            "lease": { "account": "@bot:test", "epoch": lease["lease"]["epoch"] }, "device": "D", "room_id": "!budget:test",
            "expected_mark": before, "mark": { "event_id": key, "read_up_to": "2026-11-23T12:00:00Z" },
            "envelopes": [{
                "key": key, "sender": work_desk::user_id(who), "joined": true, "power_level": 50, "origin_ts": "2026-11-23T12:00:00Z",
                "provenance": "live", "digest": "d", "body": { "acknowledge": { "target": target } },
            }],
        })
    };
    for (key, who, before, target, outcome) in [
        ("$1", "mia", "$0", "$other", "skipped"),
        ("$2", "out", "$1", "$alert", "refused"),
        ("$3", "mia", "$2", "$alert", "done"),
        ("$3", "mia", "$3", "$alert", "done"),
        ("$4", "ana", "$3", "$alert", "done"),
    ] {
        let response = post("/v1/submit", tapped(key, who, before, target))
            .send()
            .await
            .expect("an answer");
        let (status, said) = (response.status(), response.text().await.expect("a body"));
        assert!(status.is_success(), "{key}: {status} {said}");
        let said: Value = serde_json::from_str(&said).expect("the receipts");
        assert_eq!(said["receipts"][0]["outcome"], outcome, "{key}");
    }
    assert_eq!(
        alerts(&desk).await[0].acknowledged_by.as_deref(),
        Some("@mia:test")
    );
    assert_eq!(
        desk.said("budget", "@mia:test takes care of it.").await,
        1,
        "once, in the thread"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chart_shows_what_was_spent_by_when_and_comes_each_morning() {
    let desk = Desk::open().await;
    let set = json!({ "provider": "claude", "limit": 10_000, "unit": "tokens", "every": "7d" });
    desk.ok("ana", "budget.set", set).await;
    planned(&desk).await;
    let work = json!({ "provider": "claude", "projected_tokens": 400 });
    let task = desk.add("Work", work).await;
    desk.claim("ana", Some(&task)).await;
    for total in [100, 350] {
        desk.clock.advance(7_200);
        report(&desk, &task, total, json!({})).await;
    }
    let charts = match desk.ask("vic", "budget.chart", json!({})).await {
        Ok(Reply::Charts(charts)) => charts,
        other => panic!("no charts: {other:?}"),
    };
    let chart = &charts[0];
    assert_eq!(
        (charts.len(), chart.title.as_str(), chart.limit),
        (1, "claude weekly", 10_000)
    );
    assert_eq!((chart.spent, chart.held), (350, 50));
    let steps: Vec<u64> = chart.points.iter().map(|p| p.spent).collect();
    assert_eq!(steps, [100, 350]);
    assert!(
        chart.planned.is_some() && !chart.ticks.is_empty(),
        "{chart:?}"
    );
    let none = desk
        .ask("vic", "budget.chart", json!({ "provider": "nobody" }))
        .await;
    assert!(
        !matches!(&none, Ok(Reply::Charts(all)) if !all.is_empty()),
        "{none:?}"
    );
    // 08:00 in Berlin.
    desk.clock.advance(15 * 3_600);
    let looking = async {
        while desk.said("budget", "\"charts\"").await == 0 {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), looking)
        .await
        .expect("the picture of the morning");
    assert_eq!(desk.said("budget", "\"charts\"").await, 1);
}
