//! Quality gates of tasks, and what they came to.

use fleet_policy::gate;
use fleet_policy::task::Step;
use fleet_protocol::reply::Changed;
use fleet_protocol::verbs::gate::{Check, Gate, GateResult};
use fleet_protocol::{Problem, Reply};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::super::{Exec, Stop, Subject};
use super::row::{self, Row};
use super::{hold, write};
use crate::db;

/// The gates of a task, and what they came to under any lease.
#[derive(Debug, Clone, Default)]
pub(super) struct Gates {
    pub(super) wanted: Vec<Gate>,
    pub(super) results: Vec<GateResult>,
}

impl Gates {
    /// From the columns of a task; most tasks have none.
    pub(super) fn stored(wanted: Option<Value>, results: Option<Value>) -> Result<Self, Stop> {
        Ok(Self {
            wanted: all("quality_gates", wanted)?,
            results: all("gate_results", results)?,
        })
    }
}

fn all<T: DeserializeOwned>(column: &str, stored: Option<Value>) -> Result<Vec<T>, Stop> {
    match stored {
        Some(stored) => row::known(column, serde_json::from_value(stored).ok()),
        None => Ok(Vec::new()),
    }
}

/// Records what gates came to under the lease in force.
pub(crate) async fn check(exec: &mut Exec<'_>, args: &Check) -> Result<Reply, Stop> {
    let row = hold::held(exec, args.task, Step::Progress).await?;
    // Who checks is alive: that counts as a renewal.
    hold::extend(exec, &row).await?;
    let Gates { wanted, results } = &row.gates;
    let results = gate::settle(wanted, results, &args.results, row.epoch.cast_unsigned())?;
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
        let (event, note) = match outcome.is_passed() {
            true => ("rail.check.passed", outcome.name.to_string()),
            false => ("rail.check.failed", outcome.told()),
        };
        write::event(exec, &row, event, Some(&note)).await?;
    }
    exec.about(Subject::Task, row.id);
    let now = row::view_with_gates(row::load(exec, row.id).await?);
    Ok(Reply::Task(Changed::to("checked", now)))
}

/// Refuses to complete a task whose gates have not passed under the lease in force.
pub(super) fn passed(row: &Row) -> Result<(), Problem> {
    let Gates { wanted, results } = &row.gates;
    gate::passed(&row.short(), wanted, results, row.epoch.cast_unsigned())
}
