//! `fleet agent gate`: the quality gates of a task, run where the work is.

use std::path::Path;
use std::time::Duration;

use fleet_agent::gate::run as run_gate;
use fleet_agent::session::{Session, unexpected};
use fleet_protocol::ids::TaskRef;
use fleet_protocol::verbs::gate::{Check, Gate, GateOutcome};
use fleet_protocol::verbs::task::{Renew, Show};
use fleet_protocol::{Command, Problem, Query, Reply};

use crate::Context;
use crate::args::AgentGate;
use crate::command::{mcp, say, stop_signal};
use crate::error::CliError;
use crate::exit::Exit;

/// How long a gate may take unless another limit is named.
const LIMIT: Duration = Duration::from_secs(600);
/// Between two renewals of the lease: a third of it.
const RENEWED: Duration = Duration::from_secs(300);

/// Runs each gate and tells the fleet what it came to; the exit code says whether all have passed.
pub(crate) async fn run(context: &Context, args: &AgentGate) -> Result<Exit, CliError> {
    let session = mcp::session(context)?;
    let stop = stop_signal()?;
    let refused = |problem: Problem| CliError::Refused(Box::new(problem));
    let gates = gates(&session, args.task).await.map_err(refused)?;
    if gates.is_empty() {
        context
            .out
            .answer(&serde_json::json!({ "results": [] }), || {
                "this task has no gates".into()
            })?;
        return Ok(Exit::Done);
    }
    let limit = args
        .limit
        .map_or(LIMIT, |l| Duration::from_secs(l.seconds().into()));
    let folder = args.folder.as_deref().unwrap_or(Path::new("."));
    let mut results = Vec::with_capacity(gates.len());
    for gate in &gates {
        context
            .out
            .progress(&format!("{}: {}", gate.name, gate.command));
        let outcome = tokio::select! {
            outcome = kept(&session, args.task, gate, folder, limit) => outcome?,
            () = stop.cancelled() => {
                return Err(CliError::Missed(format!("{} was interrupted", gate.name)));
            }
        };
        results.push(outcome);
    }
    let failed: Vec<_> = results
        .iter()
        .filter(|r| !r.is_passed())
        .map(GateOutcome::told)
        .collect();
    let task = args.task;
    let check = Command::from(Check { task, results });
    let receipt = session.command(check, None).await.map_err(refused)?;
    context.out.answer(&receipt, || {
        receipt.reply.as_ref().map(say::read).unwrap_or_default()
    })?;
    if failed.is_empty() {
        return Ok(Exit::Done);
    }
    context.out.progress(&failed.join(", "));
    Ok(Exit::Missed)
}

async fn gates(session: &Session, task: TaskRef) -> Result<Vec<Gate>, Problem> {
    match session.ask(Query::from(Show { task })).await?.reply {
        Reply::Task(shown) => Ok(shown.now.quality_gates),
        other => Err(unexpected(&other)),
    }
}

/// Runs a gate; the lease is kept meanwhile. Who has lost it stops.
async fn kept(
    session: &Session,
    task: TaskRef,
    gate: &Gate,
    folder: &Path,
    limit: Duration,
) -> Result<GateOutcome, CliError> {
    let running = run_gate(gate, folder, limit);
    tokio::pin!(running);
    loop {
        let renew = session.command(Command::from(Renew { task }), None).await;
        renew.map_err(|problem| CliError::Refused(Box::new(problem)))?;
        tokio::select! {
            outcome = &mut running => return Ok(outcome?),
            () = tokio::time::sleep(RENEWED) => {}
        }
    }
}
