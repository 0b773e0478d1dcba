//! One line, one effect, one answer, whatever is killed in between.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helper functions too"
)]

use std::collections::BTreeMap;

use axum::http::Method;
use fleet_local::stack::{HOMESERVER, POSTGRES};
use fleet_tests::fault::{FaultProxy, Side, Verdict};
use fleet_tests::world::{BOT, GATEWAY, World, eventually};
use sqlx::PgPool;

/// Exactly one answer stands in the room, and exactly one task in the register.
async fn assert_once(world: &World, event: &str, title: &str) {
    world.answer_to(event).await.unwrap();
    // A later line is answered after everything that was to be said about an earlier one.
    world.ask("!whoami").await.unwrap();
    let answers = world.answers_to(event).await.unwrap();
    assert_eq!(answers.len(), 1, "answers to {title}: {answers:#?}");
    let titles = world.task_titles().await.unwrap();
    assert_eq!(
        titles.iter().filter(|t| *t == title).count(),
        1,
        "tasks called {title}: {titles:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bot_dies_before_it_submits_and_nothing_follows() {
    let world = World::raise().await.unwrap();
    let hold = world
        .gateway
        .hold(Side::Request, Method::POST, "/v1/submit");
    let event = world.say("!task add \"before submit\"").await.unwrap();
    let held = hold.reached().await.unwrap();
    world.stack.processes().kill(BOT).await.unwrap();
    held.decide(Verdict::Break);
    world.stack.processes().ready(BOT).await.unwrap();
    // No traffic after the kill: the new bot finds the line by itself.
    world.answer_to(&event).await.unwrap();
    assert_once(&world, &event, "before submit").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bot_dies_after_the_commit_and_before_it_sends() {
    let world = World::raise().await.unwrap();
    let hold = world.gateway.hold(Side::Answer, Method::POST, "/v1/submit");
    let event = world.say("!task add \"after commit\"").await.unwrap();
    let held = hold.reached().await.unwrap();
    world.stack.processes().kill(BOT).await.unwrap();
    held.decide(Verdict::Break);
    world.stack.processes().ready(BOT).await.unwrap();
    assert_once(&world, &event, "after commit").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bot_dies_after_it_sent_and_before_it_settles() {
    let world = World::raise().await.unwrap();
    let event = {
        let hold = world
            .homeserver
            .hold(Side::Answer, Method::PUT, "/send/m.room.message/");
        let event = world.say("!task add \"after send\"").await.unwrap();
        let held = hold.reached().await.unwrap();
        world.stack.processes().kill(BOT).await.unwrap();
        held.decide(Verdict::Break);
        event
    };
    world.stack.processes().ready(BOT).await.unwrap();
    assert_once(&world, &event, "after send").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_that_is_cut_off_is_replaced_and_says_nothing_more() {
    let world = World::raise().await.unwrap();
    let hold = world.gateway.hold(Side::Answer, Method::POST, "/v1/submit");
    let event = world.say("!task add \"between two bots\"").await.unwrap();
    let held = hold.reached().await.unwrap();
    // The first bot lives on, with the line submitted and no way to the gateway.
    let first = world.stack.processes().pid(BOT).unwrap();
    assert!(first.is_some());
    world.gateway.cut().unwrap();
    held.decide(Verdict::Break);
    let gateway = FaultProxy::start(world.gateway_url.clone()).await.unwrap();
    let homeserver = FaultProxy::start(world.stack.homeserver().url.clone())
        .await
        .unwrap();
    // The second one is ready when it holds the lease: not before the first one's has ended. It
    // has another store, hence another device: the device rule decides whether to look first.
    world
        .start_bot_behind("second-bot", &gateway, &homeserver)
        .await
        .unwrap();
    world.answer_to(&event).await.unwrap();
    world.gateway.set_upstream(world.gateway_url.clone());
    assert_once(&world, &event, "between two bots").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_dies_before_it_sees_a_line_and_after_it_committed_one() {
    let world = World::raise().await.unwrap();
    for (side, title) in [
        (Side::Request, "before the gateway sees it"),
        (Side::Answer, "after the gateway committed it"),
    ] {
        let hold = world.gateway.hold(side, Method::POST, "/v1/submit");
        let event = world.say(&format!("!task add \"{title}\"")).await.unwrap();
        let held = hold.reached().await.unwrap();
        world.stack.processes().kill(GATEWAY).await.unwrap();
        held.decide(Verdict::Break);
        world.stack.processes().ready(GATEWAY).await.unwrap();
        assert_once(&world, &event, title).await;
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_dies_within_a_transaction_and_right_after_its_commit() {
    let world = World::raise().await.unwrap();
    let owner = world.stack.database_url().expose();
    let register = PgPool::connect(owner).await.unwrap();
    let mut lock = register.begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE fleet.outbox IN EXCLUSIVE MODE")
        .execute(&mut *lock)
        .await
        .unwrap();
    let within = world.say("!task add \"never committed\"").await.unwrap();
    let waiting =
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'fleet.outbox'::regclass";
    eventually("a transaction waits to write its answer", || async {
        let waiting = sqlx::query_scalar::<_, i64>(waiting);
        (waiting.fetch_one(&register).await.ok()? > 0).then_some(())
    })
    .await
    .unwrap();
    world.stack.processes().kill(POSTGRES).await.unwrap();
    world.stack.processes().ready(POSTGRES).await.unwrap();
    assert_once(&world, &within, "never committed").await;

    let hold = world.gateway.hold(Side::Answer, Method::POST, "/v1/submit");
    let after = world.say("!task add \"just committed\"").await.unwrap();
    let held = hold.reached().await.unwrap();
    world.stack.processes().kill(POSTGRES).await.unwrap();
    held.decide(Verdict::Break);
    world.stack.processes().ready(POSTGRES).await.unwrap();
    assert_once(&world, &after, "just committed").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_part_is_killed_in_the_middle_of_a_burst() {
    let world = World::raise().await.unwrap();
    let mut events = BTreeMap::new();
    for n in 0..40 {
        let title = format!("burst {n}");
        events.insert(
            world.say(&format!("!task add \"{title}\"")).await.unwrap(),
            title,
        );
        let victim = match n {
            8 => BOT,
            16 => GATEWAY,
            24 => POSTGRES,
            _ => continue,
        };
        world.stack.processes().kill(victim).await.unwrap();
    }
    for event in events.keys() {
        world.answer_to(event).await.unwrap();
    }
    world.ask("!whoami").await.unwrap();
    let titles = world.task_titles().await.unwrap();
    for (event, title) in &events {
        let answers = world.answers_to(event).await.unwrap();
        assert_eq!(answers.len(), 1, "answers to {title}: {answers:#?}");
        assert_eq!(
            titles.iter().filter(|t| *t == title).count(),
            1,
            "tasks called {title}"
        );
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_homeserver_dies_and_comes_back() {
    // Somebody else's homeserver is not ours to kill.
    if std::env::var_os("FLEET_TEST_HOMESERVER").is_some() {
        return;
    }
    let world = World::raise().await.unwrap();
    let first = world
        .say("!task add \"before the homeserver died\"")
        .await
        .unwrap();
    world.stack.processes().kill(HOMESERVER).await.unwrap();
    world.stack.processes().ready(HOMESERVER).await.unwrap();
    let second = eventually("the homeserver takes a line", || async {
        world
            .say("!task add \"after the homeserver died\"")
            .await
            .ok()
    })
    .await
    .unwrap();
    assert_once(&world, &first, "before the homeserver died").await;
    assert_once(&world, &second, "after the homeserver died").await;
    world.end().await;
}
