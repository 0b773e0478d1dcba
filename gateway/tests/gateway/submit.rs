//! Events of a room: exactly once, in order, one live bot.

use fleet_protocol::Timestamp;
use fleet_protocol::api::path;
use fleet_protocol::envelope::{Body, Outcome, Submitted};
use fleet_protocol::outbox::{Post, Relation, Target};
use fleet_protocol::problem::{Code, Problem};
use serde_json::json;

use crate::stage::{NOON, Stage, batch, line, on, read, refused};

pub(crate) fn add(key: &str) -> fleet_protocol::Envelope {
    line(key, json!({ "task.add": { "title": key } }))
}

#[tokio::test]
async fn an_event_is_executed_once_and_answered_once() {
    let stage = Stage::new().await;
    let lease = stage.bot().await;
    let first = stage
        .submitted(&lease, "$join", vec![add("$1"), add("$2")])
        .await;
    assert_eq!(first.receipts.len(), 2);
    assert!(
        first
            .receipts
            .iter()
            .all(|r| r.outcome == Outcome::Done && !r.replayed),
        "{first:?}"
    );
    let answers = stage
        .database
        .count("SELECT count(*) FROM fleet.outbox WHERE relation ? 'reply'")
        .await;
    assert_eq!(answers, 2);
    let answer = first
        .outbox
        .iter()
        .find(|r| matches!(r.relation, Some(Relation::Reply { .. })))
        .unwrap();
    assert_eq!(
        answer.relation.as_ref().unwrap().target(),
        &Target::Event("$1".into())
    );
    assert_eq!(answer.attempt.as_ref().unwrap().device, "DEVICE");
    let again: Submitted = read(
        stage
            .submit(&batch(&lease, "$join", vec![add("$1"), add("$2")]))
            .await,
    )
    .await;
    assert!(again.receipts.iter().all(|r| r.replayed));
    assert_eq!(again.receipts[0].id, first.receipts[0].id);
    assert_eq!(
        stage
            .database
            .count("SELECT count(*) FROM fleet.tasks")
            .await,
        2
    );
    let marked = "SELECT count(*) FROM fleet.rooms WHERE key = 'lobby' AND mark_event_id = '$2'";
    assert_eq!(stage.database.count(marked).await, 1);
    stage.stop().await;
}

#[tokio::test]
async fn a_resumed_batch_goes_on_where_it_was_cut() {
    let stage = Stage::new().await;
    let lease = stage.bot().await;
    stage.submitted(&lease, "$join", vec![add("$1")]).await;
    let both = stage
        .submitted(&lease, "$join", vec![add("$1"), add("$2")])
        .await;
    assert_eq!(
        both.receipts.iter().map(|r| r.replayed).collect::<Vec<_>>(),
        [true, false]
    );
    assert_eq!(
        stage
            .database
            .count("SELECT count(*) FROM fleet.tasks")
            .await,
        2
    );
}

#[tokio::test]
async fn another_body_under_an_events_key_is_refused_and_does_not_run() {
    let stage = Stage::new().await;
    let lease = stage.bot().await;
    stage.submitted(&lease, "$join", vec![add("$1")]).await;
    let mut forged = add("$1");
    forged.digest = "another".into();
    let forged = stage.submitted(&lease, "$1", vec![forged]).await;
    assert_eq!(
        forged.receipts[0].problem.as_ref().unwrap().code,
        Code::KeyReused
    );
    assert_eq!(
        stage
            .database
            .count("SELECT count(*) FROM fleet.tasks")
            .await,
        1
    );
}

#[tokio::test]
async fn a_mark_elsewhere_means_that_somebody_has_read_on() {
    let stage = Stage::new().await;
    let lease = stage.bot().await;
    let stale = stage
        .submit(&batch(&lease, "$elsewhere", vec![add("$1")]))
        .await;
    assert_eq!(refused(stale).await, (409, "register.wrong_state".into()));
    assert_eq!(
        stage
            .database
            .count("SELECT count(*) FROM fleet.admitted")
            .await,
        0
    );
    assert_eq!(
        stage
            .database
            .count("SELECT count(*) FROM fleet.tasks")
            .await,
        0
    );
    let mut skipped = batch(&lease, "$join", vec![]);
    skipped.mark.event_id = "$9".into();
    read::<Submitted>(stage.submit(&skipped).await).await;
    read::<Submitted>(stage.submit(&skipped).await).await;
    stage.submitted(&lease, "$9", vec![add("$10")]).await;
}

#[tokio::test]
async fn one_live_bot_per_account() {
    let stage = Stage::new().await;
    let old = stage.bot().await;
    assert_eq!(
        refused(stage.ask_lease(2, None).await).await,
        (409, "bot.lease_held".into())
    );
    let kept: fleet_protocol::api::LeaseGrant =
        read(stage.ask_lease(1, Some(old.epoch)).await).await;
    assert_eq!(kept.lease, old);
    stage.clock.advance(31);
    let new: fleet_protocol::api::LeaseGrant = read(stage.ask_lease(2, None).await).await;
    assert_eq!((new.lease.epoch, new.expires_in), (old.epoch + 1, 30));
    assert_eq!(
        refused(stage.ask_lease(1, Some(old.epoch)).await).await,
        (409, "bot.lease_lost".into())
    );
    let stale = stage.submit(&batch(&old, "$join", vec![add("$1")])).await;
    assert_eq!(refused(stale).await, (409, "bot.lease_lost".into()));
    assert_eq!(
        stage
            .database
            .count("SELECT count(*) FROM fleet.admitted")
            .await,
        0
    );
    stage.submitted(&new.lease, "$join", vec![add("$1")]).await;
}

#[tokio::test]
async fn a_refusal_is_answered_and_changes_nothing() {
    let stage = Stage::new().await;
    let lease = stage.bot().await;
    let mut stranger = add("$1");
    stranger.sender = "@stranger:test".parse().unwrap();
    let mut outside = add("$2");
    outside.joined = false;
    let mut garbled = add("$3");
    garbled.body = Body::Refused(
        Problem::new(Code::UnknownCommand, "there is no command tsk").suggest("!task list"),
    );
    let done = stage
        .submitted(&lease, "$join", vec![stranger, outside, garbled])
        .await;
    let codes: Vec<_> = done
        .receipts
        .iter()
        .map(|r| r.problem.as_ref().unwrap().code)
        .collect();
    assert_eq!(
        codes,
        [Code::NoGrant, Code::NotInRoom, Code::UnknownCommand]
    );
    assert_eq!(done.outbox.len(), 3, "one answer each");
    let Post::Message(message) = &done.outbox[2].post else {
        panic!("{:?}", done.outbox[2])
    };
    let text = message.document.plain();
    let reference = done.receipts[2]
        .problem
        .as_ref()
        .unwrap()
        .reference
        .clone()
        .unwrap();
    assert!(
        text.contains("there is no command tsk")
            && text.contains("!task list")
            && text.contains(&reference),
        "{text}"
    );
    assert_eq!(
        stage
            .database
            .count("SELECT count(*) FROM fleet.tasks")
            .await,
        0
    );
}

#[tokio::test]
async fn a_fault_of_ours_is_final_and_stops_nothing_behind_it() {
    let stage = Stage::new().await;
    let lease = stage.bot().await;
    on(
        &stage.database.owner,
        "ALTER TABLE fleet.tasks ADD CHECK (title <> '$bad')",
    )
    .await;
    let done = stage
        .submitted(&lease, "$join", vec![add("$bad"), add("$good")])
        .await;
    assert_eq!(
        done.receipts.iter().map(|r| r.outcome).collect::<Vec<_>>(),
        [Outcome::Failed, Outcome::Done]
    );
    assert_eq!(
        done.receipts[0].problem.as_ref().unwrap().code,
        Code::Internal
    );
    assert_eq!(
        stage
            .database
            .count("SELECT count(*) FROM fleet.tasks")
            .await,
        1
    );
}

#[tokio::test]
async fn an_event_that_fails_at_every_try_is_quarantined_with_an_incident() {
    let stage = Stage::new().await;
    let lease = stage.bot().await;
    on(
        &stage.database.owner,
        "CREATE FUNCTION public.clash() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF NEW.title = '$poison' THEN RAISE EXCEPTION 'clash' USING ERRCODE = '40001'; END IF; RETURN NEW; END $$;
         CREATE TRIGGER clash BEFORE INSERT ON fleet.tasks FOR EACH ROW EXECUTE FUNCTION public.clash()",
    )
    .await;
    let done = stage
        .submitted(&lease, "$join", vec![add("$poison"), add("$after")])
        .await;
    assert_eq!(
        done.receipts.iter().map(|r| r.outcome).collect::<Vec<_>>(),
        [Outcome::Failed, Outcome::Done]
    );
    let open = "SELECT count(*) FROM fleet.incidents WHERE rule = 'event.quarantined' AND subject = '$poison'";
    assert_eq!(stage.database.count(open).await, 1);
}

#[tokio::test]
async fn a_chat_line_of_an_agents_account_never_runs_registered_or_not() {
    let stage = Stage::new().await;
    let lease = stage.bot().await;
    let agent = "@agent-code-1-host:test";
    let grant = format!(
        "SET fleet.tenant = 'default'; INSERT INTO fleet.grants VALUES ('default', '{agent}', 'agent', NULL, 'test', now())"
    );
    on(&stage.database.owner, &grant).await;
    let typed = |key: &str, request| {
        let mut envelope = line(key, request);
        envelope.sender = agent.parse().unwrap();
        envelope
    };
    let register =
        json!({ "agent.register": { "name": "code-1", "role": "code", "host": "host" } });
    let mut event = typed("$2", register.clone());
    event.body = Body::Event {
        id: "a".into(),
        request: serde_json::from_value(register.clone()).unwrap(),
        agent: serde_json::from_value(
            json!({ "name": "code-1", "host": "host", "incarnation": 0 }),
        )
        .unwrap(),
        chain: None,
        lease: None,
        is_shown: false,
    };
    let lines = vec![
        typed("$1", register),
        event,
        typed("$3", json!({ "task.claim": {} })),
        typed("$4", json!({ "status": {} })),
    ];
    let done = stage.submitted(&lease, "$join", lines).await;
    let codes: Vec<_> = done
        .receipts
        .iter()
        .map(|r| r.problem.as_ref().map(|p| p.code))
        .collect();
    let refused = Some(Code::AgentChat);
    assert_eq!(codes, [refused, None, refused, refused]);
    let (agents, attempts) = (
        stage
            .database
            .count("SELECT count(*) FROM fleet.agents")
            .await,
        stage
            .database
            .count("SELECT count(*) FROM fleet.attempts")
            .await,
    );
    assert_eq!((agents, attempts), (1, 0), "registered by its event alone");
}

#[tokio::test]
async fn an_outage_of_the_register_puts_nothing_aside() {
    let stage = Stage::new().await;
    let lease = stage.bot().await;
    on(
        &stage.database.owner,
        "CREATE FUNCTION public.away() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN RAISE EXCEPTION 'away' USING ERRCODE = '57P03'; END $$;
         CREATE TRIGGER away BEFORE INSERT ON fleet.tasks FOR EACH ROW EXECUTE FUNCTION public.away()",
    )
    .await;
    let body = batch(&lease, "$join", vec![add("$patient")]);
    let answer = stage.post(path::SUBMIT, &body).await;
    assert_eq!(refused(answer).await.0, 503);
    let kept = "SELECT count(*) FROM fleet.admitted WHERE key = '$patient'";
    assert_eq!(stage.database.count(kept).await, 0);

    on(&stage.database.owner, "DROP TRIGGER away ON fleet.tasks").await;
    let done = stage
        .submitted(&lease, "$join", vec![add("$patient")])
        .await;
    assert_eq!(done.receipts[0].outcome, Outcome::Done);
}

#[tokio::test]
async fn what_no_register_holds_is_answered_all_the_same() {
    let stage = Stage::new().await;
    let lease = stage.bot().await;
    let mut envelope = add("$nul");
    let problem = Problem::new(Code::Malformed, "\"\u{0}\" is no command");
    envelope.body = Body::Refused(problem);
    let done = stage.submitted(&lease, "$join", vec![envelope]).await;
    assert_eq!(done.receipts[0].outcome, Outcome::Refused);
    assert_eq!(done.outbox.len(), 1);
}

#[tokio::test]
async fn an_event_from_the_future_does_not_move_the_mark_there() {
    let stage = Stage::new().await;
    let lease = stage.bot().await;
    let mut body = batch(&lease, "$join", vec![add("$future")]);
    body.mark.read_up_to = Timestamp::from_millis(NOON + 1_000_000_000_000);
    let _: Submitted = read(stage.post(path::SUBMIT, &body).await).await;
    let ahead = "SELECT count(*) FROM fleet.rooms WHERE read_up_to > now()";
    assert_eq!(stage.database.count(ahead).await, 0);
}
