//! Registration: a name, an account and a role, and a fresh incarnation with each start.

use fleet_protocol::problem::Code;
use fleet_protocol::scalar::{Name, UserId};
use fleet_protocol::verbs::agent as verbs;
use fleet_protocol::verbs::member::GrantRole;
use fleet_protocol::{Problem, Reply};
use uuid::Uuid;

use super::super::task::lose_leases;
use super::super::{Exec, Stop};
use super::answer;
use crate::db;

pub(crate) async fn register(exec: &mut Exec<'_>, args: &verbs::Register) -> Result<Reply, Stop> {
    let user = own_user(exec, args)?;
    let existing = sqlx::query!(
        r#"SELECT id, user_id, role, model, retired_at IS NOT NULL AS "retired!" FROM fleet.agents
           WHERE tenant_id = $1 AND name = $2 FOR UPDATE"#,
        exec.tenant.as_str(),
        args.name.as_str()
    )
    .fetch_optional(&mut *exec.tx)
    .await?;
    refuse_taken_user(exec, &args.name, &user).await?;
    let Some(agent) = existing else {
        refuse_person(exec, args, &user).await?;
        let id = exec.ids.next();
        insert(exec, id, args, &user).await?;
        return answer(exec, &args.name, "registered", Vec::new()).await;
    };
    let operator = exec.actor.roles.contains(&GrantRole::Operator);
    if agent.user_id != user.as_str() && !(agent.retired && operator) {
        return Err(Problem::new(
            Code::Exists,
            format!("the agent {} belongs to {}", args.name, agent.user_id),
        )
        .remedy("choose another name, such as the next number of the role")
        .into());
    }
    if !operator {
        keep_place(args, agent.retired, &agent.role)?;
    }
    let lost = lose_leases(exec, agent.id, "the agent was started anew").await?;
    // The model is a ceiling that the operator sets (doctrine 5): the agent itself keeps it as it is.
    let model = args.model.as_ref().map(|m| m.as_str());
    let kept = agent
        .model
        .as_deref()
        .filter(|kept| !operator && model.is_some_and(|m| m != *kept));
    renew(exec, agent.id, args, &user, kept.or(model)).await?;
    let mut notes: Vec<_> = lost
        .into_iter()
        .map(|t| format!("{t} is no longer held: it was claimed by the incarnation before"))
        .collect();
    if let Some(kept) = kept {
        notes.push(format!(
            "Its highest model stays {kept}; an operator can change it."
        ));
    }
    answer(exec, &args.name, "registered", notes).await
}

/// An agent that starts anew does not give itself another role, and does not come back when it was
/// retired.
fn keep_place(args: &verbs::Register, is_retired: bool, role: &str) -> Result<(), Problem> {
    let remedy = format!(
        "an operator can type: !agent register {} --role {} --host {} --user @account:server",
        args.name, args.role, args.host
    );
    if is_retired {
        let said = format!("the agent {} was retired", args.name);
        return Err(Problem::new(Code::WrongState, said).remedy(remedy));
    }
    if args.role.as_str() != role {
        let said = format!("the agent {} has the role {role}", args.name);
        return Err(Problem::new(Code::WrongRole, said).remedy(remedy));
    }
    Ok(())
}

/// The Matrix user of the agent: the sender's own; an operator may name another.
fn own_user(exec: &Exec<'_>, args: &verbs::Register) -> Result<UserId, Stop> {
    let operator = exec.actor.roles.contains(&GrantRole::Operator);
    if let Some(identity) = exec.actor.identity.as_ref().filter(|_| !operator)
        && (identity.name != args.name || identity.host != args.host)
    {
        let said = format!(
            "the event is from {} on {}, and registers {} on {}",
            identity.name, identity.host, args.name, args.host
        );
        return Err(Problem::new(Code::NotYourself, said)
            .remedy("an agent registers itself only")
            .into());
    }
    match (&args.user, &exec.actor.user) {
        (None, Some(me)) => Ok(me.clone()),
        (Some(named), Some(me)) if named == me => Ok(me.clone()),
        (Some(named), _) if operator => Ok(named.clone()),
        (Some(named), _) => Err(
            Problem::new(Code::NotYourself, format!("{named} is not you"))
                .remedy("leave --user out, or ask an operator to register the agent")
                .into(),
        ),
        (None, None) => Err(Problem::new(
            Code::BadArgument,
            "it does not say which Matrix user the agent is",
        )
        .remedy("add --user @agent-name-host:server")
        .into()),
    }
}

/// A person's account does not become an agent's: it could no longer command (and who would notice
/// too late is its owner). Whoever does more than agents do is a person until registered.
async fn refuse_person(
    exec: &mut Exec<'_>,
    args: &verbs::Register,
    user: &UserId,
) -> Result<(), Stop> {
    let is_person = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM fleet.grants WHERE tenant_id = $1 AND user_id = $2
                          AND role IN ('member', 'operator')) AS "is_person!""#,
        exec.tenant.as_str(),
        user.as_str()
    )
    .fetch_one(&mut *exec.tx)
    .await?;
    if !is_person {
        return Ok(());
    }
    let server = user
        .as_str()
        .split_once(':')
        .map_or("", |(_, server)| server);
    Err(Problem::new(
        Code::Invalid,
        format!("{user} is a person's account; as an agent's it could type no command any more"),
    )
    .remedy(format!(
        "name the agent's own account: !agent register {name} --role {role} --host {host} --user @agent-{name}-{host}:{server}",
        name = args.name,
        role = args.role,
        host = args.host
    ))
    .into())
}

async fn refuse_taken_user(exec: &mut Exec<'_>, name: &Name, user: &UserId) -> Result<(), Stop> {
    let other = sqlx::query_scalar!(
        "SELECT name FROM fleet.agents WHERE tenant_id = $1 AND user_id = $2 AND name <> $3 AND retired_at IS NULL",
        exec.tenant.as_str(),
        user.as_str(),
        name.as_str()
    )
    .fetch_optional(&mut *exec.tx)
    .await?;
    match other {
        Some(other) => Err(Problem::new(
            Code::Exists,
            format!("{user} is the agent {other} already"),
        )
        .remedy(format!(
            "use another account, or an operator can type: !agent retire {other}"
        ))
        .into()),
        None => Ok(()),
    }
}

async fn insert(
    exec: &mut Exec<'_>,
    id: Uuid,
    args: &verbs::Register,
    user: &UserId,
) -> Result<(), Stop> {
    let inserted = sqlx::query!(
        r#"INSERT INTO fleet.agents (tenant_id, id, name, role, host, runtime, model, user_id, registered_at, heartbeat_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9) ON CONFLICT DO NOTHING"#,
        exec.tenant.as_str(),
        id,
        args.name.as_str(),
        args.role.as_str(),
        args.host.as_str(),
        args.runtime.as_ref().map(|r| r.as_str()),
        args.model.as_ref().map(|m| m.as_str()),
        user.as_str(),
        db::time(exec.now)
    )
    .execute(&mut *exec.tx)
    .await?;
    if inserted.rows_affected() == 0 {
        let said = format!("{} or {user} was registered at the same moment", args.name);
        return Err(Problem::new(Code::Exists, said)
            .remedy("see the agents with: !agent list")
            .into());
    }
    Ok(())
}

async fn renew(
    exec: &mut Exec<'_>,
    id: Uuid,
    args: &verbs::Register,
    user: &UserId,
    model: Option<&str>,
) -> Result<(), Stop> {
    sqlx::query!(
        r#"UPDATE fleet.agents SET role = $3, host = $4, runtime = $5, model = coalesce($6, model), user_id = $7,
                  incarnation = incarnation + 1, context_tokens = NULL, registered_at = $8, heartbeat_at = $8, retired_at = NULL
           WHERE tenant_id = $1 AND id = $2"#,
        exec.tenant.as_str(),
        id,
        args.role.as_str(),
        args.host.as_str(),
        args.runtime.as_ref().map(|r| r.as_str()),
        model,
        user.as_str(),
        db::time(exec.now)
    )
    .execute(&mut *exec.tx)
    .await?;
    Ok(())
}
