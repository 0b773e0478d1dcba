//! Giving work away: who may (doctrine 10), and what goes with it (doctrine 14).

use fleet_protocol::Problem;
use fleet_protocol::problem::Code;
use fleet_protocol::reply::TaskView;
use fleet_protocol::verbs::inbox::Class;
use fleet_protocol::verbs::member::GrantRole;
use uuid::Uuid;

use super::super::{Exec, Stop};
use super::chain::{self, Link};
use super::put::{Said, Speaker, put, tell};
use super::recipient::{self, Recipient};

/// The role that assigns.
const ORCHESTRATOR: &str = "orchestrator";
/// Characters of an item that the task's own texts may fill; what is longer is named, and read elsewhere.
const TOLD: usize = 30_000;

/// Refuses whoever does not assign: a worker hands back or asks.
pub(super) async fn check_giver(exec: &mut Exec<'_>) -> Result<(), Stop> {
    let Some(me) = &exec.actor.agent else {
        return if exec.actor.roles.iter().any(|r| *r >= GrantRole::Member) {
            Ok(())
        } else {
            Err(refused(
                "only a member, an operator or the orchestrator assigns work",
            ))
        };
    };
    let role = sqlx::query_scalar!(
        "SELECT role FROM fleet.agents WHERE tenant_id = $1 AND id = $2",
        exec.tenant.as_str(),
        me.id
    )
    .fetch_one(&mut *exec.tx)
    .await?;
    if role == ORCHESTRATOR {
        return Ok(());
    }
    Err(refused(&format!(
        "{} has the role {role}, and only the orchestrator assigns work",
        me.name
    )))
}

fn refused(said: &str) -> Stop {
    Problem::new(Code::WrongRole, said)
        .remedy("hand the task back, or ask: agent send --to orchestrator \"...\"")
        .into()
}

/// An agent that can be told something now, locked; none when it was retired or its inbox is full.
pub(crate) async fn reach(exec: &mut Exec<'_>, agent: Uuid) -> Result<Option<Recipient>, Stop> {
    let found = match recipient::by_id(exec, agent).await {
        Ok(to) => recipient::lock(exec, std::slice::from_ref(&to))
            .await
            .map(|()| to),
        Err(stop) => Err(stop),
    };
    match found {
        Ok(to) => Ok(Some(to)),
        Err(Stop::Refused(_)) => Ok(None),
        Err(stop) => Err(stop),
    }
}

/// Says to an agent that a task is its to take, on behalf of who asks.
pub(crate) async fn give(
    exec: &mut Exec<'_>,
    to: &Recipient,
    task: Uuid,
    view: &TaskView,
) -> Result<(), Stop> {
    let (by, link) = (Speaker::of(exec)?, chain::enter(exec, None, 1).await?);
    let room = recipient::shown_in(exec, to.role.as_str()).await?;
    hand(exec, to, (task, view), &Words::take(view), (by, link, room))
        .await
        .map(drop)
}

/// Says to an agent that the claim of a task for which it waited has begun.
pub(crate) async fn begun(
    exec: &mut Exec<'_>,
    to: &Recipient,
    task: Uuid,
    view: &TaskView,
) -> Result<(), Stop> {
    let (by, link) = (Speaker::fleet()?, chain::begin_for_fleet(exec).await?);
    let room = recipient::shown_in(exec, to.role.as_str()).await?;
    let words = Words {
        head: format!("You hold {}: {}", view.id, view.title),
        added: None,
    };
    hand(exec, to, (task, view), &words, (by, link, room))
        .await
        .map(drop)
}

/// What is said about a task besides what the register has of it.
pub(super) struct Words<'a> {
    pub(super) head: String,
    pub(super) added: Option<&'a str>,
}

impl Words<'_> {
    /// A task that is to be taken.
    pub(super) fn take(view: &TaskView) -> Self {
        Self {
            head: format!("Take {}: {}", view.id, view.title),
            added: None,
        }
    }

    /// All that a runtime without memory needs to begin.
    fn in_full(&self, view: &TaskView) -> String {
        let mut text = self.head.clone();
        for (name, part) in view.told() {
            text.push_str("\n\n");
            if text.chars().count() + part.chars().count() <= TOLD {
                text.push_str(&part);
            } else {
                let id = &view.id;
                text.push_str(&format!(
                    "The {name} is too long to be said here: task show {id}"
                ));
            }
        }
        self.and_added(text)
    }

    /// What people need to see of it.
    fn in_short(&self) -> String {
        self.and_added(self.head.clone())
    }

    fn and_added(&self, mut text: String) -> String {
        if let Some(added) = self.added {
            text.push_str("\n\n");
            text.push_str(added);
        }
        text
    }
}

/// Puts a task into an inbox in full, and shows in the room in short that it was.
pub(super) async fn hand(
    exec: &mut Exec<'_>,
    to: &Recipient,
    (task, view): (Uuid, &TaskView),
    words: &Words<'_>,
    (by, link, room): (Speaker, Link, Option<Uuid>),
) -> Result<Uuid, Stop> {
    let (full, short) = (words.in_full(view), words.in_short());
    let mut said = Said {
        by,
        text: &full,
        class: Class::Actionable,
        task: Some(task),
        reply_to: None,
        link,
    };
    let id = put(exec, to, &said, room).await?;
    said.text = &short;
    tell(exec, id, &to.endpoint(), &said, room);
    Ok(id)
}
