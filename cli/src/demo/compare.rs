//! At the end: what the rooms show against what the register holds.

use std::collections::BTreeMap;

use fleet_protocol::envelope::Call;
use fleet_protocol::verbs::task;
use fleet_protocol::{Query, Reply};
use tokio::time::Instant;

use super::burst;
use super::cast::{Cast, fixed};
use super::chat::is_answer;
use super::progress::{Progress, Summary};
use crate::command::say;
use crate::error::CliError;
use crate::raise::Fleet;

/// Most events of one room that are read.
const HISTORY: usize = 20_000;

/// Compares.
pub(crate) async fn compare(
    progress: &mut Progress,
    fleet: &Fleet,
    cast: &mut Cast,
) -> Result<Summary, CliError> {
    let started = Instant::now();
    let compared = count(progress, fleet, cast).await;
    progress.step(
        "compare",
        started,
        compared.map(|summary| {
            let d = tell(&summary);
            (summary, d)
        }),
    )
}

fn tell(summary: &Summary) -> String {
    let Summary {
        effects,
        answers,
        duplicates,
        lost,
    } = summary;
    format!(
        "{effects} tasks of the burst in the register, {answers} answers, {duplicates} doubled, {lost} lost"
    )
}

async fn count(progress: &Progress, fleet: &Fleet, cast: &mut Cast) -> Result<Summary, CliError> {
    // Answered last: whatever was to be said before it is in the rooms.
    cast.operator.ask(progress, "lobby", "!status").await?;
    let mut answers: BTreeMap<String, u64> = cast
        .operator
        .said
        .iter()
        .map(|(id, _)| (id.clone(), 0))
        .collect();
    for room in cast.operator.rooms.values() {
        for event in cast.operator.matrix().history(room, HISTORY).await? {
            let Some(to) = event.reply_to().map(str::to_owned) else {
                continue;
            };
            if let Some(n) = answers
                .get_mut(&to)
                .filter(|_| is_answer(&event, &cast.operator.fleet, &to))
            {
                *n += 1;
            }
        }
    }
    let fired = cast
        .operator
        .said
        .iter()
        .any(|(_, line)| line.contains(&burst::title(1)));
    let tasks = if fired {
        tasks(fleet).await?
    } else {
        BTreeMap::new()
    };
    let mut summary = Summary {
        answers: answers.values().sum(),
        ..Summary::default()
    };
    for (id, n) in &answers {
        summary.duplicates += n.saturating_sub(1);
        if *n == 0 {
            summary.lost += 1;
            let line = cast
                .operator
                .said
                .iter()
                .find(|(said, _)| said == id)
                .map(|(_, line)| line.as_str());
            progress.transcript(
                "LOST",
                &format!("no answer to {}", line.unwrap_or_default()),
            )?;
        }
    }
    for n in 1..=(if fired { burst::LINES } else { 0 }) {
        let found = tasks.get(&burst::title(n)).copied().unwrap_or(0);
        summary.effects += found.min(1);
        summary.duplicates += found.saturating_sub(1);
        if found == 0 {
            summary.lost += 1;
            progress.transcript("LOST", &format!("no task {}", burst::title(n)))?;
        }
    }
    Ok(summary)
}

/// Open tasks of the register by title.
async fn tasks(fleet: &Fleet) -> Result<BTreeMap<String, u64>, CliError> {
    let gateway = say::gateway(&fleet.settings)?;
    let list = task::List {
        status: None,
        mission: None,
        ready: false,
        mine: false,
        limit: Some(fixed("200")?),
    };
    let reply = gateway
        .query(&Call {
            request: Query::from(list),
            agent: None,
            lease: None,
            room: None,
        })
        .await?;
    let Reply::Tasks(list) = reply else {
        return Err(CliError::Missed(
            "the register answered something else".into(),
        ));
    };
    let mut tasks = BTreeMap::new();
    for task in list.tasks {
        *tasks.entry(task.title).or_insert(0) += 1;
    }
    Ok(tasks)
}
