//! Execution of one command or query inside the transaction of its admission.

use fleet_protocol::event::LeaseClaim;
use fleet_protocol::outbox::{Attention, Message, Post, Relation, Target};
use fleet_protocol::problem::Code;
use fleet_protocol::scalar::{Name, UserId};
use fleet_protocol::verbs::member::GrantRole;
use fleet_protocol::{Document, Problem, Reader, Timestamp};
use jiff::tz::TimeZone;
use uuid::Uuid;

use crate::Ids;

mod agent;
pub(crate) mod alert;
pub(crate) mod board;
pub(crate) mod budget;
pub(crate) mod card;
mod export;
mod files;
mod fleet;
pub(crate) mod inbox;
mod member;
mod mission;
mod provision;
mod refer;
mod report;
mod role;
mod spend;
pub(crate) mod task;
mod verbs;

pub(crate) use verbs::{command, query};

/// What a verb works with: the transaction, who asks, where, and what is to be said about it.
pub(crate) struct Exec<'t> {
    /// The transaction; the tenant is set on it.
    pub(crate) tx: &'t mut sqlx::PgConnection,
    /// The tenant.
    pub(crate) tenant: &'t Name,
    /// The tenant's time zone.
    pub(crate) zone: &'t TimeZone,
    /// The present.
    pub(crate) now: Timestamp,
    /// Source of ids.
    pub(crate) ids: &'t dyn Ids,
    /// Who asks.
    pub(crate) actor: &'t Actor,
    /// Where.
    pub(crate) place: &'t Place,
    /// Id of the journal's row; the cause of everything that is written.
    pub(crate) admission: Uuid,
    /// Rows for the outbox, written after execution in the same transaction. A refusal drops them.
    pub(crate) outbox: Vec<NewRow>,
    /// Agents whose inboxes got something, to be woken once it is committed.
    pub(crate) woken: Vec<Uuid>,
    /// What the answer is about; see [`Exec::about`].
    pub(crate) answer_subject: Option<(Subject, Uuid)>,
    /// A refusal keeps what was written, instead of returning to the savepoint: a task that the
    /// budget refuses waits in the register. Begins as `false`.
    pub(crate) keep_refused: bool,
    /// Nothing that was written is kept, and nothing is said but the answer: it was only tried.
    pub(crate) dry_run: bool,
}

/// Who asks, as the register knows them at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Actor {
    /// A Matrix user id, a token's name, or `board:<decision>`.
    pub(crate) principal: String,
    /// The Matrix user, when there is one.
    pub(crate) user: Option<UserId>,
    /// Roles that count here: those of the whole fleet and those of the room.
    pub(crate) roles: Vec<GrantRole>,
    /// The agent whose account this is.
    pub(crate) agent: Option<ActingAgent>,
    /// The lease named by the request.
    pub(crate) lease: Option<LeaseClaim>,
    /// What the request says of the agent; checked against [`Self::agent`] unless it registers.
    pub(crate) identity: Option<fleet_protocol::event::AgentIdentity>,
    /// The causal chain that the request names.
    pub(crate) chain: Option<fleet_protocol::event::Chain>,
    /// The power level in the room; none outside of rooms.
    pub(crate) power_level: Option<i64>,
    /// Whose commands count in the room; empty: everybody's whose grant fits.
    pub(crate) may_command: Vec<GrantRole>,
}

/// A registered agent that acts as itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ActingAgent {
    /// The register's key.
    pub(crate) id: Uuid,
    /// Its name.
    pub(crate) name: Name,
    /// Its machine.
    pub(crate) host: Name,
    /// Its current incarnation.
    pub(crate) incarnation: u64,
}

/// Where a request was made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Place {
    /// The register's key of the room in which it counts; none when the tenant has no such room.
    pub(crate) room: Option<Uuid>,
    /// The room's own key (`lobby`); none for a room without a plan.
    pub(crate) room_key: Option<Name>,
    /// The event, when it was one.
    pub(crate) event: Option<String>,
    /// The event it replies to.
    pub(crate) reply_to: Option<String>,
    /// The root of the thread it stands in.
    pub(crate) thread_root: Option<String>,
    /// The homeserver's clock when the event was sent.
    pub(crate) sent_at: Option<Timestamp>,
    /// The event is itself a message that people read.
    pub(crate) is_shown: bool,
}

/// A row for the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewRow {
    /// The row's id.
    pub(crate) id: Uuid,
    /// The room.
    pub(crate) room: Room,
    /// What to say.
    pub(crate) post: Post,
    /// What it relates to.
    pub(crate) relation: Option<Relation>,
    /// What it is about.
    pub(crate) subject: Option<(Subject, Uuid)>,
    /// Only a verbose room hears it.
    pub(crate) is_detail: bool,
}

/// A room as a verb names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Room {
    /// Where the request was made.
    Here,
    /// A planned room, by its key. Where there is none, the lobby.
    Key(&'static str),
    /// Any room, by the register's key.
    Id(Uuid),
}

/// Kinds of things that messages are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    /// A task.
    Task,
    /// A mission.
    Mission,
    /// A proposal.
    Proposal,
    /// An incident.
    Incident,
    /// An agent.
    Agent,
    /// A budget window.
    Budget,
    /// Something said to an agent.
    Item,
}

impl Subject {
    /// The word the register stores.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Mission => "mission",
            Self::Proposal => "proposal",
            Self::Incident => "incident",
            Self::Agent => "agent",
            Self::Budget => "budget",
            Self::Item => "item",
        }
    }
}

/// Why a request was not executed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Stop {
    /// For a reason of the domain or of authority: journalled and answered.
    #[error("{}", .0.detail)]
    Refused(Box<Problem>),
    /// For a fault of the database: retried where that can help, else journalled as failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl Stop {
    /// The code of a refusal; none for a fault.
    pub(crate) fn code(&self) -> Option<Code> {
        match self {
            Self::Refused(problem) => Some(problem.code),
            Self::Database(_) => None,
        }
    }
}

impl From<Problem> for Stop {
    fn from(problem: Problem) -> Self {
        Self::Refused(Box::new(problem))
    }
}

impl Exec<'_> {
    /// Who reads what is said now: instants are told in their words.
    pub(crate) fn reader(&self) -> Reader<'_> {
        Reader {
            now: self.now,
            zone: self.zone,
        }
    }

    /// Says something in a room; the row's id lets a later post refer to it.
    pub(crate) fn say(
        &mut self,
        room: Room,
        message: Message,
        relation: Option<Relation>,
        subject: Option<(Subject, Uuid)>,
    ) -> Uuid {
        self.post(room, Post::Message(message), relation, subject)
    }

    /// Replaces what an earlier row said.
    pub(crate) fn edit(
        &mut self,
        room: Room,
        row: Uuid,
        message: Message,
        subject: Option<(Subject, Uuid)>,
    ) -> Uuid {
        self.post(
            room,
            Post::Edit(message),
            Some(Relation::Replaces(Target::Row(row))),
            subject,
        )
    }

    /// Posts anything.
    pub(crate) fn post(
        &mut self,
        room: Room,
        post: Post,
        relation: Option<Relation>,
        subject: Option<(Subject, Uuid)>,
    ) -> Uuid {
        let id = self.ids.next();
        self.outbox.push(NewRow {
            id,
            room,
            post,
            relation,
            subject,
            is_detail: false,
        });
        id
    }

    /// Says something that only a verbose room hears.
    pub(crate) fn remark(&mut self, room: Room, message: Message, subject: (Subject, Uuid)) {
        self.outbox.push(NewRow {
            id: self.ids.next(),
            room,
            post: Post::Message(message),
            relation: None,
            subject: Some(subject),
            is_detail: true,
        });
    }

    /// What the answer to this request is about, so that a reply to the answer finds it: call it
    /// once the thing is known.
    pub(crate) fn about(&mut self, kind: Subject, id: Uuid) {
        self.answer_subject = Some((kind, id));
    }
}

/// A message without mentions or twin.
pub(crate) fn notice(attention: Attention, document: Document) -> Message {
    Message {
        attention,
        document,
        mentions: Vec::new(),
        twin: serde_json::Value::Null,
    }
}
