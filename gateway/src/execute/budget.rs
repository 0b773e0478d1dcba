//! The verbs of `budget`, and what the life of a task needs of budgets.

use fleet_policy::budget::{Reset, Window, reset as decide_reset};
use fleet_protocol::problem::Code;
use fleet_protocol::reply::{Changed, WindowView};
use fleet_protocol::scalar::Name;
use fleet_protocol::verbs::budget as verbs;
use fleet_protocol::{Moment, Problem, Reply, Timestamp};
use jiff::SignedDuration;
use uuid::Uuid;

use super::{Exec, Stop, Subject, member};
use crate::db::time;

mod admission;
pub(in crate::execute) mod alert;
pub(in crate::execute) mod ledger;
pub(in crate::execute) mod series;
mod set;

#[expect(
    unused_imports,
    reason = "the type of an admission's answer, which callers may want to name"
)]
pub(crate) use admission::Granted;
pub(crate) use admission::{Settle, admit, settle};
use series::{Found, Series};
pub(crate) use set::set;

/// Says that the present window ends at another instant, also one in the past.
pub(crate) async fn reset(exec: &mut Exec<'_>, args: &verbs::Reset) -> Result<Reply, Stop> {
    let all = series::read(exec, Some(args.provider.as_str()), true).await?;
    let series = the_one(&args.provider, args.window.as_ref(), &all)?;
    let series = series.ok_or_else(|| no_limit(&args.provider, args.window.as_ref()))?;
    let reset_at = resolve(exec, &args.reset_at)?;
    let before = series::must(series::ensure(exec, &series, exec.now).await?)?;
    end_at(exec, &series, &before, reset_at, series.every).await?;
    let found = series::must(series::ensure(exec, &series, exec.now).await?)?;
    alert::check(exec, args.provider.as_str()).await?;
    exec.about(Subject::Budget, series.id);
    let mut changed = Changed::to("reset", series.view(&found));
    changed.already = before.window.resets_at == Some(reset_at);
    if !changed.already {
        let detail =
            serde_json::json!({ "reset_at": reset_at, "instead_of": before.window.resets_at });
        member::audit(exec, "budget.reset", &series.title(), detail).await?;
    }
    if found.window.resets_at.is_none() {
        changed.notes.push(format!(
            "Nobody said how long the windows of {} are, so this one has no end until a reset is named.",
            series.title()
        ));
    }
    Ok(Reply::Budget(changed))
}

/// Limits and what is left of them.
pub(crate) async fn status(exec: &mut Exec<'_>, args: &verbs::Status) -> Result<Reply, Stop> {
    Ok(Reply::Budgets(windows(exec, args.provider.as_ref()).await?))
}

/// The present windows of a provider, or of all.
pub(crate) async fn windows(
    exec: &mut Exec<'_>,
    provider: Option<&Name>,
) -> Result<Vec<WindowView>, Stop> {
    let mut views = Vec::new();
    for series in series::read(exec, provider.map(Name::as_str), false).await? {
        let found = series::must(series::find(exec, &series, exec.now).await?)?;
        views.push(series.view(&found));
    }
    Ok(views)
}

/// The series a command means: the named one, or the only one. None when there is none.
fn the_one(
    provider: &Name,
    window: Option<&Name>,
    all: &[Series],
) -> Result<Option<Series>, Problem> {
    match (window, all) {
        (Some(name), _) => Ok(all.iter().find(|s| s.name == *name).cloned()),
        (None, []) => Ok(None),
        (None, [one]) => Ok(Some(one.clone())),
        (None, several) => {
            let names: Vec<&str> = several.iter().map(|s| s.name.as_str()).collect();
            let first = names.first().copied().unwrap_or_default();
            Err(Problem::new(
                Code::Invalid,
                format!("{provider} has several windows: {}", names.join(", ")),
            )
            .remedy(format!("say which one, for example --window {first}")))
        }
    }
}

fn no_limit(provider: &Name, window: Option<&Name>) -> Problem {
    let what = window.map_or_else(|| provider.to_string(), |w| format!("{provider} {w}"));
    Problem::new(Code::NotFound, format!("no limit is set for {what}"))
        .remedy("see what there is with: !budget status")
}

fn resolve(exec: &Exec<'_>, moment: &Moment) -> Result<Timestamp, Problem> {
    moment
        .resolve(exec.now, exec.zone)
        .map_err(|e| Problem::new(Code::BadArgument, format!("--reset-at {e}")))
}

/// Ends a window at an instant and derives the totals anew from the ledger.
async fn end_at(
    exec: &mut Exec<'_>,
    series: &Series,
    found: &Found,
    at: Timestamp,
    every: Option<SignedDuration>,
) -> Result<(), Stop> {
    let id: Uuid = found.id.ok_or(sqlx::Error::RowNotFound)?;
    let Reset { ended, next } = decide_reset(found.window, every, at, exec.now)
        .map_err(|_| too_early(exec, found.window))?;
    sqlx::query!(
        "UPDATE fleet.budget_windows SET resets_at = $3 WHERE tenant_id = $1 AND id = $2",
        exec.tenant.as_str(),
        id,
        ended.resets_at.map(time) as _
    )
    .execute(&mut *exec.tx)
    .await?;
    if let Some(next) = next {
        series::insert(exec, series.id, next).await?;
    }
    fill_between(exec, series, ended, next, every).await?;
    sqlx::query_scalar!(
        r#"SELECT 1 AS "done!" FROM fleet.budget_recompute($1)"#,
        series.id
    )
    .fetch_one(&mut *exec.tx)
    .await?;
    Ok(())
}

/// A reset several lengths ago leaves windows between it and the present one; spend that lies there
/// must find them.
async fn fill_between(
    exec: &mut Exec<'_>,
    series: &Series,
    ended: Window,
    next: Option<Window>,
    every: Option<SignedDuration>,
) -> Result<(), Stop> {
    let (Some(from), Some(next)) = (ended.resets_at, next) else {
        return Ok(());
    };
    let instants = sqlx::query_scalar!(
        "SELECT DISTINCT at FROM fleet.ledger WHERE tenant_id = $1 AND series_id = $2 AND at >= $3 AND at < $4 ORDER BY at",
        exec.tenant.as_str(),
        series.id,
        time(from) as _,
        time(next.starts_at) as _
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    let series = Series {
        every,
        ..series.clone()
    };
    for at in instants {
        series::ensure(exec, &series, crate::db::instant(at)).await?;
    }
    Ok(())
}

fn too_early(exec: &Exec<'_>, window: Window) -> Problem {
    Problem::new(
        Code::Invalid,
        format!(
            "the present window began {}; it cannot end before",
            exec.reader().moment(window.starts_at)
        ),
    )
    .remedy("name an instant after that")
}
