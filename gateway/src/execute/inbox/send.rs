//! Saying something: to an agent, to a role, to whoever said something before, with a task.

use fleet_protocol::document::{bold, code, text};
use fleet_protocol::problem::Code;
use fleet_protocol::reply::Changed;
use fleet_protocol::verbs::inbox::{self as verbs, Class};
use fleet_protocol::{Problem, Reply};
use serde_json::json;
use uuid::Uuid;

use super::super::{Exec, Stop, Subject, task};
use super::chain::{self, Link};
use super::delegation::{self, Words};
use super::put::{Said, Speaker, put, show, tell, to_person};
use super::recipient::{self, Recipient};
use super::take;
use super::view::{self, item};

/// Says something to an agent, or to one agent of a role.
pub(crate) async fn send(exec: &mut Exec<'_>, args: &verbs::Send) -> Result<Reply, Stop> {
    let to = recipient::of(exec, &args.to).await?;
    let class = class(exec, args.class);
    let id = say(exec, &to, args.text.as_str(), class).await?;
    sent(exec, id, "sent").await
}

/// Says something to every agent of a role.
pub(crate) async fn broadcast(exec: &mut Exec<'_>, args: &verbs::Broadcast) -> Result<Reply, Stop> {
    let all = recipient::all_of(exec, &args.role).await?;
    let room = ready(exec, &all, args.role.as_str()).await?;
    let count = i32::try_from(all.len()).unwrap_or(i32::MAX);
    let said = Said {
        by: Speaker::of(exec)?,
        text: args.text.as_str(),
        class: class(exec, args.class),
        task: None,
        reply_to: None,
        link: chain::enter(exec, None, count).await?,
    };
    let mut ids = Vec::with_capacity(all.len());
    for to in &all {
        ids.push(put(exec, to, &said, room).await?);
    }
    let from = &said.by.at;
    let head = [
        code(format!("[{from} -> role {}]", args.role)),
        text(format!(" {} ", said.text)),
        bold(format!("({} agents)", all.len())),
    ];
    show(
        exec,
        room,
        head,
        json!({ "broadcast": args.role, "from": from, "text": said.text }),
        None,
    );
    Ok(Reply::Items(view::load(exec, &ids).await?))
}

/// Gives a task to an agent.
pub(crate) async fn delegate(exec: &mut Exec<'_>, args: &verbs::Delegate) -> Result<Reply, Stop> {
    delegation::check_giver(exec).await?;
    let to = recipient::of(exec, &args.to).await?;
    refuse_self(exec, &to)?;
    // Agents are locked before tasks, as by a claim.
    let room = ready(exec, std::slice::from_ref(&to), to.role.as_str()).await?;
    let task = exec.resolve(args.task).await?;
    let is_named = args.to.name == to.name;
    let view = task::offer(exec, task, (to.id, &to.name, &to.role), is_named).await?;
    let words = Words {
        added: args.text.as_ref().map(|t| t.as_str()),
        ..Words::take(&view)
    };
    let (by, link) = (Speaker::of(exec)?, chain::enter(exec, None, 1).await?);
    let id = delegation::hand(exec, &to, (task, &view), &words, (by, link, room)).await?;
    sent(exec, id, "delegated").await
}

/// Answers an item: to the agent that sent it, or to the person in the room.
pub(crate) async fn reply(exec: &mut Exec<'_>, args: &verbs::Reply) -> Result<Reply, Stop> {
    let id = exec.resolve(args.item).await?;
    let item = item(exec, id).await?;
    let me = exec.actor.agent.as_ref().map(|a| a.id);
    if item.agent.is_some() && item.agent != me || item.agent.is_none() && me.is_some() {
        return Err(Problem::new(
            Code::NotYourself,
            format!(
                "{} is in the inbox of {}, not in yours",
                args.item, item.to.name
            ),
        )
        .remedy("answer what is in your own inbox: agent inbox")
        .into());
    }
    let answered = Link {
        chain: item.chain,
        hop: item.hop,
    };
    let class = class(exec, args.class);
    let by = Speaker::of(exec)?;
    let said = |link| Said {
        by,
        text: args.text.as_str(),
        class,
        task: item.task,
        reply_to: Some(id),
        link,
    };
    let answer = match item.from_agent {
        Some(agent) => {
            let to = recipient::by_id(exec, agent).await?;
            let room = ready(exec, std::slice::from_ref(&to), to.role.as_str()).await?;
            let said = said(chain::enter(exec, Some(answered), 1).await?);
            let answer = put(exec, &to, &said, room).await?;
            tell(exec, answer, &to.endpoint(), &said, room);
            answer
        }
        None => {
            let room = match item.room {
                Some(room) => Some(room),
                None => ready(exec, &[], "lobby").await?,
            };
            let said = said(chain::enter(exec, Some(answered), 1).await?);
            to_person(exec, &item.from, &item.sender, &said, room).await?
        }
    };
    if args.ack && item.agent.is_some() {
        take::acknowledge(exec, &[id]).await?;
    }
    sent(exec, answer, "sent").await
}

fn refuse_self(exec: &Exec<'_>, to: &Recipient) -> Result<(), Problem> {
    match exec.actor.agent.as_ref().is_some_and(|me| me.id == to.id) {
        true => Err(Problem::new(Code::Invalid, format!("{} is you", to.name))
            .remedy("say it to another agent")),
        false => Ok(()),
    }
}

/// Says one thing to one agent, and shows it.
pub(super) async fn say(
    exec: &mut Exec<'_>,
    to: &Recipient,
    words: &str,
    class: Class,
) -> Result<Uuid, Stop> {
    refuse_self(exec, to)?;
    let room = ready(exec, std::slice::from_ref(to), to.role.as_str()).await?;
    let said = Said {
        by: Speaker::of(exec)?,
        text: words,
        class,
        task: None,
        reply_to: None,
        link: chain::enter(exec, None, 1).await?,
    };
    let id = put(exec, to, &said, room).await?;
    tell(exec, id, &to.endpoint(), &said, room);
    Ok(id)
}

/// Whether it may be said now (doctrine 13; what people say goes on), and in which room it is shown.
/// Locks who speaks and who hears.
async fn ready(exec: &mut Exec<'_>, to: &[Recipient], role: &str) -> Result<Option<Uuid>, Stop> {
    if exec.actor.agent.is_some() {
        let paused = sqlx::query_scalar!(
            "SELECT paused FROM fleet.settings WHERE tenant_id = $1",
            exec.tenant.as_str()
        )
        .fetch_one(&mut *exec.tx)
        .await?;
        if paused {
            return Err(Problem::new(
                Code::Paused,
                "the fleet is paused; agents say nothing to each other",
            )
            .remedy("send it again when the fleet goes on")
            .into());
        }
    }
    let room = recipient::room_of(exec, role).await?;
    recipient::lock(exec, to).await?;
    Ok(room)
}

fn class(exec: &Exec<'_>, given: Option<Class>) -> Class {
    given.unwrap_or(if exec.actor.agent.is_some() {
        Class::Actionable
    } else {
        Class::Human
    })
}

async fn sent(exec: &mut Exec<'_>, id: Uuid, what: &str) -> Result<Reply, Stop> {
    exec.about(Subject::Item, id);
    let item = view::one(exec, id).await?;
    Ok(Reply::Item(Changed::to(what, item)))
}
