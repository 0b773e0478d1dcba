//! The bot's lease on a Matrix account: one live bot per account.

use fleet_protocol::api::{LeaseGrant, LeaseRequest};
use fleet_protocol::envelope::BotLease;
use fleet_protocol::problem::Code;
use fleet_protocol::scalar::Name;
use fleet_protocol::{Problem, Timestamp};
use jiff::SignedDuration;
use sqlx::PgConnection;

use crate::db;
use crate::execute::Stop;

/// How long a lease lasts unless kept, in seconds.
pub(crate) const TTL: u32 = 30;

/// Grants, keeps or takes back a lease.
pub(crate) async fn request(
    tx: &mut PgConnection,
    tenant: &Name,
    asked: &LeaseRequest,
    now: Timestamp,
) -> Result<LeaseGrant, Stop> {
    let expires_at = Timestamp(
        now.0
            .checked_add(SignedDuration::from_secs(TTL.into()))
            .unwrap_or(now.0),
    );
    if asked.release {
        return release(tx, tenant, asked, now).await;
    }
    // A holder that names the epoch it has, and still has it, keeps it, however late it is. A free
    // or expired lease starts a new epoch. Anybody else's does not change.
    let epoch = sqlx::query_scalar!(
        r#"INSERT INTO fleet.bot_leases AS l (tenant_id, account, epoch, holder, expires_at) VALUES ($1, $2, 1, $3, $4)
           ON CONFLICT (tenant_id, account) DO UPDATE SET holder = $3, expires_at = $4,
               epoch = CASE WHEN l.holder = $3 AND l.epoch = $5 THEN l.epoch ELSE l.epoch + 1 END
           WHERE (l.holder = $3 AND l.epoch = $5) OR ($5::bigint IS NULL AND (l.holder = $3 OR l.expires_at <= $6))
           RETURNING epoch"#,
        tenant.as_str(),
        asked.account.as_str(),
        asked.holder,
        db::time(expires_at),
        asked.epoch.map(epoch),
        db::time(now),
    )
    .fetch_optional(&mut *tx)
    .await?;
    match epoch {
        Some(epoch) => Ok(granted(asked, epoch, expires_at, TTL)),
        None if asked.epoch.is_some() => Err(lost().into()),
        None => Err(Problem::new(
            Code::BotLeaseHeld,
            format!("another bot acts for {}", asked.account),
        )
        .remedy(format!(
            "stop it, or wait: {TTL} s after its last sign of life this one may take over"
        ))
        .into()),
    }
}

async fn release(
    tx: &mut PgConnection,
    tenant: &Name,
    asked: &LeaseRequest,
    now: Timestamp,
) -> Result<LeaseGrant, Stop> {
    let given = sqlx::query_scalar!(
        r#"UPDATE fleet.bot_leases SET expires_at = LEAST(expires_at, $5)
           WHERE tenant_id = $1 AND account = $2 AND holder = $3 AND epoch = $4 RETURNING epoch"#,
        tenant.as_str(),
        asked.account.as_str(),
        asked.holder,
        asked.epoch.map(epoch),
        db::time(now),
    )
    .fetch_optional(&mut *tx)
    .await?;
    given
        .map(|epoch| granted(asked, epoch, now, 0))
        .ok_or_else(|| lost().into())
}

/// Refuses an epoch that is not the current one.
pub(crate) async fn check(
    tx: &mut PgConnection,
    tenant: &Name,
    lease: &BotLease,
) -> Result<(), Stop> {
    let current = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM fleet.bot_leases WHERE tenant_id = $1 AND account = $2 AND epoch = $3) AS "current!""#,
        tenant.as_str(),
        lease.account.as_str(),
        epoch(lease.epoch),
    )
    .fetch_one(&mut *tx)
    .await?;
    if current { Ok(()) } else { Err(lost().into()) }
}

/// The refusal of an epoch that is not the current one.
pub(crate) fn lost() -> Problem {
    Problem::new(
        Code::BotLeaseLost,
        "another bot has taken this account over",
    )
    .remedy("stop; one bot acts for an account")
}

/// An epoch as the database has it; one beyond its range is nobody's.
pub(crate) fn epoch(epoch: u64) -> i64 {
    i64::try_from(epoch).unwrap_or(-1)
}

fn granted(asked: &LeaseRequest, epoch: i64, expires_at: Timestamp, expires_in: u32) -> LeaseGrant {
    let lease = BotLease {
        account: asked.account.clone(),
        epoch: epoch.unsigned_abs(),
    };
    LeaseGrant {
        lease,
        expires_at,
        expires_in,
    }
}
