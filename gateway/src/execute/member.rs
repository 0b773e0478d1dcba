//! The verbs of `member`: grants of roles, in the whole fleet or in one room.

use std::collections::BTreeMap;

use fleet_protocol::problem::Code;
use fleet_protocol::reply::{Changed, GrantView, MemberView};
use fleet_protocol::scalar::{Name, UserId};
use fleet_protocol::verbs::member::{self as verbs, GrantRole};
use fleet_protocol::{Problem, Reply};

use super::task::known;
use super::{Exec, Stop};
use crate::db;

pub(crate) async fn add(exec: &mut Exec<'_>, args: &verbs::Add) -> Result<Reply, Stop> {
    give(
        exec,
        &args.user,
        args.role.unwrap_or(GrantRole::Member),
        None,
        "added",
    )
    .await
}

pub(crate) async fn grant(exec: &mut Exec<'_>, args: &verbs::Grant) -> Result<Reply, Stop> {
    if let Some(room) = &args.room {
        if args.role == GrantRole::Operator {
            return Err(Problem::new(
                Code::Invalid,
                "an operator steers the whole fleet, so nobody is operator of one room",
            )
            .remedy(format!(
                "leave --room out, or grant less: !member grant {} member --room {room}",
                args.user
            ))
            .into());
        }
        let planned = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM fleet.rooms WHERE tenant_id = $1 AND key = $2 AND kind = 'plan') AS "there!""#,
            exec.tenant.as_str(),
            room.as_str()
        )
        .fetch_one(&mut *exec.tx)
        .await?;
        if !planned {
            return Err(no_such_room(exec, room).await?);
        }
    }
    give(exec, &args.user, args.role, args.room.as_ref(), "granted").await
}

async fn no_such_room(exec: &mut Exec<'_>, room: &Name) -> Result<Stop, Stop> {
    let keys = sqlx::query_scalar!(
        r#"SELECT key AS "key!" FROM fleet.rooms WHERE tenant_id = $1 AND kind = 'plan' ORDER BY key"#,
        exec.tenant.as_str()
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    Ok(
        Problem::new(Code::NotFound, format!("there is no room \"{room}\""))
            .remedy(format!("the rooms are: {}", keys.join(", ")))
            .into(),
    )
}

async fn give(
    exec: &mut Exec<'_>,
    user: &UserId,
    role: GrantRole,
    room: Option<&Name>,
    change: &str,
) -> Result<Reply, Stop> {
    let inserted = sqlx::query!(
        r#"INSERT INTO fleet.grants (tenant_id, user_id, role, room_key, granted_by, granted_at)
           VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING"#,
        exec.tenant.as_str(),
        user.as_str(),
        role.as_str(),
        room.map(|r| r.as_str()),
        exec.actor.principal,
        db::time(exec.now)
    )
    .execute(&mut *exec.tx)
    .await?;
    let already = inserted.rows_affected() == 0;
    if !already {
        let detail = serde_json::json!({ "role": role, "room": room });
        audit(exec, "member.grant", user.as_str(), detail).await?;
    }
    answer(exec, user, change, already).await
}

pub(crate) async fn revoke(exec: &mut Exec<'_>, args: &verbs::Revoke) -> Result<Reply, Stop> {
    // Two operators who revoke each other at once would leave none: one after the other.
    sqlx::query!(
        "SELECT tenant_id FROM fleet.settings WHERE tenant_id = $1 FOR UPDATE",
        exec.tenant.as_str()
    )
    .fetch_one(&mut *exec.tx)
    .await?;
    if args.role.is_none_or(|r| r == GrantRole::Operator) {
        keep_an_operator(exec, &args.user).await?;
    }
    let taken = sqlx::query!(
        "DELETE FROM fleet.grants WHERE tenant_id = $1 AND user_id = $2 AND ($3::text IS NULL OR role = $3)",
        exec.tenant.as_str(),
        args.user.as_str(),
        args.role.map(GrantRole::as_str)
    )
    .execute(&mut *exec.tx)
    .await?;
    let already = taken.rows_affected() == 0;
    if !already {
        let detail = serde_json::json!({ "role": args.role });
        audit(exec, "member.revoke", args.user.as_str(), detail).await?;
    }
    answer(exec, &args.user, "revoked", already).await
}

async fn keep_an_operator(exec: &mut Exec<'_>, user: &UserId) -> Result<(), Stop> {
    let operators = sqlx::query_scalar!(
        "SELECT user_id FROM fleet.grants WHERE tenant_id = $1 AND role = 'operator' AND room_key IS NULL",
        exec.tenant.as_str()
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    match operators.as_slice() {
        [last] if last == user.as_str() => Err(Problem::new(
            Code::WrongState,
            format!("{user} is the last operator; without one nobody could steer the fleet"),
        )
        .remedy("make somebody else operator first: !member grant @other:server operator")
        .into()),
        _ => Ok(()),
    }
}

/// Notes who changed what of the fleet's authority, limits or switches, and by which admission.
pub(super) async fn audit(
    exec: &mut Exec<'_>,
    action: &str,
    subject: &str,
    detail: serde_json::Value,
) -> Result<(), Stop> {
    sqlx::query!(
        r#"INSERT INTO fleet.audit (tenant_id, id, at, principal, action, subject, detail, cause)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"#,
        exec.tenant.as_str(),
        exec.ids.next(),
        db::time(exec.now),
        exec.actor.principal,
        action,
        subject,
        detail,
        exec.admission
    )
    .execute(&mut *exec.tx)
    .await?;
    Ok(())
}

async fn answer(
    exec: &mut Exec<'_>,
    user: &UserId,
    change: &str,
    already: bool,
) -> Result<Reply, Stop> {
    let now = members(exec, Some(user))
        .await?
        .pop()
        .unwrap_or(MemberView {
            user: user.clone(),
            grants: Vec::new(),
        });
    Ok(Reply::Member(Changed {
        already,
        ..Changed::to(change, now)
    }))
}

pub(crate) async fn list(exec: &mut Exec<'_>, _: &verbs::List) -> Result<Reply, Stop> {
    Ok(Reply::Members(members(exec, None).await?))
}

async fn members(exec: &mut Exec<'_>, user: Option<&UserId>) -> Result<Vec<MemberView>, Stop> {
    let grants = sqlx::query!(
        r#"SELECT user_id, role, room_key FROM fleet.grants
           WHERE tenant_id = $1 AND ($2::text IS NULL OR user_id = $2) ORDER BY user_id, room_key NULLS FIRST, role"#,
        exec.tenant.as_str(),
        user.map(|u| u.as_str())
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    let mut by_user: BTreeMap<UserId, Vec<GrantView>> = BTreeMap::new();
    for g in grants {
        let user: UserId = known("user_id", g.user_id.parse().ok())?;
        let role = known("role", GrantRole::from_word(&g.role))?;
        let room = g
            .room_key
            .map(|k| known("room_key", k.parse().ok()))
            .transpose()?;
        by_user
            .entry(user)
            .or_default()
            .push(GrantView { role, room });
    }
    Ok(by_user
        .into_iter()
        .map(|(user, grants)| MemberView { user, grants })
        .collect())
}
