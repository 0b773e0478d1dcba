//! A person in the rooms, as a Matrix client sees and writes them.

use std::collections::BTreeMap;
use std::time::Duration;

use fleet_agent::matrix::{Follow, Matrix, MatrixError, RoomEvent, Seen, text};
use fleet_protocol::event::{ROOM, TWIN};
use serde_json::Value;
use tokio::time::Instant;

use super::progress::Progress;
use crate::error::CliError;

/// How long an answer may take when nothing is broken.
pub(crate) const ANSWER: Duration = Duration::from_secs(30);

/// Joins the rooms the account is invited to until it is in all of `wanted`; room ids by key.
pub(crate) async fn join_rooms(
    matrix: &Matrix,
    wanted: &[&str],
    limit: Duration,
) -> Result<BTreeMap<String, String>, CliError> {
    let deadline = Instant::now() + limit;
    let mut rooms = BTreeMap::new();
    let mut since: Option<String> = None;
    while Instant::now() < deadline {
        let sync = matrix
            .sync(since.as_deref(), Duration::from_secs(1))
            .await?;
        for room in sync.rooms.invite.keys() {
            matrix.join(room).await?;
        }
        for room in matrix.joined_rooms().await? {
            if rooms.values().any(|known| *known == room) {
                continue;
            }
            match matrix.state(&room, ROOM, "").await {
                Ok(content) => {
                    let key = content
                        .get("room")
                        .and_then(Value::as_str)
                        .unwrap_or(&room)
                        .to_owned();
                    rooms.insert(key, room);
                }
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error.into()),
            }
        }
        if wanted.iter().all(|key| rooms.contains_key(*key)) {
            return Ok(rooms);
        }
        since = Some(sync.next_batch);
    }
    let found: Vec<_> = rooms.keys().map(String::as_str).collect();
    Err(CliError::Missed(format!(
        "{} was not invited to {}; only to: {}",
        matrix.user_id(),
        wanted.join(", "),
        found.join(", ")
    )))
}

/// A person who follows all rooms and remembers what was said.
#[derive(Debug)]
pub(crate) struct Chat {
    name: String,
    follow: Follow,
    /// Room ids by key.
    pub(crate) rooms: BTreeMap<String, String>,
    /// The fleet's account.
    pub(crate) fleet: String,
    /// Everything seen since the start, in the order of arrival.
    pub(crate) seen: Vec<Seen>,
    /// Lines said: event id and text.
    pub(crate) said: Vec<(String, String)>,
}

impl Chat {
    /// Starts following.
    pub(crate) async fn start(
        name: &str,
        matrix: Matrix,
        rooms: BTreeMap<String, String>,
        fleet: &str,
    ) -> Result<Self, CliError> {
        let follow = Follow::start(matrix).await?;
        Ok(Self {
            name: name.into(),
            follow,
            rooms,
            fleet: fleet.into(),
            seen: Vec::new(),
            said: Vec::new(),
        })
    }

    /// The client.
    pub(crate) fn matrix(&self) -> &Matrix {
        self.follow.matrix()
    }

    /// The room with a key.
    pub(crate) fn room(&self, key: &str) -> Result<String, CliError> {
        self.rooms
            .get(key)
            .cloned()
            .ok_or_else(|| CliError::Missed(format!("there is no room {key}")))
    }

    /// Says a line.
    pub(crate) async fn say(
        &mut self,
        progress: &Progress,
        room: &str,
        line: &str,
    ) -> Result<String, CliError> {
        self.say_content(progress, room, line, &text(line)).await
    }

    /// Says a message of any content.
    pub(crate) async fn say_content(
        &mut self,
        progress: &Progress,
        room: &str,
        line: &str,
        content: &Value,
    ) -> Result<String, CliError> {
        progress.transcript(&self.name, line)?;
        let room_id = self.room(room)?;
        let transaction = format!("{}-{}", self.name, self.said.len());
        let event_id = self
            .matrix()
            .send(&room_id, "m.room.message", content, &transaction)
            .await?;
        self.said.push((event_id.clone(), line.to_owned()));
        Ok(event_id)
    }

    /// One poll; what the fleet says goes into the transcript.
    pub(crate) async fn listen(&mut self, progress: &Progress) -> Result<(), CliError> {
        for seen in self.follow.next().await? {
            if seen.event.sender == self.fleet
                && seen.event.relates_to("m.replace").is_none()
                && let Some(body) = seen.event.body()
            {
                progress.transcript("fleet", body)?;
            }
            self.seen.push(seen);
        }
        Ok(())
    }

    /// Waits for the first event, seen already or to come, that `wanted` accepts.
    pub(crate) async fn until(
        &mut self,
        progress: &Progress,
        what: &str,
        limit: Duration,
        wanted: impl Fn(&Seen) -> bool,
    ) -> Result<RoomEvent, CliError> {
        let deadline = Instant::now() + limit;
        let mut looked = 0;
        loop {
            if let Some(seen) = self.seen[looked..].iter().find(|seen| wanted(seen)) {
                return Ok(seen.event.clone());
            }
            looked = self.seen.len();
            if Instant::now() >= deadline {
                return Err(MatrixError::Deadline {
                    what: what.to_owned(),
                    seconds: limit.as_secs(),
                }
                .into());
            }
            self.listen(progress).await?;
        }
    }

    /// Waits for the fleet's answer to a message.
    pub(crate) async fn answer(
        &mut self,
        progress: &Progress,
        to: &str,
    ) -> Result<RoomEvent, CliError> {
        let fleet = self.fleet.clone();
        let what = format!("the answer to {to}");
        self.until(progress, &what, ANSWER, |seen| {
            is_answer(&seen.event, &fleet, to)
        })
        .await
    }

    /// Says a command and gives the answer's text.
    pub(crate) async fn ask(
        &mut self,
        progress: &Progress,
        room: &str,
        line: &str,
    ) -> Result<String, CliError> {
        let event_id = self.say(progress, room, line).await?;
        let answer = self.answer(progress, &event_id).await?;
        Ok(answer.body().unwrap_or_default().to_owned())
    }
}

/// Whether an event is the fleet's answer to a message: a message of the outbox that replies to it,
/// edits apart. The bot's own word that it waits for the register is no answer.
pub(crate) fn is_answer(event: &RoomEvent, fleet: &str, to: &str) -> bool {
    event.event_type == "m.room.message"
        && event.sender == fleet
        && event.relates_to("m.replace").is_none()
        && event.reply_to() == Some(to)
        && event.content.get(TWIN).is_some()
}

/// The first short id such as `t12` in a text.
pub(crate) fn short_id(text: &str, letter: char) -> Option<String> {
    text.split(|c: char| !c.is_ascii_alphanumeric())
        .find(|word| {
            let digits = word.strip_prefix(letter);
            digits.is_some_and(|d| !d.is_empty() && d.chars().all(|c| c.is_ascii_digit()))
        })
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::short_id;

    #[test]
    fn short_ids_are_whole_words_of_one_letter_and_digits() {
        let cases = [
            ("added t12: \"x\"", Some("t12")),
            ("the t1x and t", None),
            ("task t7, t8", Some("t7")),
            ("at 12", None),
        ];
        for (text, expected) in cases {
            assert_eq!(short_id(text, 't').as_deref(), expected, "{text}");
        }
    }
}
