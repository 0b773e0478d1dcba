//! Connectors: how a message reaches an agent where it sits. Peers behind one small interface; nothing
//! outside a connector asks which kind it is (doctrine, "Roster").

pub mod matrix;
mod text;
pub mod tmux;

use std::fmt;
use std::pin::Pin;

use fleet_protocol::roster::ConnectorKind;
use fleet_protocol::scalar::Name;

pub(crate) use text::plain;

use crate::connector::matrix::MatrixRoom;
use crate::connector::tmux::{Socket, Tmux};

/// What a connector is doing.
pub type Doing<'c, T> = Pin<Box<dyn Future<Output = Result<T, ConnectorError>> + Send + 'c>>;

/// A message for an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The same each time that it is sent: a connector that can tell shows it once.
    pub key: String,
    /// The text, its address line in front.
    pub text: String,
    /// The thread that it belongs to, where the connector has threads.
    pub thread: Option<String>,
}

/// How well a connector is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// What was found, for people.
    pub found: String,
    /// What is not as it should be: cause and remedy.
    pub faults: Vec<Fault>,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What was found.
    pub found: String,
    /// What to do.
    pub remedy: String,
}

/// One way to reach agents.
pub trait Connector: fmt::Debug + Send + Sync {
    /// Delivers a message to an agent, and returns when it was accepted there.
    fn send<'c>(&'c self, to: &'c Name, message: &'c Message) -> Doing<'c, ()>;

    /// What an agent shows or says from now on. Nothing can be written by it.
    fn subscribe<'c>(&'c self, to: &'c Name) -> Doing<'c, Box<dyn Subscription>>;

    /// How well it is.
    fn health(&self) -> Doing<'_, Health>;
}

/// A line that is being waited for.
pub type Hearing<'s> = Pin<Box<dyn Future<Output = Option<String>> + Send + 's>>;

/// What an agent shows or says.
pub trait Subscription: Send {
    /// The next line, without anything that a terminal obeys; none when the agent has ended.
    fn next(&mut self) -> Hearing<'_>;
}

/// Why a connector did not do it. A message that was not accepted stays where it came from.
#[derive(Debug, thiserror::Error)]
pub enum ConnectorError {
    /// The kind is known and not made.
    #[error("connectors of kind {0} are not implemented; use tmux or matrix")]
    NotImplemented(&'static str),
    /// The connector of a room has no account, or no room.
    #[error("the matrix connector needs the agent's Matrix account and a room")]
    NoAccount,
    /// The homeserver does not know the account's device any more.
    #[error(
        "the homeserver has forgotten the device of {0}; let the agent join again where the configuration says how accounts \
         are made (fleet agent join)"
    )]
    Forgotten(String),
    /// The program that the connector drives cannot be used.
    #[error("{program}: {detail}")]
    Program {
        /// Which.
        program: &'static str,
        /// Why.
        detail: String,
    },
    /// The way to the agent is open to others.
    #[error("{} ({})", .0.found, .0.remedy)]
    Unsafe(Fault),
    /// There is no such agent here.
    #[error(
        "there is no session named exactly {0}; start the agent, or look at its name and socket"
    )]
    NoSession(Name),
    /// Somebody has typed something there and not sent it.
    #[error("{0} holds a draft that was not sent; the message waits until it is sent or cleared")]
    Draft(Name),
    /// Somebody is looking back through its history.
    #[error("{0} is being scrolled through; the message waits until that ends")]
    Scrolled(Name),
    /// It ended.
    #[error("what ran in {0} has ended; restart the agent")]
    Ended(Name),
    /// Its owner has not allowed that anybody types there.
    #[error(
        "{0} does not allow to be taken over; who runs it may: tmux set-option -t {0} @fleet_take_over on"
    )]
    NotAllowed(Name),
    /// Its output goes somewhere already.
    #[error("{0} is being recorded already, so somebody may be in it")]
    Recorded(Name),
    /// Nothing showed that it was taken.
    #[error("{0} did not show that it took the message; it is delivered again")]
    NotAccepted(Name),
}

/// What the connectors that there are need.
#[derive(Debug)]
pub struct Ways {
    /// Where the agents' terminals are.
    pub socket: Socket,
    /// The room, where there is an account for it.
    pub room: Option<MatrixRoom>,
}

/// The connector of a kind.
///
/// # Errors
/// [`ConnectorError::NotImplemented`] for a kind that there is none of, [`ConnectorError::NoAccount`]
/// without what it needs.
pub fn of(kind: ConnectorKind, ways: Ways) -> Result<Box<dyn Connector>, ConnectorError> {
    match kind {
        ConnectorKind::Tmux => Ok(Box::new(Tmux::new(ways.socket))),
        ConnectorKind::Matrix => match ways.room {
            Some(room) => Ok(Box::new(room)),
            None => Err(ConnectorError::NoAccount),
        },
        ConnectorKind::Discord => Err(ConnectorError::NotImplemented("discord")),
    }
}
