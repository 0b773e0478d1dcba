//! A bot that only echoes: what a round trip costs without a register (`fleet bench`).
//!
//! It has the fleet's session, store, filter and request rules, reads with the same `sync_once` and
//! sends one room's answers one after the other, as the fleet's bot does. It knows no gateway.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use matrix_sdk::config::SyncSettings;
use matrix_sdk::room::MessagesOptions;
use matrix_sdk::ruma::api::client::membership::join_room_by_id;
use matrix_sdk::ruma::presence::PresenceState;
use matrix_sdk::ruma::{OwnedRoomId, OwnedTransactionId, UInt};
use matrix_sdk::sync::SyncResponse;
use matrix_sdk::{Client, Room};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::crew::Crew;
use crate::event::{Event, events};
use crate::refusal::{Backoff, Refusal, refusal, refusal_of};
use crate::store::Store;
use crate::sync::{LONG, SHORT, filter, skips_events};
use crate::{BotError, Settings, session};

/// Answers that wait for a room's sender.
const WAITING: usize = 1_024;
/// Pages read back after a gap; 100 events each.
const PAGES: usize = 5;
/// Longest pause between tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long the answers that wait may take after the stop.
const DRAIN: Duration = Duration::from_secs(2);

/// Answers each message that starts with `!` with `answer` as a reply to it, until stopped. Invitations are
/// accepted from everybody. At `listen` of the settings `/ready` answers from the first sync on.
/// The gateway of the settings is not used.
///
/// # Errors
/// [`BotError`], as the fleet's bot.
pub async fn echo(
    settings: Settings,
    answer: Value,
    shutdown: CancellationToken,
) -> Result<(), BotError> {
    let stop = shutdown.child_token();
    let Some(_store) = Store::lock(&settings.store, &stop).await? else {
        return Ok(());
    };
    let Some(client) = session::open(&settings, &stop).await? else {
        return Ok(());
    };
    let (crew, mut failure) = Crew::new(stop.clone());
    let echo = Echo {
        is_fitful: skips_events(&client).await,
        client,
        answer,
        crew: crew.clone(),
        rooms: HashMap::new(),
        seen: HashSet::new(),
    };
    let ended = tokio::select! {
        failed = failure.recv() => failed.map_or(Ok(()), Err),
        ended = echo.run(&settings) => ended,
    };
    stop.cancel();
    if !crew.ended(DRAIN).await {
        tracing::warn!("some answers were not sent");
    }
    ended
}

struct Echo {
    client: Client,
    answer: Value,
    is_fitful: bool,
    crew: Crew,
    /// The queue of each room's sender: ids of messages to answer.
    rooms: HashMap<OwnedRoomId, mpsc::Sender<String>>,
    /// Events taken; a measurement ends before this grows large.
    seen: HashSet<String>,
}

impl Echo {
    async fn run(mut self, settings: &Settings) -> Result<(), BotError> {
        let stop = self.crew.stop.clone();
        let (mut timeout, mut is_first) = (Duration::ZERO, true);
        let mut backoff = Backoff::up_to(LONGEST_PAUSE);
        loop {
            let request = SyncSettings::new()
                .filter(filter())
                .set_presence(PresenceState::Offline)
                .timeout(timeout);
            let synced = stop.run_until_cancelled(self.client.sync_once(request));
            match synced.await {
                None => return Ok(()),
                Some(Ok(response)) => {
                    self.take(response).await;
                    backoff = Backoff::up_to(LONGEST_PAUSE);
                    timeout = if self.is_fitful { SHORT } else { LONG };
                    if std::mem::take(&mut is_first) {
                        self.ready(settings).await?;
                    }
                }
                Some(Err(error)) => {
                    tracing::warn!(%error, "sync is tried again");
                    let pause = tokio::time::sleep(backoff.pause());
                    stop.run_until_cancelled(pause).await;
                }
            }
        }
    }

    async fn ready(&self, settings: &Settings) -> Result<(), BotError> {
        let Some(address) = settings.listen else {
            return Ok(());
        };
        let failed = move |source| BotError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let routes = Router::new().route("/ready", get(|| async { "ready\n" }));
        let stop = self.crew.stop.clone();
        self.crew.spawn("health server", async move {
            axum::serve(listener, routes)
                .with_graceful_shutdown(stop.cancelled_owned())
                .await
                .map_err(failed)
        });
        Ok(())
    }

    async fn take(&mut self, response: SyncResponse) {
        for room in response.rooms.invited.into_keys() {
            let joined = self
                .client
                .send(join_room_by_id::v3::Request::new(room))
                .await;
            if let Err(error) = joined {
                tracing::warn!(why = ?refusal_of(&error), "an invitation cannot be accepted");
            }
        }
        for (id, update) in response.rooms.joined {
            let Some(room) = self.client.get_room(&id) else {
                continue;
            };
            let mut batch = events(&update.timeline.events);
            let is_joined_to_known = batch.iter().any(|e| self.seen.contains(&e.id));
            if update.timeline.limited && !is_joined_to_known {
                batch = self.read_back(&room).await;
            }
            self.answer(&room, batch).await;
        }
    }

    /// The newest events of a room back to one that was taken, in the room's order.
    async fn read_back(&self, room: &Room) -> Vec<Event> {
        let mut found = Vec::new();
        let mut from: Option<String> = None;
        for _ in 0..PAGES {
            let mut options = MessagesOptions::backward().from(from.as_deref());
            options.limit = UInt::from(100_u32);
            let page = match room.messages(options).await {
                Ok(page) => page,
                Err(error) => {
                    tracing::warn!(%error, "a gap could not be read");
                    break;
                }
            };
            let batch = events(&page.chunk);
            let known = batch.iter().any(|e| self.seen.contains(&e.id));
            found.extend(batch);
            if known || page.end.is_none() || page.end == from {
                break;
            }
            from = page.end;
        }
        found.reverse();
        found
    }

    async fn answer(&mut self, room: &Room, batch: Vec<Event>) {
        for event in batch {
            if !self.seen.insert(event.id.clone()) || !is_command(&event) {
                continue;
            }
            let queue = self
                .rooms
                .entry(room.room_id().to_owned())
                .or_insert_with(|| start(&self.crew, room.clone(), self.answer.clone()));
            if queue.send(event.id).await.is_err() {
                tracing::warn!(room = %room.room_id(), "the room's sender has ended");
            }
        }
    }
}

fn is_command(event: &Event) -> bool {
    let body = event.content.get("body").and_then(Value::as_str);
    event.kind == "m.room.message" && body.is_some_and(|body| body.starts_with('!'))
}

fn start(crew: &Crew, room: Room, answer: Value) -> mpsc::Sender<String> {
    let (queue, mut waiting) = mpsc::channel::<String>(WAITING);
    let stop = crew.stop.clone();
    crew.spawn(format!("sender of {}", room.room_id()), async move {
        while let Some(Some(to)) = stop.run_until_cancelled(waiting.recv()).await {
            send(&room, &answer, &to).await;
        }
        Ok(())
    });
    queue
}

/// Sends one answer, repeating while the homeserver is busy or away.
async fn send(room: &Room, answer: &Value, to: &str) {
    let content = reply(answer, to);
    let transaction = OwnedTransactionId::from(format!("echo-{}", to.trim_start_matches('$')));
    let mut backoff = Backoff::up_to(LONGEST_PAUSE);
    for _ in 0..8 {
        let sent = room
            .send_raw("m.room.message", content.clone())
            .with_transaction_id(&transaction)
            .await;
        let pause = match sent {
            Ok(_) => return,
            Err(error) => match refusal(&error) {
                Refusal::Limited(wait) => wait,
                Refusal::Passing(_) => backoff.pause(),
                why => {
                    tracing::warn!(?why, "an answer cannot be sent");
                    return;
                }
            },
        };
        tokio::time::sleep(pause).await;
    }
    tracing::warn!(to, "an answer is given up");
}

/// The answer as a reply to an event.
fn reply(answer: &Value, to: &str) -> Value {
    let mut content = answer.clone();
    content["m.relates_to"] = json!({ "m.in_reply_to": { "event_id": to } });
    content
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_keeps_its_text_and_replies_to_the_command() {
        let template = json!({
            "msgtype": "m.notice", "body": "added t1",
            "m.relates_to": { "m.in_reply_to": { "event_id": "$first" } },
        });
        let content = reply(&template, "$second");
        assert_eq!(content["body"], "added t1");
        assert_eq!(
            content["m.relates_to"]["m.in_reply_to"]["event_id"],
            "$second"
        );
    }

    #[test]
    fn only_messages_that_are_commands_are_answered() {
        let event = |kind: &str, body: &str| Event {
            id: "$e".to_owned(),
            sender: "@ann:example.org".to_owned(),
            ts: 0,
            kind: kind.to_owned(),
            state_key: None,
            redacts: None,
            content: json!({ "body": body }),
            locked: None,
        };
        assert!(is_command(&event("m.room.message", "!task add x")));
        assert!(!is_command(&event("m.room.message", "added t1")));
        assert!(!is_command(&event("m.room.topic", "!task add x")));
    }
}
