//! What is done for budgets once a day, in the morning of the tenant's zone.

use fleet_protocol::Timestamp;
use jiff::{SignedDuration, ToSpan as _, ZonedDateTime};
use uuid::Uuid;

use super::{alert, audit, chart, gauge};
use crate::db::time;
use crate::execute::{Exec, Stop};
use crate::incident::{self, DIFFERENCE, MISMATCH, Raised};

/// The hour of the day, on the clocks of the zone.
const HOUR: i8 = 8;
/// What the audit looks at.
const LEDGER: &str = "ledger";

/// Does the day's work, once: whoever moves the day on does it. The first look only plans it.
pub(crate) async fn day(exec: &mut Exec<'_>) -> Result<(), Stop> {
    let next = next(exec)?;
    let is_first = sqlx::query_scalar!(
        r#"INSERT INTO fleet.budget_days AS d (tenant_id, due_at) VALUES ($1, $2)
           ON CONFLICT (tenant_id) DO UPDATE SET due_at = excluded.due_at WHERE d.due_at <= $3
           RETURNING xmax = 0 AS "is_first!""#,
        exec.tenant.as_str(),
        time(next) as _,
        time(exec.now) as _
    )
    .fetch_optional(&mut *exec.tx)
    .await?;
    if is_first != Some(false) {
        return Ok(());
    }
    check(exec).await?;
    settle(exec).await?;
    chart::post(exec).await
}

/// The next morning.
fn next(exec: &Exec<'_>) -> Result<Timestamp, Stop> {
    let unreadable = |e: jiff::Error| Stop::from(sqlx::Error::Decode(e.into()));
    let here = ZonedDateTime::new(exec.now.0, exec.zone.clone());
    let today = here.date().at(HOUR, 0, 0, 0);
    let at = |morning| exec.zone.to_timestamp(morning).map_err(unreadable);
    let mut next = at(today)?;
    if next <= exec.now.0 {
        next = at(today.checked_add(1.day()).map_err(unreadable)?)?;
    }
    Ok(Timestamp(next))
}

/// Audits the ledger, and tells of totals that differ until they do no more.
async fn check(exec: &mut Exec<'_>) -> Result<(), Stop> {
    let differences = audit::differences(exec).await?;
    let Some(first) = differences.first() else {
        let about = (MISMATCH, LEDGER);
        return Ok(incident::resolve(exec.tx, exec.tenant, exec.ids, exec.now, about).await?);
    };
    let detail = format!(
        "{} totals are not the sums of the ledger's rows; {first}. The rows are the truth; see all with: !budget audit",
        differences.len()
    );
    let raised = Raised {
        rule: MISMATCH,
        subject: LEDGER,
        detail: &detail,
    };
    incident::open(exec.tx, exec.tenant, exec.ids, exec.now, &raised).await?;
    Ok(())
}

/// A difference between meters is over when a day has passed since it was told: one that goes on is told
/// anew, at most once a day.
async fn settle(exec: &mut Exec<'_>) -> Result<(), Stop> {
    let before = exec.now.earlier(SignedDuration::from_hours(24));
    let over = sqlx::query_scalar!(
        "SELECT subject FROM fleet.incidents WHERE tenant_id = $1 AND rule = $2 AND resolved_at IS NULL AND opened_at <= $3",
        exec.tenant.as_str(),
        DIFFERENCE,
        time(before) as _
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    for account in over {
        let about = (DIFFERENCE, account.as_str());
        incident::resolve(exec.tx, exec.tenant, exec.ids, exec.now, about).await?;
    }
    Ok(())
}

/// Tells that a meter was read too long ago.
pub(crate) async fn stale(exec: &mut Exec<'_>, series: Uuid) -> Result<(), Stop> {
    gauge::lock(exec, &[series]).await?;
    alert::check(exec, &[series]).await
}
