//! A claim in a register that is full of tasks.

use fleet_gateway::Floor;
use fleet_protocol::Reply;
use fleet_protocol::verbs::task::Claim;
use tokio::time::Instant;

use super::member::Member;
use crate::bench::measure::{Figure, Target, percentile};
use crate::error::CliError;
use crate::output::Output;

/// Tasks that wait; four of five for the fifth.
const TASKS: i32 = 20_000;
/// Claims that are counted, and those before them that plan their statements.
const ASKED: usize = 40;
const WARMING: usize = 5;

/// The time of a claim, its commit and its way over HTTP included: the search for a task that is ready is a
/// part of it.
pub(super) async fn claim(
    out: Output,
    floor: &mut Floor,
    tenant: &str,
    mut member: Member,
) -> Result<Figure, CliError> {
    out.progress(&format!("a claim among {TASKS} tasks"));
    let filled = floor.fill_tasks(tenant, "code", TASKS).await;
    filled.map_err(|e| CliError::service("the database", &e))?;
    // Its process may have been killed and started anew.
    member.back().await?;
    let mut samples = Vec::with_capacity(ASKED);
    for n in 0..ASKED + WARMING {
        let began = Instant::now();
        let reply = member.say(Claim { task: None }).await?;
        let took = began.elapsed();
        if !matches!(reply, Reply::Task(_)) {
            return Err(CliError::Internal("a claim answers no task".into()));
        }
        if n >= WARMING {
            samples.push(took);
        }
    }
    Ok(Figure {
        name: "ready_query_20k_ms",
        unit: "ms",
        value: percentile(&samples, 500).unwrap_or_default(),
        floor: None,
        target: Some(Target::Below(10.0)),
    })
}
