//! One of a crew, a process of its own: it listens to its inbox, claims, works for a moment and completes,
//! and says each on standard output in a line of JSON.

use std::time::Duration;

use fleet_agent::session::Session;
use fleet_protocol::problem::Code;
use fleet_protocol::scalar::Count;
use fleet_protocol::verbs::inbox::{Ack, Next};
use fleet_protocol::verbs::task::{Claim, Complete};
use fleet_protocol::{Command, Problem, Query, Reply};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::Context;
use crate::command::agent::listen::is_passing;
use crate::command::{mcp, stop_signal};
use crate::error::{CliError, fixed};
use crate::exit::Exit;
use crate::output::Output;

/// How long a small task takes: so that a kill meets agents that hold one.
const WORK: Duration = Duration::from_millis(20);
/// How long an agent rests that found nothing, or that the gateway was too busy for.
const REST: Duration = Duration::from_millis(200);

/// What an agent says it did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Said {
    /// It was given a task, under an epoch, after so many microseconds.
    Claimed { task: String, epoch: u64, us: u64 },
    /// Its completion was accepted.
    Completed { task: String },
    /// Its completion was refused, as the task is no longer its own.
    Refused { task: String },
    /// It was told something.
    Heard { item: String },
}

/// Works until it is asked to stop.
pub(crate) async fn run(context: &Context) -> Result<Exit, CliError> {
    let session = mcp::session(context)?;
    let (out, stop) = (context.out, stop_signal()?);
    tokio::select! {
        () = stop.cancelled() => {}
        ended = listen(out, &session) => ended?,
        ended = work(out, &session) => ended?,
    }
    Ok(Exit::Done)
}

fn say(out: Output, said: &Said) -> Result<(), CliError> {
    let line = serde_json::to_string(said).map_err(|e| CliError::Internal(e.to_string()))?;
    out.line(&line)
}

/// Rests when the fleet has nothing or no time; other refusals end the agent.
async fn rest(problem: Problem) -> Result<(), CliError> {
    let has_nothing = matches!(problem.code, Code::NothingReady | Code::WorkerBound);
    if !has_nothing && !is_passing(problem.code) {
        return Err(CliError::Refused(Box::new(problem)));
    }
    tokio::time::sleep(REST).await;
    Ok(())
}

async fn listen(out: Output, session: &Session) -> Result<(), CliError> {
    loop {
        let next = Next {
            wait: None,
            limit: Some(Count::from(50)),
        };
        let items = match session.ask(Query::from(next)).await {
            Ok(answer) => match answer.reply {
                Reply::Items(items) => items,
                _ => return Err(CliError::Internal("an inbox answers no items".into())),
            },
            Err(problem) => {
                rest(problem).await?;
                continue;
            }
        };
        if items.is_empty() {
            continue;
        }
        let mut ids = Vec::with_capacity(items.len());
        for item in items {
            ids.push(fixed(&item.id)?);
            say(out, &Said::Heard { item: item.id })?;
        }
        if let Err(problem) = session.ask(Command::from(Ack { items: ids })).await {
            rest(problem).await?;
        }
    }
}

async fn work(out: Output, session: &Session) -> Result<(), CliError> {
    loop {
        let began = Instant::now();
        let task = match session.ask(Command::from(Claim { task: None })).await {
            Ok(answer) => match answer.reply {
                Reply::Task(task) => task.now,
                _ => return Err(CliError::Internal("a claim answers no task".into())),
            },
            Err(problem) => {
                rest(problem).await?;
                continue;
            }
        };
        let claimed = Said::Claimed {
            task: task.id.clone(),
            epoch: task.epoch.unwrap_or_default(),
            us: u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX),
        };
        say(out, &claimed)?;
        tokio::time::sleep(WORK).await;
        let said = complete(session, task.id).await?;
        say(out, &said)?;
    }
}

/// The session repeats under one key what had no answer, so that a completion counts once.
async fn complete(session: &Session, task: String) -> Result<Said, CliError> {
    let complete = Command::from(Complete {
        task: fixed(&task)?,
        summary: None,
        tokens: Some(1_u32.into()),
        unknown_spend: None,
        files_changed: Vec::new(),
    });
    loop {
        match session.ask(complete.clone()).await {
            Ok(_) => return Ok(Said::Completed { task }),
            Err(problem) if matches!(problem.code, Code::StaleEpoch | Code::WrongState) => {
                return Ok(Said::Refused { task });
            }
            Err(problem) => rest(problem).await?,
        }
    }
}
