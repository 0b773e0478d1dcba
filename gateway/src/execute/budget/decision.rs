//! Decisions, each a row with its inputs, and `budget explain`.

use fleet_protocol::reply::{AdmissionView, ExplainView};
use fleet_protocol::verbs::budget as verbs;
use fleet_protocol::{Reply, Timestamp};
use uuid::Uuid;

use crate::db::{instant, time};
use crate::execute::{Exec, Stop, Subject};

/// Decisions that are explained, the newest.
const EXPLAINED: i64 = 20;

/// A decision to write down.
pub(super) struct New<'a> {
    pub(super) task: Uuid,
    pub(super) attempt: Option<i32>,
    pub(super) outcome: &'a str,
    pub(super) account: Option<&'a str>,
    pub(super) model: Option<&'a str>,
    pub(super) reason: Option<String>,
    pub(super) series: Option<&'a str>,
    pub(super) eta: Option<Timestamp>,
    pub(super) inputs: &'a serde_json::Value,
}

/// Writes a decision down.
pub(super) async fn write(exec: &mut Exec<'_>, new: &New<'_>) -> Result<(), Stop> {
    sqlx::query!(
        "INSERT INTO fleet.budget_decisions (tenant_id, task_id, attempt, decided_at, outcome, subscription, model, reason, series, eta,
             inputs, by, admission)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        exec.tenant.as_str(),
        new.task,
        new.attempt,
        time(exec.now) as _,
        new.outcome,
        new.account,
        new.model,
        new.reason,
        new.series,
        new.eta.map(time) as _,
        new.inputs,
        exec.actor.principal,
        exec.admission
    )
    .execute(&mut *exec.tx)
    .await?;
    Ok(())
}

/// Tells in words why a task was admitted, lowered, queued or refused.
pub(crate) async fn explain(exec: &mut Exec<'_>, args: &verbs::Explain) -> Result<Reply, Stop> {
    let task = exec.resolve(args.task).await?;
    let number = sqlx::query_scalar!(
        "SELECT number FROM fleet.tasks WHERE tenant_id = $1 AND id = $2",
        exec.tenant.as_str(),
        task
    )
    .fetch_one(&mut *exec.tx)
    .await?;
    let rows = sqlx::query!(
        "SELECT decided_at, outcome, subscription, model, reason, eta, inputs, by FROM fleet.budget_decisions
         WHERE tenant_id = $1 AND task_id = $2 ORDER BY id DESC LIMIT $3",
        exec.tenant.as_str(),
        task,
        EXPLAINED
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    exec.about(Subject::Task, task);
    let decisions = rows.into_iter().map(|r| AdmissionView {
        at: instant(r.decided_at),
        outcome: r.outcome,
        subscription: r.subscription,
        model: r.model,
        reason: r.reason,
        eta: r.eta.map(instant),
        inputs: r.inputs,
        by: r.by,
    });
    Ok(Reply::Explained(ExplainView {
        task: format!("t{number}"),
        decisions: decisions.collect(),
    }))
}
