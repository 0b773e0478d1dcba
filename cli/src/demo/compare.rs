//! At the end: what the rooms show against what the register holds.

use std::collections::BTreeMap;

use fleet_agent::matrix::RoomEvent;
use fleet_protocol::envelope::Call;
use fleet_protocol::event::{COMMAND, RECEIPT};
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
        let history = cast.operator.matrix().history(room, HISTORY).await?;
        tally(&mut answers, &history, &cast.operator.fleet);
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
                &format!("no answer to {}", line.unwrap_or("a structured command")),
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

/// Counts answers to lines and receipts of structured commands in the history of a room.
fn tally(answers: &mut BTreeMap<String, u64>, history: &[RoomEvent], fleet: &str) {
    for command in history.iter().filter(|e| e.event_type == COMMAND) {
        answers.entry(command.event_id.clone()).or_insert(0);
    }
    for event in history.iter().filter(|e| e.sender == fleet) {
        let to = match event.event_type.as_str() {
            RECEIPT => event.relates_to("m.reference"),
            _ => event.reply_to().filter(|to| is_answer(event, fleet, to)),
        };
        if let Some(n) = to.and_then(|to| answers.get_mut(to)) {
            *n += 1;
        }
    }
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const FLEET: &str = "@fleet:example.org";

    fn event(id: &str, sender: &str, event_type: &str, content: Value) -> RoomEvent {
        let event =
            json!({ "event_id": id, "sender": sender, "type": event_type, "content": content });
        serde_json::from_value(event).unwrap()
    }

    fn answer(id: &str, sender: &str, to: &str) -> RoomEvent {
        let relation = json!({ "m.in_reply_to": { "event_id": to } });
        event(
            id,
            sender,
            "m.room.message",
            json!({ "body": "done", "m.relates_to": relation }),
        )
    }

    fn receipt(id: &str, of: &str) -> RoomEvent {
        let relation = json!({ "rel_type": "m.reference", "event_id": of });
        event(id, FLEET, RECEIPT, json!({ "m.relates_to": relation }))
    }

    #[test]
    fn only_the_fleets_own_answers_count_and_each_counts() {
        let said = ["$once", "$twice", "$never"];
        let mut answers: BTreeMap<String, u64> =
            said.iter().map(|id| ((*id).to_owned(), 0)).collect();
        let history = [
            event("$command", "@agent:example.org", COMMAND, json!({})),
            event("$silent", "@agent:example.org", COMMAND, json!({})),
            answer("$1", FLEET, "$once"),
            answer("$2", FLEET, "$twice"),
            answer("$3", FLEET, "$twice"),
            answer("$4", "@dana:example.org", "$never"),
            answer("$5", FLEET, "$elsewhere"),
            receipt("$6", "$command"),
        ];
        tally(&mut answers, &history, FLEET);
        let expected = [
            ("$command", 1),
            ("$never", 0),
            ("$once", 1),
            ("$silent", 0),
            ("$twice", 2),
        ];
        assert_eq!(answers, expected.map(|(id, n)| (id.to_owned(), n)).into());
    }
}
