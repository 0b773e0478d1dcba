//! The cards of roles: what the agents of a role do, in a pinned message of its room that is kept current by edits.
//!
//! Cards are compared with the register now and then, not written by whatever changes it: however much happens, a
//! card is edited at most once in [`EVERY`], and a change that somebody forgot cannot be missed.

use std::collections::{BTreeMap, BTreeSet};

use fleet_protocol::Timestamp;
use fleet_protocol::outbox::{Attention, Message, Post, Relation, Target};
use fleet_protocol::reply::{AgentView, RoleCard};
use fleet_protocol::scalar::Name;
use jiff::SignedDuration;
use serde_json::{Value, json};
use uuid::Uuid;

use super::task::known;
use super::{Exec, Room, Stop, agent, notice, role};
use crate::db::time;
use crate::journal::encode;

/// The shortest time between two looks, and so between two edits of a card.
const EVERY: SignedDuration = SignedDuration::from_secs(10);
/// The room of a role that has none of its own.
const SHARED: &str = "tasks";

/// Looks of before this instant are due again.
pub(crate) fn due_before(now: Timestamp) -> Timestamp {
    now.earlier(EVERY)
}

/// A card as it was last posted or edited.
struct Posted {
    room: Uuid,
    room_id: String,
    card: Uuid,
    shown: Value,
}

/// A room that a card can be in.
struct Place {
    id: Uuid,
    room_id: String,
}

/// Brings the cards of all roles to what the register says.
pub(crate) async fn look(exec: &mut Exec<'_>) -> Result<(), Stop> {
    let mine = sqlx::query_scalar!(
        r#"INSERT INTO fleet.card_looks AS l (tenant_id, at) VALUES ($1, $2)
           ON CONFLICT (tenant_id) DO UPDATE SET at = excluded.at WHERE l.at <= $3
           RETURNING true AS "mine!""#,
        exec.tenant.as_str(),
        time(exec.now),
        time(due_before(exec.now))
    )
    .fetch_optional(&mut *exec.tx)
    .await?;
    if mine.is_none() {
        return Ok(());
    }
    let mut posted = posted(exec).await?;
    let mut views = views(exec, posted.keys()).await?;
    let places = places(exec).await?;
    let rooms: BTreeMap<Name, Option<Name>> = role::roles(exec)
        .await?
        .into_iter()
        .map(|(name, role)| (name, role.room))
        .collect();
    let names: BTreeSet<Name> = views.keys().cloned().collect();
    for name in names {
        let own = rooms.get(&name).and_then(Option::as_ref);
        let own = own.and_then(|key| places.get(key.as_str()));
        let place = own.or_else(|| places.get(SHARED));
        let (before, view) = (posted.remove(&name), views.remove(&name));
        let (Some(place), Some(view)) = (place, view) else {
            continue;
        };
        show(exec, &view, place, before).await?;
    }
    Ok(())
}

/// Posts, edits or takes down the card of one role.
async fn show(
    exec: &mut Exec<'_>,
    view: &RoleCard,
    place: &Place,
    before: Option<Posted>,
) -> Result<(), Stop> {
    let is_over = view.agents.is_empty();
    let mut message = notice(Attention::Quiet, view.card());
    let shown = encode(&message.document)?;
    message.twin = json!({ "role_card": view });
    match before {
        None if is_over => Ok(()),
        None => post(exec, &view.role, message, place, shown).await,
        Some(card) if is_over => {
            exec.edit(Room::Id(card.room), card.card, message, None);
            pin(exec, card.room, card.card, false);
            forget(exec, &view.role).await
        }
        Some(card) if card.room_id != place.room_id => {
            if card.room != place.id {
                pin(exec, card.room, card.card, false);
            }
            forget(exec, &view.role).await?;
            post(exec, &view.role, message, place, shown).await
        }
        Some(card) if card.shown != shown => {
            exec.edit(Room::Id(card.room), card.card, message, None);
            sqlx::query!(
                "UPDATE fleet.role_cards SET shown = $3 WHERE tenant_id = $1 AND role = $2",
                exec.tenant.as_str(),
                view.role.as_str(),
                shown
            )
            .execute(&mut *exec.tx)
            .await?;
            Ok(())
        }
        Some(_) => Ok(()),
    }
}

async fn post(
    exec: &mut Exec<'_>,
    role: &Name,
    message: Message,
    place: &Place,
    shown: Value,
) -> Result<(), Stop> {
    let card = exec.say(Room::Id(place.id), message, None, None);
    pin(exec, place.id, card, true);
    sqlx::query!(
        "INSERT INTO fleet.role_cards (tenant_id, role, room, room_id, card, shown) VALUES ($1, $2, $3, $4, $5, $6)",
        exec.tenant.as_str(),
        role.as_str(),
        place.id,
        place.room_id,
        card,
        shown
    )
    .execute(&mut *exec.tx)
    .await?;
    Ok(())
}

fn pin(exec: &mut Exec<'_>, room: Uuid, card: Uuid, pinned: bool) {
    let on = Some(Relation::Pins(Target::Row(card)));
    exec.post(Room::Id(room), Post::Pin { pinned }, on, None);
}

async fn forget(exec: &mut Exec<'_>, role: &Name) -> Result<(), Stop> {
    sqlx::query!(
        "DELETE FROM fleet.role_cards WHERE tenant_id = $1 AND role = $2",
        exec.tenant.as_str(),
        role.as_str()
    )
    .execute(&mut *exec.tx)
    .await?;
    Ok(())
}

async fn posted(exec: &mut Exec<'_>) -> Result<BTreeMap<Name, Posted>, Stop> {
    let rows = sqlx::query!(
        "SELECT role, room, room_id, card, shown FROM fleet.role_cards WHERE tenant_id = $1",
        exec.tenant.as_str()
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    rows.into_iter()
        .map(|r| {
            let posted = Posted {
                room: r.room,
                room_id: r.room_id,
                card: r.card,
                shown: r.shown,
            };
            Ok((known("role", r.role.parse().ok())?, posted))
        })
        .collect()
}

/// What the card of each role with agents says, and of those that have a card.
async fn views(
    exec: &mut Exec<'_>,
    posted: impl Iterator<Item = &Name>,
) -> Result<BTreeMap<Name, RoleCard>, Stop> {
    let empty = |role: &Name| RoleCard {
        role: role.clone(),
        agents: Vec::new(),
        waiting: 0,
        running: 0,
        stuck: 0,
    };
    let mut all: BTreeMap<Name, RoleCard> = posted.map(|r| (r.clone(), empty(r))).collect();
    let agents: Vec<AgentView> = agent::views(exec, None, false).await?;
    for agent in agents {
        let role = agent.role.clone();
        let card = all.entry(role).or_insert_with_key(empty);
        card.agents.push(agent);
    }
    let counts = sqlx::query!(
        r#"SELECT role, count(*) FILTER (WHERE status IN ('pending', 'queued', 'budget_paused')) AS "waiting!",
                  count(*) FILTER (WHERE status IN ('running', 'gated')) AS "running!",
                  count(*) FILTER (WHERE status IN ('blocked', 'escalated')) AS "stuck!"
           FROM fleet.tasks
           WHERE tenant_id = $1 AND status IN ('pending', 'queued', 'budget_paused', 'running', 'gated', 'blocked', 'escalated')
           GROUP BY role"#,
        exec.tenant.as_str()
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    for row in counts {
        let role: Name = known("role", row.role.parse().ok())?;
        if let Some(card) = all.get_mut(&role) {
            card.waiting = row.waiting.cast_unsigned();
            card.running = row.running.cast_unsigned();
            card.stuck = row.stuck.cast_unsigned();
        }
    }
    Ok(all)
}

/// The rooms that are there, by key. A quiet one has no cards: nobody needs to act on them.
async fn places(exec: &mut Exec<'_>) -> Result<BTreeMap<String, Place>, Stop> {
    let rows = sqlx::query!(
        r#"SELECT key AS "key!", id, room_id AS "room_id!" FROM fleet.rooms
           WHERE tenant_id = $1 AND kind = 'plan' AND room_id IS NOT NULL AND verbosity <> 'quiet'"#,
        exec.tenant.as_str()
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    let places = rows.into_iter().map(|r| {
        let place = Place {
            id: r.id,
            room_id: r.room_id,
        };
        (r.key, place)
    });
    Ok(places.collect())
}
