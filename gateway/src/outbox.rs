//! The outbox: what is written in the transaction of its cause, handed out until it is settled.

use std::collections::HashMap;

use fleet_protocol::Timestamp;
use fleet_protocol::outbox::{Attempt, Attention, OutboxRow, Post, Relation, Target};
use fleet_protocol::scalar::Name;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::db;
use crate::execute::{NewRow, Place, Room};
use crate::journal::encode;

/// Rows handed out at once.
const PAGE: i64 = 500;
/// Of them, those of one room: a room that takes nothing hides no other.
const PAGE_OF_ROOM: i64 = 50;
/// Edits of one room on their way at once: what still waits here gives way to a newer one, what was
/// handed out does not. More than a homeserver takes between two polls.
const EDITS_OF_ROOM: i64 = 8;

/// From where rows are written.
pub(crate) struct Source<'a> {
    /// The tenant.
    pub(crate) tenant: &'a Name,
    /// Where "here" is.
    pub(crate) place: &'a Place,
    /// The admission that caused them.
    pub(crate) cause: Option<Uuid>,
    /// The present.
    pub(crate) now: Timestamp,
    /// The device that will send them at once; none leaves them to be fetched.
    pub(crate) device: Option<&'a str>,
}

/// Writes rows and supersedes what they make stale. What a quiet room is spared, and what changes a
/// message that never came into the room, is kept as superseded; details are written for verbose rooms
/// only. Returns those that the source's device shall send now: bound to a Matrix room, not waiting
/// for another row, and no edit that [`sendable`] would withhold.
pub(crate) async fn write(
    tx: &mut PgConnection,
    source: &Source<'_>,
    rows: Vec<NewRow>,
) -> Result<Vec<OutboxRow>, sqlx::Error> {
    let caused = rows.into_iter().map(|row| (source.cause, row)).collect();
    write_all(tx, source, caused).await
}

/// The same of rows that several admissions caused, each with its own.
pub(crate) async fn write_all(
    tx: &mut PgConnection,
    source: &Source<'_>,
    rows: Vec<(Option<Uuid>, NewRow)>,
) -> Result<Vec<OutboxRow>, sqlx::Error> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let rows = newest_edits(rows);
    let columns = Columns::of(source, &rows)?;
    supersede(tx, source, &rows).await?;
    let written = sqlx::query!(
        r#"INSERT INTO fleet.outbox AS o
               (tenant_id, id, room, post, relation, target_row, target_event, subject_kind, subject_id, cause, created_at,
                device, first_attempt_at, attempts, state, reason, settled_at)
           SELECT $1, n.id, r.id, n.post, n.relation, n.target_row, n.target_event, n.subject_kind, n.subject_id, n.cause, $11::timestamptz,
                  now.device, CASE WHEN now.device IS NOT NULL THEN $11::timestamptz END, CASE WHEN now.device IS NULL THEN 0 ELSE 1 END,
                  CASE WHEN now.spared IS NULL THEN 'pending' ELSE 'superseded' END, now.spared,
                  CASE WHEN now.spared IS NOT NULL THEN $11::timestamptz END
           FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::jsonb[], $6::jsonb[], $7::uuid[], $8::text[], $9::text[], $12::uuid[], $14::smallint[],
                    $10::uuid[])
                WITH ORDINALITY AS n (id, room, room_key, post, relation, target_row, target_event, subject_kind, subject_id, least, cause, place)
           CROSS JOIN LATERAL (
               SELECT r.id, r.room_id, n.least > array_position(ARRAY['quiet', 'normal', 'verbose'], r.verbosity) AS silent FROM fleet.rooms r
               WHERE r.tenant_id = $1 AND (r.id = n.room OR r.key = n.room_key OR r.key = 'lobby')
               ORDER BY (r.id = n.room) DESC NULLS LAST, (r.key = n.room_key) DESC NULLS LAST LIMIT 1) r
           LEFT JOIN fleet.outbox t ON t.tenant_id = $1 AND t.id = n.target_row
           CROSS JOIN LATERAL (
               SELECT CASE WHEN r.silent THEN 'the room is quiet'
                           WHEN t.state IN ('dead', 'superseded') AND NOT n.post ?| ARRAY['message', 'picture', 'receipt']
                           THEN 'what it relates to was never sent' END AS spared) spare
           CROSS JOIN LATERAL (
               SELECT CASE WHEN r.room_id IS NOT NULL AND spare.spared IS NULL AND (n.target_row IS NULL OR t.event_id IS NOT NULL)
                            AND NOT (n.post ? 'edit' AND (
                     EXISTS (SELECT FROM fleet.outbox e WHERE e.tenant_id = $1 AND e.target_row = n.target_row AND e.post ? 'edit'
                         AND e.first_attempt_at > $11::timestamptz - interval '1 second')
                     OR EXISTS (SELECT FROM fleet.outbox e WHERE e.tenant_id = $1 AND e.target_row = n.target_row AND e.post ? 'edit'
                         AND e.state = 'pending' AND e.first_attempt_at IS NOT NULL)))
                       THEN $13 END AS device, spare.spared) now
           WHERE now.spared IS NULL OR n.least < 3
           ORDER BY n.place
           RETURNING o.id, (SELECT r.room_id FROM fleet.rooms r WHERE r.tenant_id = o.tenant_id AND r.id = o.room) AS room_id,
               (SELECT t.event_id FROM fleet.outbox t WHERE t.tenant_id = o.tenant_id AND t.id = o.target_row) AS target_event,
               o.device"#,
        source.tenant.as_str(),
        &columns.ids,
        &columns.rooms as &[Option<Uuid>],
        &columns.room_keys as &[Option<String>],
        &columns.posts,
        &columns.relations as &[Option<Value>],
        &columns.target_rows as &[Option<Uuid>],
        &columns.target_events as &[Option<String>],
        &columns.subject_kinds as &[Option<String>],
        &columns.causes as &[Option<Uuid>],
        db::time(source.now),
        &columns.subject_ids as &[Option<Uuid>],
        source.device,
        &columns.least,
    )
    .fetch_all(&mut *tx)
    .await?;
    let mut rows: HashMap<Uuid, NewRow> = rows.into_iter().map(|(_, row)| (row.id, row)).collect();
    let mut sent = Vec::new();
    for record in written {
        let row = rows.remove(&record.id).ok_or(sqlx::Error::RowNotFound)?;
        if let (Some(device), Some(room_id)) = (record.device, record.room_id) {
            sent.push(OutboxRow {
                id: row.id,
                room_id,
                post: row.post,
                relation: row.relation.map(|r| resolved(r, record.target_event)),
                created_at: source.now,
                attempt: Some(Attempt {
                    device,
                    at: source.now,
                }),
            });
        }
    }
    if rows.values().any(|row| !row.is_detail) {
        // No room to say it in, not even a lobby: nothing may be dropped silently.
        return Err(sqlx::Error::RowNotFound);
    }
    Ok(sent)
}

/// The least verbosity of a room that hears a row, from 1 (`quiet`) to 3 (`verbose`). Details are for
/// verbose rooms; a quiet one is also spared what the fleet says by itself and nobody needs to act on.
/// Answers, receipts, and what needs a person (alerts, cards, decisions) always go, and so do changes
/// of what was said.
fn least_verbosity(row: &NewRow) -> i16 {
    let is_answer = matches!(
        row.relation,
        Some(Relation::Reply { .. } | Relation::Thread { .. })
    );
    match &row.post {
        _ if row.is_detail => 3,
        Post::Message(said) if said.attention == Attention::Quiet && !is_answer => 2,
        Post::Picture(_) if !is_answer => 2,
        _ => 1,
    }
}

/// Of several edits of one row written at once, only the last is worth sending.
fn newest_edits(rows: Vec<(Option<Uuid>, NewRow)>) -> Vec<(Option<Uuid>, NewRow)> {
    let mut kept: Vec<(Option<Uuid>, NewRow)> = Vec::with_capacity(rows.len());
    for (cause, row) in rows {
        if matches!(row.post, Post::Edit(_)) {
            kept.retain(|(_, k)| !(matches!(k.post, Post::Edit(_)) && k.relation == row.relation));
        }
        kept.push((cause, row));
    }
    kept
}

/// Edits that nobody has tried to send yet give way to newer ones of the same message.
async fn supersede(
    tx: &mut PgConnection,
    source: &Source<'_>,
    rows: &[(Option<Uuid>, NewRow)],
) -> Result<(), sqlx::Error> {
    let edits = rows
        .iter()
        .map(|(_, row)| row)
        .filter(|r| matches!(r.post, Post::Edit(_)))
        .filter_map(|r| r.relation.as_ref().map(Relation::target));
    let (mut target_rows, mut target_events) = (Vec::new(), Vec::new());
    for target in edits {
        match target {
            Target::Row(id) => target_rows.push(*id),
            Target::Event(id) => target_events.push(id.clone()),
        }
    }
    if target_rows.is_empty() && target_events.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        r#"UPDATE fleet.outbox SET state = 'superseded', settled_at = $4, reason = 'a newer edit'
           WHERE tenant_id = $1 AND state = 'pending' AND first_attempt_at IS NULL AND post ? 'edit'
             AND (target_row = ANY ($2) OR target_event = ANY ($3))"#,
        source.tenant.as_str(),
        &target_rows,
        &target_events,
        db::time(source.now),
    )
    .execute(&mut *tx)
    .await
    .map(drop)
}

/// New rows, by column.
#[derive(Default)]
struct Columns {
    ids: Vec<Uuid>,
    rooms: Vec<Option<Uuid>>,
    room_keys: Vec<Option<String>>,
    posts: Vec<Value>,
    relations: Vec<Option<Value>>,
    target_rows: Vec<Option<Uuid>>,
    target_events: Vec<Option<String>>,
    subject_kinds: Vec<Option<String>>,
    subject_ids: Vec<Option<Uuid>>,
    causes: Vec<Option<Uuid>>,
    least: Vec<i16>,
}

impl Columns {
    fn of(source: &Source<'_>, rows: &[(Option<Uuid>, NewRow)]) -> Result<Self, sqlx::Error> {
        let mut columns = Self::default();
        for (cause, row) in rows {
            columns.ids.push(row.id);
            columns.causes.push(*cause);
            let (room, key) = match &row.room {
                Room::Here => (source.place.room, None),
                Room::Key(key) => (None, Some((*key).to_owned())),
                Room::Id(id) => (Some(*id), None),
            };
            columns.rooms.push(room);
            columns.room_keys.push(key);
            columns.posts.push(encode(&row.post)?);
            columns
                .relations
                .push(row.relation.as_ref().map(encode).transpose()?);
            let (target_row, target_event) = match row.relation.as_ref().map(Relation::target) {
                Some(Target::Row(id)) => (Some(*id), None),
                Some(Target::Event(id)) => (None, Some(id.clone())),
                None => (None, None),
            };
            columns.target_rows.push(target_row);
            columns.target_events.push(target_event);
            columns
                .subject_kinds
                .push(row.subject.map(|s| s.0.as_str().to_owned()));
            columns.subject_ids.push(row.subject.map(|s| s.1));
            columns.least.push(least_verbosity(row));
        }
        Ok(columns)
    }
}

/// A relation that points at an event, where the row it pointed at has become one.
fn resolved(relation: Relation, event: Option<String>) -> Relation {
    let Some(event) = event else { return relation };
    let at = |target: Target| match target {
        Target::Row(_) => Target::Event(event.clone()),
        already => already,
    };
    match relation {
        Relation::Reply { to, thread_root } => Relation::Reply {
            to: at(to),
            thread_root,
        },
        Relation::Thread { root } => Relation::Thread { root: at(root) },
        Relation::Replaces(t) => Relation::Replaces(at(t)),
        Relation::Annotates(t) => Relation::Annotates(at(t)),
        Relation::Redacts(t) => Relation::Redacts(at(t)),
        Relation::Pins(t) => Relation::Pins(at(t)),
        Relation::References(t) => Relation::References(at(t)),
    }
}

/// Every row that can be sent now, oldest first. Withheld: rows of rooms that are not made yet,
/// and rows that relate to a row that is not in the room yet. What replies to a row that never
/// came into the room stands by itself. Also withheld: an edit while the one before of the same message
/// is on its way, and within a second of it, so that many changes at once are one edit; and edits beyond
/// [`EDITS_OF_ROOM`].
pub(crate) async fn sendable(
    tx: &mut PgConnection,
    tenant: &Name,
    now: Timestamp,
) -> Result<Vec<OutboxRow>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT o.id, r.room_id AS "room_id!", o.post, o.relation, o.created_at, o.device, o.first_attempt_at,
                  o.target_row, t.event_id AS "target_event?"
           FROM fleet.rooms r
           CROSS JOIN LATERAL (
               SELECT o.* FROM (
               SELECT o.*, count(*) FILTER (WHERE o.post ? 'edit') OVER (ORDER BY o.seq) AS edits FROM fleet.outbox o
               LEFT JOIN fleet.outbox t ON t.tenant_id = $1 AND t.id = o.target_row
               WHERE o.tenant_id = $1 AND o.room = r.id AND o.state = 'pending'
                 AND (o.target_row IS NULL OR t.event_id IS NOT NULL OR t.state IN ('dead', 'superseded'))
                 AND NOT (o.post ? 'edit' AND o.first_attempt_at IS NULL AND (
                     EXISTS (SELECT FROM fleet.outbox e WHERE e.tenant_id = $1 AND e.target_row = o.target_row AND e.post ? 'edit'
                         AND e.first_attempt_at > $4::timestamptz - interval '1 second')
                     OR EXISTS (SELECT FROM fleet.outbox e WHERE e.tenant_id = $1 AND e.target_row = o.target_row AND e.post ? 'edit'
                         AND e.state = 'pending' AND e.first_attempt_at IS NOT NULL)))) o
               WHERE NOT o.post ? 'edit' OR o.edits <= $5
               ORDER BY o.seq LIMIT $3) o
           LEFT JOIN fleet.outbox t ON t.tenant_id = $1 AND t.id = o.target_row
           WHERE r.tenant_id = $1 AND r.room_id IS NOT NULL
           ORDER BY o.seq LIMIT $2"#,
        tenant.as_str(),
        PAGE,
        PAGE_OF_ROOM,
        db::time(now) as _,
        EDITS_OF_ROOM
    )
    .fetch_all(&mut *tx)
    .await?;
    rows.into_iter()
        .map(|r| {
            let orphan = r.target_row.is_some() && r.target_event.is_none();
            let relation = r
                .relation
                .filter(|_| !orphan)
                .map(decode::<Relation>)
                .transpose()?;
            Ok(OutboxRow {
                id: r.id,
                room_id: r.room_id,
                post: decode(r.post)?,
                relation: relation.map(|rel| resolved(rel, r.target_event)),
                created_at: db::instant(r.created_at),
                attempt: r
                    .device
                    .zip(r.first_attempt_at)
                    .map(|(device, at)| Attempt {
                        device,
                        at: db::instant(at),
                    }),
            })
        })
        .collect()
}

fn decode<T: serde::de::DeserializeOwned>(json: Value) -> Result<T, sqlx::Error> {
    serde_json::from_value(json).map_err(|e| sqlx::Error::Decode(e.into()))
}
