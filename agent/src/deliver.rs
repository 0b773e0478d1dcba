//! From an agent's inbox to where it sits: one item at a time, in order, acknowledged when it was
//! accepted there.

use fleet_protocol::reply::ItemView;
use fleet_protocol::scalar::Count;
use fleet_protocol::verbs::inbox::{Ack, Class, Next};
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
    /// Taken from the inbox, not delivered yet.
    item: Option<ItemView>,
}

impl Delivery {
    /// Delivers what is said to the agent of `session`.
    pub fn new(session: Session, connector: Box<dyn Connector>) -> Self {
        Self {
            session,
            connector,
            item: None,
        }
    }

    /// Takes the next item, waits for it if need be, and delivers it; none when there was none in time.
    ///
    /// # Errors
    /// The fleet's reason. What was taken is kept: the next step goes on with it.
    pub async fn step(&mut self) -> Result<Option<Step>, Problem> {
        if self.item.is_none() {
            self.item = self.next().await?;
        }
        let Some(item) = &self.item else {
            return Ok(None);
        };
        let awaited = matches!(item.class, Class::Actionable | Class::Human);
        if awaited {
            let to = self.session.agent().name;
            if let Err(error) = self.connector.send(&to, &message(item)).await {
                return Ok(Some(Step::Waits(error)));
            }
        }
        let items = vec![item.id.parse().map_err(|e| {
            let code = fleet_protocol::problem::Code::Internal;
            Problem::new(code, format!("item {}: {e}", item.id))
        })?];
        // Accepted and not acknowledged, it would come again: the id in its text tells the model.
        self.session.ask(Command::from(Ack { items })).await?;
        Ok(self.item.take().map(|item| {
            if awaited {
                Step::Accepted(item)
            } else {
                Step::Kept(item)
            }
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
fn message(item: &ItemView) -> Message {
    Message {
        text: format!("{} {} (item {})", item.line(), item.text, item.id),
        thread: None,
    }
}
