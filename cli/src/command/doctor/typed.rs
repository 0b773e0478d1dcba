//! A command typed in a room, timed from the keyboard to the answer.

use std::time::Duration;

use fleet_protocol::event::TWIN;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use super::hop::{Hop, Stretch, millis};
use super::person::Person;
use crate::error::CliError;
use crate::exit::Exit;
use crate::system;

const HOP: &str = "command";
/// What is typed: it reads, and writes nothing.
const LINE: &str = "!whoami";
/// How long the bot may take to accept an invitation, and to answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks: this is how exact the last stretch is.
const LOOK: Duration = Duration::from_millis(25);
/// Where the account keeps which room is the doctor's.
const KEPT: &str = "dev.mosaicstack.fleet.doctor";

/// A room with nobody in it but the person and the bot; the one of the last time if it still is one.
pub(super) async fn room(person: &Person, bot: &str) -> Result<Result<String, Hop>, CliError> {
    let kept = ["user", &person.user_id, "account_data", KEPT];
    let known = person.call(Method::GET, &kept, None).await?;
    let mut rooms = known.body["rooms"].as_object().cloned().unwrap_or_default();
    if let Some(room) = rooms.get(bot).and_then(Value::as_str)
        && is_joined(person, room, bot).await?
        && is_joined(person, room, &person.user_id).await?
    {
        return Ok(Ok(room.to_owned()));
    }
    let wanted = json!({
        "preset": "private_chat", "is_direct": true, "invite": [bot],
        "name": "Fleet doctor", "topic": "`fleet doctor` types here, and times the answer",
    });
    let made = person
        .call(Method::POST, &["createRoom"], Some(&wanted))
        .await?;
    let Some(room) = made.body["room_id"].as_str() else {
        let found = format!("no room could be made to type in: {}", made.reason());
        let remedy = "may this account make rooms, and does the bot's account exist?";
        return Ok(Err(Hop::bad(HOP, Exit::Homeserver, found, remedy)));
    };
    let deadline = Instant::now() + PATIENCE;
    while !is_joined(person, room, bot).await? {
        if Instant::now() > deadline {
            let found = format!("{bot} does not accept the invitation of {}", person.user_id);
            let remedy =
                "is the bot running, and does the account have a grant (`fleet member add`)?";
            return Ok(Err(Hop::bad(HOP, Exit::Bot, found, remedy)));
        }
        tokio::time::sleep(LOOK).await;
    }
    rooms.insert(bot.to_owned(), room.into());
    let keep = json!({ "rooms": rooms });
    person.call(Method::PUT, &kept, Some(&keep)).await?;
    Ok(Ok(room.to_owned()))
}

/// Whether a user is in a room.
pub(super) async fn is_joined(person: &Person, room: &str, user: &str) -> Result<bool, CliError> {
    let path = ["rooms", room, "state", "m.room.member", user];
    let member = person.call(Method::GET, &path, None).await?;
    Ok(member.body["membership"] == "join")
}

/// Types the command and waits for its answer.
pub(super) async fn command(person: &Person, room: &str, bot: &str) -> Result<Hop, CliError> {
    let began = Instant::now();
    let transaction = system::id().to_string();
    let path = ["rooms", room, "send", "m.room.message", &transaction];
    let body = json!({ "msgtype": "m.text", "body": LINE });
    let sent = person.call(Method::PUT, &path, Some(&body)).await?;
    let Some(event) = sent.body["event_id"].as_str() else {
        let found = format!("the homeserver does not take a message: {}", sent.reason());
        let remedy = "if it limits the account, wait and try again; the hop `limits` says more";
        return Ok(Hop::bad(HOP, Exit::Homeserver, found, remedy));
    };
    while began.elapsed() < PATIENCE {
        let newest = person.newest(room).await?;
        if let Some(answer) = newest.iter().find(|e| answers(e, bot, event)) {
            let total = began.elapsed();
            let taken = newest.iter().find(|e| e["event_id"] == event);
            return Ok(timed(sent.took, total, taken, answer));
        }
        tokio::time::sleep(LOOK).await;
    }
    let found = format!(
        "{LINE} has no answer after {} s; it is the event {event} in {room}",
        PATIENCE.as_secs()
    );
    let remedy = "the first hop that is not ok is the cause; when all are, look for that event in the logs of bot and gateway";
    Ok(Hop::bad(HOP, Exit::Bot, found, remedy))
}

/// Also in an encrypted room, where what an answer relates to stays in clear.
fn answers(event: &Value, bot: &str, to: &str) -> bool {
    event["sender"] == bot && event["content"]["m.relates_to"]["m.in_reply_to"]["event_id"] == to
}

/// Where the time went: by the homeserver's clock at both ends, and by the gateway's in the
/// answer's row, whose id (a UUIDv7) holds the moment at which it was written.
fn timed(sent: Duration, total: Duration, taken: Option<&Value>, answer: &Value) -> Hop {
    let clock = |event: &Value| event["origin_server_ts"].as_i64();
    let written = answer["content"][TWIN]["row"]
        .as_str()
        .and_then(|row| row.parse::<Uuid>().ok())
        .and_then(|row| row.get_timestamp())
        .and_then(|at| {
            let (seconds, nanos) = at.to_unix();
            i64::try_from(seconds * 1_000 + u64::from(nanos / 1_000_000)).ok()
        });
    let mut stretches = vec![Stretch {
        stretch: "the homeserver takes the line",
        ms: millis(sent),
    }];
    let between = |from: Option<i64>, to: Option<i64>, stretch| {
        // Two machines whose clocks differ say nothing about the time between them.
        let ms = u64::try_from(to? - from?).ok()?;
        Some(Stretch { stretch, ms })
    };
    let (taken, answered) = (taken.and_then(clock), clock(answer));
    let read = "the bot reads it, the gateway executes it, the register has it";
    let back = "the answer goes through the outbox and the bot to the homeserver";
    let parts = [
        between(taken, written, read),
        between(written, answered, back),
    ];
    if parts.iter().all(Option::is_some) {
        stretches.extend(parts.into_iter().flatten());
    } else {
        stretches.extend(between(
            taken,
            answered,
            "bot, gateway and register answer it",
        ));
    }
    let mut hop = Hop::good(HOP, format!("{LINE} typed in a room was answered")).took(total);
    hop.stretches = stretches;
    hop
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: &str = "019ab7b3-1000-7000-8000-000000000000";

    fn event(at: i64, content: Value) -> Value {
        json!({ "event_id": "$e", "sender": "@fleet:x", "origin_server_ts": at, "content": content })
    }

    #[test]
    fn the_time_is_laid_to_the_hop_that_took_it() {
        // What the id says: 0x019ab7b31000 ms.
        let written = 0x019a_b7b3_1000_i64;
        let ms = |hop: &Hop| hop.stretches.iter().map(|s| s.ms).collect::<Vec<_>>();
        let (sent, total) = (Duration::from_millis(9), Duration::from_millis(80));
        let line = event(written - 30, json!({}));
        let answer = event(written + 20, json!({ TWIN: { "row": ROW } }));
        let hop = timed(sent, total, Some(&line), &answer);
        assert_eq!((hop.ms, ms(&hop)), (Some(80), vec![9, 30, 20]));
        // The gateway's clock is an hour ahead: only the homeserver's own is used.
        let line = event(written - 3_600_030, json!({}));
        let answer = event(written - 3_600_000, json!({ TWIN: { "row": ROW } }));
        assert_eq!(ms(&timed(sent, total, Some(&line), &answer)), [9, 30]);
        let encrypted = event(written, json!({}));
        assert_eq!(ms(&timed(sent, total, None, &encrypted)), [9]);
    }

    #[test]
    fn only_the_bots_answer_to_this_line_counts() {
        let to = |to: &str| json!({ "m.relates_to": { "m.in_reply_to": { "event_id": to } } });
        assert!(answers(&event(1, to("$line")), "@fleet:x", "$line"));
        assert!(!answers(&event(1, to("$other")), "@fleet:x", "$line"));
        assert!(!answers(&event(1, to("$line")), "@other:x", "$line"));
    }
}
