//! Rows of the outbox: in order, withheld, superseded, settled once.

use std::time::Duration;

use fleet_protocol::api::{Attempts, Outbox, Settled, Settlements, path};
use fleet_protocol::envelope::{BallotInput, Body, BotLease};
use fleet_protocol::outbox::{OutboxRow, Post, Relation, Settlement, Target};
use fleet_protocol::verbs::board::Verdict;
use reqwest::StatusCode;
use serde_json::json;
use uuid::Uuid;

use crate::stage::{LOBBY, OPERATOR, Stage, line, on, read, refused};

/// A row of the lobby, written as the gateway would.
async fn write(stage: &Stage, id: u128, kind: &str, target: Option<u128>) {
    let (id, message) = (
        Uuid::from_u128(id),
        json!({ kind: { "attention": "quiet", "document": [], "mentions": [] } }),
    );
    let relation = target.map(|t| json!({ "replaces": { "row": Uuid::from_u128(t) } }));
    let relation = relation.map_or("NULL".to_owned(), |r| format!("'{r}'"));
    let target = target.map_or("NULL".to_owned(), |t| format!("'{}'", Uuid::from_u128(t)));
    let sql = format!(
        "SET fleet.tenant = 'default';
         INSERT INTO fleet.outbox (tenant_id, id, room, post, relation, target_row, created_at)
         SELECT 'default', '{id}', r.id, '{message}', {relation}, {target}, now() FROM fleet.rooms r WHERE key = 'lobby'"
    );
    on(&stage.database.owner, &sql).await;
}

async fn settle(stage: &Stage, lease: &BotLease, row: Uuid, settlement: Settlement) {
    let body = Settlements {
        lease: lease.clone(),
        rows: vec![Settled { row, settlement }],
    };
    assert_eq!(
        stage.post(path::SETTLEMENTS, &body).await.status(),
        StatusCode::NO_CONTENT
    );
}

fn sent(event_id: &str) -> Settlement {
    Settlement::Sent {
        event_id: event_id.into(),
    }
}

fn ids(rows: &[OutboxRow]) -> Vec<u128> {
    rows.iter().map(|r| r.id.as_u128()).collect()
}

#[tokio::test]
async fn rows_come_in_order_until_settled_and_settling_twice_changes_nothing() {
    let stage = Stage::new().await;
    let lease = stage.bot().await;
    for id in [3, 1, 2] {
        write(&stage, id, "message", None).await;
    }
    assert_eq!(
        ids(&stage.outbox().await.rows),
        [3, 1, 2],
        "the order of writing"
    );
    settle(&stage, &lease, Uuid::from_u128(1), sent("$a")).await;
    settle(&stage, &lease, Uuid::from_u128(1), sent("$b")).await;
    settle(
        &stage,
        &lease,
        Uuid::from_u128(1),
        Settlement::Dead {
            reason: "too late".into(),
        },
    )
    .await;
    assert_eq!(ids(&stage.outbox().await.rows), [3, 2]);
    assert_eq!(
        stage
            .database
            .count("SELECT count(*) FROM fleet.outbox WHERE event_id = '$a' AND state = 'sent'")
            .await,
        1
    );
    assert_eq!(
        stage
            .database
            .count("SELECT count(*) FROM fleet.incidents")
            .await,
        0
    );
}

#[tokio::test]
async fn a_row_waits_for_the_row_it_relates_to() {
    let stage = Stage::new().await;
    let lease = stage.bot().await;
    write(&stage, 1, "message", None).await;
    write(&stage, 2, "edit", Some(1)).await;
    assert_eq!(ids(&stage.outbox().await.rows), [1]);
    settle(&stage, &lease, Uuid::from_u128(1), sent("$card")).await;
    let rows = stage.outbox().await.rows;
    assert_eq!(ids(&rows), [2]);
    assert_eq!(
        rows[0].relation,
        Some(Relation::Replaces(Target::Event("$card".into())))
    );
}

#[tokio::test]
async fn what_relates_to_a_dead_row_is_dropped_and_an_incident_is_told() {
    let stage = Stage::new().await;
    let lease = stage.bot().await;
    write(&stage, 1, "message", None).await;
    write(&stage, 2, "edit", Some(1)).await;
    settle(
        &stage,
        &lease,
        Uuid::from_u128(1),
        Settlement::Dead {
            reason: "M_TOO_LARGE".into(),
        },
    )
    .await;
    assert_eq!(
        stage
            .database
            .count("SELECT count(*) FROM fleet.outbox WHERE state = 'superseded'")
            .await,
        1
    );
    let open =
        "SELECT count(*) FROM fleet.incidents WHERE rule = 'outbox.dead' AND subject = 'lobby'";
    assert_eq!(stage.database.count(open).await, 1);
    stage.bind(&lease, Some("ops"), "!ops:test", None).await;
    let rows = stage.outbox().await.rows;
    assert_eq!(rows.len(), 1, "the alarm waited for its room: {rows:?}");
    assert_eq!(rows[0].room_id, "!ops:test");
}

#[tokio::test]
async fn parked_rows_and_others_follow_the_room_to_its_successor() {
    let stage = Stage::new().await;
    let lease = stage.bot().await;
    write(&stage, 1, "message", None).await;
    write(&stage, 2, "message", None).await;
    settle(
        &stage,
        &lease,
        Uuid::from_u128(1),
        Settlement::Parked {
            reason: "not in the room".into(),
        },
    )
    .await;
    assert_eq!(ids(&stage.outbox().await.rows), [2]);
    stage
        .bind(&lease, None, "!upgraded:test", Some(LOBBY))
        .await;
    let rows = stage.outbox().await.rows;
    assert_eq!(ids(&rows), [1, 2]);
    assert!(rows.iter().all(|r| r.room_id == "!upgraded:test"));
}

#[tokio::test]
async fn the_first_attempt_of_a_device_is_kept() {
    let stage = Stage::new().await;
    let lease = stage.bot().await;
    write(&stage, 1, "message", None).await;
    let mut attempts = Attempts {
        lease,
        device: "ONE".into(),
        rows: vec![Uuid::from_u128(1)],
    };
    for device in ["ONE", "ONE", "TWO"] {
        attempts.device = device.into();
        assert_eq!(
            stage.post(path::ATTEMPTS, &attempts).await.status(),
            StatusCode::NO_CONTENT
        );
        let first = stage.outbox().await.rows[0].attempt.clone().unwrap();
        assert_eq!(first.device, device);
        assert_eq!(
            first.at.as_millis() % 60_000,
            if device == "TWO" { 20_000 } else { 0 },
            "{device}"
        );
        stage.clock.advance(10);
    }
}

#[tokio::test]
async fn a_stale_bot_settles_nothing() {
    let stage = Stage::new().await;
    let mut lease = stage.bot().await;
    write(&stage, 1, "message", None).await;
    lease.epoch += 1;
    let body = Settlements {
        lease,
        rows: vec![Settled {
            row: Uuid::from_u128(1),
            settlement: sent("$a"),
        }],
    };
    assert_eq!(
        refused(stage.post(path::SETTLEMENTS, &body).await).await,
        (409, "bot.lease_lost".into())
    );
    assert_eq!(ids(&stage.outbox().await.rows), [1]);
}

#[tokio::test]
async fn a_waiting_call_is_woken_by_what_is_written() {
    let stage = Stage::new().await;
    let lease = stage.bot().await;
    let waiting = async {
        let response = stage
            .get(&format!("{}?wait=25", path::OUTBOX), &stage.bot)
            .await;
        read::<Outbox>(response).await
    };
    let writing = async {
        // An incident is posted by a row that no submit hands out.
        stage.bind(&lease, Some("ops"), "!ops:test", None).await;
        let body = json!({ "lease": lease, "rule": "room.mark_lost", "subject": LOBBY, "detail": "read it" });
        assert_eq!(
            stage.post(path::INCIDENTS, &body).await.status(),
            StatusCode::NO_CONTENT
        );
        assert_eq!(
            stage.post(path::INCIDENTS, &body).await.status(),
            StatusCode::NO_CONTENT
        );
    };
    let (outbox, ()) = tokio::time::timeout(Duration::from_secs(20), async {
        tokio::join!(waiting, writing)
    })
    .await
    .unwrap();
    assert_eq!(outbox.rows.len(), 1, "one open incident, one message");
}

#[tokio::test]
async fn a_reply_to_an_answer_means_the_task_it_was_about() {
    let stage = Stage::new().await;
    let lease = stage.bot().await;
    let done = stage
        .submitted(
            &lease,
            "$join",
            vec![line("$1", json!({ "task.add": { "title": "one" } }))],
        )
        .await;
    let answer = done
        .outbox
        .iter()
        .find(|r| matches!(r.relation, Some(Relation::Reply { .. })))
        .unwrap();
    settle(&stage, &lease, answer.id, sent("$answer")).await;
    let mut reply = line("$2", json!({ "task.cancel": { "task": "this" } }));
    let lost = line("$3", json!({ "task.show": { "task": "this" } }));
    reply.context.reply_to = Some("$answer".into());
    let done = stage.submitted(&lease, "$1", vec![reply, lost]).await;
    assert_eq!(
        done.receipts[0].outcome,
        fleet_protocol::envelope::Outcome::Done,
        "{:?}",
        done.receipts[0]
    );
    assert_eq!(
        done.receipts[1].problem.as_ref().unwrap().code.as_str(),
        "register.nothing_referred"
    );
}

#[tokio::test]
async fn an_edit_that_nobody_has_tried_gives_way_to_a_newer_one() {
    let stage = Stage::new().await;
    stage.bot().await;
    let seat = json!({ "title": "ceo", "holder": { "user": OPERATOR }, "weight": 1 });
    let other = json!({ "title": "cfo", "holder": { "user": "@cfo:test" }, "weight": 1 });
    let propose =
        json!({ "board.propose": { "title": "Shall we?", "seats": [seat, other], "quorum": 100 } });
    let vote = |why: &str| json!({ "board.vote": { "proposal": "p1", "verdict": "approve", "reason": [why] } });
    for (key, request) in [
        ("1", propose),
        ("2", vote("first")),
        ("3", vote("middle")),
        ("4", vote("second")),
    ] {
        let receipt: fleet_protocol::Receipt = read(stage.command(key, request).await).await;
        assert_eq!(
            receipt.outcome,
            fleet_protocol::envelope::Outcome::Done,
            "{receipt:?}"
        );
    }
    let edits = |state: &str| {
        format!("SELECT count(*) FROM fleet.outbox WHERE post ? 'edit' AND state = '{state}'")
    };
    assert_eq!(stage.database.count(&edits("pending")).await, 1);
    assert_eq!(stage.database.count(&edits("superseded")).await, 2);
}

#[tokio::test]
async fn a_card_changes_before_the_ballot_is_acknowledged_and_at_most_once_a_second() {
    let stage = Stage::new().await;
    let lease = stage.bot().await;
    stage.bind(&lease, Some("board"), "!board:test", None).await;
    let propose = json!({ "board.propose": { "title": "Ship it" } });
    stage
        .submitted(&lease, "$join", vec![line("$propose", propose)])
        .await;
    let waiting = stage.outbox().await.rows;
    let card = waiting
        .iter()
        .find(|row| row.room_id == "!board:test" && row.relation.is_none());
    settle(&stage, &lease, card.unwrap().id, sent("$card")).await;
    let is_edit = |row: &OutboxRow| matches!(row.post, Post::Edit(_));
    let mut after = "$propose";
    for (key, verdict, shown) in [
        ("$first", Verdict::Approve, &[true, false][..]),
        ("$second", Verdict::Reject, &[false]),
    ] {
        let mut ballot = line(key, json!({ "whoami": {} }));
        ballot.body = Body::Ballot {
            target: "$card".into(),
            verdict,
            reason: None,
            via: BallotInput::Reply,
        };
        let submitted = stage.submitted(&lease, after, vec![ballot]).await;
        let edits: Vec<bool> = submitted.outbox.iter().map(is_edit).collect();
        assert_eq!(edits, shown, "{key}");
        after = key;
    }
    // The second edit waits for the first one, which is on its way.
    let edits: Vec<OutboxRow> = stage.outbox().await.rows;
    let edits: Vec<&OutboxRow> = edits.iter().filter(|row| is_edit(row)).collect();
    assert_eq!(edits.len(), 1);
    assert!(edits[0].attempt.is_some());
}

#[tokio::test]
async fn a_busy_room_gets_few_edits_at_once_and_everything_else() {
    let stage = Stage::new().await;
    let lease = stage.bot().await;
    for n in 1..=20 {
        write(&stage, n, "message", None).await;
        settle(&stage, &lease, Uuid::from_u128(n), sent(&format!("${n}"))).await;
        write(&stage, 100 + n, "edit", Some(n)).await;
    }
    write(&stage, 200, "message", None).await;
    let rows = ids(&stage.outbox().await.rows);
    assert_eq!(rows, [101, 102, 103, 104, 105, 106, 107, 108, 200]);
    settle(&stage, &lease, Uuid::from_u128(101), sent("$e")).await;
    assert!(ids(&stage.outbox().await.rows).contains(&109));
}

#[tokio::test]
async fn a_change_of_a_message_that_never_came_is_not_sent() {
    let stage = Stage::new().await;
    let lease = stage.bot().await;
    stage.bind(&lease, Some("board"), "!board:test", None).await;
    let propose = json!({ "board.propose": { "title": "Ship it" } });
    stage
        .submitted(&lease, "$join", vec![line("$propose", propose)])
        .await;
    let card = stage
        .outbox()
        .await
        .rows
        .into_iter()
        .find(|row| row.room_id == "!board:test" && row.relation.is_none())
        .unwrap();
    let reason = "M_FORBIDDEN".to_owned();
    settle(&stage, &lease, card.id, Settlement::Dead { reason }).await;
    let vote = json!({ "board.vote": { "proposal": "p1", "verdict": "approve" } });
    stage
        .submitted(&lease, "$propose", vec![line("$vote", vote)])
        .await;
    let edits = "SELECT count(*) FROM fleet.outbox WHERE post ? 'edit' AND state = ";
    assert_eq!(stage.database.count(&format!("{edits} 'pending'")).await, 0);
    assert_eq!(
        stage.database.count(&format!("{edits} 'superseded'")).await,
        1
    );
}

#[tokio::test]
async fn a_room_that_takes_nothing_hides_no_other() {
    let stage = Stage::new().await;
    let lease = stage.bot().await;
    stage.bind(&lease, Some("ops"), "!ops:test", None).await;
    let fill = |room: &str, rows: u32| {
        format!(
            "SET fleet.tenant = 'default'; INSERT INTO fleet.outbox (tenant_id, id, room, post, created_at)
             SELECT 'default', gen_random_uuid(), r.id, '{{\"redaction\": {{\"reason\": null}}}}', now()
             FROM fleet.rooms r, generate_series(1, {rows}) WHERE r.key = '{room}'"
        )
    };
    on(&stage.database.owner, &fill("lobby", 600)).await;
    on(&stage.database.owner, &fill("ops", 1)).await;
    let rows = stage.outbox().await.rows;
    let of = |room: &str| rows.iter().filter(|r| r.room_id == room).count();
    assert!(of(LOBBY) > 0 && of(LOBBY) < 600, "{}", of(LOBBY));
    assert_eq!(of("!ops:test"), 1);
}

#[tokio::test]
async fn a_wait_that_is_no_number_is_a_problem() {
    let stage = Stage::new().await;
    let answer = stage.get("/v1/outbox?wait=x", &stage.bot).await;
    assert_eq!(refused(answer).await, (400, "event.malformed".to_owned()));
}
