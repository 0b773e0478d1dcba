//! Where the life of a task meets the budget: the hold before an attempt, and its end.

use fleet_policy::budget::{
    Admission, Capped, DEFAULT_ESTIMATE, Movement, admit as decide, presume, release,
    settle_unknown,
};
use fleet_protocol::Problem;
use fleet_protocol::document::number;
use fleet_protocol::problem::Code;
use fleet_protocol::scalar::Name;
use fleet_protocol::verbs::budget::Unit;
use uuid::Uuid;

use super::alert;
use super::ledger::{self, Held, Row};
use super::series::{self, Found, Series};
use crate::execute::spend;
use crate::execute::{Exec, Stop};

/// What an admission granted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Granted {
    /// Tokens held for the attempt; none where no limit governs it.
    pub(crate) granted_tokens: Option<i64>,
    /// What the claimer should know, one sentence each.
    pub(crate) notes: Vec<String>,
}

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

/// Checks the budget before an attempt starts, and takes the hold in every series that counts tokens.
///
/// # Errors
/// [`Code::BudgetCap`] when a limit leaves no room; a database error admits nothing (doctrine 19).
pub(crate) async fn admit(
    exec: &mut Exec<'_>,
    task: Uuid,
    attempt: i32,
    provider: Option<&Name>,
    projected_tokens: Option<i64>,
) -> Result<Granted, Stop> {
    let Some(provider) = provider else {
        return Ok(Granted::default());
    };
    let mut governing = Vec::new();
    for series in series::read(exec, Some(provider.as_str()), true).await? {
        let found = series::must(series::ensure(exec, &series, exec.now).await?)?;
        governing.push((series, found));
    }
    if governing.is_empty() {
        let hint = format!(
            "No limit is set for {provider}; an operator can set one: !budget set --provider {provider} --limit 2M --unit tokens --every 7d"
        );
        return Ok(Granted {
            granted_tokens: None,
            notes: vec![hint],
        });
    }
    // What is counted in another unit than tokens cannot be held beforehand: it closes when used up.
    let (metered, others): (Vec<_>, Vec<_>) =
        governing.iter().partition(|(s, _)| s.unit == Unit::Tokens);
    if let Some((series, found)) = others
        .iter()
        .find(|(s, f)| s.totals(f).headroom(s.limit) == 0)
    {
        return Err(capped(exec, series, found, None).into());
    }
    let caps: Vec<Capped> = metered
        .iter()
        .map(|(s, f)| Capped {
            limit: s.limit,
            totals: s.totals(f),
        })
        .collect();
    let projected = projected_tokens.map(i64::unsigned_abs);
    match decide(&caps, projected, DEFAULT_ESTIMATE) {
        Admission::Ungoverned => Ok(Granted::default()),
        Admission::Cap { series, needed } => match metered.get(series) {
            Some((series, found)) => Err(capped(exec, series, found, Some(needed)).into()),
            None => Err(sqlx::Error::RowNotFound.into()),
        },
        Admission::Fits { grant } => {
            let granted = i64::try_from(grant).unwrap_or(i64::MAX);
            let ids: Vec<Uuid> = metered.iter().map(|(s, _)| s.id).collect();
            for id in ids {
                let moved = Movement {
                    held: granted,
                    ..Movement::default()
                };
                ledger::append(exec, id, row(exec, "hold", task, attempt, moved)).await?;
            }
            Ok(Granted {
                granted_tokens: Some(granted),
                notes: Vec::new(),
            })
        }
    }
}

fn row<'a>(exec: &Exec<'_>, kind: &'a str, task: Uuid, attempt: i32, moved: Movement) -> Row<'a> {
    Row {
        kind,
        task,
        attempt,
        moved,
        at: exec.now,
        report: None,
        late: false,
        estimated: false,
        reason: None,
    }
}

/// The refusal, which says why and until when.
fn capped(exec: &Exec<'_>, series: &Series, found: &Found, needed: Option<u64>) -> Problem {
    let totals = series.totals(found);
    let mut detail = format!(
        "{}: {} of {} {} used",
        series.title(),
        number(totals.used()),
        number(series.limit),
        series.unit.noun()
    );
    if totals.held > 0 {
        detail.push_str(&format!(
            " ({} of them held by running tasks)",
            number(totals.held)
        ));
    }
    if let Some(needed) = needed {
        detail.push_str(&format!("; this task needs {}", number(needed)));
    }
    let remedy = match found.window.resets_at {
        Some(at) => {
            detail.push_str(&format!("; resets {}", exec.reader().moment(at)));
            "claim it again after the reset, or ask an operator for a higher limit"
        }
        None => {
            detail.push_str("; no reset is known");
            "an operator can raise the limit, or say when it resets: !budget reset"
        }
    };
    Problem::new(Code::BudgetCap, detail).remedy(remedy)
}

/// Ends an attempt's hold; the notes say what that did to the budget.
pub(crate) async fn settle(
    exec: &mut Exec<'_>,
    task: Uuid,
    attempt: i32,
    how: Settle,
) -> Result<Vec<String>, Stop> {
    let mut notes = Vec::new();
    if let Settle::Tokens(tokens) = &how {
        spend::word(exec, task, attempt, tokens.unsigned_abs()).await?;
    }
    let held = holds(exec, task, attempt).await?;
    if matches!(how, Settle::Actual)
        && !held.is_empty()
        && !is_reported(exec, task, attempt).await?
    {
        return Err(Problem::new(
            Code::Invalid,
            "nothing was reported of what this work spent, and its grant waits to be settled",
        )
        .remedy("say how much with --tokens N (0 is a number too), or why it is not known with --unknown-spend")
        .into());
    }
    let charged = held
        .first()
        .map(|(_, h)| h.hold.remaining + h.hold.presumed);
    let report = match (&how, charged) {
        (Settle::Unknown(_), Some(rest)) if rest > 0 => {
            Some(spend::charge(exec, task, attempt, rest).await?)
        }
        _ => None,
    };
    for (series, held) in &held {
        end(exec, series, held, task, attempt, &how, report).await?;
        let over = overspent(exec, task, attempt, held.granted).await?;
        if over > 0 && !matches!(how, Settle::Unknown(_)) {
            notes.push(format!(
                "{}: spent {} tokens more than granted.",
                series.title(),
                number(over)
            ));
        }
    }
    if let (Settle::Unknown(reason), Some((series, held))) = (&how, held.first()) {
        notes.push(format!(
            "The actual is unknown ({reason}): the whole grant of {} tokens is charged to {}.",
            number(held.granted),
            series.title()
        ));
    }
    if let (Settle::Presume, Some(rest)) = (&how, charged.filter(|r| *r > 0)) {
        notes.push(format!(
            "{} tokens of its grant count as presumed spend until they are reported.",
            number(rest)
        ));
    }
    let mut providers: Vec<_> = held.iter().map(|(s, _)| s.provider.clone()).collect();
    providers.dedup();
    for provider in providers {
        alert::check(exec, provider.as_str()).await?;
    }
    Ok(notes)
}

/// Whether anything was reported of an attempt, be it zero.
async fn is_reported(exec: &mut Exec<'_>, task: Uuid, attempt: i32) -> Result<bool, Stop> {
    let is_reported = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM fleet.spend_reports
                          WHERE tenant_id = $1 AND task_id = $2 AND attempt = $3) AS "there!""#,
        exec.tenant.as_str(),
        task,
        attempt
    )
    .fetch_one(&mut *exec.tx)
    .await?;
    Ok(is_reported)
}

async fn end(
    exec: &mut Exec<'_>,
    series: &Series,
    held: &Held,
    task: Uuid,
    attempt: i32,
    how: &Settle,
    report: Option<Uuid>,
) -> Result<(), Stop> {
    series::ensure(exec, series, exec.now).await?;
    match how {
        Settle::Actual | Settle::Tokens(_) | Settle::Release => {
            let (moved, _) = release(held.hold);
            ledger::append(exec, series.id, row(exec, "release", task, attempt, moved)).await
        }
        Settle::Presume => {
            let (moved, _) = presume(held.hold);
            ledger::append(exec, series.id, row(exec, "presume", task, attempt, moved)).await
        }
        Settle::Unknown(reason) => {
            let (moved, _) = settle_unknown(held.hold);
            let now = Row {
                estimated: true,
                report,
                reason: Some(reason),
                ..row(exec, "settle", task, attempt, moved)
            };
            let replaced = Movement {
                presumed: moved.presumed,
                ..Movement::default()
            };
            let charged = Movement {
                presumed: 0,
                ..moved
            };
            ledger::append(
                exec,
                series.id,
                Row {
                    moved: charged,
                    ..now
                },
            )
            .await?;
            let at = held.presumed_at.unwrap_or(exec.now);
            ledger::append(
                exec,
                series.id,
                Row {
                    moved: replaced,
                    at,
                    ..now
                },
            )
            .await
        }
    }
}

/// The holds of an attempt with their series, locked.
async fn holds(exec: &mut Exec<'_>, task: Uuid, attempt: i32) -> Result<Vec<(Series, Held)>, Stop> {
    let providers = sqlx::query_scalar!(
        r#"SELECT DISTINCT s.subscription AS "subscription!" FROM fleet.holds h
           JOIN fleet.budget_series s ON s.tenant_id = h.tenant_id AND s.id = h.series_id
           WHERE h.tenant_id = $1 AND h.task_id = $2 AND h.attempt = $3 AND s.subscription IS NOT NULL ORDER BY 1"#,
        exec.tenant.as_str(),
        task,
        attempt
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    let mut found = Vec::new();
    for provider in providers {
        for series in series::read(exec, Some(&provider), true).await? {
            if let Some(held) = ledger::held(exec, series.id, task, attempt).await? {
                found.push((series, held));
            }
        }
    }
    Ok(found)
}

async fn overspent(
    exec: &mut Exec<'_>,
    task: Uuid,
    attempt: i32,
    granted: u64,
) -> Result<u64, Stop> {
    Ok(spend::total(exec, task, Some(attempt))
        .await?
        .saturating_sub(granted))
}
