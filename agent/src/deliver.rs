//! From an agent's inbox to where it sits: one item at a time, in order, acknowledged when it was
//! accepted there.

use fleet_protocol::problem::Code;
use fleet_protocol::reply::ItemView;
use fleet_protocol::scalar::Count;
use fleet_protocol::verbs::inbox::{Ack, Next};
use fleet_protocol::{Command, Problem, Query, Reply};

use crate::connector::{Connector, ConnectorError, Message};
use crate::session::{Session, unexpected};

/// Seconds in which a call waits for the next item.
const WAIT: u32 = 25;

/// What became of an item.
#[derive(Debug)]
pub enum Step {
    /// It was accepted where the agent sits, and is acknowledged.
    Accepted(ItemView),
    /// Nobody waits for it: it is acknowledged and stays in the inbox to be read.
    Kept(ItemView),
    /// It could not be delivered now; the next step tries it again.
    Waits(ConnectorError),
}

/// Delivers one agent's inbox by a connector.
pub struct Delivery {
    session: Session,
    connector: Box<dyn Connector>,
    /// The thread that it is said in, where the connector has threads.
    thread: Option<String>,
    /// Taken from the inbox, not acknowledged yet.
    item: Option<Taken>,
}

struct Taken {
    item: ItemView,
    /// It was accepted: only the acknowledgement is missing.
    accepted: bool,
}

impl Delivery {
    /// Delivers what is said to the agent of `session`.
    pub fn new(session: Session, connector: Box<dyn Connector>, thread: Option<String>) -> Self {
        Self {
            session,
            connector,
            thread,
            item: None,
        }
    }

    /// Goes on by another connector: what was taken and not accepted is delivered there.
    pub fn reconnect(&mut self, connector: Box<dyn Connector>) {
        self.connector = connector;
    }

    /// Takes the next item, waits for it if need be, and delivers it; none when there was none in time.
    ///
    /// # Errors
    /// The fleet's reason. What was taken is kept: the next step goes on with it.
    pub async fn step(&mut self) -> Result<Option<Step>, Problem> {
        if self.item.is_none() {
            let item = self.next().await?;
            self.item = item.map(|item| Taken {
                item,
                accepted: false,
            });
        }
        let Some(taken) = &mut self.item else {
            return Ok(None);
        };
        let is_awaited = taken.item.class.is_awaited();
        if is_awaited && !taken.accepted {
            let to = self.session.agent().name;
            let message = message(&taken.item, self.thread.clone());
            if let Err(error) = self.connector.send(&to, &message).await {
                return Ok(Some(Step::Waits(error)));
            }
            taken.accepted = true;
        }
        let items =
            vec![taken.item.id.parse().map_err(|e| {
                Problem::new(Code::Internal, format!("item {}: {e}", taken.item.id))
            })?];
        // Killed before this, it comes again: the id in its text tells the model that it is the same.
        self.session.ask(Command::from(Ack { items })).await?;
        Ok(self.item.take().map(|taken| match is_awaited {
            true => Step::Accepted(taken.item),
            false => Step::Kept(taken.item),
        }))
    }

    async fn next(&self) -> Result<Option<ItemView>, Problem> {
        let next = Next {
            wait: Some(Count::from(WAIT)),
            limit: Some(Count::from(1)),
        };
        match self.session.ask(Query::from(next)).await?.reply {
            Reply::Items(items) => Ok(items.into_iter().next()),
            other => Err(unexpected(&other)),
        }
    }
}

/// The item as the agent reads it: who says it to whom, what is said, and how to answer it.
fn message(item: &ItemView, thread: Option<String>) -> Message {
    Message {
        key: item.id.clone(),
        text: format!("{} {} (item {})", item.line(), item.text, item.id),
        thread,
    }
}
