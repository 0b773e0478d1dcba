//! Nothing to take up; and when nothing waits at all, the orchestrator is asked for new work (doctrine 12).

use fleet_protocol::problem::Code;
use fleet_protocol::{Problem, Reply};

use super::super::{Exec, Stop, inbox};
use crate::db;

/// Whom it asks.
const ORCHESTRATOR: &str = "orchestrator";

/// Answers a claim that found nothing.
pub(super) async fn nothing_ready(exec: &mut Exec<'_>, role: Option<&str>) -> Result<Reply, Stop> {
    if let Some(agent) = exec.actor.agent.as_ref().map(|a| a.id) {
        // That nothing was there is the answer; that it was asked for stays.
        exec.keep_refused = inbox::tried(exec, agent).await?;
        ask(exec).await?;
    }
    let whose = role
        .map(|r| format!(" for the role {r}"))
        .unwrap_or_default();
    Err(
        Problem::new(Code::NothingReady, format!("nothing is ready{whose}"))
            .remedy("see what waits, and for what: !task list")
            .into(),
    )
}

/// Asks when nothing waits, once until a task is added.
async fn ask(exec: &mut Exec<'_>) -> Result<(), Stop> {
    let asks = sqlx::query!(
        r#"UPDATE fleet.settings SET replan_asked_at = $2 WHERE tenant_id = $1 AND replan_asked_at IS NULL
           AND NOT EXISTS (SELECT FROM fleet.tasks t WHERE t.tenant_id = $1
                           AND t.status IN ('pending', 'queued', 'budget_paused', 'blocked'))"#,
        exec.tenant.as_str(),
        db::time(exec.now)
    )
    .execute(&mut *exec.tx)
    .await?
    .rows_affected();
    if asks == 0 {
        return Ok(());
    }
    exec.keep_refused = true;
    let words = "The backlog is empty, and an agent has nothing to do. Plan what comes next, or close the mission.";
    inbox::notify(exec, ORCHESTRATOR, words).await
}
