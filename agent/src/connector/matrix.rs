//! Agents in a Matrix room: what is said to one is a message that names it in its address line.

use std::collections::VecDeque;

use fleet_protocol::scalar::Name;

use super::text::plain;
use super::{Connector, ConnectorError, Doing, Health, Hearing, Message, Subscription};
use crate::matrix::{Follow, Matrix, MatrixError, text, thread};

/// The connector of one room, as one account.
#[derive(Debug)]
pub struct MatrixRoom {
    matrix: Matrix,
    room: String,
}

impl MatrixRoom {
    /// Speaks and listens in `room` as the account of `matrix`.
    pub fn new(matrix: Matrix, room: String) -> Self {
        Self { matrix, room }
    }

    fn failed(&self, error: &MatrixError) -> ConnectorError {
        if error.is_forgotten() {
            return ConnectorError::Forgotten(self.matrix.user_id().to_owned());
        }
        ConnectorError::Program {
            program: "matrix",
            detail: error.to_string(),
        }
    }
}

impl Connector for MatrixRoom {
    fn send<'c>(&'c self, _: &'c Name, message: &'c Message) -> Doing<'c, ()> {
        Box::pin(async move {
            let body = plain(&message.text, true);
            let content = match &message.thread {
                Some(root) => thread(&body, root, root),
                None => text(&body),
            };
            let transaction = format!("fleet-{}", message.key);
            self.matrix
                .send(&self.room, "m.room.message", &content, &transaction)
                .await
                .map(drop)
                .map_err(|e| self.failed(&e))
        })
    }

    fn subscribe<'c>(&'c self, _: &'c Name) -> Doing<'c, Box<dyn Subscription>> {
        Box::pin(async move {
            let follow = Follow::start(self.matrix.clone())
                .await
                .map_err(|e| self.failed(&e))?;
            let heard = Heard {
                follow,
                room: self.room.clone(),
                lines: VecDeque::new(),
            };
            Ok(Box::new(heard) as Box<dyn Subscription>)
        })
    }

    fn health(&self) -> Doing<'_, Health> {
        Box::pin(async move {
            let failed = |e| self.failed(&e);
            let me = self.matrix.whoami().await.map_err(failed)?;
            let rooms = self.matrix.joined_rooms().await.map_err(failed)?;
            let found = me.user_id;
            let mut faults = Vec::new();
            if !rooms.contains(&self.room) {
                faults.push(super::Fault {
                    found: format!("{found} is not in {}", self.room),
                    remedy: "invite it, or name another room".into(),
                });
            }
            Ok(Health { found, faults })
        })
    }
}

/// The messages of others in the room.
struct Heard {
    follow: Follow,
    room: String,
    lines: VecDeque<String>,
}

impl Heard {
    async fn hear(&mut self) -> Option<String> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Some(line);
            }
            let me = self.follow.matrix().user_id().to_owned();
            let seen = self.follow.next().await.ok()?;
            let said = seen
                .iter()
                .filter(|seen| seen.room_id == self.room && seen.event.sender != me)
                .filter_map(|seen| seen.event.body());
            self.lines.extend(said.map(|body| plain(body, true)));
        }
    }
}

impl Subscription for Heard {
    fn next(&mut self) -> Hearing<'_> {
        Box::pin(self.hear())
    }
}
