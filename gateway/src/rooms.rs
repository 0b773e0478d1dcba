//! Rooms: as they are planned, as they are, and how far each has been read.

use std::collections::BTreeMap;
use std::str::FromStr;

use fleet_protocol::Problem;
use fleet_protocol::Timestamp;
use fleet_protocol::api::{BindRoom, OtherRoom, RoomMember, RoomPlan, Rooms};
use fleet_protocol::envelope::Mark;
use fleet_protocol::problem::Code;
use fleet_protocol::scalar::{Name, ScalarError, UserId};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::execute::Stop;
use crate::{Ids, db, incident};

/// The power level of an operator: enough for everything in a room, and below the bot's (100).
const OPERATOR_LEVEL: i64 = 90;
/// The power level of a member (Matrix spec, `m.room.power_levels`: a moderator).
const MEMBER_LEVEL: i64 = 50;

/// All rooms of a tenant and who belongs there.
pub(crate) async fn list(tx: &mut PgConnection, tenant: &Name) -> Result<Rooms, Stop> {
    let rows = sqlx::query!(
        r#"SELECT kind, key, name, topic, alias, room_id, mark_event_id, read_up_to,
                  -- An upgraded room has no way to show what was said in the one before it.
                  ARRAY(SELECT o.event_id FROM fleet.role_cards c
                        JOIN fleet.outbox o ON o.tenant_id = c.tenant_id AND o.id = c.card
                        WHERE c.tenant_id = r.tenant_id AND c.room_id = r.room_id AND o.event_id IS NOT NULL
                        ORDER BY c.role LIMIT 50)
                  || ARRAY(SELECT o.event_id FROM fleet.proposals p
                        JOIN fleet.outbox o ON o.tenant_id = p.tenant_id AND o.id = p.card
                        WHERE p.tenant_id = r.tenant_id AND p.state = 'open' AND o.room = r.id AND o.event_id IS NOT NULL
                          AND r.former_room_ids = '{}'
                        ORDER BY p.number DESC LIMIT 50) AS "pinned!: Vec<String>"
           FROM fleet.rooms r WHERE tenant_id = $1 ORDER BY id"#,
        tenant.as_str()
    )
    .fetch_all(&mut *tx)
    .await?;
    let (mut space, mut rooms, mut others) = (None, Vec::new(), Vec::new());
    for row in rows {
        let mark = row
            .mark_event_id
            .zip(row.read_up_to)
            .map(|(event_id, at)| Mark {
                event_id,
                read_up_to: db::instant(at),
            });
        match (row.key.and_then(|k| k.parse::<Name>().ok()), row.room_id) {
            (Some(key), room_id) => {
                let (name, topic, alias) = (
                    row.name.unwrap_or_default(),
                    row.topic.unwrap_or_default(),
                    row.alias.unwrap_or_default(),
                );
                let plan = RoomPlan {
                    key,
                    name,
                    topic,
                    alias,
                    room_id,
                    mark,
                    pinned: row.pinned,
                    members: Vec::new(),
                    revoked: Vec::new(),
                };
                if row.kind == "space" {
                    space = Some(plan)
                } else {
                    rooms.push(plan)
                }
            }
            (None, Some(room_id)) => others.push(OtherRoom { room_id, mark }),
            (None, None) => {}
        }
    }
    let mut space = space.ok_or_else(|| {
        Problem::new(
            Code::NotFound,
            format!("the tenant {tenant} has no rooms planned"),
        )
        .remedy("run `fleet gateway init`")
    })?;
    let (mut members, mut revoked) = (members(tx, tenant).await?, revoked(tx, tenant).await?);
    for plan in rooms.iter_mut().chain([&mut space]) {
        plan.members = members.remove(&plan.key).unwrap_or_default();
        plan.revoked = revoked.remove(&plan.key).unwrap_or_default();
    }
    Ok(Rooms {
        tenant: tenant.clone(),
        space,
        rooms,
        others,
        hosts: hosts(tx, tenant).await?,
        incidents: incident::of_the_bot(tx, tenant).await?,
    })
}

/// Per room, who holds a grant that counts there.
async fn members(
    tx: &mut PgConnection,
    tenant: &Name,
) -> Result<BTreeMap<Name, Vec<RoomMember>>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT r.key AS "key!", g.user_id,
                  max(CASE g.role WHEN 'operator' THEN $2::bigint WHEN 'member' THEN $3::bigint ELSE 0 END) AS "power_level!"
           FROM fleet.rooms r
           JOIN fleet.grants g ON g.tenant_id = $1 AND (g.room_key IS NULL OR g.room_key = r.key)
           WHERE r.tenant_id = $1 AND r.key IS NOT NULL GROUP BY r.key, g.user_id ORDER BY r.key, g.user_id"#,
        tenant.as_str(),
        OPERATOR_LEVEL,
        MEMBER_LEVEL,
    )
    .fetch_all(&mut *tx)
    .await?;
    let mut by_room: BTreeMap<Name, Vec<RoomMember>> = BTreeMap::new();
    for row in rows {
        let member = RoomMember {
            user: parsed(&row.user_id)?,
            power_level: row.power_level,
        };
        by_room.entry(parsed(&row.key)?).or_default().push(member);
    }
    Ok(by_room)
}

/// Per room, who had a grant and has none left that counts there.
async fn revoked(
    tx: &mut PgConnection,
    tenant: &Name,
) -> Result<BTreeMap<Name, Vec<UserId>>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT r.key AS "key!", a.subject
           FROM fleet.rooms r
           CROSS JOIN (SELECT DISTINCT subject FROM fleet.audit WHERE tenant_id = $1 AND action = 'member.revoke') a
           WHERE r.tenant_id = $1 AND r.key IS NOT NULL AND NOT EXISTS (
               SELECT FROM fleet.grants g WHERE g.tenant_id = $1 AND g.user_id = a.subject
                   AND (g.room_key IS NULL OR g.room_key = r.key))
           ORDER BY r.key, a.subject"#,
        tenant.as_str(),
    )
    .fetch_all(&mut *tx)
    .await?;
    let mut by_room: BTreeMap<Name, Vec<UserId>> = BTreeMap::new();
    for row in rows {
        let user = parsed(&row.subject)?;
        by_room.entry(parsed(&row.key)?).or_default().push(user);
    }
    Ok(by_room)
}

/// Who may bring the bot into a room of theirs: an agent serves in the rooms it is given.
async fn hosts(tx: &mut PgConnection, tenant: &Name) -> Result<Vec<UserId>, sqlx::Error> {
    let users = sqlx::query_scalar!(
        r#"SELECT DISTINCT g.user_id FROM fleet.grants g WHERE g.tenant_id = $1 AND g.role <> 'agent'
               AND NOT EXISTS (SELECT FROM fleet.agents a WHERE a.tenant_id = $1 AND a.user_id = g.user_id)
           ORDER BY g.user_id"#,
        tenant.as_str(),
    )
    .fetch_all(&mut *tx)
    .await?;
    users.iter().map(|user| parsed(user)).collect()
}

/// What the register checked on its way in.
fn parsed<T: FromStr<Err = ScalarError>>(stored: &str) -> Result<T, sqlx::Error> {
    stored
        .parse()
        .map_err(|e: ScalarError| sqlx::Error::Decode(e.into()))
}

/// Tells the register which Matrix room a plan has become, that a room was upgraded, or that the
/// bot is in a room without a plan. Rows of the outbox follow, as they name the register's room;
/// parked ones are tried again.
pub(crate) async fn bind(
    tx: &mut PgConnection,
    tenant: &Name,
    ids: &dyn Ids,
    room_id: &str,
    asked: &BindRoom,
) -> Result<(), Stop> {
    if !room_id.starts_with('!') || room_id.len() > 255 {
        return Err(
            Problem::new(Code::Invalid, format!("{room_id} is not a Matrix room id")).into(),
        );
    }
    let room = match find(tx, tenant, room_id, asked).await? {
        Some(room) => room,
        None => add(tx, tenant, ids, room_id, asked).await?,
    };
    sqlx::query!(
        r#"UPDATE fleet.rooms SET
               mark_event_id = CASE WHEN room_id IS DISTINCT FROM $3 OR mark_event_id IS NULL THEN $4 ELSE mark_event_id END,
               read_up_to = CASE WHEN room_id IS DISTINCT FROM $3 OR mark_event_id IS NULL THEN $5 ELSE read_up_to END,
               former_room_ids = CASE WHEN room_id <> $3 THEN array_remove(former_room_ids, $3) || room_id ELSE former_room_ids END,
               room_id = $3
           WHERE tenant_id = $1 AND id = $2"#,
        tenant.as_str(),
        room,
        room_id,
        asked.mark.event_id,
        db::time(asked.mark.read_up_to),
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "UPDATE fleet.outbox SET state = 'pending', reason = NULL WHERE tenant_id = $1 AND room = $2 AND state = 'parked'",
        tenant.as_str(),
        room,
    )
    .execute(&mut *tx)
    .await?;
    Ok(())
}

/// The register's room that this is: by plan, by the room it replaces, or itself.
async fn find(
    tx: &mut PgConnection,
    tenant: &Name,
    room_id: &str,
    asked: &BindRoom,
) -> Result<Option<Uuid>, Stop> {
    let rows = sqlx::query!(
        r#"SELECT id, key, room_id FROM fleet.rooms
           WHERE tenant_id = $1 AND (key = $2 OR room_id = $3 OR room_id = $4 OR $3 = ANY (former_room_ids))
           ORDER BY (key = $2) DESC NULLS LAST, (room_id = $3) DESC NULLS LAST, (room_id = $4) DESC NULLS LAST FOR UPDATE"#,
        tenant.as_str(),
        asked.key.as_ref().map(Name::as_str),
        room_id,
        asked.replaces,
    )
    .fetch_all(&mut *tx)
    .await?;
    if let Some(key) = &asked.key
        && !rows.iter().any(|r| r.key.as_deref() == Some(key.as_str()))
    {
        return Err(Problem::new(
            Code::NotFound,
            format!("no room is planned with the key {key}"),
        )
        .into());
    }
    let Some(first) = rows.first() else {
        return Ok(None);
    };
    if let Some(other) = rows
        .iter()
        .find(|r| r.room_id.as_deref() == Some(room_id) && r.id != first.id)
    {
        let what = other.key.as_deref().unwrap_or("a room without a plan");
        return Err(Problem::new(
            Code::Exists,
            format!("{room_id} is bound to {what} already"),
        )
        .into());
    }
    let is_meant = asked.key.is_some()
        || first.room_id.as_deref() == Some(room_id)
        || (asked.replaces.is_some() && first.room_id == asked.replaces);
    if !is_meant {
        let now = first.room_id.as_deref().unwrap_or("another room");
        return Err(Problem::new(
            Code::WrongState,
            format!("{room_id} was replaced by {now}; it is not bound again"),
        )
        .into());
    }
    Ok(Some(first.id))
}

async fn add(
    tx: &mut PgConnection,
    tenant: &Name,
    ids: &dyn Ids,
    room_id: &str,
    asked: &BindRoom,
) -> Result<Uuid, sqlx::Error> {
    sqlx::query_scalar!(
        r#"INSERT INTO fleet.rooms (tenant_id, id, kind, room_id, mark_event_id, read_up_to) VALUES ($1, $2, 'other', $3, $4, $5)
           RETURNING id"#,
        tenant.as_str(),
        ids.next(),
        room_id,
        asked.mark.event_id,
        db::time(asked.mark.read_up_to),
    )
    .fetch_one(&mut *tx)
    .await
}

/// Moves a room's mark if it still is where it was expected, or there already.
pub(crate) async fn move_mark(
    tx: &mut PgConnection,
    tenant: &Name,
    room: Uuid,
    expected: Option<&str>,
    to: (&str, Timestamp),
) -> Result<bool, sqlx::Error> {
    let moved = sqlx::query!(
        r#"UPDATE fleet.rooms SET mark_event_id = $4, read_up_to = GREATEST(read_up_to, $5)
           WHERE tenant_id = $1 AND id = $2 AND (mark_event_id IS NOT DISTINCT FROM $3 OR mark_event_id = $4)"#,
        tenant.as_str(),
        room,
        expected,
        to.0,
        db::time(to.1),
    )
    .execute(&mut *tx)
    .await?;
    Ok(moved.rows_affected() == 1)
}
