//! Quality gates of tasks, and what they came to.

use std::collections::HashMap;

use fleet_policy::gate;
use fleet_policy::task::Step;
use fleet_protocol::Reply;
use fleet_protocol::reply::{Changed, TaskView};
use fleet_protocol::verbs::gate::{Check, Gate, GateResult};
use uuid::Uuid;

use super::super::{Exec, Stop, Subject};
use super::row::{self, Row};
use super::{hold, write};
use crate::db;

/// The gates of a task.
#[derive(Debug, Default)]
pub(super) struct Gates {
    wanted: Vec<Gate>,
    results: Vec<GateResult>,
}

impl Gates {
    /// Shows them with the task: results of the newest lease only.
    pub(super) fn show(self, view: &mut TaskView, epoch: i64) {
        view.quality_gates = self.wanted;
        view.gate_results = self.results;
        view.gate_results
            .retain(|r| r.epoch == epoch.cast_unsigned());
    }
}

/// The gates of those tasks that have some.
pub(super) async fn load(exec: &mut Exec<'_>, ids: &[Uuid]) -> Result<HashMap<Uuid, Gates>, Stop> {
    let rows = sqlx::query!(
        r#"SELECT id, quality_gates AS "quality_gates!", coalesce(gate_results, '[]') AS "gate_results!"
           FROM fleet.tasks WHERE tenant_id = $1 AND id = ANY ($2) AND quality_gates IS NOT NULL"#,
        exec.tenant.as_str(),
        ids
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    rows.into_iter()
        .map(|r| {
            let gates = Gates {
                wanted: row::known(
                    "quality_gates",
                    serde_json::from_value(r.quality_gates).ok(),
                )?,
                results: row::known("gate_results", serde_json::from_value(r.gate_results).ok())?,
            };
            Ok((r.id, gates))
        })
        .collect()
}

async fn of(exec: &mut Exec<'_>, id: Uuid) -> Result<Gates, Stop> {
    Ok(load(exec, &[id]).await?.remove(&id).unwrap_or_default())
}

/// Records what gates came to under the lease in force.
pub(crate) async fn check(exec: &mut Exec<'_>, args: &Check) -> Result<Reply, Stop> {
    let row = hold::held(exec, args.task, Step::Progress).await?;
    // Who checks is alive: that counts as a renewal.
    hold::extend(exec, &row).await?;
    let gates = of(exec, row.id).await?;
    let epoch = row.epoch.cast_unsigned();
    let results = gate::settle(&gates.wanted, &gates.results, &args.results, epoch)?;
    sqlx::query!(
        "UPDATE fleet.tasks SET gate_results = $3, updated_at = $4 WHERE tenant_id = $1 AND id = $2",
        exec.tenant.as_str(),
        row.id,
        serde_json::json!(results),
        db::time(exec.now)
    )
    .execute(&mut *exec.tx)
    .await?;
    for outcome in &args.results {
        let (event, note) = match outcome.exit_code {
            0 => ("rail.check.passed", outcome.name.to_string()),
            code => (
                "rail.check.failed",
                format!("{} ended with {code}", outcome.name),
            ),
        };
        write::event(exec, &row, event, Some(&note)).await?;
    }
    let gates = Gates { results, ..gates };
    exec.about(Subject::Task, row.id);
    let now = row::load(exec, row.id).await?;
    let mut changed = Changed::to("checked", row::view(now));
    gates.show(&mut changed.now, row.epoch);
    Ok(Reply::Task(changed))
}

/// Refuses to complete a task whose gates have not passed under the lease in force.
pub(super) async fn passed(exec: &mut Exec<'_>, row: &Row) -> Result<(), Stop> {
    let gates = of(exec, row.id).await?;
    let epoch = row.epoch.cast_unsigned();
    Ok(gate::passed(
        &row.short(),
        &gates.wanted,
        &gates.results,
        epoch,
    )?)
}
