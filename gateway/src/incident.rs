//! Incidents: what a person must know about, one open at a time per rule and subject, told once.

use fleet_protocol::document::{bold, code, text};
use fleet_protocol::outbox::{Attention, Message, Post};
use fleet_protocol::scalar::{Name, UserId};
use fleet_protocol::{Document, Timestamp};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::execute::{NewRow, Place, Room, Subject};
use crate::{Ids, db, outbox};

/// What is raised.
pub(crate) struct Raised<'a> {
    /// Which rule: a name.
    pub(crate) rule: &'a str,
    /// What it is about.
    pub(crate) subject: &'a str,
    /// What happened and what to do.
    pub(crate) detail: &'a str,
}

/// Opens an incident and tells the operators in the room `ops`. One that is open already keeps its
/// message and takes the newer detail; then the answer is `None`.
pub(crate) async fn open(
    tx: &mut PgConnection,
    tenant: &Name,
    ids: &dyn Ids,
    now: Timestamp,
    raised: &Raised<'_>,
) -> Result<Option<Uuid>, sqlx::Error> {
    let id = ids.next();
    let message = ids.next();
    let stored = sqlx::query_scalar!(
        r#"INSERT INTO fleet.incidents (tenant_id, id, rule, subject, detail, opened_at, message)
           VALUES ($1, $2, $3, left($4, 512), $5, $6, $7)
           ON CONFLICT (tenant_id, rule, subject) WHERE resolved_at IS NULL DO UPDATE SET detail = excluded.detail
           RETURNING id"#,
        tenant.as_str(),
        id,
        raised.rule,
        raised.subject,
        raised.detail,
        db::time(now),
        message,
    )
    .fetch_one(&mut *tx)
    .await?;
    if stored != id {
        return Ok(None);
    }
    let mentions = operators(tx, tenant).await?;
    let row = NewRow {
        id: message,
        room: Room::Key("ops"),
        post: Post::Message(said(raised, mentions)),
        relation: None,
        subject: Some((Subject::Incident, id)),
        is_detail: false,
    };
    let place = Place::default();
    let source = outbox::Source {
        tenant,
        place: &place,
        cause: None,
        now,
        device: None,
    };
    outbox::write(tx, &source, vec![row]).await?;
    Ok(Some(id))
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

/// Whom to call: operators, by name.
pub(crate) async fn operators(
    tx: &mut PgConnection,
    tenant: &Name,
) -> Result<Vec<UserId>, sqlx::Error> {
    let users = sqlx::query_scalar!(
        "SELECT DISTINCT user_id FROM fleet.grants WHERE tenant_id = $1 AND role = 'operator' AND room_key IS NULL ORDER BY user_id LIMIT 20",
        tenant.as_str()
    )
    .fetch_all(&mut *tx)
    .await?;
    // The column holds what was checked on its way in; an odd one is not worth losing the alarm.
    Ok(users.iter().filter_map(|u| u.parse().ok()).collect())
}
