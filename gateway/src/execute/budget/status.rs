//! What a window looks like now: every figure that the register can back.

use std::collections::BTreeMap;

use fleet_policy::budget::hold::worst_case;
use fleet_policy::budget::meter::Knowledge as Known;
use fleet_policy::budget::pacing::{burst, planned};
use fleet_protocol::reply::{Knowledge, LimitView, PastWindowView, WindowView};
use fleet_protocol::scalar::Count;
use fleet_protocol::verbs::budget as verbs;
use fleet_protocol::verbs::budget::{Scope, SeriesRef};
use fleet_protocol::{Reply, Timestamp};
use uuid::Uuid;

use super::gauge::{self, Gauged, Medians, Which};
use super::series;
use crate::db::instant;
use crate::execute::{Exec, Stop};

/// Rows of a history unless told otherwise, and at most.
const LISTED: (i64, i64) = (20, 200);

/// What is planned to be spent by now, and the same with the burst; none where there is no pacing.
pub(super) fn plan(
    gauged: &Gauged,
    medians: &Medians,
    now: Timestamp,
) -> (Option<u64>, Option<u64>) {
    let Some(pace) = gauged.pace(medians) else {
        return (None, None);
    };
    let plan = planned(gauged.limit, gauged.window(), pace, now);
    let allowance = plan.map(|p| {
        p.saturating_add(burst(gauged.limit, pace))
            .min(gauged.limit)
    });
    (plan, allowance)
}

/// Medians of the tasks that wait for a series, and their number.
pub(super) type Queued = BTreeMap<Uuid, (u64, u64)>;

/// What waits for each series.
pub(super) async fn queued(exec: &mut Exec<'_>) -> Result<Queued, Stop> {
    let rows = sqlx::query!(
        r#"SELECT series_id AS "series!", coalesce(sum(p50), 0)::bigint AS "p50!", count(*) AS "n!" FROM fleet.budget_queue
           WHERE tenant_id = $1 AND series_id IS NOT NULL GROUP BY series_id"#,
        exec.tenant.as_str()
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|r| (r.series, (r.p50.unsigned_abs(), r.n.unsigned_abs())))
        .collect())
}

/// A window for people and programs.
pub(super) fn view(
    gauged: &Gauged,
    medians: &Medians,
    queued: &Queued,
    now: Timestamp,
) -> WindowView {
    let s = &gauged.series;
    let window = gauged.window();
    let (planned, allowance) = plan(gauged, medians, now);
    let (waiting, _) = queued.get(&s.id).copied().unwrap_or_default();
    let coming = gauged.in_flight.saturating_add(waiting);
    let spent = gauged.spent();
    let used = spent.saturating_add(s.held);
    let beyond = worst_case(&[gauged.worst]).map(|worst| {
        used.saturating_add(worst)
            .saturating_sub(gauged.limit.max(used))
    });
    let found = gauged.found;
    WindowView {
        scope: s.scope,
        key: s.key.clone(),
        window: s.name.clone(),
        unit: s.unit,
        model: s.model.clone(),
        limit: gauged.limit,
        spent: match gauged.level {
            Some(level) => level.used_bp.saturating_sub(level.external_bp),
            None => found.map_or(0, |f| f.committed),
        },
        held: s.held,
        presumed: found.map_or(0, |f| f.presumed),
        external: gauged.level.map_or(0, |l| l.external_bp),
        planned,
        allowance,
        expected: spent.saturating_add(coming).min(gauged.limit.max(spent)),
        worst_beyond: beyond,
        starts_at: window.starts_at,
        resets_at: window.resets_at,
        closed_until: s.closed_until,
        knowledge: match gauged.knowledge() {
            Known::Known => Knowledge::Known,
            Known::Unknown | Known::Failed => Knowledge::Unknown,
        },
        alert_at: s.alert_at,
        source: s.source.clone(),
        checked_at: s.checked_at,
    }
}

/// Limits and what is left of them.
pub(crate) async fn status(exec: &mut Exec<'_>, args: &verbs::Status) -> Result<Reply, Stop> {
    let which = match &args.provider {
        Some(provider) => Which::scopes([(Scope::Subscription, provider.as_str())]),
        None => Which::default(),
    };
    Ok(Reply::Budgets(views(exec, &which).await?))
}

/// The present windows of series.
pub(super) async fn views(exec: &mut Exec<'_>, which: &Which) -> Result<Vec<WindowView>, Stop> {
    let all = gauge::read(exec, which).await?;
    let (medians, queued) = (gauge::medians(exec).await?, queued(exec).await?);
    let now = exec.now;
    Ok(all
        .iter()
        .map(|g| view(g, &medians, &queued, now))
        .collect())
}

/// The present window of a series that was read already.
pub(super) async fn view_of_gauged(
    exec: &mut Exec<'_>,
    gauged: &Gauged,
) -> Result<WindowView, Stop> {
    let (medians, queued) = (gauge::medians(exec).await?, queued(exec).await?);
    Ok(view(gauged, &medians, &queued, exec.now))
}

/// The present window of one series.
pub(super) async fn view_of(exec: &mut Exec<'_>, series: Uuid) -> Result<WindowView, Stop> {
    let mut views = views(exec, &Which::ids(vec![series])).await?;
    Ok(views.pop().ok_or(sqlx::Error::RowNotFound)?)
}

fn most(max: Option<Count>) -> i64 {
    max.map_or(LISTED.0, |n| n.as_i64().clamp(1, LISTED.1))
}

/// The series a listing means: the named one, all of a scope, or all there are.
pub(super) async fn listed(exec: &mut Exec<'_>, named: SeriesRef<'_>) -> Result<Vec<Gauged>, Stop> {
    let is_any = named.provider.is_none()
        && named.role.is_none()
        && named.agent.is_none()
        && named.mission.is_none();
    let which = if is_any {
        Which::default()
    } else {
        let (scope, key) = series::scope(exec, named).await?;
        Which::scopes([(scope, key.as_str())])
    };
    let all = gauge::read(exec, &which).await?;
    let wanted = |g: &Gauged| named.window.is_none_or(|w| *w == g.series.name);
    Ok(all.into_iter().filter(wanted).collect())
}

/// The limits and lifts that series had.
pub(crate) async fn history(exec: &mut Exec<'_>, args: &verbs::History) -> Result<Reply, Stop> {
    let all = listed(exec, args.series()).await?;
    let ids: Vec<Uuid> = all.iter().map(|g| g.series.id).collect();
    let rows = sqlx::query!(
        r#"SELECT series_id AS "series!", amount AS "amount!", starts AS "starts!", until, set_by AS "by!" FROM (
               SELECT series_id, limit_amount AS amount, effective_from AS starts, NULL::timestamptz AS until, set_by FROM fleet.budget_limits
               WHERE tenant_id = $1 AND series_id = ANY ($2)
               UNION ALL
               SELECT series_id, amount, starts_at, until, set_by FROM fleet.budget_lifts WHERE tenant_id = $1 AND series_id = ANY ($2)) limits
           ORDER BY starts DESC LIMIT $3"#,
        exec.tenant.as_str(),
        &ids,
        most(args.max)
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    let views = rows.into_iter().filter_map(|r| {
        let of = all.iter().find(|g| g.series.id == r.series)?;
        Some(LimitView {
            series: of.series.title(),
            amount: r.amount.unsigned_abs(),
            unit: of.series.unit,
            from: instant(r.starts),
            until: r.until.map(instant),
            by: r.by,
        })
    });
    Ok(Reply::Limits(views.collect()))
}

/// The windows that series had.
pub(crate) async fn windows(exec: &mut Exec<'_>, args: &verbs::Windows) -> Result<Reply, Stop> {
    let all = listed(exec, args.series()).await?;
    let ids: Vec<Uuid> = all.iter().map(|g| g.series.id).collect();
    let rows = sqlx::query!(
        "SELECT series_id, starts_at, resets_at, committed, presumed FROM fleet.budget_windows
         WHERE tenant_id = $1 AND series_id = ANY ($2) ORDER BY starts_at DESC LIMIT $3",
        exec.tenant.as_str(),
        &ids,
        most(args.max)
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    let views = rows.into_iter().filter_map(|r| {
        let of = all.iter().find(|g| g.series.id == r.series_id)?;
        Some(PastWindowView {
            series: of.series.title(),
            unit: of.series.unit,
            starts_at: instant(r.starts_at),
            resets_at: r.resets_at.map(instant),
            spent: r.committed.unsigned_abs(),
            presumed: r.presumed.unsigned_abs(),
        })
    });
    Ok(Reply::Windows(views.collect()))
}
