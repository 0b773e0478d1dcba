//! Whether an agent may take up work at all: the switch, its context, the bounds on workers.

use std::collections::{BTreeMap, BTreeSet};

use fleet_policy::bounds::{self, Context, WorkerBounds};
use fleet_protocol::Problem;
use fleet_protocol::problem::Code;
use fleet_protocol::scalar::Name;
use sqlx::PgConnection;
use uuid::Uuid;

use super::super::{ActingAgent, Exec, Stop, budget};

/// Waits until no other claim of the tenant is on its way.
pub(crate) async fn take_turn(tx: &mut PgConnection, tenant: &Name) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "SELECT tenant_id FROM fleet.settings WHERE tenant_id = $1 FOR UPDATE",
        tenant.as_str()
    )
    .fetch_one(tx)
    .await
    .map(drop)
}

/// What claims of a tenant share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Switches {
    /// On workers.
    pub(super) bounds: WorkerBounds,
    /// Nobody has to be told any more how to set a limit.
    pub(super) is_hinted: bool,
}

/// Refuses while the fleet is paused (doctrine 13). The row of switches is locked: claims see each other, and a pause
/// is before or after each.
pub(super) async fn switches(exec: &mut Exec<'_>) -> Result<Switches, Stop> {
    let s = sqlx::query!(
        r#"SELECT paused, paused_by, pause_reason, workers_fleet, workers_role,
               budget_hint_given OR EXISTS (SELECT FROM fleet.budget_series b WHERE b.tenant_id = $1) AS "is_hinted!"
           FROM fleet.settings WHERE tenant_id = $1 FOR UPDATE"#,
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
    Ok(Switches {
        bounds: WorkerBounds {
            fleet: s.workers_fleet.cast_unsigned(),
            role: s.workers_role.cast_unsigned(),
        },
        is_hinted: s.is_hinted,
    })
}

/// An agent that may take another task.
#[derive(Debug, Clone)]
pub(super) struct Fit {
    pub(super) role: String,
    /// As the budget sees it.
    pub(super) holder: budget::AgentHolder,
}

/// Agents that ask for work, and how many work already.
pub(super) struct Crew {
    asking: BTreeMap<Uuid, Member>,
    fleet: Working,
    roles: BTreeMap<String, Working>,
}

/// An agent that asks for work.
struct Member {
    role: String,
    model: Option<String>,
    context_tokens: Option<i64>,
    incarnation: i64,
    /// A claim of it waits for budget, or a task is kept for it.
    has_its_own: bool,
}

/// Workers that hold leases.
#[derive(Default)]
struct Working {
    count: u64,
    /// Of those that ask.
    asking: BTreeSet<Uuid>,
}

impl Working {
    fn without(&self, agent: Uuid) -> u64 {
        self.count - u64::from(self.asking.contains(&agent))
    }

    fn add(&mut self, agent: Uuid) {
        self.count += u64::from(self.asking.insert(agent));
    }
}

impl Crew {
    /// Reads agents, locked: one that is registered anew meanwhile loses what it claims here, or claims nothing.
    pub(super) async fn read(exec: &mut Exec<'_>, agents: &[Uuid]) -> Result<Self, Stop> {
        let members = sqlx::query!(
            r#"SELECT a.id, a.role, a.model, a.context_tokens, a.incarnation,
                   EXISTS (SELECT FROM fleet.budget_queue q WHERE q.tenant_id = $1 AND q.agent_id = a.id)
                       OR EXISTS (SELECT FROM fleet.tasks t WHERE t.tenant_id = $1 AND t.reserved_agent = a.id) AS "has_its_own!"
               FROM fleet.agents a WHERE a.tenant_id = $1 AND a.id = ANY ($2) ORDER BY a.id FOR UPDATE OF a"#,
            exec.tenant.as_str(),
            agents
        )
        .fetch_all(&mut *exec.tx)
        .await?;
        let working = sqlx::query!(
            r#"SELECT role AS "role?", count(DISTINCT agent_id) AS "count!",
                   coalesce(array_agg(DISTINCT agent_id) FILTER (WHERE agent_id = ANY ($2)), '{}') AS "asking!"
               FROM fleet.attempts WHERE tenant_id = $1 AND ended_at IS NULL AND agent_id IS NOT NULL
               GROUP BY GROUPING SETS ((role), ())"#,
            exec.tenant.as_str(),
            agents
        )
        .fetch_all(&mut *exec.tx)
        .await?;
        let mut crew = Self {
            asking: BTreeMap::new(),
            fleet: Working::default(),
            roles: BTreeMap::new(),
        };
        for m in members {
            let member = Member {
                role: m.role,
                model: m.model,
                context_tokens: m.context_tokens,
                incarnation: m.incarnation,
                has_its_own: m.has_its_own,
            };
            crew.asking.insert(m.id, member);
        }
        for w in working {
            let working = Working {
                count: w.count.unsigned_abs(),
                asking: w.asking.into_iter().collect(),
            };
            match w.role {
                Some(role) => drop(crew.roles.insert(role, working)),
                None => crew.fleet = working,
            }
        }
        Ok(crew)
    }

    /// Whether this agent may take another task at all.
    pub(super) fn fit(&self, agent: &ActingAgent, bounds: WorkerBounds) -> Result<Fit, Stop> {
        let me = self.member(agent)?;
        if me.incarnation.unsigned_abs() != agent.incarnation {
            return Err(former(agent).into());
        }
        Context::of(me.context_tokens.map(i64::cast_unsigned)).admit()?;
        let of_role = self.roles.get(&me.role);
        let working = bounds::Working {
            fleet: self.fleet.without(agent.id),
            role: of_role.map_or(0, |w| w.without(agent.id)),
        };
        bounds.admit(working, &me.role)?;
        Ok(Fit {
            holder: self.holder(agent)?,
            role: me.role.clone(),
        })
    }

    /// An agent as the budget sees it, whether or not it may take another task.
    pub(super) fn holder(&self, agent: &ActingAgent) -> Result<budget::AgentHolder, Stop> {
        let me = self.member(agent)?;
        budget::AgentHolder::registered(&agent.name, me.model.clone(), me.context_tokens)
    }

    fn member(&self, agent: &ActingAgent) -> Result<&Member, Stop> {
        Ok(self.asking.get(&agent.id).ok_or(sqlx::Error::RowNotFound)?)
    }

    /// Whether a task is for this agent before others: a claim of it waits for budget, or one is kept for it.
    pub(super) fn has_its_own(&self, agent: Uuid) -> bool {
        self.asking.get(&agent).is_some_and(|m| m.has_its_own)
    }

    /// Counts an agent that takes a task of a role.
    pub(super) fn takes(&mut self, agent: Uuid, role: &str) {
        self.fleet.add(agent);
        self.roles.entry(role.to_owned()).or_default().add(agent);
    }
}

/// Whether this agent may take another task at all.
pub(super) async fn fit(
    exec: &mut Exec<'_>,
    agent: &ActingAgent,
    bounds: WorkerBounds,
) -> Result<Fit, Stop> {
    let crew = Crew::read(exec, &[agent.id]).await?;
    crew.fit(agent, bounds)
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
fn former(agent: &ActingAgent) -> Problem {
    Problem::new(
        Code::StaleIncarnation,
        format!("{} was registered anew meanwhile", agent.name),
    )
    .remedy("claim as its present incarnation")
}
