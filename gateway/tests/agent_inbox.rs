//! Inboxes: what is said to an agent is handed out until it is acknowledged.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking; clippy knows this of functions marked as tests only, not of what they call"
)]

mod work_desk;

use fleet_protocol::Reply;
use fleet_protocol::problem::Code;
use fleet_protocol::reply::{Changed, ItemView};
use fleet_protocol::verbs::inbox::Class;
use serde_json::{Value, json};
use work_desk::Desk;

fn item(reply: Reply) -> ItemView {
    match reply {
        Reply::Item(item) => item.now,
        other => panic!("not an item: {other:?}"),
    }
}

fn items(reply: Reply) -> Vec<ItemView> {
    match reply {
        Reply::Items(items) => items,
        other => panic!("not items: {other:?}"),
    }
}

fn ids(items: &[ItemView]) -> Vec<&str> {
    items.iter().map(|i| i.id.as_str()).collect()
}

/// Says something to somebody.
async fn send(desk: &Desk, who: &str, to: &str, text: &str) -> ItemView {
    item(
        desk.ok(who, "agent.send", json!({ "to": to, "text": text }))
            .await,
    )
}

/// What an agent takes without waiting.
async fn ack(desk: &Desk, who: &str, items: &[&str]) -> Vec<ItemView> {
    self::items(desk.ok(who, "agent.ack", json!({ "items": items })).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_is_handed_out_in_order_and_again_until_it_is_acknowledged() {
    let desk = Desk::with_crew().await;
    let first = send(&desk, "a1", "code-2", "one").await;
    send(&desk, "a1", "h1:code-2", "two").await;
    assert_eq!(
        (
            first.line().to_string().as_str(),
            first.class,
            first.chain.hop
        ),
        ("[h1:code-1 -> h1:code-2]", Class::Actionable, 0)
    );
    assert_eq!(ids(&desk.items("a2", 1).await), ["n1"]);
    assert_eq!(ids(&desk.items("a2", 10).await), ["n2"]);
    assert!(desk.items("a2", 10).await.is_empty());
    assert_eq!(ack(&desk, "a2", &["n1"]).await[0].deliveries, 1);
    desk.clock.advance(301);
    let again = desk.items("a2", 10).await;
    assert_eq!((ids(&again), again[0].deliveries), (vec!["n2"], 2));
    ack(&desk, "a2", &["n2", "n1"]).await;
    desk.clock.advance(301);
    assert!(desk.items("a2", 10).await.is_empty());
    assert_eq!(desk.said("tasks", "[h1:code-1 -> h1:code-2]").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_incarnation_gets_what_the_one_before_did_not_acknowledge() {
    let desk = Desk::with_crew().await;
    send(&desk, "a1", "code-2", "one").await;
    assert_eq!(desk.items("a2", 10).await.len(), 1);
    desk.register("a2", "code-2", "code").await;
    let again = desk.items("a2", 10).await;
    assert_eq!((ids(&again), again[0].deliveries), (vec!["n1"], 2));
    let former = json!({ "name": "code-2", "host": "h1", "incarnation": 1 });
    for (path, request) in [
        ("/v1/queries", json!({ "agent.next": {} })),
        ("/v1/commands", json!({ "agent.ack": { "items": ["n1"] } })),
        (
            "/v1/commands",
            json!({ "agent.send": { "to": "code-1", "text": "x" } }),
        ),
    ] {
        let body = json!({ "request": request, "agent": former });
        assert_eq!(desk.problem("a2", path, body).await, Code::StaleIncarnation);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_is_woken_by_what_is_sent() {
    let desk = Desk::with_crew().await;
    let waiting = desk.ask_as("a2", "agent.next", json!({ "wait": 20 }));
    tokio::pin!(waiting);
    // It waits, and was not answered with nothing.
    let early = tokio::time::timeout(std::time::Duration::from_millis(300), &mut waiting).await;
    assert!(early.is_err());
    send(&desk, "a1", "code-2", "now").await;
    let taken = tokio::time::timeout(std::time::Duration::from_secs(4), waiting)
        .await
        .expect("woken, not found by looking again after five seconds");
    assert_eq!(items(taken.expect("the inbox"))[0].text, "now");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_flips_the_line_and_goes_to_who_asked() {
    let desk = Desk::with_crew().await;
    let asked = send(&desk, "a1", "review", "look at this").await;
    assert_eq!(asked.to.to_string(), "h1:review-1");
    desk.items("a3", 1).await;
    let answer = json!({ "item": asked.id, "text": "looks good", "ack": true });
    let answer = item(desk.ok("a3", "agent.reply", answer).await);
    assert_eq!(answer.line(), asked.line().flipped());
    assert_eq!(
        (answer.reply_to, answer.chain.id, answer.chain.hop),
        (Some("n1".into()), asked.chain.id, 1)
    );
    assert_eq!(ids(&desk.items("a1", 9).await), ["n2"]);
    let foreign = json!({ "item": "n2", "text": "not mine" });
    assert_eq!(
        desk.refused("a3", "agent.reply", foreign).await,
        Code::NotYourself
    );
    let foreign = json!({ "items": ["n2"] });
    assert_eq!(
        desk.refused("a3", "agent.ack", foreign).await,
        Code::NotYourself
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_writes_to_an_agent_and_is_answered_in_a_room() {
    let desk = Desk::with_crew().await;
    let asked = send(&desk, "mia", "code-1", "how far is it?").await;
    assert_eq!(
        (asked.line().to_string().as_str(), asked.class),
        ("[matrix:mia -> h1:code-1 human]", Class::Human)
    );
    desk.items("a1", 1).await;
    desk.ok(
        "a1",
        "agent.reply",
        json!({ "item": "n1", "text": "half done" }),
    )
    .await;
    assert_eq!(desk.said("tasks", "half done").await, 1);
    assert_eq!(desk.said("tasks", "\"mentions\": [\"@mia:test\"]").await, 1);
    let viewer = json!({ "to": "code-1", "text": "x" });
    assert_eq!(
        desk.refused("vic", "agent.send", viewer).await,
        Code::WrongRole
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_is_reached_as_one_agent_or_as_all() {
    let desk = Desk::with_crew().await;
    desk.register("a4", "code-3", "code").await;
    // The one with the least to read.
    for wanted in ["h1:code-2", "h1:code-3", "h1:code-2"] {
        assert_eq!(send(&desk, "a1", "code", "x").await.to.to_string(), wanted);
    }
    let all = json!({ "role": "code", "text": "all of you" });
    let heard = items(desk.ok("a1", "agent.broadcast", all).await);
    let names: Vec<_> = heard.iter().map(|i| i.to.name.as_str()).collect();
    assert_eq!(names, ["code-2", "code-3"]);
    assert_eq!(desk.said("tasks", "all of you").await, 1);
    for (to, code) in [
        ("nobody", Code::NotFound),
        ("h9:code-2", Code::NotFound),
        ("code-1", Code::Invalid),
        ("orchestrator", Code::NotFound),
    ] {
        let args = json!({ "to": to, "text": "x" });
        assert_eq!(desk.refused("a1", "agent.send", args).await, code, "{to}");
    }
    desk.ok("ana", "agent.retire", json!({ "name": "code-2" }))
        .await;
    let args = json!({ "to": "code-2", "text": "x" });
    assert_eq!(
        desk.refused("a1", "agent.send", args).await,
        Code::WrongState
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_orchestrator_and_people_give_work_away() {
    let desk = Desk::with_crew().await;
    desk.register("a4", "orchestrator-1", "orchestrator").await;
    let mission = desk
        .ok(
            "ana",
            "mission.new",
            json!({ "title": "Ship it", "goal": "By May." }),
        )
        .await;
    let Reply::Mission(mission) = mission else {
        panic!("{mission:?}")
    };
    let more = json!({ "brief": "With care.", "mission": mission.now.id });
    let task = desk.add("Write it", more).await;
    let args = json!({ "task": task, "to": "code", "text": "Today." });
    assert_eq!(
        desk.refused("a3", "agent.delegate", args.clone()).await,
        Code::WrongRole
    );
    let given = item(desk.ok("a4", "agent.delegate", args.clone()).await);
    assert_eq!(given.task.as_deref(), Some(task.as_str()));
    for part in [
        "Take t1: Write it\n\nYou are the fleet's Code.\n\n",
        "\n\nMission m1: Ship it\n\nBy May.\n\nWith care.\n\nToday.",
    ] {
        assert!(given.text.contains(part), "{}", given.text);
    }
    assert_eq!(desk.said("tasks", "Take t1: Write it").await, 1);
    assert_eq!(
        desk.said("tasks", "By May.").await,
        0,
        "people see it in short"
    );
    let wrong = json!({ "task": task, "to": "review-1" });
    assert_eq!(
        desk.refused("mia", "agent.delegate", wrong).await,
        Code::WrongRole
    );
    desk.claim("a1", Some(&task)).await;
    assert_eq!(
        desk.refused("mia", "agent.delegate", args).await,
        Code::Held
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_acknowledges_is_reminded_of_once_and_then_an_incident() {
    let desk = Desk::with_crew().await;
    send(&desk, "a1", "code-2", "urgent").await;
    let log = json!({ "to": "code-2", "text": "done 3", "class": "terminal-log" });
    desk.ok("a1", "agent.send", log).await;
    assert_eq!(desk.items("a2", 10).await.len(), 2);
    desk.clock.advance(901);
    desk.until_said("tasks", "was reminded of n1", 1).await;
    let again = desk.items("a2", 1).await;
    assert_eq!((ids(&again), again[0].reminder), (vec!["n1"], true));
    desk.clock.advance(901);
    desk.until_said("ops", "did not acknowledge n1", 1).await;
    desk.clock.advance(9_000);
    ack(&desk, "a2", &["n1"]).await;
    assert_eq!(desk.said("ops", "over: ").await, 1);
    assert_eq!(desk.said("ops", "n2").await, 0);
    assert_eq!(desk.said("tasks", "was reminded").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inbox_and_an_item_are_bounded_and_a_pause_holds_agents() {
    let desk = Desk::with_crew().await;
    desk.set("inbox_items = 2").await;
    for text in ["one", "two"] {
        send(&desk, "a1", "code-2", text).await;
    }
    let more = json!({ "to": "code-2", "text": "three" });
    assert_eq!(
        desk.refused("a1", "agent.send", more.clone()).await,
        Code::InboxFull
    );
    desk.items("a2", 1).await;
    ack(&desk, "a2", &["n1"]).await;
    desk.ok("a1", "agent.send", more.clone()).await;
    let long =
        json!({ "request": { "agent.send": { "to": "code-1", "text": "x".repeat(65_536) } } });
    assert_eq!(
        desk.problem("mia", "/v1/commands", long).await,
        Code::Malformed
    );
    let escape = json!({ "request": { "agent.send": { "to": "code-1", "text": "\u{1b}[2J" } } });
    assert_eq!(
        desk.problem("mia", "/v1/commands", escape).await,
        Code::Malformed
    );
    ack(&desk, "mia", &["n2"]).await;
    desk.ok("ana", "pause", json!({})).await;
    assert_eq!(desk.refused("a1", "agent.send", more).await, Code::Paused);
    send(&desk, "mia", "code-2", "people go on").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_says_how_far_chains_go() {
    let desk = Desk::with_crew().await;
    let limits = json!({ "hops": 2 });
    assert_eq!(
        desk.refused("mia", "chain.limits.set", limits.clone())
            .await,
        Code::WrongRole
    );
    for wrong in [
        json!({}),
        json!({ "hops": 0 }),
        json!({ "messages": 100_001 }),
        json!({ "tokens": 0 }),
    ] {
        assert_eq!(
            desk.refused("ana", "chain.limits.set", wrong).await,
            Code::BadArgument
        );
    }
    let Reply::ChainLimits(set) = desk.ok("ana", "chain.limits.set", limits).await else {
        panic!("no limits")
    };
    assert_eq!((set.now.hops, set.now.messages), (2, 200));
    let shown = desk.ask("vic", "chain.limits.show", json!({})).await;
    assert_eq!(shown, Ok(Reply::ChainLimits(Changed::shown(set.now))));
    let ring = [("a1", "code-1"), ("a2", "code-2")];
    assert_eq!(go_round(&desk, &ring, 0).await, (2, Code::ChainStopped));
}

/// What two agents do without end: each answers what it is handed.
async fn go_round(desk: &Desk, ring: &[(&str, &str)], pause: i64) -> (u32, Code) {
    let mut said = 0;
    let mut at = 0;
    loop {
        let ((who, _), (_, to)) = (ring[at % ring.len()], ring[(at + 1) % ring.len()]);
        match desk
            .run(who, "agent.send", json!({ "to": to, "text": "and you?" }))
            .await
        {
            Ok(_) => said += 1,
            Err(problem) => return (said, problem.code),
        }
        desk.clock.advance(pause);
        at += 1;
        let (next, _) = ring[at % ring.len()];
        let taken = desk.items(next, 50).await;
        ack(desk, next, &ids(&taken)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loop_stops_at_the_limit_of_its_chain_however_slow_it_is() {
    for (ring, pause) in [
        (&[("a1", "code-1"), ("a2", "code-2")][..], 0),
        (
            &[("a1", "code-1"), ("a2", "code-2"), ("a3", "review-1")][..],
            7_200,
        ),
    ] {
        let desk = Desk::with_crew().await;
        assert_eq!(go_round(&desk, ring, pause).await, (16, Code::ChainStopped));
        assert_eq!(desk.said("ops", "chain.stopped").await, 1);
        let open: i64 =
            sqlx::query_scalar("SELECT count(*) FROM fleet.items WHERE acknowledged_at IS NULL")
                .fetch_one(&mut desk.register_rows().await)
                .await
                .expect("the items");
        assert_eq!(open, 0, "what is refused is not delivered");
        // It goes on when a person says so, or with planned work.
        send(&desk, "mia", "code-1", "go on").await;
        desk.items("a1", 1).await;
        assert_eq!(send(&desk, "a1", "code-2", "I do").await.chain.hop, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_is_bounded_in_all_and_an_agent_cannot_leave_it() {
    let desk = Desk::with_crew().await;
    desk.set("chain_messages = 3").await;
    let first = send(&desk, "a1", "code-2", "one").await;
    desk.items("a2", 1).await;
    // A new life of the same agent is in the same chain.
    desk.register("a2", "code-2", "code").await;
    assert_eq!(
        send(&desk, "a2", "code-1", "two").await.chain.id,
        first.chain.id
    );
    let call = |chain: Value| {
        json!({
            "request": { "agent.send": { "to": "review-1", "text": "x" } }, "chain": chain,
            "agent": { "name": "code-2", "host": "h1", "incarnation": 2 },
        })
    };
    let unknown = json!({ "id": "00000000-0000-0000-0000-000000000001", "hop": 0 });
    assert_eq!(
        desk.call("a2", call(unknown))
            .await
            .expect_err("unknown")
            .code,
        Code::Invalid
    );
    let lower = json!({ "id": first.chain.id, "hop": 0 });
    let third = item(desk.call("a2", call(lower)).await.expect("the third"));
    assert_eq!(third.chain.hop, 1);
    let more = json!({ "to": "review-1", "text": "four" });
    assert_eq!(
        desk.refused("a2", "agent.send", more.clone()).await,
        Code::ChainStopped
    );
    // A claim begins anew.
    desk.add("Planned", json!({})).await;
    desk.claim("a2", None).await;
    assert_eq!(item(desk.ok("a2", "agent.send", more).await).chain.hop, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_spent_in_a_chain_end_it() {
    let desk = Desk::with_crew().await;
    desk.set("chain_tokens = 1000").await;
    let task = desk.add("Costly", json!({})).await;
    let epoch = desk.claim("a2", None).await.epoch.expect("a lease");
    send(&desk, "a1", "code-2", "think hard").await;
    desk.items("a2", 1).await;
    let more = json!({ "to": "code-1", "text": "I thought" });
    for (input, code) in [(999, None), (1_000, Some(Code::ChainStopped))] {
        let spent = json!({ "task": task, "input_tokens": input });
        desk.run_under("a2", Some((&task, epoch)), "spend.report", spent)
            .await
            .expect("recorded");
        let said = desk.run("a2", "agent.send", more.clone()).await;
        assert_eq!(said.err().map(|p| p.code), code);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_backlog_asks_the_orchestrator_once_until_there_is_work() {
    let desk = Desk::with_crew().await;
    desk.register("a4", "orchestrator-1", "orchestrator").await;
    desk.add("Waits", json!({ "role": "review" })).await;
    // Something waits, for another role.
    assert_eq!(
        desk.refused("a1", "task.claim", json!({})).await,
        Code::NothingReady
    );
    assert!(desk.items("a4", 9).await.is_empty());
    for round in 1..=2_usize {
        desk.claim("a3", None).await;
        for _ in 0..2 {
            assert_eq!(
                desk.refused("a1", "task.claim", json!({})).await,
                Code::NothingReady
            );
        }
        let asked = desk.items("a4", 9).await;
        assert_eq!(asked.len(), 1, "round {round}");
        assert_eq!(
            asked[0].line().to_string(),
            "[gateway:fleet -> h1:orchestrator-1]"
        );
        assert_eq!(
            desk.said("lobby", "The backlog is empty").await,
            i64::try_from(round).expect("few")
        );
        desk.add("More", json!({ "role": "review" })).await;
    }
}
