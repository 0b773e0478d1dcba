//! The rules of kinds and templates, and who may choose them, on a real PostgreSQL.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking; clippy knows this of functions marked as tests only, not of what they call"
)]

mod board_table;
mod work_desk;

use board_table::{
    board, closed, paused, person, propose, record, seats, settled, show, vote, vote_refused,
};
use fleet_protocol::Reply;
use fleet_protocol::problem::Code;
use fleet_protocol::record::{Act, Extension};
use fleet_protocol::verbs::board::Verdict;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn nobody_makes_themselves_a_board_for_an_effect() {
    let desk = board().await;
    let grant =
        json!({ "member.grant": { "user": work_desk::user_id("mia"), "role": "operator" } });
    let mine = json!([person("me", "mia")]);
    for (key, value) in [
        ("seats", mine.clone()),
        ("quorum", json!(0)),
        ("threshold", json!("1/1")),
        ("template", json!("lazy")),
    ] {
        let mut args = json!({ "title": "x", "effect": grant });
        args[key] = value;
        assert_eq!(
            desk.refused("mia", "board.propose", args).await,
            Code::WrongRole,
            "{key}"
        );
    }
    // Without an effect it is a question like any other; it gets no effect later either.
    desk.ok(
        "mia",
        "board.propose",
        json!({ "title": "x", "seats": mine }),
    )
    .await;
    let amend = json!({ "proposal": "p1", "effect": grant });
    assert_eq!(
        desk.refused("mia", "board.amend", amend).await,
        Code::WrongRole
    );
    // Before the fleet's own board anybody may put it.
    let asked = desk
        .ok(
            "mia",
            "board.propose",
            json!({ "title": "y", "effect": grant }),
        )
        .await;
    let asked = board_table::proposal(asked);
    let holders: Vec<String> = asked
        .seats
        .iter()
        .map(|s| s.seat.title.to_string())
        .collect();
    assert_eq!(holders, ["ana", "ben"], "every operator is a seat");
    assert_eq!(
        vote_refused(&desk, "mia", &asked.id, "approve").await,
        Code::NoSeat
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_early_end_is_called_off_when_somebody_changes_their_mind() {
    let desk = board().await;
    propose(&desk, json!({ "effect": { "pause": {} } })).await;
    for who in ["ana", "ben", "mia"] {
        vote(&desk, who, "p1", "approve").await;
    }
    assert!(show(&desk, "p1").await.ends_early_at.is_some());
    desk.clock.advance(59);
    desk.ok("mia", "board.withdraw", json!({ "proposal": "p1" }))
        .await;
    let p = show(&desk, "p1").await;
    assert_eq!((p.ends_early_at, p.tally.cast), (None, 2));
    assert_eq!(
        desk.refused("mia", "board.withdraw", json!({ "proposal": "p1" }))
            .await,
        Code::WrongState
    );
    desk.clock.advance(3_600);
    assert!(!paused(&desk).await);
    vote(&desk, "mia", "p1", "approve").await;
    assert_eq!(settled(&desk, "p1").await.state, "approved");
    assert!(paused(&desk).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_quorum_extends_once() {
    let desk = board().await;
    propose(&desk, json!({ "closes_at": "+1000s", "quorum": 75 })).await;
    vote(&desk, "ana", "p1", "reject").await;
    vote(&desk, "ben", "p1", "approve").await;
    desk.clock.advance(950);
    vote(&desk, "mia", "p1", "abstain").await;
    let p = show(&desk, "p1").await;
    assert_eq!(p.extended, Some(Extension::LateQuorum));
    let longer = p.ends_at.as_millis() - p.closes_at.as_millis();
    assert_eq!(longer, 100_000);
    desk.ok("mia", "board.withdraw", json!({ "proposal": "p1" }))
        .await;
    desk.clock.advance(140);
    vote(&desk, "mia", "p1", "abstain").await;
    assert_eq!(show(&desk, "p1").await.ends_at, p.ends_at, "once");
    desk.clock.advance(10);
    assert_eq!(
        closed(&desk, "p1").await.state,
        "rejected",
        "1:1 is no majority"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_not_voted_is_reminded_once_and_alone() {
    let desk = board().await;
    propose(&desk, json!({ "closes_at": "+1h", "quorum": 100 })).await;
    vote(&desk, "ana", "p1", "approve").await;
    desk.clock.advance(2_879);
    show(&desk, "p1").await;
    assert_eq!(desk.said("board", "⏳").await, 0, "not before 80 %");
    desk.clock.advance(1);
    let waiting = async {
        while desk.said("board", "⏳").await == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), waiting)
        .await
        .expect("a reminder");
    let mentioned: String = sqlx::query_scalar(
        "SELECT post -> 'message' ->> 'mentions' FROM fleet.outbox WHERE strpos(post::text, '⏳') > 0",
    )
    .fetch_one(&mut desk.register_rows().await)
    .await
    .expect("one reminder");
    assert!(
        !mentioned.contains("ana") && mentioned.contains("ben"),
        "{mentioned}"
    );
    desk.clock.advance(720);
    closed(&desk, "p1").await;
    assert_eq!(desk.said("board", "⏳").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_seat_cannot_vote_and_keeps_weight_and_ballot() {
    let desk = board().await;
    let set =
        json!({ "change": "set", "seat": "cto", "holder": { "user": work_desk::user_id("ben") } });
    desk.ok("ana", "board.seat", set).await;
    propose(&desk, json!({})).await;
    vote(&desk, "ben", "p1", "approve").await;
    let suspend = json!({ "change": "suspend", "seat": "cto", "reason": "lost laptop" });
    desk.ok("ana", "board.seat", suspend).await;
    assert_eq!(
        vote_refused(&desk, "ben", "p1", "reject").await,
        Code::NoSeat
    );
    let p = show(&desk, "p1").await;
    assert_eq!((p.tally.total, p.tally.approve), (4, 1));
    assert!(p.seats[1].suspended);
    let later = propose(&desk, json!({})).await;
    assert!(later.seats[1].suspended, "on later proposals too");
    desk.ok(
        "ana",
        "board.seat",
        json!({ "change": "restore", "seat": "cto" }),
    )
    .await;
    vote(&desk, "ben", "p1", "reject").await;
    assert_eq!(
        desk.refused(
            "mia",
            "board.seat",
            json!({ "change": "suspend", "seat": "ceo" })
        )
        .await,
        Code::WrongRole
    );
    assert_eq!(
        desk.refused(
            "ana",
            "board.seat",
            json!({ "change": "suspend", "seat": "nobody" })
        )
        .await,
        Code::NotFound
    );
    let acts: Vec<Act> = record(&desk, "p1")
        .await
        .entries
        .into_iter()
        .map(|l| l.entry.act)
        .collect();
    assert!(matches!(
        acts.as_slice(),
        [
            Act::Cast(_),
            Act::Suspend { .. },
            Act::Restore { .. },
            Act::Cast(_)
        ]
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn amending_supersedes_and_ballots_are_cast_anew() {
    let desk = board().await;
    propose(&desk, json!({ "effect": { "pause": {} } })).await;
    vote(&desk, "ana", "p1", "approve").await;
    let amend = json!({ "proposal": "p1", "title": "Shall we, briefly?", "reason": "shorter" });
    assert_eq!(
        desk.refused("mia", "board.amend", amend.clone()).await,
        Code::WrongRole,
        "not hers"
    );
    let p2 = board_table::proposal(desk.ok("ben", "board.amend", amend).await);
    assert_eq!(
        (p2.id.as_str(), p2.supersedes.as_deref(), p2.tally.cast),
        ("p2", Some("p1"), 0)
    );
    let p1 = show(&desk, "p1").await;
    assert_eq!(
        (p1.state.as_str(), p1.superseded_by.as_deref()),
        ("superseded", Some("p2"))
    );
    let refused = desk
        .run(
            "mia",
            "board.vote",
            json!({ "proposal": "p1", "verdict": "approve" }),
        )
        .await
        .expect_err("superseded");
    assert_eq!(refused.code, Code::Closed);
    assert!(refused.remedy.expect("a remedy").contains("!board vote p2"));
    assert_eq!(
        desk.refused("ana", "board.amend", json!({ "proposal": "p1" }))
            .await,
        Code::Closed
    );
    record(&desk, "p1").await;
    for who in ["ana", "ben", "mia"] {
        vote(&desk, who, "p2", "approve").await;
    }
    settled(&desk, "p2").await;
    assert!(paused(&desk).await, "the effect goes with it");
}

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

#[tokio::test(flavor = "multi_thread")]
async fn seats_of_a_template_are_held_by_the_standing_board() {
    let desk = board().await;
    let refused = desk
        .run(
            "ana",
            "board.propose",
            json!({ "title": "x", "template": "forge" }),
        )
        .await
        .expect_err("nobody sits");
    assert!(
        refused
            .remedy
            .expect("a remedy")
            .contains("board seat set ceo")
    );
    for (seat, who) in [
        ("ceo", "ana"),
        ("cto", "ben"),
        ("cfo", "mia"),
        ("coo", "vic"),
    ] {
        let set =
            json!({ "change": "set", "seat": seat, "holder": { "user": work_desk::user_id(who) } });
        desk.ok("ana", "board.seat", set).await;
    }
    let forge = json!({ "title": "x", "template": "forge" });
    let p = board_table::proposal(desk.ok("ana", "board.propose", forge).await);
    assert_eq!(
        (p.seats.len(), p.rule.quorum, p.rule.principals),
        (4, 75, 2)
    );
    assert!(p.seats[0].seat.may_veto);
    match desk
        .ask("ben", "board.mine", json!({}))
        .await
        .expect("mine")
    {
        Reply::Proposals(mine) => assert_eq!(mine.len(), 1),
        other => panic!("{other:?}"),
    }
    vote(&desk, "ben", "p1", "approve").await;
    match desk
        .ask("ben", "board.mine", json!({}))
        .await
        .expect("mine")
    {
        Reply::Proposals(mine) => assert!(mine.is_empty()),
        other => panic!("{other:?}"),
    }
    let unknown = json!({ "title": "x", "template": "forgery" });
    assert_eq!(
        desk.refused("ana", "board.propose", unknown).await,
        Code::NotFound
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_is_folded_in_the_cards_thread_and_kept_with_the_decision() {
    let desk = board().await;
    propose(&desk, json!({})).await;
    let review = json!({ "proposal": "p1", "verdict": "conditional", "reason": ["it", "depends"], "confidence": 70,
        "concerns": ["cost <b>"], "recommendations": ["wait"], "key_risks": ["late"] });
    desk.ok("a1", "board.vote", review).await;
    assert_eq!(desk.said("board", "The review").await, 1);
    desk.ok("ana", "board.close", json!({ "proposal": "p1" }))
        .await;
    let record = serde_json::to_string(&record(&desk, "p1").await).expect("JSON");
    assert!(record.contains("cost <b>") && record.contains("\"confidence\":70"));
    match desk
        .ask("vic", "board.minutes", json!({}))
        .await
        .expect("minutes")
    {
        Reply::Minutes(minutes) => assert_eq!(minutes.decided.len(), 1),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_effect_that_names_what_does_not_exist_is_refused_when_asked_and_when_run() {
    let desk = board().await;
    let task = desk.add("Old work", json!({})).await;
    let cancel = |task: &str| json!({ "title": "x", "seats": seats(), "effect": { "task.priority": { "task": task, "priority": 9 } } });
    assert_eq!(
        desk.refused("ana", "board.propose", cancel("t99")).await,
        Code::NotFound
    );
    let p = propose(
        &desk,
        json!({ "effect": { "task.priority": { "task": task, "priority": 9 } } }),
    )
    .await;
    assert_eq!(
        p.effect_text.as_deref(),
        Some("Sets the priority of t1 \"Old work\" to 9.")
    );
    desk.ok("ana", "task.cancel", json!({ "task": task })).await;
    for who in ["ana", "ben", "mia"] {
        vote(&desk, who, "p1", "approve").await;
    }
    let p = settled(&desk, "p1").await;
    let became = p.effect_outcome.expect("an outcome");
    assert!(became.starts_with("refused: t1 is cancelled"), "{became}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proposal_that_is_too_long_loses_nothing() {
    let desk = board().await;
    let text = "x".repeat(60 * 1024);
    let refused = desk
        .run(
            "ana",
            "board.propose",
            json!({ "title": "x", "text": text }),
        )
        .await
        .expect_err("too long");
    assert_eq!(refused.code, Code::Malformed);
    assert!(
        refused.detail.contains("at most 20000"),
        "{}",
        refused.detail
    );
    let verdict = json!({ "title": "x", "seats": seats(), "effect": { "board.vote": { "proposal": "p1", "verdict": "approve" } } });
    assert_eq!(
        desk.refused("ana", "board.propose", verdict).await,
        Code::BadEffect
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_close_whose_connection_is_lost_is_tried_again_and_the_effect_runs_once() {
    let desk = board().await;
    let task = desk.add("Work", json!({})).await;
    propose(
        &desk,
        json!({ "effect": { "task.priority": { "task": task, "priority": 9 } } }),
    )
    .await;
    for who in ["ana", "ben", "mia"] {
        vote(&desk, who, "p1", "approve").await;
    }
    let mut owner = desk.register_rows().await;
    sqlx::raw_sql("BEGIN; SELECT id FROM fleet.tasks FOR UPDATE")
        .execute(&mut owner)
        .await
        .expect("the task is held");
    desk.clock.advance(60);
    desk.until_waiting(1).await;
    sqlx::query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
        .execute(&mut owner)
        .await
        .expect("the close loses its connection");
    sqlx::raw_sql("ROLLBACK")
        .execute(&mut owner)
        .await
        .expect("the task is free");
    let p = closed(&desk, "p1").await;
    assert_eq!(p.effect_outcome.as_deref(), Some("done"));
    let runs: i64 =
        sqlx::query_scalar("SELECT count(*) FROM fleet.task_events WHERE event = 'task.priority'")
            .fetch_one(&mut owner)
            .await
            .expect("events");
    assert_eq!(runs, 1);
    assert_eq!(
        show(&desk, "p1").await.seats[0].verdict,
        Some(Verdict::Approve)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_the_fleets_own_override_the_built_in_ones() {
    let desk = board().await;
    let folder = tempfile::tempdir().expect("a folder");
    let write = |path: &str, yaml: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, yaml).expect("a file");
    };
    write(
        "templates/quick.yaml",
        "about: Ours\nkinds: [free_text]\nseats: operators\nquorum: 0\nthreshold: majority\nhours: 1\n",
    );
    write(
        "personas/cfo.yaml",
        "title: Ours\nmandate: Ours\nquestions: [Why?]\n",
    );
    assert_eq!(desk.take_files(folder.path()).await.expect("two files"), 2);
    let p = board_table::proposal(
        desk.ok("ana", "board.propose", json!({ "title": "x" }))
            .await,
    );
    assert_eq!(
        (
            p.rule.quorum,
            p.ends_at.as_millis() - p.opened_at.as_millis()
        ),
        (0, 3_600_000)
    );
    match desk
        .ask("vic", "board.personas", json!({ "persona": "cfo" }))
        .await
        .expect("it")
    {
        Reply::Personas(all) => {
            assert_eq!(all.values().next().expect("one").title.as_str(), "Ours")
        }
        other => panic!("{other:?}"),
    }
    write("templates/broken.yaml", "about: x\ncolour: red\n");
    let error = desk
        .take_files(folder.path())
        .await
        .expect_err("a wrong key")
        .to_string();
    assert!(
        error.contains("broken.yaml") && error.contains("colour"),
        "{error}"
    );
}
