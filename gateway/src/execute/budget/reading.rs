//! Levels that providers tell: readings of their meters, and the headers of their answers.

use fleet_policy::budget::headers;
use fleet_policy::budget::meter::{self, RATE_TOKENS, Reading};
use fleet_protocol::problem::Code;
use fleet_protocol::reply::{Changed, MeterView};
use fleet_protocol::scalar::Name;
use fleet_protocol::verbs::budget as verbs;
use fleet_protocol::verbs::budget::{Scope, Unit};
use fleet_protocol::{Problem, Reply, Timestamp};
use jiff::SignedDuration;
use uuid::Uuid;

use super::gauge::Gauged;
use super::series;
use super::{alert, queue, reset, status, switch};
use crate::db::{instant, time};
use crate::execute::{Exec, Stop, Subject};

/// Pairs of readings that a conversion is learned from, the newest.
const PAIRS: i64 = 50;

/// Adds to each series that is read what its last reading says.
pub(super) async fn levels(exec: &mut Exec<'_>, all: &mut [Gauged]) -> Result<(), Stop> {
    for gauged in all.iter_mut().filter(|g| g.series.is_reading) {
        let window = gauged.window();
        let rate = rate(exec, gauged.series.id).await?;
        let last = last(exec, gauged, window.starts_at).await?;
        let stale = gauged.series.stale_seconds.saturating_mul(1_000);
        gauged.level = Some(meter::level(last, rate, stale, exec.now));
    }
    Ok(())
}

/// The conversion of a series, in basis points per million tokens.
pub(super) async fn rate(exec: &mut Exec<'_>, series: Uuid) -> Result<Option<u64>, Stop> {
    let rows = sqlx::query!(
        "SELECT used_bp, ledger_tokens FROM fleet.budget_readings WHERE tenant_id = $1 AND series_id = $2 ORDER BY read_at DESC LIMIT $3",
        exec.tenant.as_str(),
        series,
        PAIRS
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    let pairs: Vec<_> = rows
        .windows(2)
        .filter_map(|w| {
            let (newer, older) = (w.first()?, w.last()?);
            // A level that fell was reset in between: nothing to learn.
            let gained = u64::try_from(newer.used_bp - older.used_bp).ok()?;
            let tokens = u64::try_from(newer.ledger_tokens - older.ledger_tokens).ok()?;
            Some((gained, tokens))
        })
        .collect();
    Ok(meter::rate(&pairs))
}

/// The last reading of the present window, with our own spend around it.
async fn last(
    exec: &mut Exec<'_>,
    gauged: &Gauged,
    window_starts: Timestamp,
) -> Result<Option<Reading>, Stop> {
    let row = sqlx::query!(
        r#"SELECT r.used_bp, r.read_at,
               (SELECT coalesce(sum(p.added_tokens), 0)::bigint FROM fleet.spend_reports p
                WHERE p.tenant_id = $1 AND p.subscription = $4 AND p.spent_at > r.read_at) AS "since!",
               (SELECT coalesce(sum(p.added_tokens), 0)::bigint FROM fleet.spend_reports p
                WHERE p.tenant_id = $1 AND p.subscription = $4 AND p.spent_at >= $3 AND p.spent_at <= r.read_at) AS "before!"
           FROM fleet.budget_readings r WHERE r.tenant_id = $1 AND r.series_id = $2 AND r.read_at >= $3
           ORDER BY r.read_at DESC LIMIT 1"#,
        exec.tenant.as_str(),
        gauged.series.id,
        time(window_starts) as _,
        gauged.series.key.as_str()
    )
    .fetch_optional(&mut *exec.tx)
    .await?;
    Ok(row.map(|r| Reading {
        used_bp: u64::from(r.used_bp.unsigned_abs()),
        read_at: instant(r.read_at),
        since: r.since.unsigned_abs(),
        before: r.before.unsigned_abs(),
    }))
}

/// Tokens of a task as basis points of a provider's meter.
pub(super) fn converted(tokens: u64, rate: u64) -> u64 {
    let bp = u128::from(tokens) * u128::from(rate) / u128::from(RATE_TOKENS);
    u64::try_from(bp).unwrap_or(u64::MAX).max(1)
}

/// Records what a provider's own meter shows.
pub(crate) async fn reading(exec: &mut Exec<'_>, args: &verbs::Reading) -> Result<Reply, Stop> {
    let gauged = series::named(exec, args.series()).await?;
    if gauged.series.unit != Unit::BasisPoints {
        return Err(Problem::new(
            Code::Invalid,
            format!(
                "{} counts {}, and a meter shows percent",
                gauged.series.title(),
                gauged.series.unit.noun()
            ),
        )
        .remedy("set a limit of 10000 basis_points under a window name of its own")
        .into());
    }
    if let Some(moment) = &args.resets_at {
        let at = reset::moment(exec, moment, "--resets-at")?;
        reset::follow_provider(exec, &gauged, at).await?;
    }
    record(exec, &gauged, args.used.get(), "user-entered").await?;
    queue::nudge(exec).await?;
    exec.about(Subject::Budget, gauged.series.id);
    let view = status::view_of(exec, gauged.series.id).await?;
    Ok(Reply::Budget(Changed::to("read", view)))
}

async fn record(
    exec: &mut Exec<'_>,
    gauged: &Gauged,
    used_bp: u16,
    source: &str,
) -> Result<(), Stop> {
    sqlx::query!(
        r#"INSERT INTO fleet.budget_readings (tenant_id, series_id, used_bp, read_at, ledger_tokens, source, by, admission)
           SELECT $1, $2, $3, $4, coalesce(sum(added_tokens), 0)::bigint, $5, $6, $7 FROM fleet.spend_reports
           WHERE tenant_id = $1 AND subscription = $8"#,
        exec.tenant.as_str(),
        gauged.series.id,
        i32::from(used_bp),
        time(exec.now) as _,
        source,
        exec.actor.principal,
        exec.admission,
        gauged.series.key.as_str()
    )
    .execute(&mut *exec.tx)
    .await?;
    sqlx::query!(
        "UPDATE fleet.budget_series SET last_checked_at = $3 WHERE tenant_id = $1 AND id = $2",
        exec.tenant.as_str(),
        gauged.series.id,
        time(exec.now) as _
    )
    .execute(&mut *exec.tx)
    .await?;
    alert::check(exec, &[gauged.series.id]).await
}

/// Takes in the rate-limit headers of a provider's answer. What is not understood is left out, never
/// read as zero.
pub(crate) async fn headers(exec: &mut Exec<'_>, args: &verbs::Headers) -> Result<Reply, Stop> {
    let lines: Vec<&str> = args.headers.iter().map(|h| h.as_str()).collect();
    let read = headers::read(&lines, exec.now);
    let mut understood = Vec::new();
    if let Some(wait) = read.retry_after_seconds {
        let until = exec
            .now
            .0
            .checked_add(SignedDuration::from_secs(i64::from(wait)))
            .map_err(|_| Problem::new(Code::Invalid, "retry-after is out of range"))?;
        let closed = switch::close_account(exec, &args.provider, Timestamp(until)).await?;
        understood.push(format!(
            "closed until {}: {closed} windows",
            exec.reader().moment(Timestamp(until))
        ));
    }
    for limit in &read.limits {
        understood.push(told(exec, &args.provider, limit).await?);
    }
    queue::nudge(exec).await?;
    Ok(Reply::Meter(MeterView {
        provider: args.provider.clone(),
        understood,
    }))
}

/// A limit that a provider told, recorded as a level where a window of that name is read in percent.
async fn told(
    exec: &mut Exec<'_>,
    provider: &Name,
    limit: &headers::Limit,
) -> Result<String, Stop> {
    let fact = format!(
        "{}: {} of {} left",
        limit.name, limit.remaining, limit.limit
    );
    let all = series::of_scope(exec, Scope::Subscription, provider).await?;
    let read = all
        .iter()
        .find(|g| g.series.is_reading && g.series.name.as_str() == limit.name);
    let Some(gauged) = read else {
        return Ok(format!(
            "{fact}; no window of that name is read, so it is only told"
        ));
    };
    if let Some(at) = limit.resets_at {
        reset::follow_provider(exec, gauged, at).await?;
    }
    record(exec, gauged, limit.used_bp(), "provider-detected").await?;
    Ok(format!("{fact}; recorded for {}", gauged.series.title()))
}
