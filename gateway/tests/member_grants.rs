//! Who may do what: granting, revoking, and what is kept of it.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking; clippy knows this of functions marked as tests only, not of what they call"
)]

mod work_desk;

use fleet_protocol::Reply;
use fleet_protocol::problem::Code;
use fleet_protocol::reply::{Changed, MemberView};
use fleet_protocol::verbs::member::GrantRole;
use serde_json::json;
use sqlx::Connection as _;
use work_desk::Desk;

fn member(reply: Reply) -> Changed<MemberView> {
    match reply {
        Reply::Member(member) => member,
        other => panic!("not a member: {other:?}"),
    }
}

fn roles(view: &MemberView) -> Vec<(GrantRole, Option<&str>)> {
    view.grants
        .iter()
        .map(|g| (g.role, g.room.as_ref().map(|r| r.as_str())))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn grants_are_given_once_taken_back_and_noted() {
    let desk = Desk::bare().await;
    assert_eq!(
        desk.refused("mia", "task.add", json!({ "title": "x" }))
            .await,
        Code::NoGrant
    );
    let added = member(
        desk.ok("ana", "member.add", json!({ "user": "@mia:test" }))
            .await,
    );
    assert_eq!(
        (roles(&added.now), added.already),
        (vec![(GrantRole::Member, None)], false)
    );
    assert!(
        member(
            desk.ok("ana", "member.add", json!({ "user": "@mia:test" }))
                .await
        )
        .already
    );
    desk.ok("mia", "task.add", json!({ "title": "x" })).await;
    assert_eq!(
        desk.refused("mia", "member.add", json!({ "user": "@vic:test" }))
            .await,
        Code::WrongRole
    );

    let here = json!({ "user": "@vic:test", "role": "member", "room": "board" });
    let granted = member(desk.ok("ana", "member.grant", here).await);
    assert_eq!(roles(&granted.now), [(GrantRole::Member, Some("board"))]);
    assert_eq!(
        desk.refused("vic", "task.add", json!({ "title": "x" }))
            .await,
        Code::NoGrant,
        "it counts in the room board only"
    );
    desk.ok("ana", "member.revoke", json!({ "user": "@vic:test" }))
        .await;
    let nowhere = json!({ "user": "@mia:test", "role": "viewer", "room": "attic" });
    let refused = desk
        .run("ana", "member.grant", nowhere)
        .await
        .expect_err("no such room");
    assert_eq!(refused.code, Code::NotFound);
    assert!(
        refused
            .remedy
            .is_some_and(|r| r.contains("board") && r.contains("lobby"))
    );

    let revoked = member(
        desk.ok("ana", "member.revoke", json!({ "user": "@mia:test" }))
            .await,
    );
    assert_eq!((roles(&revoked.now), revoked.already), (vec![], false));
    assert!(
        member(
            desk.ok("ana", "member.revoke", json!({ "user": "@mia:test" }))
                .await
        )
        .already
    );
    assert_eq!(
        desk.refused("mia", "task.add", json!({ "title": "x" }))
            .await,
        Code::NoGrant
    );
    match desk
        .ask("ana", "member.list", json!({}))
        .await
        .expect("the members")
    {
        Reply::Members(all) => assert_eq!(
            all.iter().map(|m| m.user.as_str()).collect::<Vec<_>>(),
            ["@ana:test"]
        ),
        other => panic!("{other:?}"),
    }
    let noted: Vec<(String, String, String)> =
        sqlx::query_as("SELECT principal, action, subject FROM fleet.audit ORDER BY id")
            .fetch_all(&mut desk.register_rows().await)
            .await
            .expect("the audit");
    let noted: Vec<_> = noted
        .iter()
        .filter(|(_, _, subject)| subject == "@mia:test")
        .map(|(p, a, s)| (p.as_str(), a.as_str(), s.as_str()))
        .collect();
    let by_ana = |action| ("@ana:test", action, "@mia:test");
    assert_eq!(noted, [by_ana("member.grant"), by_ana("member.revoke")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_operator_stays_even_when_two_revoke_each_other_at_once() {
    let desk = Desk::bare().await;
    let me = json!({ "user": "@ana:test" });
    assert_eq!(
        desk.refused("ana", "member.revoke", me.clone()).await,
        Code::WrongState
    );
    assert_eq!(
        desk.refused(
            "ana",
            "member.revoke",
            json!({ "user": "@ana:test", "role": "operator" })
        )
        .await,
        Code::WrongState
    );
    let in_a_room = json!({ "user": "@ben:test", "role": "operator", "room": "ops" });
    assert_eq!(
        desk.refused("ana", "member.grant", in_a_room).await,
        Code::Invalid,
        "what an operator may do reaches beyond a room"
    );
    desk.ok(
        "ana",
        "member.add",
        json!({ "user": "@ben:test", "role": "operator" }),
    )
    .await;
    // Both have begun, and neither can end, before one of them may go on.
    let mut owner = desk.register_rows().await;
    let mut held = owner.begin().await.expect("a transaction");
    sqlx::query("SELECT FROM fleet.grants WHERE role = 'operator' FOR UPDATE")
        .execute(&mut *held)
        .await
        .expect("the grants are locked");
    let (first, second, ()) = tokio::join!(
        desk.run("ana", "member.revoke", json!({ "user": "@ben:test" })),
        desk.run("ben", "member.revoke", json!({ "user": "@ana:test" })),
        async {
            desk.until_waiting(2).await;
            held.commit().await.expect("the grants are free");
        },
    );
    assert_eq!(
        [first.is_ok(), second.is_ok()]
            .into_iter()
            .filter(|ok| *ok)
            .count(),
        1,
        "{first:?} {second:?}"
    );
    let left: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM fleet.grants WHERE role = 'operator' AND room_key IS NULL",
    )
    .fetch_one(&mut desk.register_rows().await)
    .await
    .expect("the grants");
    assert_eq!(left, 1);
}
