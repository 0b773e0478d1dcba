//! Who hears what is said, and in which room people see it.

use fleet_protocol::Problem;
use fleet_protocol::address::{Address, Endpoint};
use fleet_protocol::problem::Code;
use fleet_protocol::scalar::{Name, UserId};
use jiff::SignedDuration;
use uuid::Uuid;

use super::super::agent::SILENT_AFTER;
use super::super::task::known;
use super::super::{Exec, Stop};
use crate::db;

/// Agents of one role that one broadcast reaches.
const MOST: i64 = 100;

/// An agent that hears something.
#[derive(Debug, Clone)]
pub(crate) struct Recipient {
    pub(crate) id: Uuid,
    pub(crate) name: Name,
    pub(super) host: Name,
    pub(crate) role: Name,
    pub(super) user: UserId,
}

impl Recipient {
    /// Where it is.
    pub(super) fn endpoint(&self) -> Endpoint {
        Endpoint {
            host: self.host.clone(),
            name: self.name.clone(),
        }
    }
}

/// The agent that an address means: the one of that name, else the one of that role which is alive and
/// has the least to read.
pub(super) async fn of(exec: &mut Exec<'_>, to: &Address) -> Result<Recipient, Stop> {
    let named = sqlx::query!(
        r#"SELECT id, name, host, role, user_id, retired_at IS NOT NULL AS "retired!" FROM fleet.agents
           WHERE tenant_id = $1 AND name = $2"#,
        exec.tenant.as_str(),
        to.name.as_str()
    )
    .fetch_optional(&mut *exec.tx)
    .await?;
    let Some(agent) = named else {
        return one_of_role(exec, to).await;
    };
    if agent.retired {
        let said = format!("the agent {} was retired", to.name);
        return Err(Problem::new(Code::WrongState, said)
            .remedy("see who is there: !agent list")
            .into());
    }
    if to.host.as_ref().is_some_and(|h| h.as_str() != agent.host) {
        let said = format!(
            "the agent {} runs on {}, not on {}",
            to.name, agent.host, to
        );
        return Err(Problem::new(Code::NotFound, said)
            .remedy(format!("leave the machine out: --to {}", to.name))
            .into());
    }
    recipient(
        agent.id,
        [&agent.name, &agent.host, &agent.role, &agent.user_id],
    )
}

async fn one_of_role(exec: &mut Exec<'_>, to: &Address) -> Result<Recipient, Stop> {
    let me = exec.actor.agent.as_ref().map(|a| a.id);
    let found = sqlx::query!(
        r#"SELECT g.id, g.name, g.host, g.role, g.user_id FROM fleet.agents g
           CROSS JOIN LATERAL (SELECT count(*) AS open FROM fleet.items i
               WHERE i.tenant_id = g.tenant_id AND i.agent_id = g.id AND i.acknowledged_at IS NULL) o
           WHERE g.tenant_id = $1 AND g.role = $2 AND g.retired_at IS NULL AND ($3::text IS NULL OR g.host = $3)
             AND g.id IS DISTINCT FROM $4
           ORDER BY (greatest(g.heartbeat_at, g.listened_at) > $5) DESC NULLS LAST, o.open, g.name LIMIT 1"#,
        exec.tenant.as_str(),
        to.name.as_str(),
        to.host.as_ref().map(|h| h.as_str()),
        me,
        alive_since(exec)
    )
    .fetch_optional(&mut *exec.tx)
    .await?;
    match found {
        Some(agent) => recipient(
            agent.id,
            [&agent.name, &agent.host, &agent.role, &agent.user_id],
        ),
        None => Err(nobody(&to.to_string())),
    }
}

fn nobody(to: &str) -> Stop {
    Problem::new(
        Code::NotFound,
        format!("there is no agent {to}, and no other agent of such a role"),
    )
    .remedy("see who is there: !agent list")
    .into()
}

fn alive_since(exec: &Exec<'_>) -> db::Time {
    db::time(exec.now.earlier(SignedDuration::from_secs(SILENT_AFTER)))
}

/// Every agent of a role but who asks.
pub(super) async fn all_of(exec: &mut Exec<'_>, role: &Name) -> Result<Vec<Recipient>, Stop> {
    let rows = sqlx::query!(
        "SELECT id, name, host, role, user_id FROM fleet.agents
         WHERE tenant_id = $1 AND role = $2 AND retired_at IS NULL AND id IS DISTINCT FROM $3 ORDER BY name LIMIT $4",
        exec.tenant.as_str(),
        role.as_str(),
        exec.actor.agent.as_ref().map(|a| a.id),
        MOST
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    if rows.is_empty() {
        return Err(nobody(role.as_str()));
    }
    rows.iter()
        .map(|r| recipient(r.id, [&r.name, &r.host, &r.role, &r.user_id]))
        .collect()
}

/// The agent whose life is of no matter here: who sent an item, wherever it runs now.
pub(super) async fn by_id(exec: &mut Exec<'_>, id: Uuid) -> Result<Recipient, Stop> {
    let agent = sqlx::query!(
        "SELECT id, name, host, role, user_id FROM fleet.agents WHERE tenant_id = $1 AND id = $2 AND retired_at IS NULL",
        exec.tenant.as_str(),
        id
    )
    .fetch_optional(&mut *exec.tx)
    .await?;
    match agent {
        Some(agent) => recipient(
            agent.id,
            [&agent.name, &agent.host, &agent.role, &agent.user_id],
        ),
        None => Err(
            Problem::new(Code::WrongState, "the agent that sent it was retired")
                .remedy("see who is there: !agent list")
                .into(),
        ),
    }
}

fn recipient(id: Uuid, [name, host, role, user]: [&String; 4]) -> Result<Recipient, Stop> {
    Ok(Recipient {
        id,
        name: known("name", name.parse().ok())?,
        host: known("host", host.parse().ok())?,
        role: known("role", role.parse().ok())?,
        user: known("user_id", user.parse().ok())?,
    })
}

/// Locks who speaks and who hears, one after the other in the same order for everybody, and refuses
/// an inbox that is full.
pub(super) async fn lock(exec: &mut Exec<'_>, all: &[Recipient]) -> Result<(), Stop> {
    let hearing: Vec<Uuid> = all.iter().map(|r| r.id).collect();
    let locked: Vec<Uuid> = hearing
        .iter()
        .copied()
        .chain(exec.actor.agent.as_ref().map(|a| a.id))
        .collect();
    sqlx::query!(
        "SELECT id FROM fleet.agents WHERE tenant_id = $1 AND id = ANY ($2) ORDER BY id FOR UPDATE",
        exec.tenant.as_str(),
        &locked
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    let full = sqlx::query!(
        r#"SELECT g.name, o.open AS "open!" FROM fleet.agents g
           JOIN fleet.settings s ON s.tenant_id = g.tenant_id
           CROSS JOIN LATERAL (SELECT count(*) AS open FROM fleet.items i
               WHERE i.tenant_id = g.tenant_id AND i.agent_id = g.id AND i.acknowledged_at IS NULL) o
           WHERE g.tenant_id = $1 AND g.id = ANY ($2) AND o.open >= s.inbox_items ORDER BY g.name LIMIT 1"#,
        exec.tenant.as_str(),
        &hearing
    )
    .fetch_optional(&mut *exec.tx)
    .await?;
    match full {
        Some(full) => Err(Problem::new(
            Code::InboxFull,
            format!(
                "the inbox of {} is full: {} items wait",
                full.name, full.open
            ),
        )
        .remedy(format!(
            "send again when it has acknowledged some; see them with: !agent inbox {}",
            full.name
        ))
        .into()),
        None => Ok(()),
    }
}

/// The room in which people see what is said to a role: its own, else the one of the work.
pub(super) async fn room_of(exec: &mut Exec<'_>, role: &str) -> Result<Option<Uuid>, Stop> {
    let here = exec.place.event.as_ref().and(exec.place.room);
    let rooms = sqlx::query!(
        r#"SELECT id, coalesce(key, 'this room') AS "key!", hushed_by, (hushed_until > $4) IS TRUE AS "hushed!" FROM fleet.rooms
           WHERE tenant_id = $1 AND (key IN ($2, 'tasks', 'lobby') OR id = $3)
           ORDER BY (key = $2) DESC NULLS LAST, (key = 'tasks') DESC NULLS LAST, (key = 'lobby') DESC NULLS LAST"#,
        exec.tenant.as_str(),
        role,
        here,
        db::time(exec.now)
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    let chosen = rooms.first().map(|r| r.id);
    let counts = |id: Uuid| Some(id) == chosen || Some(id) == here;
    let hushed = rooms.iter().find(|r| r.hushed && counts(r.id));
    match hushed.filter(|_| exec.actor.agent.is_some()) {
        Some(room) => Err(Problem::new(
            Code::Hushed,
            format!(
                "agents say nothing in {} for a time; {} said so",
                room.key,
                room.hushed_by.as_deref().unwrap_or("a person")
            ),
        )
        .remedy("go on with your task, and send it later")
        .into()),
        None => Ok(chosen),
    }
}

/// The room in which people see what the fleet says to a role, hushed or not.
pub(super) async fn shown_in(exec: &mut Exec<'_>, role: &str) -> Result<Option<Uuid>, Stop> {
    let room = sqlx::query_scalar!(
        "SELECT id FROM fleet.rooms WHERE tenant_id = $1 AND key IN ($2, 'lobby') ORDER BY (key = $2) DESC LIMIT 1",
        exec.tenant.as_str(),
        role
    )
    .fetch_optional(&mut *exec.tx)
    .await?;
    Ok(room)
}
