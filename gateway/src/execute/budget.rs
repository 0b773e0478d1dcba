//! The verbs of `budget`, and what the life of a task needs of budgets.

use fleet_protocol::scalar::Name;

use super::{Exec, Stop};

mod admission;
pub(in crate::execute) mod alert;
mod audit;
mod backfill;
mod chart;
pub(crate) mod day;
mod decision;
pub(in crate::execute) mod gauge;
pub(crate) mod grant;
pub(in crate::execute) mod ledger;
mod needs;
mod offer;
mod portable;
pub(in crate::execute) mod price;
pub(crate) mod queue;
mod reading;
mod reset;
pub(in crate::execute) mod series;
mod settle;
mod status;
pub(crate) mod subscription;
mod switch;
mod window;
mod words;
mod write;

pub(crate) use admission::{
    Ground, Holder as AgentHolder, Plan, Taken, Verdict, Waits, Work, decide, taken, write_taken,
};
pub(crate) use audit::audit;
pub(crate) use chart::chart;
pub(crate) use decision::explain;
pub(crate) use offer::{ladder_set, ladder_show};
pub(crate) use portable::{bring, export, import};
pub(crate) use queue::{
    Claimer, Lane, Put, Queued, in_order, leave, nudge, nudge_at, nudged, put, refused,
    show as queue, stay, waits_no_more,
};
pub(crate) use reading::{headers, reading};
pub(crate) use reset::reset;
pub(crate) use settle::{Settle, settle};
pub(crate) use status::{history, status, windows};
pub(crate) use switch::{close, lift, reopen};
pub(crate) use write::set;

/// How to set a budget, told once when nothing governs what an account pays for: a fleet without any works, and knows
/// how to get one.
pub(in crate::execute) async fn hint(
    exec: &mut Exec<'_>,
    account: Option<&Name>,
) -> Result<Vec<String>, Stop> {
    let Some(account) = account else {
        return Ok(Vec::new());
    };
    let given = sqlx::query!(
        "UPDATE fleet.settings SET budget_hint_given = true WHERE tenant_id = $1 AND NOT budget_hint_given
             AND NOT EXISTS (SELECT FROM fleet.budget_series WHERE tenant_id = $1)",
        exec.tenant.as_str()
    )
    .execute(&mut *exec.tx)
    .await?;
    let is_first = given.rows_affected() > 0;
    Ok(is_first
        .then(|| admission::how_to_limit(account))
        .into_iter()
        .collect())
}
