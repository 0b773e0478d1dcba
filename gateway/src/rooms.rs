//! Rooms: as they are planned, as they are, and how far each has been read.

use fleet_protocol::Problem;
use fleet_protocol::Timestamp;
use fleet_protocol::api::{BindRoom, OtherRoom, RoomMember, RoomPlan, Rooms};
use fleet_protocol::envelope::Mark;
use fleet_protocol::problem::Code;
use fleet_protocol::scalar::Name;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::execute::Stop;
use crate::{Ids, db};

/// All rooms of a tenant and who belongs there.
pub(crate) async fn list(tx: &mut PgConnection, tenant: &Name) -> Result<Rooms, Stop> {
    let rows = sqlx::query!(
        r#"SELECT kind, key, name, topic, alias, room_id, mark_event_id, read_up_to,
                  -- An upgraded room has no way to show what was said in the one before it.
                  ARRAY(SELECT o.event_id FROM fleet.proposals p
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
    let space = space.ok_or_else(|| {
        Problem::new(
            Code::NotFound,
            format!("the tenant {tenant} has no rooms planned"),
        )
        .remedy("run `fleet gateway init`")
    })?;
    Ok(Rooms {
        tenant: tenant.clone(),
        space,
        rooms,
        others,
        members: members(tx, tenant).await?,
    })
}

async fn members(tx: &mut PgConnection, tenant: &Name) -> Result<Vec<RoomMember>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT user_id, max(CASE role WHEN 'operator' THEN 100 WHEN 'member' THEN 50 ELSE 0 END)::bigint AS "power_level!"
           FROM fleet.grants WHERE tenant_id = $1 GROUP BY user_id ORDER BY user_id"#,
        tenant.as_str()
    )
    .fetch_all(&mut *tx)
    .await?;
    rows.into_iter()
        .map(|r| {
            let user = r
                .user_id
                .parse()
                .map_err(|e: fleet_protocol::scalar::ScalarError| sqlx::Error::Decode(e.into()))?;
            Ok(RoomMember {
                user,
                power_level: r.power_level,
            })
        })
        .collect()
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
               former_room_ids = CASE WHEN room_id <> $3 THEN former_room_ids || room_id ELSE former_room_ids END,
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
           WHERE tenant_id = $1 AND (key = $2 OR room_id = $3 OR room_id = $4)
           ORDER BY (key = $2) DESC NULLS LAST, (room_id = $3) DESC NULLS LAST FOR UPDATE"#,
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
