//! Writing what is said: into an inbox, and into a room for people to see.

use fleet_protocol::Document;
use fleet_protocol::address::{AddressLine, Endpoint};
use fleet_protocol::document::{Span, code, text};
use fleet_protocol::outbox::{Attention, Message};
use fleet_protocol::scalar::UserId;
use fleet_protocol::verbs::inbox::Class;
use serde_json::json;
use uuid::Uuid;

use super::super::task::known;
use super::super::{Exec, Room, Stop, Subject, notice};
use super::chain::Link;
use super::recipient::Recipient;
use crate::db;

/// What is said, apart from to whom.
pub(super) struct Said<'a> {
    pub(super) by: Speaker,
    pub(super) text: &'a str,
    pub(super) class: Class,
    pub(super) task: Option<Uuid>,
    pub(super) reply_to: Option<Uuid>,
    pub(super) link: Link,
}

/// Who says something.
pub(super) struct Speaker {
    pub(super) at: Endpoint,
    /// A Matrix user, or a token's name.
    account: String,
    /// The agent and its incarnation, when it is one.
    agent: Option<(Uuid, i64)>,
}

impl Speaker {
    /// The agent that asks, a person in a room, or a service by the name of its token.
    pub(super) fn of(exec: &Exec<'_>) -> Result<Self, Stop> {
        let at = match (&exec.actor.agent, &exec.actor.user) {
            (Some(me), _) => Some(Endpoint {
                host: me.host.clone(),
                name: me.name.clone(),
            }),
            (None, Some(user)) => Endpoint::of_person(user),
            (None, None) => format!("gateway:{}", exec.actor.principal).parse().ok(),
        };
        let agent = exec.actor.agent.as_ref();
        Ok(Self {
            at: known("sender", at)?,
            account: exec.actor.principal.clone(),
            agent: agent.map(|me| (me.id, me.incarnation.cast_signed())),
        })
    }

    /// The fleet itself.
    pub(super) fn fleet() -> Result<Self, Stop> {
        Ok(Self {
            at: known("sender", "gateway:fleet".parse().ok())?,
            account: "fleet".to_owned(),
            agent: None,
        })
    }
}

/// Writes an item into an agent's inbox.
pub(super) async fn put(
    exec: &mut Exec<'_>,
    to: &Recipient,
    said: &Said<'_>,
    room: Option<Uuid>,
) -> Result<Uuid, Stop> {
    let id = insert(exec, Some(to.id), &to.endpoint(), said, room).await?;
    exec.woken.push(to.id);
    Ok(id)
}

async fn insert(
    exec: &mut Exec<'_>,
    agent: Option<Uuid>,
    to: &Endpoint,
    said: &Said<'_>,
    room: Option<Uuid>,
) -> Result<Uuid, Stop> {
    let (id, by, now) = (exec.ids.next(), &said.by, db::time(exec.now));
    // Where a person spoke is where an answer belongs.
    let room = exec.place.event.as_ref().and(exec.place.room).or(room);
    sqlx::query!(
        r#"INSERT INTO fleet.items (tenant_id, id, number, agent_id, to_host, to_name, from_agent, from_host, from_name, incarnation,
               sender, class, text, task_id, reply_to, chain_id, hop, room, sent_at, admission, visible_at, due_at, acknowledged_at)
           SELECT $1, $2, fleet.next_number((SELECT ordinal FROM fleet.tenants WHERE tenant_id = $1), 'item'),
               $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18::timestamptz, $19, $18,
               CASE WHEN $20 AND $3::uuid IS NOT NULL THEN $18 + make_interval(secs => s.inbox_remind_seconds) END,
               CASE WHEN $3 IS NULL THEN $18 END
           FROM fleet.settings s WHERE s.tenant_id = $1"#,
        exec.tenant.as_str(),
        id,
        agent,
        to.host.as_str(),
        to.name.as_str(),
        by.agent.map(|a| a.0),
        by.at.host.as_str(),
        by.at.name.as_str(),
        by.agent.map(|a| a.1),
        by.account,
        said.class.as_str(),
        said.text,
        said.task,
        said.reply_to,
        said.link.chain,
        said.link.hop,
        room,
        now,
        exec.admission,
        said.class.is_awaited(),
    )
    .execute(&mut *exec.tx)
    .await?;
    Ok(id)
}

/// Shows in a room what was said to one agent, unless its being said there is what people saw.
pub(super) fn tell(
    exec: &mut Exec<'_>,
    id: Uuid,
    to: &Endpoint,
    said: &Said<'_>,
    room: Option<Uuid>,
) {
    let typed_here =
        exec.actor.agent.is_none() && exec.place.event.is_some() && exec.place.room == room;
    if exec.place.is_shown || typed_here {
        return;
    }
    let line = AddressLine {
        from: said.by.at.clone(),
        to: to.clone(),
        class: said.class,
    };
    let twin = json!({
        "from": line.from, "to": line.to, "class": said.class, "hop": said.link.hop, "chain": said.link.chain,
    });
    let head = [code(&line), text(format!(" {}", said.text))];
    show(exec, room, head, twin, Some(id));
}

/// Says what agents say to each other where people see it.
pub(super) fn show<const N: usize>(
    exec: &mut Exec<'_>,
    room: Option<Uuid>,
    head: [Span; N],
    twin: serde_json::Value,
    about: Option<Uuid>,
) {
    let said = Message {
        twin: json!({ "said": twin }),
        ..notice(Attention::Quiet, Document::new().paragraph(head))
    };
    let room = room.map_or(Room::Key("tasks"), Room::Id);
    exec.say(room, said, None, about.map(|id| (Subject::Item, id)));
}

/// Answers a person in the room where they spoke, and calls them.
pub(super) async fn to_person(
    exec: &mut Exec<'_>,
    to: &Endpoint,
    sender: &str,
    said: &Said<'_>,
    room: Option<Uuid>,
) -> Result<Uuid, Stop> {
    let id = insert(exec, None, to, said, room).await?;
    if exec.place.is_shown {
        return Ok(id);
    }
    let line = AddressLine {
        from: said.by.at.clone(),
        to: to.clone(),
        class: Class::Human,
    };
    let user: Option<UserId> = sender.parse().ok();
    let mut head = vec![code(&line), text(" ")];
    head.extend(user.clone().map(Span::User));
    head.push(text(format!(" {}", said.text)));
    let message = Message {
        mentions: user.into_iter().collect(),
        twin: json!({ "said": { "from": line.from, "to": line.to, "hop": said.link.hop, "chain": said.link.chain } }),
        ..notice(Attention::Loud, Document::new().paragraph(head))
    };
    let room = room.map_or(Room::Key("lobby"), Room::Id);
    exec.say(room, message, None, Some((Subject::Item, id)));
    Ok(id)
}
