//! What a runtime's hooks report of an agent without its model having to remember: that it lives, how
//! full its context is, what its tasks have cost; and the leases they keep while it works.
//!
//! A hook is a short process that the runtime starts with JSON on its standard input. It reports and
//! never decides: whatever fails, the model's turn goes on.

mod journal;
mod usage;

use std::io::BufReader;
use std::path::{Path, PathBuf};

use fleet_protocol::reply::TaskView;
use fleet_protocol::scalar::{Count, Name};
use fleet_protocol::verbs::{agent, spend, task};
use fleet_protocol::{Command, Problem, Query, Reply, Timestamp};
use serde::Deserialize;

use crate::meter::claude::Messages;
use crate::meter::{Usage, name};
use crate::session::{Session, unexpected};
use journal::{Journal, Work};

/// Seconds between two reports while the model uses tools.
const BETWEEN_TOOLS: i64 = 30;
/// A lease with fewer seconds left is renewed: half of what a claim gives (doctrine 11).
const RENEW_BELOW: i64 = 450;
/// The largest record of a session that is read, in bytes.
const LARGEST: u64 = 512 * 1024 * 1024;
/// Clocks that differ by less agree: an answer may be as long on its way, in milliseconds.
const AGREE: i64 = 5_000;
/// What stands in front of the name of a tool of this fleet's MCP server.
const OUR_TOOLS: &str = "mcp__fleet__";

/// What the runtime says: the common part of Claude Code's hook input. Other keys are passed over.
#[derive(Debug, Clone, Deserialize)]
pub struct Input {
    /// The session's id.
    pub session_id: String,
    /// Where the session's record is.
    #[serde(default)]
    pub transcript_path: Option<PathBuf>,
    /// What happened, for example `SessionStart`, `PostToolUse`, `Stop`.
    pub hook_event_name: String,
    /// How a session started: `startup`, `resume`, `clear` or `compact`.
    #[serde(default)]
    pub source: Option<String>,
    /// The tool, where one is used.
    #[serde(default)]
    pub tool_name: Option<String>,
}

impl Input {
    /// Reads what the runtime wrote.
    ///
    /// # Errors
    /// What is wrong, with its place.
    pub fn read(json: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json)
    }

    /// Whether a report so soon after another would tell nothing new. The end of a task is reported
    /// at once: the task closes with what was reported.
    fn can_wait(&self) -> bool {
        let ends = ["task_complete", "task_release", "task_fail"];
        let ours = self
            .tool_name
            .as_deref()
            .and_then(|tool| tool.strip_prefix(OUR_TOOLS));
        self.hook_event_name.ends_with("ToolUse") && !ours.is_some_and(|tool| ends.contains(&tool))
    }
}

/// Reports what a hook is about. At the start of a session it returns what the model should know.
///
/// `file` is where the hooks of this agent remember what they have reported. `now` is this machine's time, which may
/// differ from the gateway's: a lease and the beginning of work are told by the gateway's clock, a transcript by this one.
///
/// # Errors
/// The first of the fleet's reasons; what could be reported besides was reported. The same reason is returned once,
/// and again at the start of a session.
pub async fn run(
    session: &Session,
    input: &Input,
    file: &Path,
    now: Timestamp,
) -> Result<Option<String>, Problem> {
    let mut journal = Journal::read(file);
    let since = |told: Timestamp| (now.as_millis() - told.as_millis()) / 1_000;
    let lately = journal
        .told_at
        .is_some_and(|told| (0..BETWEEN_TOOLS).contains(&since(told)));
    if lately && input.can_wait() {
        return Ok(None);
    }
    let starts = input.hook_event_name == "SessionStart";
    let told = tell(session, input, &mut journal, now).await;
    journal.told_at = Some(now);
    let is_known = journal.knows(told.as_ref().err());
    journal.write(file);
    match told {
        Ok(held) => Ok(starts.then(|| greeting(session, &held))),
        Err(_) if is_known && !starts => Ok(None),
        Err(problem) => Err(problem),
    }
}

/// Reports everything; the tasks that the agent holds.
async fn tell(
    session: &Session,
    input: &Input,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<Vec<TaskView>, Problem> {
    let messages = messages_of(session, input);
    let emptied =
        input.hook_event_name == "SessionStart" && input.source.as_deref() == Some("clear");
    if emptied {
        session.rotate().await?;
    }
    let context = if emptied { Some(0) } else { messages.context() };
    let mut first = None;
    let gateway = note(&mut first, heartbeat(session, context).await).flatten();
    let ahead = gateway.map_or(0, |gateway| ahead(now, gateway));
    let held = session.held().await?;
    for task in &held {
        let renewed = renew(session, task, now.as_millis() - ahead).await;
        note(&mut first, renewed);
        note(&mut first, journal.begin(session, task).await);
    }
    for (work, spent) in journal.spent(&messages, ahead) {
        for (model, usage) in spent {
            let reported = report(session, &input.session_id, &work, &model, usage).await;
            note(&mut first, reported);
        }
    }
    journal.keep(&held);
    first.map_or(Ok(held), Err)
}

/// How far this machine's clock is ahead of the gateway's, in milliseconds.
fn ahead(now: Timestamp, gateway: Timestamp) -> i64 {
    let ahead = now.as_millis() - gateway.as_millis();
    if ahead.abs() < AGREE { 0 } else { ahead }
}

fn note<T>(first: &mut Option<Problem>, outcome: Result<T, Problem>) -> Option<T> {
    match outcome {
        Ok(done) => Some(done),
        Err(problem) => {
            first.get_or_insert(problem);
            None
        }
    }
}

/// The session's transcript, and those of the helpers it started.
fn messages_of(session: &Session, input: &Input) -> Messages {
    // Lines name their session; this one stands where they do not.
    let fallback = name(&input.session_id).unwrap_or(session.agent().name);
    let mut messages = Messages::new(fallback);
    let Some(transcript) = &input.transcript_path else {
        return messages;
    };
    let helpers = transcript.with_extension("").join("subagents");
    let beside = std::fs::read_dir(helpers).into_iter().flatten().flatten();
    let beside = beside
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "jsonl"));
    for path in beside.chain([transcript.clone()]) {
        // A transcript that cannot be read says nothing; the heartbeat goes out all the same.
        let Ok(file) = std::fs::File::open(&path) else {
            continue;
        };
        let fits = file.metadata().is_ok_and(|m| m.len() <= LARGEST);
        if fits && let Err(error) = usage::take(&mut messages, BufReader::new(file)) {
            tracing::debug!(%error, path = %path.display(), "a transcript ends too early");
        }
    }
    messages
}

/// Tells that the agent lives; the gateway's time.
async fn heartbeat(session: &Session, context: Option<u64>) -> Result<Option<Timestamp>, Problem> {
    let context_tokens = context.and_then(count);
    let heartbeat = Command::from(agent::Heartbeat { context_tokens });
    match session.ask(heartbeat).await?.reply {
        Reply::Agent(heard) => Ok(heard.now.heartbeat_at),
        other => Err(unexpected(&other)),
    }
}

/// Renews a lease of which little is left at `now`, milliseconds of the gateway's time.
async fn renew(session: &Session, task: &TaskView, now: i64) -> Result<(), Problem> {
    let left = task
        .lease_until
        .map(|until| (until.as_millis() - now) / 1_000);
    if left.is_none_or(|left| left >= RENEW_BELOW) {
        return Ok(());
    }
    let renew = task::Renew {
        task: reference(&task.id)?,
    };
    session.ask(Command::from(renew)).await.map(drop)
}

async fn report(
    session: &Session,
    session_id: &str,
    work: &Work,
    model: &Name,
    usage: Usage,
) -> Result<(), Problem> {
    // Totals are cumulative within a meter's session; each model of a session is one meter.
    let meter = format!("{session_id}-{model}").to_lowercase();
    let meter: String = meter.chars().take(64).collect();
    let report = spend::Report {
        task: reference(&work.task)?,
        input_tokens: count(usage.input),
        output_tokens: count(usage.output),
        cache_write_tokens: count(usage.cache_write),
        cache_read_tokens: count(usage.cache_read),
        cash_usd_micro: None,
        messages: None,
        credits: None,
        compute_seconds: None,
        model: Some(model.clone()),
        provider: None,
        session: meter.parse().ok(),
        meter: None,
        attempt: count(work.attempt.into()),
        spent_at: None,
    };
    session.ask(Command::from(report)).await.map(drop)
}

/// When the current attempt at a task began.
async fn began(session: &Session, task: &TaskView) -> Result<Option<Timestamp>, Problem> {
    let show = task::Show {
        task: reference(&task.id)?,
    };
    match session.ask(Query::from(show)).await?.reply {
        Reply::Task(shown) => {
            let starts = shown.now.history.into_iter().rev();
            Ok(starts
                .filter(|event| event.event == "task.started")
                .map(|event| event.at)
                .next())
        }
        other => Err(unexpected(&other)),
    }
}

fn greeting(session: &Session, held: &[TaskView]) -> String {
    let agent = session.agent();
    let tasks: Vec<String> = held
        .iter()
        .map(|task| format!("{} \"{}\"", task.id, task.title))
        .collect();
    let work = if tasks.is_empty() {
        "You hold no task; task_claim takes the next one.".to_owned()
    } else {
        format!("You hold {}.", tasks.join(", "))
    };
    format!(
        "You are {} on {}, incarnation {}, an agent of the fleet. {work} Heartbeat, context use and spend are \
         reported for you, and leases are renewed while you work.",
        agent.name, agent.host, agent.incarnation
    )
}

fn count(n: u64) -> Option<Count> {
    Count::try_from(n).ok()
}

fn reference(task: &str) -> Result<fleet_protocol::ids::TaskRef, Problem> {
    task.parse().map_err(|e| {
        Problem::new(
            fleet_protocol::problem::Code::Internal,
            format!("\"{task}\" {e}"),
        )
    })
}
