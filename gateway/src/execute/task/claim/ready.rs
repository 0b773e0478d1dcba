//! Which tasks may be taken up next.

use uuid::Uuid;

use crate::execute::{Exec, Stop};

/// Whose tasks are ready besides those with which nobody waits: a task with which somebody else waits is theirs.
#[derive(Debug, Default)]
pub(super) struct Whose {
    agent: Option<Uuid>,
    person: Option<String>,
}

impl Whose {
    /// Those of who asks.
    pub(super) fn of(exec: &Exec<'_>) -> Self {
        let agent = exec.actor.agent.as_ref().map(|a| a.id);
        Self {
            agent,
            person: agent.is_none().then(|| exec.actor.principal.clone()),
        }
    }
}

/// The most urgent ready tasks, locked; what another transaction has locked is passed over, and so is what was
/// refused.
pub(super) async fn next(
    exec: &mut Exec<'_>,
    role: Option<&str>,
    whose: &Whose,
    refused: &[(Uuid, Option<String>)],
    most: i64,
) -> Result<Vec<Uuid>, Stop> {
    let ids: Vec<Uuid> = refused.iter().map(|(id, _)| *id).collect();
    // What shares the account of a refused one would be refused as well.
    let providers: Vec<String> = refused.iter().filter_map(|(_, p)| p.clone()).collect();
    let (tenant, person) = (exec.tenant.as_str(), whose.person.as_deref());
    // Two statements, so that the plan of the first can use the index by role. The provider is compared as an expression: by
    // its column a fleet with one provider would be planned for as if nothing were left, and all be sorted to find the first.
    let found = match role {
        Some(role) => sqlx::query_scalar!(
            r#"SELECT t.id FROM fleet.tasks t
               WHERE t.tenant_id = $1 AND t.status IN ('pending', 'queued', 'budget_paused') AND t.role = $4
                 AND t.id <> ALL ($2) AND coalesce(t.provider, '') <> ALL ($3)
                 AND NOT EXISTS (SELECT FROM fleet.budget_queue q WHERE q.tenant_id = t.tenant_id AND q.task_id = t.id
                                 AND (q.agent_id IS DISTINCT FROM $5 OR q.person IS DISTINCT FROM $6)
                                 AND (q.agent_id IS NOT NULL OR q.person IS NOT NULL))
                 AND (t.reserved_agent IS NULL OR t.reserved_agent = $5)
                 AND NOT EXISTS (SELECT FROM fleet.task_dependencies d
                                 JOIN fleet.tasks o ON o.tenant_id = d.tenant_id AND o.id = d.depends_on
                                 WHERE d.tenant_id = t.tenant_id AND d.task_id = t.id AND o.status <> 'completed')
               ORDER BY t.priority DESC, t.number LIMIT $7 FOR UPDATE OF t SKIP LOCKED"#,
            tenant,
            &ids,
            &providers,
            role,
            whose.agent,
            person,
            most
        )
        .fetch_all(&mut *exec.tx)
        .await?,
        None => sqlx::query_scalar!(
            r#"SELECT t.id FROM fleet.tasks t
               WHERE t.tenant_id = $1 AND t.status IN ('pending', 'queued', 'budget_paused')
                 AND t.id <> ALL ($2) AND coalesce(t.provider, '') <> ALL ($3)
                 AND NOT EXISTS (SELECT FROM fleet.budget_queue q WHERE q.tenant_id = t.tenant_id AND q.task_id = t.id
                                 AND (q.agent_id IS DISTINCT FROM $4 OR q.person IS DISTINCT FROM $5)
                                 AND (q.agent_id IS NOT NULL OR q.person IS NOT NULL))
                 AND (t.reserved_agent IS NULL OR t.reserved_agent = $4)
                 AND NOT EXISTS (SELECT FROM fleet.task_dependencies d
                                 JOIN fleet.tasks o ON o.tenant_id = d.tenant_id AND o.id = d.depends_on
                                 WHERE d.tenant_id = t.tenant_id AND d.task_id = t.id AND o.status <> 'completed')
               ORDER BY t.priority DESC, t.number LIMIT $6 FOR UPDATE OF t SKIP LOCKED"#,
            tenant,
            &ids,
            &providers,
            whose.agent,
            person,
            most
        )
        .fetch_all(&mut *exec.tx)
        .await?,
    };
    Ok(found)
}
