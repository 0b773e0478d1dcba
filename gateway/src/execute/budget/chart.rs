//! Charts of windows: the figures of a picture, which whoever shows it draws.

use std::collections::BTreeMap;

use fleet_policy::budget::ticks::ticks;
use fleet_protocol::Reply;
use fleet_protocol::outbox::{Attention, Picture, Post};
use fleet_protocol::reply::{ChartPoint, ChartTick, ChartView};
use fleet_protocol::verbs::budget as verbs;
use uuid::Uuid;

use super::gauge::{self, Gauged, Which};
use super::status;
use crate::db::{instant, time};
use crate::execute::{Exec, Room, Stop, notice};

/// Steps over the width of a chart: finer ones are no wider than its line.
const PARTS: i32 = 96;
/// Readings of a window that are drawn: the newest.
const READINGS: i64 = 576;
/// Charts that are drawn in one picture; who has more names which.
pub(super) const MOST: usize = 6;

/// The burn-down of windows.
pub(crate) async fn chart(exec: &mut Exec<'_>, args: &verbs::Chart) -> Result<Reply, Stop> {
    let all = status::listed(exec, args.series()).await?;
    Ok(Reply::Charts(charts(exec, &all).await?))
}

/// The picture of the day in the budget room; none where nothing has a limit.
pub(super) async fn post(exec: &mut Exec<'_>) -> Result<(), Stop> {
    let all = gauge::read(exec, &Which::default()).await?;
    let charts = charts(exec, &all).await?;
    if charts.is_empty() {
        return Ok(());
    }
    let caption = Reply::Charts(charts.clone()).document(&exec.reader());
    let picture = Picture {
        message: notice(Attention::Quiet, caption),
        charts,
    };
    exec.post(
        Room::Key("budget"),
        Post::Picture(Box::new(picture)),
        None,
        None,
    );
    Ok(())
}

async fn charts(exec: &mut Exec<'_>, all: &[Gauged]) -> Result<Vec<ChartView>, Stop> {
    let all = all.get(..MOST).unwrap_or(all);
    let mut points = spent(exec, all).await?;
    points.extend(read(exec, all).await?);
    let medians = gauge::medians(exec).await?;
    let charts = all.iter().map(|gauged| {
        let window = gauged.window();
        let end = window.resets_at.unwrap_or(exec.now);
        let ticks = ticks(window.starts_at, end, exec.zone).into_iter();
        ChartView {
            title: gauged.series.title(),
            unit: gauged.series.unit,
            limit: gauged.limit,
            spent: gauged.spent(),
            held: gauged.series.held,
            planned: status::plan(gauged, &medians, exec.now).0,
            starts_at: window.starts_at,
            resets_at: window.resets_at,
            at: exec.now,
            ticks: ticks.map(|(at, label)| ChartTick { at, label }).collect(),
            points: points.remove(&gauged.series.id).unwrap_or_default(),
        }
    });
    Ok(charts.collect())
}

type Points = BTreeMap<Uuid, Vec<ChartPoint>>;

/// What the ledger says was spent up to each part of the present windows that it counts.
async fn spent(exec: &mut Exec<'_>, all: &[Gauged]) -> Result<Points, Stop> {
    let counted = || all.iter().filter(|g| !g.series.is_reading);
    let ids: Vec<Uuid> = counted().map(|g| g.series.id).collect();
    let ends = |g: &Gauged| g.window().resets_at.unwrap_or(exec.now).max(exec.now);
    let starts: Vec<_> = counted().map(|g| time(g.window().starts_at)).collect();
    let ends: Vec<_> = counted().map(|g| time(ends(g))).collect();
    let rows = sqlx::query!(
        r#"SELECT w.series AS "series!", max(l.at) AS "at!", sum(l.committed + l.presumed)::bigint AS "spent!"
           FROM unnest($2::uuid[], $3::timestamptz[], $4::timestamptz[]) AS w (series, starts, ends)
           JOIN fleet.ledger l ON l.tenant_id = $1 AND l.series_id = w.series AND l.at >= w.starts AND l.at <= $5
           WHERE w.starts < w.ends AND (l.committed <> 0 OR l.presumed <> 0)
           GROUP BY w.series, width_bucket(extract(epoch FROM l.at), extract(epoch FROM w.starts), extract(epoch FROM w.ends), $6)
           ORDER BY w.series, max(l.at)"#,
        exec.tenant.as_str(),
        &ids,
        &starts as _,
        &ends as _,
        time(exec.now) as _,
        PARTS
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    let mut points = Points::new();
    for row in rows {
        let of = points.entry(row.series).or_default();
        let before = of.last().map_or(0, |p| p.spent);
        of.push(ChartPoint {
            at: instant(row.at),
            spent: before.saturating_add_signed(row.spent),
        });
    }
    Ok(points)
}

/// What the providers' meters showed in the present windows.
async fn read(exec: &mut Exec<'_>, all: &[Gauged]) -> Result<Points, Stop> {
    let metered = || all.iter().filter(|g| g.series.is_reading);
    let ids: Vec<Uuid> = metered().map(|g| g.series.id).collect();
    let starts: Vec<_> = metered().map(|g| time(g.window().starts_at)).collect();
    let rows = sqlx::query!(
        r#"SELECT w.series AS "series!", r.read_at AS "at!", r.used_bp AS "used_bp!"
           FROM unnest($2::uuid[], $4::timestamptz[]) AS w (series, starts)
           CROSS JOIN LATERAL (
               SELECT read_at, used_bp FROM fleet.budget_readings
               WHERE tenant_id = $1 AND series_id = w.series AND read_at >= w.starts ORDER BY read_at DESC LIMIT $3) r
           ORDER BY w.series, r.read_at"#,
        exec.tenant.as_str(),
        &ids,
        READINGS,
        &starts as _
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    let mut points = Points::new();
    for row in rows {
        points.entry(row.series).or_default().push(ChartPoint {
            at: instant(row.at),
            spent: row.used_bp.unsigned_abs().into(),
        });
    }
    Ok(points)
}
