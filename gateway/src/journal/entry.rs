//! Rows of the journal: what became of each request.

use fleet_protocol::Timestamp;
use fleet_protocol::envelope::{Outcome, Receipt};
use fleet_protocol::scalar::Name;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{encode, reference, word};
use crate::db;

/// A row of the journal.
pub(crate) struct Entry<'a> {
    /// The tenant.
    pub(crate) tenant: &'a Name,
    /// Over what was asked.
    pub(crate) digest: &'a str,
    /// Who asked.
    pub(crate) principal: &'a str,
    /// From which room.
    pub(crate) room: Option<Uuid>,
    /// The verb.
    pub(crate) verb: Option<&'a str>,
    /// What was asked.
    pub(crate) body: &'a Value,
    /// On which authority.
    pub(crate) authority: &'a Value,
    /// When.
    pub(crate) now: Timestamp,
    /// What became of it.
    pub(crate) receipt: &'a Receipt,
}

impl Entry<'_> {
    /// The one log line of a command, found by its reference; and what is counted.
    pub(crate) fn log(&self, surface: &'static str, room: &str) {
        let Receipt {
            id,
            key,
            outcome,
            problem,
            ..
        } = self.receipt;
        let (reference, verb) = (reference(*id), self.verb.unwrap_or(""));
        let code = problem.as_ref().map_or("", |p| p.code.as_str());
        let (outcome, principal) = (word(*outcome), self.principal);
        if self.receipt.outcome == Outcome::Skipped {
            tracing::debug!(reference, receipt = %id, key, room, "skipped");
        } else {
            tracing::info!(reference, receipt = %id, verb, outcome, code, principal, surface, room, key, "command");
        }
        metrics::counter!("fleet_requests_total", "verb" => verb.to_owned(), "outcome" => outcome, "surface" => surface)
            .increment(1);
    }
}

/// Writes a row; `false` when the key was admitted meanwhile, and this transaction must be undone.
pub(crate) async fn write(tx: &mut PgConnection, entry: &Entry<'_>) -> Result<bool, sqlx::Error> {
    write_all(tx, std::slice::from_ref(entry)).await
}

/// Writes rows of one tenant; `false` when a key was admitted meanwhile, and this transaction must be undone.
pub(crate) async fn write_all(
    tx: &mut PgConnection,
    entries: &[Entry<'_>],
) -> Result<bool, sqlx::Error> {
    let Some(tenant) = entries.first().map(|e| e.tenant) else {
        return Ok(true);
    };
    let mut columns = Columns::default();
    for entry in entries {
        columns.push(entry)?;
    }
    let done = sqlx::query!(
        r#"INSERT INTO fleet.admitted
               (tenant_id, key, id, digest, principal, room, verb, body, outcome, reply, problem, authority, admitted_at)
           SELECT $1, n.key, n.id, n.digest, n.principal, n.room, n.verb, n.body, n.outcome, n.reply, n.problem, n.authority, n.at
           FROM unnest($2::text[], $3::uuid[], $4::text[], $5::text[], $6::uuid[], $7::text[], $8::jsonb[], $9::text[], $10::jsonb[],
                   $11::jsonb[], $12::jsonb[], $13::timestamptz[])
               AS n (key, id, digest, principal, room, verb, body, outcome, reply, problem, authority, at)
           ON CONFLICT (tenant_id, key) DO NOTHING"#,
        tenant.as_str(),
        &columns.keys,
        &columns.ids,
        &columns.digests,
        &columns.principals,
        &columns.rooms as &[Option<Uuid>],
        &columns.verbs as &[Option<String>],
        &columns.bodies,
        &columns.outcomes,
        &columns.replies as &[Option<Value>],
        &columns.problems as &[Option<Value>],
        &columns.authorities,
        &columns.at as &[db::Time],
    )
    .execute(&mut *tx)
    .await?;
    Ok(usize::try_from(done.rows_affected()) == Ok(entries.len()))
}

/// Rows of the journal, by column.
#[derive(Default)]
struct Columns {
    keys: Vec<String>,
    ids: Vec<Uuid>,
    digests: Vec<String>,
    principals: Vec<String>,
    rooms: Vec<Option<Uuid>>,
    verbs: Vec<Option<String>>,
    bodies: Vec<Value>,
    outcomes: Vec<String>,
    replies: Vec<Option<Value>>,
    problems: Vec<Option<Value>>,
    authorities: Vec<Value>,
    at: Vec<db::Time>,
}

impl Columns {
    fn push(&mut self, entry: &Entry<'_>) -> Result<(), sqlx::Error> {
        let receipt = entry.receipt;
        self.keys.push(receipt.key.clone());
        self.ids.push(receipt.id);
        self.digests.push(entry.digest.to_owned());
        self.principals.push(entry.principal.to_owned());
        self.rooms.push(entry.room);
        self.verbs.push(entry.verb.map(str::to_owned));
        self.bodies.push(entry.body.clone());
        self.outcomes.push(word(receipt.outcome).to_owned());
        self.replies
            .push(receipt.reply.as_ref().map(encode).transpose()?);
        self.problems
            .push(receipt.problem.as_ref().map(encode).transpose()?);
        self.authorities.push(entry.authority.clone());
        self.at.push(db::time(entry.now));
        Ok(())
    }
}
