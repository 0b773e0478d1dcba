//! Hands rows to the senders of their rooms.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use fleet_protocol::outbox::OutboxRow;
use tokio::sync::mpsc;

use crate::claims::Claims;
use crate::context::Context;
use crate::pace::Pace;
use crate::sender;
use crate::settle::Settler;

/// Rows that wait for a room's sender; more come with a later poll.
const WAITING: usize = 256;

/// The queue of each room's sender.
type Queues = HashMap<String, mpsc::Sender<OutboxRow>>;

/// Hands rows to the senders of their rooms; a sender is started with the first row of its room.
#[derive(Debug, Clone)]
pub(crate) struct Dispatch {
    claims: Claims,
    pace: Pace,
    settler: Settler,
    /// None once the bot ends.
    rooms: Arc<Mutex<Option<Queues>>>,
}

impl Dispatch {
    /// Without a sender yet.
    pub(crate) fn new(claims: Claims, settler: Settler) -> Self {
        Self {
            claims,
            pace: Pace::open(),
            settler,
            rooms: Arc::new(Mutex::new(Some(HashMap::new()))),
        }
    }

    /// The rows among these that nobody has.
    pub(crate) fn fresh(&self, rows: Vec<OutboxRow>) -> Vec<OutboxRow> {
        rows.into_iter()
            .filter(|row| self.claims.claim(row.id))
            .collect()
    }

    /// Hands over the rows that nobody has; they were noted as tried by this device.
    pub(crate) fn offer(&self, context: &Context, rows: Vec<OutboxRow>) {
        let fresh = self.fresh(rows);
        self.send(context, fresh);
    }

    /// Hands over claimed rows.
    pub(crate) fn send(&self, context: &Context, rows: Vec<OutboxRow>) {
        // Never held across an await: handing over does not wait.
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        for row in rows {
            let id = row.id;
            let queue = rooms.as_mut().map(|rooms| {
                rooms
                    .entry(row.room_id.clone())
                    .or_insert_with(|| self.start(context, &row.room_id))
            });
            if queue.is_none_or(|queue| queue.try_send(row).is_err()) {
                self.claims.give_back(id);
            }
        }
    }

    fn start(&self, context: &Context, room_id: &str) -> mpsc::Sender<OutboxRow> {
        let (queue, rows) = mpsc::channel(WAITING);
        let sender = sender::Sender::new(
            context.clone(),
            room_id.to_owned(),
            self.pace.clone(),
            self.settler.clone(),
        );
        context
            .crew
            .spawn(format!("sender of {room_id}"), sender.run(rows));
        queue
    }

    /// Lets the senders end when their queues are empty, and starts no other.
    pub(crate) fn close(&self) {
        *self.rooms.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
