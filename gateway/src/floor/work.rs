//! Work as a bench needs it: a register full of tasks, and a lease that does not take a quarter of an hour to end.

use std::time::Duration;

use super::Floor;

impl Floor {
    /// Writes tasks that wait for a claim; of each five the first ones depend on the fifth.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn fill_tasks(
        &mut self,
        tenant: &str,
        role: &str,
        tasks: i32,
    ) -> Result<(), sqlx::Error> {
        self.enter(tenant).await?;
        sqlx::query(
            "WITH before AS (SELECT coalesce(max(number), 0) AS n FROM fleet.tasks WHERE tenant_id = $1),
                  made AS (
                      INSERT INTO fleet.tasks (tenant_id, id, number, title, role, created_by, created_at, updated_at)
                      SELECT $1, gen_random_uuid(), before.n + i, 'Filled ' || i, $2, 'bench', now(), now()
                      FROM before, generate_series(1, $3) AS i RETURNING tenant_id, id, number)
             INSERT INTO fleet.task_dependencies (tenant_id, task_id, depends_on)
             SELECT a.tenant_id, a.id, b.id FROM made a JOIN made b ON b.number = a.number - a.number % 5 + 5
             WHERE a.number % 5 <> 0",
        )
        .bind(tenant)
        .bind(role)
        .bind(tasks)
        .execute(&mut self.owner)
        .await?;
        self.analyze().await
    }

    /// Lets the leases of a holder end within `left` from now; how many it holds.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn shorten_leases(
        &mut self,
        tenant: &str,
        holder: &str,
        left: Duration,
    ) -> Result<u64, sqlx::Error> {
        self.enter(tenant).await?;
        sqlx::query(
            "UPDATE fleet.attempts SET lease_until = now() + $3 * interval '1 second'
             WHERE tenant_id = $1 AND holder = $2 AND ended_at IS NULL",
        )
        .bind(tenant)
        .bind(holder)
        .bind(left.as_secs_f64())
        .execute(&mut self.owner)
        .await
        .map(|done| done.rows_affected())
    }
}
