//! Roles and profiles as data, and a roster brought into the register.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helper functions too"
)]

use fleet_protocol::Reply;
use fleet_protocol::problem::Code;
use fleet_protocol::reply::ProvisionView;
use serde_json::{Value, json};

mod work_desk;

use work_desk::Desk;

const ROSTER: &str = "
version: 1
transport: tmux
runtimes:
  claude: { reset_command: /clear }
agents:
  - { name: orchestrator-1, runtime: claude, class: orchestrator, host: box }
  - { name: enhancer-1, runtime: claude, class: enhancer, host: box }
  - { name: code-1, runtime: claude, class: code, host: box, model_hint: opus }
rooms:
  release: { name: Release, topic: What ships, verbosity: quiet }
  board: { topic: Votes of the fleet }
members:
  - { user: '@kim:test', role: member }
board:
  seats: ['ceo=@kim:test!veto', 'cfo=code-1*2']
budgets:
  - { provider: claude, limit: 2000000, unit: tokens, every: 7d }
";

async fn provision(desk: &Desk, document: &str, more: Value) -> ProvisionView {
    let mut args = json!({ "document": document });
    let (all, more) = (args.as_object_mut().expect("an object"), more);
    all.extend(more.as_object().expect("an object").clone());
    match desk.ok("ana", "provision", args).await {
        Reply::Provisioned(view) => view,
        other => panic!("{other:?}"),
    }
}

async fn count(desk: &Desk, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql)
        .fetch_one(&mut desk.register_rows().await)
        .await
        .expect("a count")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_roster_is_tried_brought_and_then_nothing_differs() {
    let desk = Desk::open().await;
    let tried = provision(&desk, ROSTER, json!({ "dry_run": true })).await;
    assert!(tried.dry_run);
    assert_eq!(count(&desk, "SELECT count(*) FROM fleet.roster").await, 0);
    let brought = provision(&desk, ROSTER, json!({})).await;
    assert_eq!(brought.changes, tried.changes);
    insta::assert_json_snapshot!(brought);
    let again = provision(&desk, ROSTER, json!({})).await;
    assert_eq!(again.changes, Vec::<String>::new());
    assert_eq!(again.notes, brought.notes);
    match desk.ask("vic", "ps", json!({})).await.expect("agents") {
        Reply::Ps(view) => assert_eq!((view.agents.len(), view.drift.len()), (0, 3)),
        other => panic!("{other:?}"),
    }

    // The seat of an agent is given once it is there.
    desk.register("a1", "code-1", "code").await;
    let joined = provision(&desk, ROSTER, json!({})).await;
    assert_eq!(joined.changes, ["seat cfo: cfo=code-1*2"]);
    let fewer = "version: 1\ntransport: tmux\nagents:\n  - { name: enhancer-1, runtime: claude, class: enhancer, host: box }\nboard: { seats: ['ceo=@kim:test!veto'] }\n";
    let kept = provision(&desk, fewer, json!({})).await;
    assert_eq!(
        kept.kept,
        ["agent code-1", "agent orchestrator-1", "seat cfo"]
    );
    assert_eq!(kept.changes, Vec::<String>::new());
    let pruned = provision(&desk, fewer, json!({ "prune": true })).await;
    assert_eq!(pruned.changes.len(), 3, "{:?}", pruned.changes);
    let live = "SELECT count(*) FROM fleet.agents WHERE name = 'code-1' AND retired_at IS NULL";
    assert_eq!(count(&desk, live).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_roster_that_does_not_fit_changes_nothing_and_names_the_key() {
    let desk = Desk::open().await;
    let base = "version: 1\ntransport: tmux\n";
    for (document, code, told) in [
        ("colour: red\n", Code::BadArgument, "colour"),
        ("tenant_id: other\n", Code::Invalid, "other"),
        (
            "agents:\n  - { name: a-1, runtime: r, class: astronaut }\n",
            Code::NotFound,
            "agents[0].class",
        ),
        (
            "agents:\n  - { name: code-1, runtime: r, class: code }\nmembers:\n  - { user: '@kim:test', role: member, room: nowhere }\n",
            Code::NotFound,
            "nowhere",
        ),
    ] {
        let args = json!({ "document": format!("{base}{document}") });
        let problem = desk
            .run("ana", "provision", args)
            .await
            .expect_err(document);
        assert_eq!(problem.code, code, "{document}");
        assert!(problem.detail.contains(told), "{}", problem.detail);
    }
    let args = json!({ "document": ROSTER });
    assert_eq!(
        desk.refused("mia", "provision", args).await,
        Code::WrongRole
    );
    assert_eq!(count(&desk, "SELECT count(*) FROM fleet.roster").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_is_added_by_adding_a_file() {
    let desk = Desk::open().await;
    let roster = "version: 1\ntransport: matrix\nagents:\n  - { name: astronaut-1, runtime: claude, class: astronaut }\n";
    let args = json!({ "document": roster });
    assert_eq!(desk.refused("ana", "provision", args).await, Code::NotFound);
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("roles")).expect("a folder");
    let role = "title: Astronaut\nmandate: Flies.\nroom: astronaut\nmayCommand: [operator]\n";
    std::fs::write(folder.path().join("roles/astronaut.yaml"), role).expect("a file");
    assert_eq!(desk.take_files(folder.path()).await.expect("a role"), 1);
    let view = provision(&desk, roster, json!({})).await;
    assert!(
        view.changes.contains(&"room astronaut: new".to_owned()),
        "{:?}",
        view.changes
    );
    let room = "SELECT count(*) FROM fleet.rooms WHERE key = 'astronaut' AND name = 'Astronaut' AND may_command = '{operator}'";
    assert_eq!(count(&desk, room).await, 1);
    match desk
        .ask("vic", "role.show", json!({ "role": "astronaut" }))
        .await
        .expect("a role")
    {
        Reply::Roles(all) => assert_eq!(all.len(), 1),
        other => panic!("{other:?}"),
    }
    let all = desk
        .ask("vic", "profile.list", json!({}))
        .await
        .expect("profiles");
    assert!(matches!(all, Reply::Profiles(all) if all.len() == 5));
}
