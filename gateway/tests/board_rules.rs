//! The rules of kinds and templates, and who may choose them, on a real PostgreSQL.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking; clippy knows this of functions marked as tests only, not of what they call"
)]

mod board_table;
mod work_desk;

use board_table::{
    board, closed, paused, person, propose, record, settled, show, vote, vote_refused,
};
use fleet_protocol::Reply;
use fleet_protocol::problem::Code;
use fleet_protocol::record::{Act, Extension};
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
