//! Work, money and a vote.

use std::time::Duration;

use fleet_agent::matrix::RoomEvent;
use fleet_protocol::event::LeaseClaim;
use fleet_protocol::problem::Code;
use fleet_protocol::verbs::{agent, spend, task};
use fleet_protocol::{Command, Problem, Reply};
use tokio::time::Instant;

use super::cast::Cast;
use super::chat::short_id;
use super::progress::Progress;
use crate::error::{CliError, fixed};

mod board;

/// How long an alert may take.
const ALERT: Duration = Duration::from_secs(30);

/// Plays it.
pub(crate) async fn tell(progress: &mut Progress, cast: &mut Cast) -> Result<(), CliError> {
    let started = Instant::now();
    let who = cast
        .operator
        .ask(progress, "lobby", "!whoami")
        .await
        .map(|text| ((), first_line(&text)));
    progress.step("whoami", started, who)?;
    let started = Instant::now();
    let wrong = mistake(progress, cast).await;
    progress.step("mistake", started, wrong)?;
    let started = Instant::now();
    let planned = plan(progress, cast).await;
    let tasks = progress.step("plan", started, planned)?;
    let started = Instant::now();
    let registered = register(progress, cast).await;
    progress.step("agents", started, registered)?;
    let started = Instant::now();
    let worked = work(progress, cast, &tasks).await;
    let lease = progress.step("work", started, worked)?;
    let started = Instant::now();
    let alerted = threshold(progress, cast, &lease).await;
    progress.step("budget threshold", started, alerted)?;
    let started = Instant::now();
    let capped = cap(progress, cast, &tasks, &lease).await;
    progress.step("budget cap", started, capped)?;
    let started = Instant::now();
    let voted = board::vote(progress, cast, &tasks).await;
    progress.step("board", started, voted)
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

fn missed(what: impl Into<String>) -> CliError {
    CliError::Missed(what.into())
}

/// A mistyped command is answered with a suggestion.
async fn mistake(progress: &Progress, cast: &mut Cast) -> Result<((), String), CliError> {
    let answer = cast
        .operator
        .ask(progress, "lobby", "!tsak add \"Write the notes\"")
        .await?;
    if answer.contains("task") {
        Ok(((), first_line(&answer)))
    } else {
        Err(missed(format!("no suggestion in: {answer}")))
    }
}

/// A mission, a budget, and three tasks that wait for each other.
async fn plan(progress: &Progress, cast: &mut Cast) -> Result<(Vec<String>, String), CliError> {
    let operator = &mut cast.operator;
    let mission = operator
        .ask(
            progress,
            "lobby",
            "!mission new \"Ship the first release\" --projected-tokens 100k",
        )
        .await?;
    let mission =
        short_id(&mission, 'm').ok_or_else(|| missed(format!("no mission in: {mission}")))?;
    operator
        .ask(
            progress,
            "budget",
            "!budget set --provider claude --limit 100k --unit tokens --reset-at +5h --alert-at 80 --pace none",
        )
        .await?;
    let mut tasks: Vec<String> = Vec::new();
    for (title, tokens) in [
        ("Write the release notes", "30k"),
        ("Tag the release", "55k"),
        ("Announce it", "20k"),
    ] {
        let after = tasks
            .last()
            .map(|t| format!(" --depends-on {t}"))
            .unwrap_or_default();
        let line = format!(
            "!task add \"{title}\" --mission {mission} --provider claude --projected-tokens {tokens}{after}"
        );
        let answer = operator.ask(progress, "lobby", &line).await?;
        tasks.push(short_id(&answer, 't').ok_or_else(|| missed(format!("no task in: {answer}")))?);
    }
    let detail = format!("mission {mission}, tasks {}", tasks.join(" -> "));
    Ok((tasks, detail))
}

async fn register(progress: &Progress, cast: &mut Cast) -> Result<((), String), CliError> {
    let mut names = Vec::new();
    for agent in &mut cast.agents {
        let name = fixed(&agent.name)?;
        let register = agent::Register {
            name,
            role: fixed("code")?,
            host: fixed("demo")?,
            runtime: None,
            model: None,
            user: None,
        };
        match agent.send(progress, Command::from(register), None).await? {
            Reply::Agent(now) => agent.reborn(now.now.incarnation),
            other => return Err(missed(format!("registration answered {other:?}"))),
        }
        names.push(agent.name.clone());
    }
    Ok(((), format!("registered {}", names.join(", "))))
}

/// The first task is done; the second cannot be claimed before it, and can after.
async fn work(
    progress: &Progress,
    cast: &mut Cast,
    tasks: &[String],
) -> Result<(LeaseClaim, String), CliError> {
    let early = claim(progress, cast, 1, &tasks[1]).await;
    refused(
        early,
        Code::Dependency,
        "a task claimed before what it depends on",
    )?;
    let first = claim(progress, cast, 0, &tasks[0]).await?;
    let agent = &mut cast.agents[0];
    let task: fleet_protocol::TaskRef = fixed(&tasks[0])?;
    let said = task::Progress {
        task,
        percent: Some(fixed("50")?),
        note: Some(fixed("half of the notes are written")?),
    };
    agent
        .send(progress, Command::from(said), Some(first.clone()))
        .await?;
    agent
        .send(
            progress,
            Command::from(spent(task, "30k")?),
            Some(first.clone()),
        )
        .await?;
    let done = task::Complete {
        task,
        summary: Some(fixed("the notes are written")?),
        tokens: None,
        unknown_spend: None,
        files_changed: vec![],
    };
    agent
        .send(progress, Command::from(done), Some(first))
        .await?;
    let second = claim(progress, cast, 1, &tasks[1]).await?;
    Ok((
        second,
        format!(
            "{} done, then {} claimed by {}",
            tasks[0], tasks[1], cast.agents[1].name
        ),
    ))
}

async fn claim(
    progress: &Progress,
    cast: &mut Cast,
    agent: usize,
    task: &str,
) -> Result<LeaseClaim, CliError> {
    let task: fleet_protocol::TaskRef = fixed(task)?;
    let claim = Command::from(task::Claim { task: Some(task) });
    match cast.agents[agent].send(progress, claim, None).await? {
        Reply::Task(now) => {
            let epoch = now
                .now
                .epoch
                .ok_or_else(|| missed("a claim without an epoch"))?;
            Ok(LeaseClaim { task, epoch })
        }
        other => Err(missed(format!("a claim answered {other:?}"))),
    }
}

fn spent(task: fleet_protocol::TaskRef, tokens: &str) -> Result<spend::Report, CliError> {
    Ok(spend::Report {
        task,
        input_tokens: Some(fixed(tokens)?),
        output_tokens: None,
        cache_write_tokens: None,
        cache_read_tokens: None,
        cash_usd_micro: None,
        messages: None,
        credits: None,
        compute_seconds: None,
        model: None,
        provider: None,
        meter: None,
        session: None,
        attempt: None,
        spent_at: None,
    })
}

/// Expects a refusal with a code; gives the reason.
fn refused<T>(result: Result<T, CliError>, code: Code, what: &str) -> Result<Problem, CliError> {
    match result {
        Err(CliError::Refused(problem)) if problem.code == code => Ok(*problem),
        Err(error) => Err(missed(format!(
            "{what}: {error}, but {} was expected",
            code.as_str()
        ))),
        Ok(_) => Err(missed(format!(
            "{what} was accepted, but {} was expected",
            code.as_str()
        ))),
    }
}

/// Spend passes the threshold: one loud message, and only one.
async fn threshold(
    progress: &Progress,
    cast: &mut Cast,
    lease: &LeaseClaim,
) -> Result<((), String), CliError> {
    cast.agents[1]
        .send(
            progress,
            Command::from(spent(lease.task, "52k")?),
            Some(lease.clone()),
        )
        .await?;
    let fleet = cast.operator.fleet.clone();
    let alert = cast
        .operator
        .until(progress, "the alert", ALERT, |seen| {
            is_alert(&seen.event, &fleet)
        })
        .await?;
    cast.agents[1]
        .send(
            progress,
            Command::from(spent(lease.task, "55k")?),
            Some(lease.clone()),
        )
        .await?;
    // A question asked after the second report is answered after any second alert was posted.
    cast.operator
        .ask(progress, "budget", "!budget status")
        .await?;
    let alerts = cast
        .operator
        .seen
        .iter()
        .filter(|seen| is_alert(&seen.event, &fleet))
        .count();
    if alerts == 1 {
        Ok(((), first_line(alert.body().unwrap_or_default())))
    } else {
        Err(missed(format!("{alerts} alerts, not one")))
    }
}

/// A loud message of the fleet that answers nobody and tells of the budget.
fn is_alert(event: &RoomEvent, fleet: &str) -> bool {
    let about = event.body().is_some_and(|body| body.contains("claude"));
    is_loud(event, fleet) && about && event.reply_to().is_none()
}

/// A new message of the fleet that notifies people.
fn is_loud(event: &RoomEvent, fleet: &str) -> bool {
    event.sender == fleet
        && event.content["msgtype"] == "m.text"
        && event.relates_to("m.replace").is_none()
}

/// The cap is reached: the next claim is refused, with why and until when.
async fn cap(
    progress: &Progress,
    cast: &mut Cast,
    tasks: &[String],
    lease: &LeaseClaim,
) -> Result<((), String), CliError> {
    let task = lease.task;
    let done = task::Complete {
        task,
        summary: Some(fixed("tagged")?),
        tokens: None,
        unknown_spend: None,
        files_changed: vec![],
    };
    cast.agents[1]
        .send(progress, Command::from(done), Some(lease.clone()))
        .await?;
    let problem = refused(
        claim(progress, cast, 2, &tasks[2]).await,
        Code::BudgetCap,
        "a claim beyond the cap",
    )?;
    let said = format!("{} {}", problem.detail, problem.remedy.unwrap_or_default());
    if said.contains("claude") && said.chars().any(|c| c == ':') {
        Ok(((), said))
    } else {
        Err(missed(format!("no reason or no time in: {said}")))
    }
}
