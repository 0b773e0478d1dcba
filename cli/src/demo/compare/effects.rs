//! What was asked for, and what the register has: the same words for the same effect on both sides.
//!
//! Operator lines are read as the fleet reads them; what an agent sent counts when its receipt says
//! that it is done. The register is asked for the things themselves, not for its journal.

use std::collections::BTreeMap;

use fleet_agent::matrix::RoomEvent;
use fleet_client::Gateway;
use fleet_protocol::envelope::Outcome;
use fleet_protocol::event::{COMMAND, CommandContent, RECEIPT, ReceiptContent, read_json};
use fleet_protocol::verbs::board::Verdict;
use fleet_protocol::verbs::task::TaskStatus;
use fleet_protocol::{Command, Query, Reply, Request, chat};
use serde_json::{Value, json};

use super::super::chat::short_id;
use crate::command::call;
use crate::error::CliError;

/// How often each effect was asked for, or is there.
pub(super) type Effects = BTreeMap<String, u64>;

/// The effects of what was said in the rooms. Lines are the operator's; a line that the fleet cannot
/// read has none.
pub(super) fn asked<'a>(
    lines: impl Iterator<Item = &'a str>,
    events: &[RoomEvent],
    fleet: &str,
) -> Effects {
    let lines = lines.filter_map(|line| match chat::parse(line.strip_prefix('!')?) {
        Ok(Request::Command(command)) => of_command(&command, None),
        _ => None,
    });
    let done: BTreeMap<&str, Option<Reply>> = events
        .iter()
        .filter(|e| e.event_type == RECEIPT && e.sender == fleet)
        .filter_map(|e| {
            let receipt: ReceiptContent = read_json(&e.content).ok()?;
            let of = e.relates_to("m.reference")?;
            (receipt.outcome == Outcome::Done).then_some((of, receipt.reply))
        })
        .collect();
    let others = events.iter().filter(|e| e.sender != fleet);
    let others = others.filter_map(|event| match event.event_type.as_str() {
        COMMAND => {
            let reply = done.get(event.event_id.as_str())?;
            match CommandContent::read(&event.content).ok()?.command {
                Request::Command(command) => of_command(&command, reply.as_ref()),
                Request::Query(_) => None,
            }
        }
        _ => of_ballot(event, events, fleet),
    });
    let mut effects = Effects::new();
    for effect in lines.chain(others) {
        *effects.entry(effect).or_insert(0) += 1;
    }
    effects
}

/// What a command leaves in the register; none for what leaves nothing to count.
fn of_command(command: &Command, reply: Option<&Reply>) -> Option<String> {
    Some(match command {
        Command::TaskAdd(a) => task(a.title.as_str()),
        Command::MissionNew(a) => mission(a.title.as_str()),
        Command::MemberAdd(a) => member(a.user.as_str()),
        Command::BudgetSet(a) => limit(a.provider.as_ref()?.as_str()),
        Command::BoardPropose(a) => proposal(a.title.as_str()),
        Command::BoardVote(a) => ballot(&a.proposal.to_string(), a.verdict),
        Command::AgentRegister(a) => life(a.name.as_str()),
        Command::TaskComplete(a) => end(&a.task.to_string()),
        // A claim may also be put in line.
        Command::TaskClaim(_) => match reply? {
            Reply::Task(t) if t.now.status == TaskStatus::Running => attempt(&t.now.id),
            _ => return None,
        },
        _ => return None,
    })
}

/// A ballot without a command: a reply that starts with a verdict, or a reaction, to a card.
fn of_ballot(event: &RoomEvent, events: &[RoomEvent], fleet: &str) -> Option<String> {
    let (card, verdict) = if event.event_type == "m.reaction" {
        let key = event.content.pointer("/m.relates_to/key")?;
        (
            event.relates_to("m.annotation")?,
            (key == "👍").then_some(Verdict::Approve)?,
        )
    } else {
        let word = event.body()?.split_whitespace().next()?;
        (event.reply_to()?, Verdict::from_word(word)?)
    };
    let card = events
        .iter()
        .find(|e| e.event_id == card && e.sender == fleet)?;
    Some(ballot(&short_id(card.body()?, 'p')?, verdict))
}

/// The effects that the register has.
pub(super) async fn found(gateway: &Gateway) -> Result<Effects, CliError> {
    let mut effects = Effects::new();
    let mut count = |effect: String, n: u64| {
        if n > 0 {
            *effects.entry(effect).or_insert(0) += n;
        }
    };
    for query in [
        json!({ "task.list": { "limit": 200 } }),
        json!({ "task.list": { "limit": 200, "status": "completed" } }),
        json!({ "mission.list": { "all": true } }),
        json!({ "member.list": {} }),
        json!({ "budget.status": {} }),
        json!({ "agent.list": { "all": true } }),
        json!({ "board.list": { "all": true } }),
    ] {
        match ask(gateway, query).await? {
            Reply::Tasks(list) => {
                for t in list.tasks {
                    count(task(&t.title), 1);
                    count(attempt(&t.id), t.attempts.into());
                    let is_done = t.status == TaskStatus::Completed;
                    count(end(&t.id), is_done.into());
                }
            }
            Reply::Missions(all) => all.iter().for_each(|m| count(mission(&m.title), 1)),
            Reply::Members(all) => all.iter().for_each(|m| count(member(m.user.as_str()), 1)),
            Reply::Budgets(all) => all.iter().for_each(|w| count(limit(w.key.as_str()), 1)),
            Reply::Agents(all) => {
                all.iter()
                    .for_each(|a| count(life(a.name.as_str()), a.incarnation));
            }
            Reply::Proposals(all) => {
                for p in all {
                    count(proposal(&p.title), 1);
                    for verdict in p.seats.iter().filter_map(|s| s.verdict) {
                        count(ballot(&p.id, verdict), 1);
                    }
                }
            }
            other => return Err(CliError::Missed(format!("the register answered {other:?}"))),
        }
    }
    Ok(effects)
}

async fn ask(gateway: &Gateway, query: Value) -> Result<Reply, CliError> {
    let request: Query = serde_json::from_value(query)
        .map_err(|e| CliError::Internal(format!("a query of the comparison: {e}")))?;
    call::ask(gateway, None, request).await
}

fn task(title: &str) -> String {
    format!("task \"{title}\"")
}

fn mission(title: &str) -> String {
    format!("mission \"{title}\"")
}

/// A grant, as both sides call it.
pub(super) fn member(user: &str) -> String {
    format!("member {user}")
}

fn limit(provider: &str) -> String {
    format!("limit of {provider}")
}

fn proposal(title: &str) -> String {
    format!("proposal \"{title}\"")
}

fn ballot(proposal: &str, verdict: Verdict) -> String {
    format!("ballot in {proposal} to {verdict}")
}

fn life(agent: &str) -> String {
    format!("life of {agent}")
}

fn attempt(task: &str) -> String {
    format!("attempt at {task}")
}

fn end(task: &str) -> String {
    format!("end of {task}")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{FLEET, event, receipt};
    use super::*;

    #[test]
    fn an_effect_is_asked_for_by_lines_receipts_and_ballots_alike() {
        let lines = [
            "!task add \"Tag it\"",
            "!task add \"Tag it\"",
            "!tsak add x",
            "!status",
            "!board vote p1 approve",
            "talk",
        ];
        let agent = json!({ "name": "code-1", "host": "box", "incarnation": 1 });
        let command = |id: &str, command: Value| {
            let content = json!({ "v": 1, "id": id, "command": command, "agent": agent });
            event(id, "@agent:example.org", COMMAND, content)
        };
        let end_of = json!({ "task.complete": { "task": "t1" } });
        let claim = json!({ "task.claim": { "task": "t1" } });
        let card = json!({ "body": "p1 Pause" });
        let to_card = json!({ "m.in_reply_to": { "event_id": "$card" } });
        let by_reply = json!({ "body": "reject because", "m.relates_to": to_card });
        let on_card = json!({ "rel_type": "m.annotation", "event_id": "$card", "key": "👍" });
        let by_reaction = json!({ "m.relates_to": on_card });
        let events = [
            command("$done", end_of.clone()),
            receipt("$1", "$done", "done"),
            command("$refused", end_of),
            receipt("$2", "$refused", "refused"),
            // Done, but put in line: no attempt began.
            command("$queued", claim),
            receipt("$3", "$queued", "done"),
            event("$card", FLEET, "m.room.message", card),
            event("$4", "@dana:example.org", "m.room.message", by_reply),
            event("$5", "@kim:example.org", "m.reaction", by_reaction.clone()),
            event("$6", FLEET, "m.reaction", by_reaction),
        ];
        let asked = asked(lines.into_iter(), &events, FLEET);
        let expected = [
            ("ballot in p1 to approve", 2),
            ("ballot in p1 to reject", 1),
            ("end of t1", 1),
            ("task \"Tag it\"", 2),
        ];
        assert_eq!(asked, expected.map(|(e, n)| (e.to_owned(), n)).into());
    }
}
