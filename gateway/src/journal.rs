//! Admission: what is known of a request before it runs, and the row that says what became of it.

use fleet_protocol::envelope::{Outcome, Receipt};
use fleet_protocol::event::AgentIdentity;
use fleet_protocol::problem::Code;
use fleet_protocol::scalar::{Name, UserId};
use fleet_protocol::verbs::member::GrantRole;
use fleet_protocol::{Problem, Reply};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::execute::ActingAgent;

mod entry;

pub(crate) use entry::{Entry, write, write_all};

/// The digest of a key that was redacted before it arrived: whatever comes under it never runs.
pub(crate) const REDACTED: &str = "redacted";

/// What a request is known by.
pub(crate) struct Ask<'a> {
    /// The tenant.
    pub(crate) tenant: &'a Name,
    /// The idempotency key.
    pub(crate) key: &'a str,
    /// The Matrix user who asks.
    pub(crate) user: Option<&'a UserId>,
    /// The Matrix room it comes from.
    pub(crate) room_id: Option<&'a str>,
    /// The key of the room in which it counts, outside of rooms.
    pub(crate) room_key: Option<&'a str>,
    /// The bot's account and epoch.
    pub(crate) lease: Option<(&'a str, i64)>,
}

/// What the register knows before a request runs.
pub(crate) struct Seen {
    /// The tenant's zone.
    pub(crate) zone: String,
    /// Whether the bot's lease is the current one.
    pub(crate) lease_ok: bool,
    /// The room.
    pub(crate) room: Option<Uuid>,
    /// The room's key.
    pub(crate) room_key: Option<Name>,
    /// How far the room has been read.
    pub(crate) mark: Option<String>,
    /// Whether the Matrix room it comes from was replaced by another: the mark is of that one.
    pub(crate) is_former: bool,
    /// Whose commands count in the room; empty: everybody's whose grant fits.
    pub(crate) may_command: Vec<GrantRole>,
    /// Roles that count here.
    pub(crate) roles: Vec<GrantRole>,
    /// The agent whose account asks.
    pub(crate) agent: Option<ActingAgent>,
    /// What became of the key before.
    pub(crate) prior: Option<Prior>,
}

/// What became of a key that was admitted before.
#[derive(Debug, Clone)]
pub(crate) struct Prior {
    pub(crate) digest: String,
    pub(crate) receipt: Receipt,
}

impl Prior {
    /// The stored receipt, or the refusal of another body under the same key.
    pub(crate) fn replay(self, digest: &str) -> Receipt {
        let id = self.receipt.id;
        if self.digest == digest || self.digest == REDACTED {
            return Receipt {
                replayed: true,
                ..self.receipt
            };
        }
        let problem = Problem::new(
            Code::KeyReused,
            "this key was used before, with another body",
        )
        .remedy("use a new key for a new request")
        .reference(reference(id));
        Receipt {
            id,
            key: self.receipt.key,
            outcome: Outcome::Refused,
            replayed: true,
            reply: None,
            problem: Some(problem),
        }
    }
}

/// Reads all that an admission needs in one statement.
pub(crate) async fn look(tx: &mut PgConnection, ask: &Ask<'_>) -> Result<Seen, sqlx::Error> {
    let seen = look_all(tx, std::slice::from_ref(ask)).await?;
    seen.into_iter().next().ok_or(sqlx::Error::RowNotFound)
}

/// Reads all that admissions of one tenant need in one statement, in their order.
pub(crate) async fn look_all(
    tx: &mut PgConnection,
    asks: &[Ask<'_>],
) -> Result<Vec<Seen>, sqlx::Error> {
    let Some(tenant) = asks.first().map(|a| a.tenant) else {
        return Ok(Vec::new());
    };
    let column = |of: &dyn Fn(&Ask<'_>) -> Option<String>| -> Vec<Option<String>> {
        asks.iter().map(of).collect()
    };
    let owned = |text: &str| Some(text.to_owned());
    let epochs: Vec<Option<i64>> = asks.iter().map(|a| a.lease.map(|l| l.1)).collect();
    let rows = sqlx::query!(
        r#"SELECT k.key AS "key!", t.zone,
               EXISTS (SELECT FROM fleet.bot_leases l WHERE l.tenant_id = $1 AND l.account = k.account AND l.epoch = k.epoch) AS "lease_ok!",
               r.id AS "room?", r.key AS "room_key?", r.mark_event_id AS "mark?", r.may_command AS "may_command?",
               coalesce(r.room_id <> k.room_id, false) AS "is_former!",
               ARRAY(SELECT DISTINCT g.role FROM fleet.grants g
                     WHERE g.tenant_id = $1 AND g.user_id = k.user_id AND (g.room_key IS NULL OR g.room_key = r.key)) AS "roles!",
               a.id AS "agent_id?", a.name AS "agent_name?", a.host AS "agent_host?", a.incarnation AS "agent_incarnation?",
               j.id AS "prior_id?", j.digest AS "prior_digest?", j.outcome AS "prior_outcome?",
               j.reply AS "prior_reply?", j.problem AS "prior_problem?"
           FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[])
               WITH ORDINALITY AS k (key, user_id, room_id, room_key, account, epoch, place)
           JOIN fleet.tenants t ON t.tenant_id = $1
           LEFT JOIN LATERAL (SELECT * FROM fleet.rooms r
               WHERE r.tenant_id = $1 AND (r.room_id = k.room_id OR r.key = k.room_key OR k.room_id = ANY (r.former_room_ids))
               ORDER BY (r.room_id = k.room_id) DESC NULLS LAST LIMIT 1) r ON true
           LEFT JOIN fleet.agents a ON a.tenant_id = $1 AND a.user_id = k.user_id AND a.retired_at IS NULL
           LEFT JOIN fleet.admitted j ON j.tenant_id = $1 AND j.key = k.key
           ORDER BY k.place"#,
        tenant.as_str(),
        &column(&|a| owned(a.key)) as &[Option<String>],
        &column(&|a| a.user.map(ToString::to_string)) as &[Option<String>],
        &column(&|a| a.room_id.and_then(owned)) as &[Option<String>],
        &column(&|a| a.room_key.and_then(owned)) as &[Option<String>],
        &column(&|a| a.lease.and_then(|l| owned(l.0))) as &[Option<String>],
        &epochs as &[Option<i64>],
    )
    .fetch_all(&mut *tx)
    .await?;
    let seen = rows.into_iter().map(|row| {
        let agent = match (
            row.agent_id,
            row.agent_name,
            row.agent_host,
            row.agent_incarnation,
        ) {
            (Some(id), Some(name), Some(host), Some(incarnation)) => Some(ActingAgent {
                id,
                name: stored(&name)?,
                host: stored(&host)?,
                incarnation: incarnation.unsigned_abs(),
            }),
            _ => None,
        };
        let prior = match (row.prior_id, row.prior_digest, row.prior_outcome) {
            (Some(id), Some(digest), Some(outcome)) => {
                let (reply, problem) = (row.prior_reply, row.prior_problem);
                Some(prior(id, &row.key, digest, &outcome, reply, problem)?)
            }
            _ => None,
        };
        Ok(Seen {
            zone: row.zone,
            lease_ok: row.lease_ok,
            room: row.room,
            room_key: row.room_key.as_deref().map(stored).transpose()?,
            mark: row.mark,
            is_former: row.is_former,
            may_command: grants(&row.may_command.unwrap_or_default()),
            roles: grants(&row.roles),
            agent,
            prior,
        })
    });
    seen.collect()
}

fn grants(words: &[String]) -> Vec<GrantRole> {
    words
        .iter()
        .filter_map(|w| GrantRole::from_word(w))
        .collect()
}

/// The admission's key of a caller's own key. A space stands in no user id and in no token's name, so
/// no two callers share a key.
pub(crate) fn key_of(principal: &str, key: &str) -> String {
    format!("{principal} {key}")
}

/// What became of a key, alone.
pub(crate) async fn find(
    tx: &mut PgConnection,
    tenant: &Name,
    key: &str,
) -> Result<Option<(Prior, Option<String>)>, sqlx::Error> {
    let row = sqlx::query!(
        "SELECT id, digest, outcome, reply, problem, verb FROM fleet.admitted WHERE tenant_id = $1 AND key = $2",
        tenant.as_str(),
        key
    )
    .fetch_optional(&mut *tx)
    .await?;
    row.map(|r| {
        Ok((
            prior(r.id, key, r.digest, &r.outcome, r.reply, r.problem)?,
            r.verb,
        ))
    })
    .transpose()
}

fn prior(
    id: Uuid,
    key: &str,
    digest: String,
    outcome: &str,
    reply: Option<Value>,
    problem: Option<Value>,
) -> Result<Prior, sqlx::Error> {
    let outcome = match outcome {
        "done" => Outcome::Done,
        "refused" => Outcome::Refused,
        "failed" => Outcome::Failed,
        _ => Outcome::Skipped,
    };
    let receipt = Receipt {
        id,
        key: key.to_owned(),
        outcome,
        replayed: true,
        reply: reply.map(decode::<Reply>).transpose()?,
        problem: problem.map(decode::<Problem>).transpose()?,
    };
    Ok(Prior { digest, receipt })
}

fn decode<T: serde::de::DeserializeOwned>(json: Value) -> Result<T, sqlx::Error> {
    serde_json::from_value(json).map_err(|e| sqlx::Error::Decode(e.into()))
}

fn stored<T: std::str::FromStr>(text: &str) -> Result<T, sqlx::Error>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    text.parse()
        .map_err(|e: T::Err| sqlx::Error::Decode(e.into()))
}

/// A value as JSON for the database.
pub(crate) fn encode<T: serde::Serialize>(value: &T) -> Result<Value, sqlx::Error> {
    let mut json = serde_json::to_value(value).map_err(|e| sqlx::Error::Encode(e.into()))?;
    without_nul(&mut json);
    Ok(json)
}

/// Replaces U+0000, which no `jsonb` holds; what people and agents are quoted with may.
fn without_nul(json: &mut Value) {
    match json {
        Value::String(text) if text.contains('\0') => *text = text.replace('\0', "\u{FFFD}"),
        Value::Array(all) => all.iter_mut().for_each(without_nul),
        Value::Object(map) => map.values_mut().for_each(without_nul),
        _ => {}
    }
}

/// The word the register stores for an outcome.
pub(crate) const fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "done",
        Outcome::Refused => "refused",
        Outcome::Failed => "failed",
        Outcome::Skipped => "skipped",
    }
}

/// What people see of an admission's id, and what finds its log line. The end of a UUIDv7 is random;
/// its beginning is the time, and so the same for all that is admitted within a minute.
pub(crate) fn reference(id: Uuid) -> String {
    let simple = id.simple().to_string();
    simple[simple.len() - 8..].to_owned()
}

/// SHA-256 (hex) over the parts of an agent's or a caller's request that make it what it is: equal
/// over Matrix and HTTP.
pub(crate) fn digest(
    request: &fleet_protocol::Request,
    agent: Option<&AgentIdentity>,
    lease: Option<&fleet_protocol::event::LeaseClaim>,
) -> String {
    // serde_json's maps are sorted, so equal values have equal text.
    let text =
        serde_json::json!({ "request": request, "agent": agent, "lease": lease }).to_string();
    Sha256::digest(text.as_bytes())
        .iter()
        .fold(String::with_capacity(64), |mut hex, b| {
            hex.push_str(&format!("{b:02x}"));
            hex
        })
}
