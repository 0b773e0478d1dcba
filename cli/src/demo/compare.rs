//! At the end: what the rooms show against what the register holds.

mod effects;

use std::collections::{BTreeMap, BTreeSet};

use fleet_agent::matrix::RoomEvent;
use fleet_protocol::event::{COMMAND, RECEIPT};
use tokio::time::Instant;

use super::cast::Cast;
use super::chat::is_answer;
use super::progress::{Progress, Summary};
use crate::command::say;
use crate::error::CliError;
use crate::raise::Fleet;
use effects::Effects;

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
        "{effects} effects in the register, {answers} answers, {duplicates} doubled, {lost} lost"
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
    let mut events = Vec::new();
    for room in cast.operator.rooms.values() {
        let history = cast.operator.matrix().history(room, HISTORY).await?;
        tally(&mut answers, &history, &cast.operator.fleet);
        events.extend(history);
    }
    let mut summary = Summary {
        answers: answers.values().sum(),
        ..Summary::default()
    };
    let said: BTreeMap<&str, &str> = cast
        .operator
        .said
        .iter()
        .map(|(id, line)| (id.as_str(), line.as_str()))
        .collect();
    for (id, n) in &answers {
        summary.duplicates += n.saturating_sub(1);
        if *n == 0 {
            summary.lost += 1;
            let line = said.get(id.as_str()).unwrap_or(&"a structured command");
            progress.transcript("LOST", &format!("no answer to {line}"))?;
        }
    }
    let lines = said.values().copied();
    let asked = effects::asked(lines, &events, &cast.operator.fleet);
    let mut found = effects::found(&say::gateway(&fleet.settings)?).await?;
    // The first operator is there before anybody asks.
    found.remove(&effects::member(fleet.operator.user_id()));
    let (lost, doubled) = weigh(&asked, &found, &mut summary);
    for effect in lost {
        progress.transcript("LOST", &format!("not in the register: {effect}"))?;
    }
    for effect in doubled {
        progress.transcript("DOUBLED", &format!("too often in the register: {effect}"))?;
    }
    Ok(summary)
}

/// Counts effects that are there, missing, and there more often than anybody asked.
fn weigh(asked: &Effects, found: &Effects, summary: &mut Summary) -> (Vec<String>, Vec<String>) {
    let (mut lost, mut doubled) = (Vec::new(), Vec::new());
    let all: BTreeSet<&String> = asked.keys().chain(found.keys()).collect();
    for effect in all {
        let count = |effects: &Effects| effects.get(effect).copied().unwrap_or(0);
        let (asked, found) = (count(asked), count(found));
        summary.effects += asked.min(found);
        if found < asked {
            summary.lost += asked - found;
            lost.push(effect.clone());
        } else if found > asked {
            summary.duplicates += found - asked;
            doubled.push(effect.clone());
        }
    }
    (lost, doubled)
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

#[cfg(test)]
mod tests {
    use fleet_protocol::event::TWIN;
    use serde_json::{Value, json};

    use super::*;

    pub(super) const FLEET: &str = "@fleet:example.org";

    pub(super) fn event(id: &str, sender: &str, event_type: &str, content: Value) -> RoomEvent {
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
            json!({ "body": "done", "m.relates_to": relation, TWIN: { "row": id } }),
        )
    }

    pub(super) fn receipt(id: &str, of: &str, outcome: &str) -> RoomEvent {
        let relation = json!({ "rel_type": "m.reference", "event_id": of });
        let nobody = "00000000-0000-0000-0000-000000000000";
        let content =
            json!({ "v": 1, "receipt": nobody, "outcome": outcome, "m.relates_to": relation });
        event(id, FLEET, RECEIPT, content)
    }

    #[test]
    fn what_is_missing_is_lost_and_what_nobody_asked_for_is_doubled() {
        let effects = |pairs: &[(&str, u64)]| -> Effects {
            pairs.iter().map(|(e, n)| ((*e).to_owned(), *n)).collect()
        };
        let asked = effects(&[("once", 1), ("never", 1), ("twice", 2), ("doubled", 1)]);
        let found = effects(&[("once", 1), ("twice", 2), ("doubled", 2), ("unasked", 1)]);
        let mut summary = Summary::default();
        let (lost, doubled) = weigh(&asked, &found, &mut summary);
        assert_eq!(
            (lost, doubled),
            (
                vec!["never".into()],
                vec!["doubled".into(), "unasked".into()]
            )
        );
        let counted = (summary.effects, summary.lost, summary.duplicates);
        assert_eq!(counted, (4, 1, 2));
    }

    #[test]
    fn only_the_fleets_own_answers_count_and_each_counts() {
        let said = ["$once", "$twice", "$never"];
        let mut answers: BTreeMap<String, u64> =
            said.iter().map(|id| ((*id).to_owned(), 0)).collect();
        let waits = json!({ "m.in_reply_to": { "event_id": "$once" } });
        let history = [
            event("$command", "@agent:example.org", COMMAND, json!({})),
            event("$silent", "@agent:example.org", COMMAND, json!({})),
            answer("$1", FLEET, "$once"),
            answer("$2", FLEET, "$twice"),
            answer("$3", FLEET, "$twice"),
            answer("$4", "@dana:example.org", "$never"),
            answer("$5", FLEET, "$elsewhere"),
            event(
                "$7",
                FLEET,
                "m.room.message",
                json!({ "body": "wait", "m.relates_to": waits }),
            ),
            receipt("$6", "$command", "done"),
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
