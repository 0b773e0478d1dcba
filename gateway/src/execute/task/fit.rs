//! Whether an agent may take up work at all: the switch, its context, the bounds on workers.

use fleet_policy::bounds::{Context, WorkerBounds, Working};
use fleet_protocol::Problem;
use fleet_protocol::problem::Code;

use super::super::{ActingAgent, Exec, Stop, budget};

/// Refuses while the fleet is paused (doctrine 13); else the bounds on workers.
pub(super) async fn switches(exec: &mut Exec<'_>) -> Result<WorkerBounds, Stop> {
    let s = sqlx::query!(
        r#"SELECT paused, paused_by, pause_reason, workers_fleet, workers_role FROM fleet.settings
           WHERE tenant_id = $1 FOR UPDATE"#,
        exec.tenant.as_str()
    )
    .fetch_one(&mut *exec.tx)
    .await?;
    if s.paused {
        let by = s.paused_by.unwrap_or_default();
        let why = s.pause_reason.map(|r| format!(": {r}")).unwrap_or_default();
        return Err(
            Problem::new(Code::Paused, format!("the fleet is paused by {by}{why}"))
                .remedy("claim again when it goes on; an operator can type: !resume")
                .into(),
        );
    }
    Ok(WorkerBounds {
        fleet: s.workers_fleet.cast_unsigned(),
        role: s.workers_role.cast_unsigned(),
    })
}

/// An agent that may take another task.
pub(super) struct Fit {
    pub(super) role: String,
    /// Its present incarnation.
    pub(super) incarnation: u64,
    /// As the budget sees it.
    pub(super) holder: budget::AgentHolder,
}

/// Whether this agent may take another task at all.
pub(super) async fn fit(
    exec: &mut Exec<'_>,
    agent: &ActingAgent,
    bounds: WorkerBounds,
) -> Result<Fit, Stop> {
    // Locked: an agent that is registered anew meanwhile loses what it claims here, or claims nothing.
    let me = sqlx::query!(
        "SELECT role, model, context_tokens, incarnation FROM fleet.agents WHERE tenant_id = $1 AND id = $2 FOR UPDATE",
        exec.tenant.as_str(),
        agent.id
    )
    .fetch_one(&mut *exec.tx)
    .await?;
    Context::of(me.context_tokens.map(i64::cast_unsigned)).admit()?;
    let working = sqlx::query!(
        r#"SELECT count(DISTINCT agent_id) AS "fleet!", count(DISTINCT agent_id) FILTER (WHERE role = $3) AS "role!"
           FROM fleet.attempts WHERE tenant_id = $1 AND ended_at IS NULL AND agent_id <> $2"#,
        exec.tenant.as_str(),
        agent.id,
        me.role
    )
    .fetch_one(&mut *exec.tx)
    .await?;
    let working = Working {
        fleet: working.fleet.cast_unsigned(),
        role: working.role.cast_unsigned(),
    };
    bounds.admit(working, &me.role)?;
    Ok(Fit {
        incarnation: me.incarnation.unsigned_abs(),
        holder: budget::AgentHolder::registered(&agent.name, me.model, me.context_tokens)?,
        role: me.role,
    })
}

/// An agent that holds work already, as the budget sees it.
pub(super) async fn holder(
    exec: &mut Exec<'_>,
    agent: &ActingAgent,
) -> Result<budget::AgentHolder, Stop> {
    let me = sqlx::query!(
        "SELECT model, context_tokens FROM fleet.agents WHERE tenant_id = $1 AND id = $2",
        exec.tenant.as_str(),
        agent.id
    )
    .fetch_one(&mut *exec.tx)
    .await?;
    budget::AgentHolder::registered(&agent.name, me.model, me.context_tokens)
}

/// The agent was registered anew while this claim was on its way.
pub(super) fn former(agent: &ActingAgent) -> Problem {
    Problem::new(
        Code::StaleIncarnation,
        format!("{} was registered anew meanwhile", agent.name),
    )
    .remedy("claim as its present incarnation")
}
