//! The floor of admissions, and a register with a long ledger.

use sqlx::PgPool;

use super::Floor;
use crate::Secret;

/// Rows of the ledger that one statement writes.
const SLICE: i64 = 50_000;
/// One row that everybody updates.
const HOT: &str = "CREATE TABLE IF NOT EXISTS fleet_bench.hot (n bigint NOT NULL);
    TRUNCATE fleet_bench.hot;
    INSERT INTO fleet_bench.hot VALUES (0);
    GRANT SELECT, UPDATE ON fleet_bench.hot TO fleet_app";

/// Updates of one same row, each a transaction of one statement. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Updates {
    pool: PgPool,
}

impl Updates {
    /// One update, on the disk when it is answered.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn one(&self) -> Result<(), sqlx::Error> {
        sqlx::query("UPDATE fleet_bench.hot SET n = n + 1")
            .execute(&self.pool)
            .await
            .map(drop)
    }
}

impl Floor {
    /// Makes the row that everybody updates.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn updates(&mut self) -> Result<Updates, sqlx::Error> {
        sqlx::raw_sql(HOT).execute(&mut self.owner).await?;
        let pool = self.pool.clone();
        Ok(Updates { pool })
    }

    /// Writes movements of one into the ledger, in turn for every series of a tenant and over the last hour or since
    /// its window began, with the totals they make.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn fill_ledger(&mut self, tenant: &str, rows: i64) -> Result<(), sqlx::Error> {
        self.enter(tenant).await?;
        // In slices: each ends long before the time that a statement has.
        let mut first = 0;
        while first < rows {
            let end = rows.min(first + SLICE);
            sqlx::query(
                "INSERT INTO fleet.ledger (tenant_id, kind, series_id, committed, at, recorded_at, admission)
                 SELECT s.tenant_id, 'commit', s.id, 1, greatest(s.starts_at, now() - (i.n % 3600) * interval '1 second'), now(),
                     gen_random_uuid()
                 FROM (SELECT w.tenant_id, w.series_id AS id, w.starts_at, row_number() OVER () - 1 AS place, count(*) OVER () AS every
                       FROM fleet.budget_windows w
                       WHERE w.tenant_id = $1 AND w.starts_at <= now() AND coalesce(w.resets_at > now(), true)) s
                 JOIN generate_series($2, $3 - 1) AS i (n) ON i.n % s.every = s.place",
            )
            .bind(tenant)
            .bind(first)
            .bind(end)
            .execute(&mut self.owner)
            .await?;
            first = end;
        }
        sqlx::query(
            "UPDATE fleet.budget_windows w SET committed = l.committed
             FROM (SELECT w.id, sum(l.committed) AS committed FROM fleet.budget_windows w
                   JOIN fleet.ledger l ON l.tenant_id = w.tenant_id AND l.series_id = w.series_id AND w.period @> l.at
                   WHERE w.tenant_id = $1 GROUP BY w.id) l
             WHERE w.tenant_id = $1 AND w.id = l.id",
        )
        .bind(tenant)
        .execute(&mut self.owner)
        .await?;
        self.analyze().await
    }

    /// A pool of one connection to the same row, which waits for nobody.
    ///
    /// # Errors
    /// Those of the database.
    pub fn alone(app_url: &Secret) -> Result<Updates, sqlx::Error> {
        let pool = crate::db::pool(app_url.reveal(), 1)?;
        Ok(Updates { pool })
    }
}
