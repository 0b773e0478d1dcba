//! Connections to the register, and what its errors mean.

mod time;

use std::str::FromStr as _;
use std::time::Duration;

use fleet_protocol::Timestamp;
use fleet_protocol::scalar::Name;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection as _, PgPool, Postgres};
pub(crate) use time::Time;

/// The migrations, as they were when this was built.
pub(crate) static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("../migrations");

/// A transaction with a tenant, and with a savepoint to return to when the work is refused.
pub(crate) type Tx = sqlx::Transaction<'static, Postgres>;

/// How long a connection may be idle before it is tried out: within this time the saved round trip
/// outweighs the chance of a broken connection, which is retried like any other.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);

/// Reads an address; the error does not show it.
pub(crate) fn options(url: &str) -> Result<PgConnectOptions, sqlx::Error> {
    Ok(PgConnectOptions::from_str(url)?
        .application_name("fleet-gateway")
        .options([
            ("statement_timeout", "30s"),
            ("idle_in_transaction_session_timeout", "60s"),
            // Which index serves a statement does not depend on its values (where it would, there are two
            // statements): to plan the longer ones anew each time takes ten times as long as to run them.
            ("plan_cache_mode", "force_generic_plan"),
            // What is asked for is in memory or on flash, where a page by its key costs what the next page costs. With the default,
            // which is that of a turning disk, small tables are read whole, and plans stay as they were while the tables grow.
            ("random_page_cost", "1.1"),
            // To compile a statement takes longer than any statement here runs.
            ("jit", "off"),
        ]))
}

/// A pool that connects when first used, so that a gateway starts before its database.
pub(crate) fn pool(url: &str, size: u32) -> Result<PgPool, sqlx::Error> {
    Ok(PgPoolOptions::new()
        .max_connections(size)
        .acquire_timeout(Duration::from_secs(5))
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                if meta.idle_for < TRUSTED_IDLE {
                    return Ok(true);
                }
                Ok(connection.ping().await.is_ok())
            })
        })
        .connect_lazy_with(options(url)?))
}

/// Begins a transaction for a tenant, in one round trip. After it stands the savepoint `work`; to
/// return to it keeps the tenant.
pub(crate) async fn begin(pool: &PgPool, tenant: &Name) -> Result<Tx, sqlx::Error> {
    // A name holds only a-z, 0-9, '-', '_' and '.': nothing that could end the literal.
    let sql = format!("BEGIN; SET LOCAL fleet.tenant = '{tenant}'; SAVEPOINT work");
    pool.begin_with(AssertSqlSafe(sql)).await
}

/// Keeps the work since [`begin`] and sets the savepoint `work` anew: what fails later leaves it alone.
pub(crate) async fn mark(tx: &mut Tx) -> Result<(), sqlx::Error> {
    sqlx::raw_sql("RELEASE SAVEPOINT work; SAVEPOINT work")
        .execute(&mut **tx)
        .await
        .map(drop)
}

/// Undoes the work since [`begin`]; the transaction goes on.
pub(crate) async fn undo(tx: &mut Tx) -> Result<(), sqlx::Error> {
    sqlx::raw_sql("ROLLBACK TO SAVEPOINT work")
        .execute(&mut **tx)
        .await
        .map(drop)
}

/// Whether the same transaction may succeed when it is tried again: the connection was lost, two
/// transactions were in each other's way, or the server has no room or is stopping.
pub(crate) fn is_transient(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(e) => e.code().is_some_and(|code| {
            matches!(&*code, "40001" | "40P01")
                || code.starts_with("53")
                || code.starts_with("57P")
                || code.starts_with("08")
        }),
        e => is_lost(e),
    }
}

/// Whether it may succeed at once. Who waited in vain for a connection has waited long enough.
pub(crate) fn is_worth_repeating(error: &sqlx::Error) -> bool {
    is_transient(error) && !matches!(error, sqlx::Error::PoolTimedOut)
}

/// Somebody else has just done what this transaction was about to do: undo it and look again. It
/// takes the place of an error that is transient, as that is what it is.
pub(crate) fn again() -> sqlx::Error {
    sqlx::Error::WorkerCrashed
}

/// Whether the register could not be reached at all.
pub(crate) fn is_lost(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(e) => e.code().is_some_and(|code| {
            code.starts_with("57P") || code.starts_with("08") || code.starts_with("53")
        }),
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        // What the driver says when the connection broke in the middle of an answer.
        sqlx::Error::Protocol(_) => true,
        _ => false,
    }
}

/// An instant for the database.
pub(crate) fn time(at: Timestamp) -> Time {
    Time(at.0)
}

/// An instant from the database.
pub(crate) fn instant(at: Time) -> Timestamp {
    Timestamp(at.0)
}

/// How many of the migrations that this was built with the register does not have.
pub(crate) async fn missing_migrations(pool: &PgPool) -> Result<usize, sqlx::Error> {
    let applied: Vec<i64> =
        sqlx::query_scalar("SELECT version FROM fleet._sqlx_migrations WHERE success")
            .fetch_all(pool)
            .await?;
    Ok(MIGRATOR
        .iter()
        .filter(|m| !applied.contains(&m.version))
        .count())
}
