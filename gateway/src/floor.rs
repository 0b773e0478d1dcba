//! What the database costs without a gateway: the floor that `fleet bench` measures `task add` against.

mod budget;
mod work;

use std::sync::Arc;

pub use budget::Updates;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool, Row as _};

use crate::{Ids, Secret, UuidIds, db};

/// Not written by a command: what the bot renews at its own pace, and what migrations note.
const BESIDE: &[&str] = &["bot_leases", "_sqlx_migrations"];

/// Where the floor's rows go; removed by [`Floor::remove`].
const MAKE: &str = "CREATE SCHEMA IF NOT EXISTS fleet_bench;
    CREATE TABLE IF NOT EXISTS fleet_bench.rows (id uuid PRIMARY KEY, body bytea NOT NULL);
    ALTER TABLE fleet_bench.rows ALTER COLUMN body SET STORAGE EXTERNAL;
    GRANT USAGE ON SCHEMA fleet_bench TO fleet_app;
    GRANT INSERT ON fleet_bench.rows TO fleet_app";

/// Bare transactions through the gateway's own kind of pool and role.
#[derive(Debug)]
pub struct Floor {
    owner: PgConnection,
    pool: PgPool,
}

/// A point in the register's history, from which [`Floor::written_since`] counts.
#[derive(Debug, Clone, Copy)]
pub struct Moment(i64);

/// Makes transactions with rows of given sizes. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Commits {
    pool: PgPool,
    bodies: Arc<[Vec<u8>]>,
}

impl Floor {
    /// Makes a table for rows beside the register's, and a pool of `connections` as the gateway's.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn prepare(
        owner_url: &Secret,
        app_url: &Secret,
        connections: u32,
    ) -> Result<Self, sqlx::Error> {
        let mut owner = PgConnection::connect_with(&db::options(owner_url.reveal())?).await?;
        sqlx::raw_sql(MAKE).execute(&mut owner).await?;
        let pool = db::pool(app_url.reveal(), connections)?;
        Ok(Self { owner, pool })
    }

    /// Whether a commit is on the disk when it is answered.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn is_durable(&mut self) -> Result<bool, sqlx::Error> {
        sqlx::query_scalar(
            "SELECT current_setting('fsync') = 'on' AND current_setting('synchronous_commit') <> 'off'",
        )
        .fetch_one(&mut self.owner)
        .await
    }

    /// The present.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn moment(&mut self) -> Result<Moment, sqlx::Error> {
        let sql = "SELECT pg_snapshot_xmax(pg_current_snapshot())::xid::text::bigint";
        sqlx::query_scalar(sql)
            .fetch_one(&mut self.owner)
            .await
            .map(Moment)
    }

    /// Sizes in bytes of all row versions of the register that were written since `from`, new rows and
    /// changed ones.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn written_since(&mut self, from: Moment) -> Result<Vec<usize>, sqlx::Error> {
        let mut sizes = Vec::new();
        for table in self.tables().await? {
            // The name is the catalogue's own.
            let sql = format!(
                "SELECT pg_column_size(t.*)::bigint AS size FROM fleet.\"{table}\" t WHERE t.xmin::text::bigint >= $1"
            );
            let rows = sqlx::query(AssertSqlSafe(sql))
                .bind(from.0)
                .fetch_all(&mut self.owner)
                .await?;
            for row in rows {
                let size: i64 = row.try_get("size")?;
                sizes.push(usize::try_from(size).unwrap_or_default());
            }
        }
        Ok(sizes)
    }

    /// Counts the register's rows for the planner, as autovacuum does within a minute: a plan made
    /// while a table was empty reads the whole of it.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn analyze(&mut self) -> Result<(), sqlx::Error> {
        for table in self.tables().await? {
            let sql = format!("ANALYZE fleet.\"{table}\"");
            sqlx::raw_sql(AssertSqlSafe(sql))
                .execute(&mut self.owner)
                .await?;
        }
        Ok(())
    }

    /// From now on the owner's statements see the rows of this tenant.
    async fn enter(&mut self, tenant: &str) -> Result<(), sqlx::Error> {
        sqlx::query("SELECT set_config('fleet.tenant', $1, false)")
            .bind(tenant)
            .execute(&mut self.owner)
            .await
            .map(drop)
    }

    /// The register's tables that commands write.
    async fn tables(&mut self) -> Result<Vec<String>, sqlx::Error> {
        sqlx::query_scalar(
            "SELECT relname::text FROM pg_class
             WHERE relnamespace = 'fleet'::regnamespace AND relkind = 'r' AND relname <> ALL ($1) ORDER BY 1",
        )
        .bind(BESIDE)
        .fetch_all(&mut self.owner)
        .await
    }

    /// Transactions with one row of each of these sizes.
    pub fn commits(&self, sizes: &[usize]) -> Commits {
        let body = |(n, size): (usize, &usize)| {
            // The header of a row and its key belong to the size, and are there anyway.
            let beside = 24 + 16;
            let byte = u8::try_from(n % 251).unwrap_or_default();
            vec![byte; size.saturating_sub(beside).max(1)]
        };
        Commits {
            pool: self.pool.clone(),
            bodies: sizes.iter().enumerate().map(body).collect(),
        }
    }

    /// Removes the floor's rows and their table.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn remove(mut self) -> Result<(), sqlx::Error> {
        self.pool.close().await;
        sqlx::raw_sql("DROP SCHEMA fleet_bench CASCADE")
            .execute(&mut self.owner)
            .await?;
        self.owner.close().await
    }
}

impl Commits {
    /// Rows of one transaction.
    pub fn rows(&self) -> usize {
        self.bodies.len()
    }

    /// One transaction: begin, a statement for each row, commit.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn one(&self) -> Result<(), sqlx::Error> {
        let mut tx = self.pool.begin().await?;
        for body in self.bodies.iter() {
            sqlx::query("INSERT INTO fleet_bench.rows (id, body) VALUES ($1, $2)")
                .bind(UuidIds.next())
                .bind(body)
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await
    }
}

#[cfg(test)]
mod tests {
    use fleet_local::postgres::TemporaryCluster;

    use super::*;

    #[tokio::test]
    async fn what_was_written_is_counted_and_written_again_beside_the_register() {
        let cluster = TemporaryCluster::start(10, &|_| {}).await.unwrap();
        let owner = Secret::new(cluster.owner_url());
        let mut register = PgConnection::connect_with(&db::options(owner.reveal()).unwrap())
            .await
            .unwrap();
        db::MIGRATOR.run(&mut register).await.unwrap();
        let mut floor = Floor::prepare(&owner, &owner, 2).await.unwrap();

        let from = floor.moment().await.unwrap();
        assert_eq!(floor.written_since(from).await.unwrap().len(), 0);
        sqlx::query("INSERT INTO fleet.tenants (tenant_id, zone) VALUES ('acme', 'UTC')")
            .execute(&mut register)
            .await
            .unwrap();
        let written = floor.written_since(from).await.unwrap();
        // The tenant, and what its trigger makes.
        assert!(
            written.len() > 1 && written.iter().all(|size| *size > 24),
            "{written:?}"
        );

        floor.analyze().await.unwrap();
        let counted: f32 = sqlx::query_scalar(
            "SELECT reltuples FROM pg_class WHERE oid = 'fleet.tenants'::regclass",
        )
        .fetch_one(&mut register)
        .await
        .unwrap();
        assert!((counted - 1.0).abs() < 0.5, "{counted}");

        let commits = floor.commits(&written);
        commits.one().await.unwrap();
        let sizes: Vec<i64> =
            sqlx::query_scalar("SELECT pg_column_size(r.*)::bigint FROM fleet_bench.rows r")
                .fetch_all(&mut register)
                .await
                .unwrap();
        assert_eq!(sizes.len(), commits.rows());
        let (ours, bare): (i64, i64) = (
            written
                .iter()
                .map(|size| i64::try_from(*size).unwrap())
                .sum(),
            sizes.iter().sum(),
        );
        assert!(
            (ours - bare).abs() <= 8 * i64::try_from(written.len()).unwrap(),
            "{ours} {bare}"
        );
        floor.remove().await.unwrap();
    }
}
