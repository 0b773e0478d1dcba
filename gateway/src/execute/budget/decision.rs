//! Decisions, each a row with its inputs, and `budget explain`.

use fleet_protocol::reply::{AdmissionView, ExplainView};
use fleet_protocol::verbs::budget as verbs;
use fleet_protocol::{Reply, Timestamp};
use uuid::Uuid;

use crate::db::{Time, instant, time};
use crate::execute::{Exec, Stop, Subject};

/// Decisions that are explained, the newest.
const EXPLAINED: i64 = 20;

/// A decision to write down.
#[derive(Debug, Default)]
pub(in crate::execute) struct New {
    pub(super) task: Uuid,
    pub(super) attempt: Option<i32>,
    pub(super) outcome: &'static str,
    pub(super) account: Option<String>,
    pub(super) model: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) series: Option<String>,
    pub(super) eta: Option<Timestamp>,
    pub(super) inputs: serde_json::Value,
}

/// A decision with who asked for it, and under which admission.
#[derive(Debug)]
pub(in crate::execute) struct Asked {
    new: New,
    by: String,
    admission: Uuid,
}

impl Asked {
    pub(super) fn of(exec: &Exec<'_>, new: New) -> Self {
        Self {
            new,
            by: exec.actor.principal.clone(),
            admission: exec.admission,
        }
    }
}

/// Writes a decision down.
pub(super) async fn write(exec: &mut Exec<'_>, new: New) -> Result<(), Stop> {
    let asked = vec![Asked::of(exec, new)];
    write_all(exec, asked).await
}

/// Writes decisions down.
pub(super) async fn write_all(exec: &mut Exec<'_>, all: Vec<Asked>) -> Result<(), Stop> {
    if all.is_empty() {
        return Ok(());
    }
    let mut columns = Columns::default();
    for asked in all {
        columns.push(asked);
    }
    sqlx::query!(
        "INSERT INTO fleet.budget_decisions (tenant_id, task_id, attempt, decided_at, outcome, subscription, model, reason, series, eta,
             inputs, by, admission)
         SELECT $1, n.task, n.attempt, $2, n.outcome, n.subscription, n.model, n.reason, n.series, n.eta, n.inputs,
             n.by, n.admission
         FROM unnest($3::uuid[], $4::integer[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::timestamptz[], $11::jsonb[],
                 $12::text[], $13::uuid[])
             WITH ORDINALITY AS n (task, attempt, outcome, subscription, model, reason, series, eta, inputs, by, admission, place)
         ORDER BY n.place",
        exec.tenant.as_str(),
        time(exec.now) as _,
        &columns.tasks,
        &columns.attempts as &[Option<i32>],
        &columns.outcomes,
        &columns.accounts as &[Option<String>],
        &columns.models as &[Option<String>],
        &columns.reasons as &[Option<String>],
        &columns.series as &[Option<String>],
        &columns.etas as &[Option<Time>],
        &columns.inputs,
        &columns.by,
        &columns.admissions
    )
    .execute(&mut *exec.tx)
    .await?;
    Ok(())
}

/// Decisions, by column.
#[derive(Default)]
struct Columns {
    tasks: Vec<Uuid>,
    attempts: Vec<Option<i32>>,
    outcomes: Vec<String>,
    accounts: Vec<Option<String>>,
    models: Vec<Option<String>>,
    reasons: Vec<Option<String>>,
    series: Vec<Option<String>>,
    etas: Vec<Option<Time>>,
    inputs: Vec<serde_json::Value>,
    by: Vec<String>,
    admissions: Vec<Uuid>,
}

impl Columns {
    fn push(&mut self, asked: Asked) {
        let Asked { new, by, admission } = asked;
        self.tasks.push(new.task);
        self.attempts.push(new.attempt);
        self.outcomes.push(new.outcome.to_owned());
        self.accounts.push(new.account);
        self.models.push(new.model);
        self.reasons.push(new.reason);
        self.series.push(new.series);
        self.etas.push(new.eta.map(time));
        self.inputs.push(new.inputs);
        self.by.push(by);
        self.admissions.push(admission);
    }
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
