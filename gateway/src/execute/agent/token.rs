//! The token of an agent: made where the agent is, known here by its SHA-256 alone (doctrine 16).

use fleet_protocol::problem::Code;
use fleet_protocol::scalar::Name;
use fleet_protocol::verbs::agent as verbs;
use fleet_protocol::verbs::member::GrantRole;
use fleet_protocol::{Problem, Reply};
use uuid::Uuid;

use super::super::{Exec, Stop, member};
use super::{answer, end, missing};
use crate::db;

/// Makes a token the only one with which an agent speaks.
pub(crate) async fn token(exec: &mut Exec<'_>, args: &verbs::Token) -> Result<Reply, Stop> {
    let agent = sqlx::query!(
        r#"SELECT id, user_id, retired_at IS NOT NULL AS "retired!" FROM fleet.agents
           WHERE tenant_id = $1 AND name = $2 FOR UPDATE"#,
        exec.tenant.as_str(),
        args.name.as_str()
    )
    .fetch_optional(&mut *exec.tx)
    .await?
    .ok_or_else(|| missing(&args.name))?;
    check(exec, agent.id, &args.name)?;
    if agent.retired {
        let said = format!("the agent {} was retired", args.name);
        return Err(Problem::new(Code::WrongState, said)
            .remedy("let it join again under a new name")
            .into());
    }
    let is_set = sqlx::query_scalar!(
        r#"SELECT fleet.set_agent_token($1, $2, $3, $4, $5) AS "set!""#,
        exec.ids.next(),
        &args.sha256.bytes()[..],
        args.name.as_str(),
        agent.user_id,
        db::time(exec.now)
    )
    .fetch_one(&mut *exec.tx)
    .await?;
    if !is_set {
        let said = "this token is in use already, or was revoked";
        return Err(Problem::new(Code::Exists, said)
            .remedy("make a new random token")
            .into());
    }
    member::audit(
        exec,
        "agent.token",
        args.name.as_str(),
        serde_json::json!({}),
    )
    .await?;
    answer(exec, &args.name, "given a token", Vec::new()).await
}

/// An operator gives tokens; an agent changes its own.
fn check(exec: &Exec<'_>, agent: Uuid, name: &Name) -> Result<(), Stop> {
    let is_operator = exec.actor.roles.contains(&GrantRole::Operator);
    if is_operator || exec.actor.agent.as_ref().is_some_and(|me| me.id == agent) {
        return Ok(());
    }
    Err(
        Problem::new(Code::NotYourself, format!("you are not {name}"))
            .remedy("an agent changes its own token; an operator may change any")
            .into(),
    )
}

/// Takes everything from an agent: its leases end, its tokens stop working, its account may nothing.
pub(crate) async fn revoke(exec: &mut Exec<'_>, args: &verbs::Revoke) -> Result<Reply, Stop> {
    let user = sqlx::query_scalar!(
        "SELECT user_id FROM fleet.agents WHERE tenant_id = $1 AND name = $2",
        exec.tenant.as_str(),
        args.name.as_str()
    )
    .fetch_optional(&mut *exec.tx)
    .await?
    .ok_or_else(|| missing(&args.name))?;
    let tokens = sqlx::query_scalar!(
        r#"SELECT fleet.revoke_agent_tokens($1, $2) AS "tokens!""#,
        user,
        db::time(exec.now)
    )
    .fetch_one(&mut *exec.tx)
    .await?;
    let grants = sqlx::query!(
        "DELETE FROM fleet.grants WHERE tenant_id = $1 AND user_id = $2 AND role = 'agent'",
        exec.tenant.as_str(),
        user
    )
    .execute(&mut *exec.tx)
    .await?
    .rows_affected();
    if grants > 0 {
        // The bot takes the account out of the rooms.
        member::audit(
            exec,
            "member.revoke",
            &user,
            serde_json::json!({ "role": "agent" }),
        )
        .await?;
    }
    let mut notes = vec![format!(
        "{tokens} of its tokens stopped working; a gateway forgets one within seconds."
    )];
    notes.extend(end(exec, &args.name, "agent.revoke", "the agent was revoked").await?);
    answer(exec, &args.name, "revoked", notes).await
}
