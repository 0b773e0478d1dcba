//! The end of an attempt's holds, and what it teaches.

use fleet_policy::budget::learn::Samples;
use fleet_policy::budget::{Movement, presume, release, settle_unknown};
use fleet_protocol::Problem;
use fleet_protocol::document::number;
use fleet_protocol::problem::Code;
use fleet_protocol::verbs::budget::Unit;
use uuid::Uuid;

use super::gauge::{self, Gauged, Which};
use super::ledger::{self, Held, Row};
use super::{alert, queue, window};
use crate::execute::spend;
use crate::execute::{Exec, Stop};

/// How an attempt's hold ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Settle {
    /// What was reported is the actual.
    Actual,
    /// The actual is unknown, for this reason: the whole grant is charged.
    Unknown(String),
    /// The actual in tokens, in all.
    Tokens(i64),
    /// The lease ended without a report.
    Presume,
    /// The work was handed back.
    Release,
}

impl Settle {
    /// Whether the work came to its own end, so that its actual is what such work needs.
    fn is_whole(&self) -> bool {
        matches!(self, Self::Actual | Self::Tokens(_))
    }
}

/// A hold with its series.
type Open = (Gauged, Held);

/// Ends an attempt's holds; the notes say what that did to the budget.
pub(crate) async fn settle(
    exec: &mut Exec<'_>,
    task: Uuid,
    attempt: i32,
    how: Settle,
) -> Result<Vec<String>, Stop> {
    if let Settle::Tokens(tokens) = &how {
        spend::word(exec, task, attempt, tokens.unsigned_abs()).await?;
    }
    let open = open(exec, task, attempt).await?;
    let tokens = open.iter().find(|(g, _)| g.series.unit == Unit::Tokens);
    let rest = tokens.map(|(_, h)| h.hold.remaining + h.hold.presumed);
    let report = match (&how, rest) {
        (Settle::Unknown(_), Some(rest)) if rest > 0 => {
            Some(spend::charge(exec, task, attempt, rest).await?)
        }
        _ => None,
    };
    let reported = spend::reported(exec, task, attempt).await?;
    let is_reported = reported.units.contains(&Unit::Tokens);
    if how == Settle::Actual && !open.is_empty() && !is_reported {
        return Err(Problem::new(
            Code::Invalid,
            "nothing was reported of what this work spent, and its grant waits to be settled",
        )
        .remedy("say how much with --tokens N (0 is a number too), or why it is not known with --unknown-spend")
        .into());
    }
    let mut rows = Vec::new();
    for (gauged, held) in &open {
        let is_reported = reported.units.contains(&gauged.series.unit);
        rows.extend(
            end(
                exec,
                gauged,
                held,
                (task, attempt),
                &how,
                is_reported,
                report,
            )
            .await?,
        );
    }
    ledger::append(exec, &rows).await?;
    sqlx::query_scalar!(
        r#"SELECT 1 AS "done!" FROM fleet.holds_end($1, $2, $3, $4)"#,
        task,
        attempt,
        crate::db::time(exec.now) as _,
        how == Settle::Presume
    )
    .fetch_one(&mut *exec.tx)
    .await?;
    learn(exec, task, attempt, &open, how.is_whole()).await?;
    let ids: Vec<Uuid> = open.iter().map(|(g, _)| g.series.id).collect();
    if rows.iter().any(Row::spends) {
        alert::check(exec, &ids).await?;
    } else {
        alert::check_relieved(exec, &ids).await?;
    }
    queue::nudge(exec).await?;
    Ok(notes(&open, &how, rest, reported.tokens))
}

/// The holds of an attempt with their series, locked.
pub(super) async fn open(exec: &mut Exec<'_>, task: Uuid, attempt: i32) -> Result<Vec<Open>, Stop> {
    let ids = gauge::lock_held(exec, task, attempt).await?;
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let gauges = gauge::read(exec, &Which::ids(ids)).await?;
    let holds = ledger::held(exec, task, attempt).await?;
    Ok(gauges
        .into_iter()
        .filter_map(|g| {
            let held = holds.iter().find(|h| h.series == g.series.id)?;
            Some((g, *held))
        })
        .collect())
}

/// The rows that end one hold. A unit that was never reported is charged from the grant, marked estimated:
/// never nothing (budget.md, "Units"). A provider's level is read, not charged.
async fn end<'a>(
    exec: &mut Exec<'_>,
    gauged: &Gauged,
    held: &Held,
    of: (Uuid, i32),
    how: &'a Settle,
    is_reported: bool,
    report: Option<Uuid>,
) -> Result<Vec<Row<'a>>, Stop> {
    let series = gauged.series.id;
    if gauged.found.is_none_or(|f| f.id.is_none()) {
        window::ensure(exec, &gauged.series, exec.now).await?;
    }
    let row = |exec: &Exec<'_>, kind, moved| Row::new(exec, kind, series, of, moved);
    let is_level = gauged.series.unit == Unit::BasisPoints;
    Ok(match how {
        Settle::Presume if !is_level => vec![row(exec, "presume", presume(held.hold).0)],
        Settle::Unknown(reason) => charged(exec, gauged, held, of, Some(reason), report),
        Settle::Actual | Settle::Tokens(_) if !is_reported && !is_level => charged(
            exec,
            gauged,
            held,
            of,
            Some("no report names this unit"),
            None,
        ),
        _ => vec![row(exec, "release", release(held.hold).0)],
    })
}

/// The rows that charge what is left of a grant: the spend now, and the end of what was presumed in its
/// own window.
pub(super) fn charged<'a>(
    exec: &Exec<'_>,
    gauged: &Gauged,
    held: &Held,
    of: (Uuid, i32),
    reason: Option<&'a str>,
    report: Option<Uuid>,
) -> Vec<Row<'a>> {
    let (moved, _) = settle_unknown(held.hold);
    let replaced = Movement {
        presumed: moved.presumed,
        ..Movement::default()
    };
    let charged = Movement {
        presumed: 0,
        ..moved
    };
    let row = |moved, at| Row {
        at,
        report,
        estimated: true,
        reason,
        ..Row::new(exec, "settle", gauged.series.id, of, moved)
    };
    vec![
        row(charged, exec.now),
        row(replaced, held.presumed_at.unwrap_or(exec.now)),
    ]
}

fn notes(open: &[Open], how: &Settle, rest: Option<u64>, spent: u64) -> Vec<String> {
    let mut notes = Vec::new();
    let tokens = open.iter().find(|(g, _)| g.series.unit == Unit::Tokens);
    let Some((gauged, held)) = tokens else {
        return notes;
    };
    let over = spent.saturating_sub(held.granted);
    match how {
        Settle::Unknown(reason) => notes.push(format!(
            "The actual is unknown ({reason}): the whole grant of {} tokens is charged to {}.",
            number(held.granted),
            gauged.series.title()
        )),
        _ if over > 0 => notes.push(format!(
            "{}: spent {} tokens more than granted.",
            gauged.series.title(),
            number(over)
        )),
        _ => {}
    }
    if let (Settle::Presume, Some(rest)) = (how, rest.filter(|r| *r > 0)) {
        notes.push(format!(
            "{} tokens of its grant count as presumed spend until they are reported.",
            number(rest)
        ));
    }
    notes
}

/// Remembers what the task came to in all its attempts, per unit. One that was cut short is censored: it
/// counts only above the present p95.
async fn learn(
    exec: &mut Exec<'_>,
    task: Uuid,
    attempt: i32,
    open: &[Open],
    is_whole: bool,
) -> Result<(), Stop> {
    let actual = spend::actual(exec, task, attempt).await?;
    for (unit, spent) in actual.spent {
        let is_held = open.iter().any(|(g, _)| g.series.unit == unit);
        if spent == 0 || (!is_whole && !exceeds(exec, &actual.task_type, unit, spent).await?) {
            continue;
        }
        // What was expected of it at first, and granted in all.
        sqlx::query!(
            "WITH of_task AS (SELECT h.attempt, min(h.p95) AS p95, min(h.granted) AS granted FROM fleet.holds h
                 JOIN fleet.budget_series s ON s.tenant_id = h.tenant_id AND s.id = h.series_id AND s.unit = $6
                 WHERE h.tenant_id = $1 AND h.task_id = $2 GROUP BY h.attempt)
             INSERT INTO fleet.task_actuals (tenant_id, task_id, task_type, role, model, unit, actual, p95, granted, most_per_report, censored, at)
             SELECT $1, $2, $3, $4, $5, $6, $7, (SELECT p95 FROM of_task ORDER BY attempt LIMIT 1),
                 CASE WHEN $8 THEN (SELECT coalesce(sum(granted), 0)::bigint FROM of_task) END, $9, $10, $11",
            exec.tenant.as_str(),
            task,
            actual.task_type,
            actual.role,
            actual.model,
            unit.as_str(),
            i64::try_from(spent).unwrap_or(i64::MAX),
            is_held,
            actual.most.filter(|_| unit == Unit::Tokens),
            !is_whole,
            crate::db::time(exec.now) as _
        )
        .execute(&mut *exec.tx)
        .await?;
    }
    Ok(())
}

/// Whether what a run cut short spent teaches something: it is above the p95 of its kind.
async fn exceeds(
    exec: &mut Exec<'_>,
    task_type: &str,
    unit: Unit,
    actual: u64,
) -> Result<bool, Stop> {
    let rows = sqlx::query_scalar!(
        "SELECT actual FROM fleet.task_actuals WHERE tenant_id = $1 AND task_type = $2 AND unit = $3 ORDER BY id DESC LIMIT 256",
        exec.tenant.as_str(),
        task_type,
        unit.as_str()
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    let mut samples = Samples::from_rows(rows.into_iter().rev().map(i64::unsigned_abs));
    Ok(samples.push_censored(actual))
}
