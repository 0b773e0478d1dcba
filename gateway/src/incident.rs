//! Incidents: what a person must know about, one open at a time per rule and subject, told
//! once, kept true by edits, told anew when it comes back.

use fleet_protocol::api::{OpenIncident, ReportIncident};
use fleet_protocol::document::{bold, code, text};
use fleet_protocol::outbox::{Attention, Message, Post, Relation, Target};
use fleet_protocol::scalar::{Name, ScalarError, UserId};
use fleet_protocol::{Document, Timestamp};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::execute::{NewRow, Place, Room, Subject};
use crate::{Ids, db, outbox};

/// A tap on an incident's message says that somebody takes care.
pub(crate) const TAKE: &str = "👀";

/// The rule of an incident: a room did not take a message.
pub(crate) const DEAD: &str = "outbox.dead";

/// The rule of an incident: two meters that cannot both be true.
pub(crate) const DIFFERENCE: &str = "budget.difference";
/// The rule of an incident: a model without a price where money counts.
pub(crate) const UNPRICED: &str = "budget.unpriced";
/// The rule of an incident: totals that are not the sums of the ledger's rows.
pub(crate) const MISMATCH: &str = "budget.audit";

/// What is raised.
pub(crate) struct Raised<'a> {
    /// Which rule: a name.
    pub(crate) rule: &'a str,
    /// What it is about.
    pub(crate) subject: &'a str,
    /// What happened and what to do.
    pub(crate) detail: &'a str,
}

/// Opens an incident and tells the operators. One that is open already keeps its
/// message, which is edited when the detail is another; then the answer is `None`.
pub(crate) async fn open(
    tx: &mut PgConnection,
    tenant: &Name,
    ids: &dyn Ids,
    now: Timestamp,
    raised: &Raised<'_>,
) -> Result<Option<Uuid>, sqlx::Error> {
    let id = ids.next();
    let message = ids.next();
    let stored = sqlx::query!(
        r#"INSERT INTO fleet.incidents AS i (tenant_id, id, rule, subject, detail, opened_at, message)
           VALUES ($1, $2, $3, left($4, 512), $5, $6, $7)
           ON CONFLICT (tenant_id, rule, subject) WHERE resolved_at IS NULL DO UPDATE SET detail = excluded.detail
               WHERE i.detail <> excluded.detail
           RETURNING id, message"#,
        tenant.as_str(),
        id,
        raised.rule,
        raised.subject,
        raised.detail,
        db::time(now),
        message,
    )
    .fetch_optional(&mut *tx)
    .await?;
    // It is open already, and known as it is.
    let Some(stored) = stored else {
        return Ok(None);
    };
    let is_new = stored.id == id;
    let mentions = if is_new {
        operators(tx, tenant).await?
    } else {
        Vec::new()
    };
    let said = Said {
        rule: raised.rule,
        incident: stored.id,
        message: stored.message,
        is_new,
        text: said(raised, mentions),
    };
    tell(tx, tenant, ids, now, said).await?;
    Ok(is_new.then_some(id))
}

/// Resolves the open incident of a rule and subject, if there is one; its message says so.
pub(crate) async fn resolve(
    tx: &mut PgConnection,
    tenant: &Name,
    ids: &dyn Ids,
    now: Timestamp,
    (rule, subject): (&str, &str),
) -> Result<(), sqlx::Error> {
    let resolved = sqlx::query!(
        r#"UPDATE fleet.incidents SET resolved_at = GREATEST($4, opened_at)
           WHERE tenant_id = $1 AND rule = $2 AND subject = left($3, 512) AND resolved_at IS NULL
           RETURNING id, detail, message"#,
        tenant.as_str(),
        rule,
        subject,
        db::time(now),
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(resolved) = resolved else {
        return Ok(());
    };
    let raised = Raised {
        rule,
        subject,
        detail: &resolved.detail,
    };
    let said = Said {
        rule,
        incident: resolved.id,
        message: resolved.message,
        is_new: false,
        text: over(&raised),
    };
    tell(tx, tenant, ids, now, said).await
}

/// What the bot reports: that something is wrong, or that it is so no more.
pub(crate) async fn report(
    tx: &mut PgConnection,
    tenant: &Name,
    ids: &dyn Ids,
    now: Timestamp,
    asked: &ReportIncident,
) -> Result<(), sqlx::Error> {
    let raised = Raised {
        rule: asked.rule.as_str(),
        subject: &asked.subject,
        detail: &asked.detail,
    };
    if asked.mended {
        resolve(tx, tenant, ids, now, (raised.rule, raised.subject)).await
    } else {
        open(tx, tenant, ids, now, &raised).await.map(drop)
    }
}

/// Resolves what is open about rooms that did not take a message, where a later one was posted since.
pub(crate) async fn posted(
    tx: &mut PgConnection,
    tenant: &Name,
    ids: &dyn Ids,
    now: Timestamp,
    rows: &[Uuid],
) -> Result<(), sqlx::Error> {
    let over = sqlx::query_scalar!(
        r#"SELECT i.subject FROM fleet.incidents i
           WHERE i.tenant_id = $1 AND i.rule = $3 AND i.resolved_at IS NULL AND EXISTS (
               SELECT FROM fleet.outbox o JOIN fleet.rooms r ON r.tenant_id = $1 AND r.id = o.room
               WHERE o.tenant_id = $1 AND o.id = ANY ($2) AND o.created_at > i.opened_at
                   AND i.subject = coalesce(r.key, r.room_id, r.id::text))"#,
        tenant.as_str(),
        rows,
        DEAD,
    )
    .fetch_all(&mut *tx)
    .await?;
    for subject in over {
        resolve(tx, tenant, ids, now, (DEAD, &subject)).await?;
    }
    Ok(())
}

/// Open incidents that the bot reports, and reports as mended when they are over.
pub(crate) async fn of_the_bot(
    tx: &mut PgConnection,
    tenant: &Name,
) -> Result<Vec<OpenIncident>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT rule, subject FROM fleet.incidents
           WHERE tenant_id = $1 AND resolved_at IS NULL AND (rule LIKE 'room.%' OR rule LIKE 'bot.%')
           ORDER BY opened_at LIMIT 200"#,
        tenant.as_str(),
    )
    .fetch_all(&mut *tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            let rule = row
                .rule
                .parse()
                .map_err(|e: ScalarError| sqlx::Error::Decode(e.into()))?;
            Ok(OpenIncident {
                rule,
                subject: row.subject,
            })
        })
        .collect()
}

/// Where an incident is told: what concerns budgets where they are spoken of, all else to who operates.
fn room(rule: &str) -> Room {
    Room::Key(if rule.starts_with("budget.") {
        "budget"
    } else {
        "ops"
    })
}

/// A message about an incident, or what replaces it.
struct Said<'a> {
    rule: &'a str,
    incident: Uuid,
    /// The row of the incident's message.
    message: Option<Uuid>,
    is_new: bool,
    text: Message,
}

async fn tell(
    tx: &mut PgConnection,
    tenant: &Name,
    ids: &dyn Ids,
    now: Timestamp,
    said: Said<'_>,
) -> Result<(), sqlx::Error> {
    let Some(message) = said.message else {
        return Ok(());
    };
    let row = |id, post, relation| NewRow {
        id,
        room: room(said.rule),
        post,
        relation,
        subject: Some((Subject::Incident, said.incident)),
        is_detail: false,
    };
    let rows = if said.is_new {
        let tap = Post::Reaction {
            key: TAKE.to_owned(),
        };
        let on = Relation::Annotates(Target::Row(message));
        vec![
            row(message, Post::Message(said.text), None),
            row(ids.next(), tap, Some(on)),
        ]
    } else {
        let edited = Relation::Replaces(Target::Row(message));
        vec![row(ids.next(), Post::Edit(said.text), Some(edited))]
    };
    let place = Place::default();
    let source = outbox::Source {
        tenant,
        place: &place,
        cause: None,
        now,
        device: None,
    };
    outbox::write(tx, &source, rows).await.map(drop)
}

fn said(raised: &Raised<'_>, mentions: Vec<UserId>) -> Message {
    let document = Document::new()
        .paragraph([
            text("⚠ "),
            bold(raised.rule),
            text(" "),
            code(raised.subject),
        ])
        .paragraph([text(raised.detail)]);
    let twin =
        serde_json::json!({ "incident": { "rule": raised.rule, "subject": raised.subject } });
    Message {
        attention: Attention::Loud,
        document,
        mentions,
        twin,
    }
}

fn over(raised: &Raised<'_>) -> Message {
    let document = Document::new()
        .paragraph([
            text("✅ over: "),
            bold(raised.rule),
            text(" "),
            code(raised.subject),
        ])
        .paragraph([text(raised.detail)]);
    let incident =
        serde_json::json!({ "rule": raised.rule, "subject": raised.subject, "resolved": true });
    Message {
        attention: Attention::Quiet,
        document,
        mentions: Vec::new(),
        twin: serde_json::json!({ "incident": incident }),
    }
}

/// Whom to call: operators, by name, as many as a message reasonably mentions.
pub(crate) async fn operators(
    tx: &mut PgConnection,
    tenant: &Name,
) -> Result<Vec<UserId>, sqlx::Error> {
    first_operators(tx, tenant, 20).await
}

/// The operators of the fleet, by name, at most so many.
pub(crate) async fn first_operators(
    tx: &mut PgConnection,
    tenant: &Name,
    most: i64,
) -> Result<Vec<UserId>, sqlx::Error> {
    let users = sqlx::query_scalar!(
        "SELECT DISTINCT user_id FROM fleet.grants WHERE tenant_id = $1 AND role = 'operator' AND room_key IS NULL ORDER BY user_id LIMIT $2",
        tenant.as_str(),
        most
    )
    .fetch_all(&mut *tx)
    .await?;
    // The column holds what was checked on its way in; an odd one is not worth losing the alarm.
    Ok(users.iter().filter_map(|u| u.parse().ok()).collect())
}
