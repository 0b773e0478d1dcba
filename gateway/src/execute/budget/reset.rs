//! `budget reset`: where the present window ends, by a person's word or its provider's.

use fleet_policy::budget::Window;
use fleet_protocol::problem::Code;
use fleet_protocol::reply::Changed;
use fleet_protocol::verbs::budget as verbs;
use fleet_protocol::{Moment, Problem, Reply, Timestamp};

use super::gauge::Gauged;
use super::series::{self, Follows};
use super::{alert, backfill, queue, status, window};
use crate::db::time;
use crate::execute::{Exec, Stop, Subject, member};

/// Says that the present window ends at another instant, also one in the past.
pub(crate) async fn reset(exec: &mut Exec<'_>, args: &verbs::Reset) -> Result<Reply, Stop> {
    exec.dry_run = args.dry_run;
    let gauged = series::named(exec, args.series()).await?;
    let reset_at = moment(exec, &args.reset_at, "--reset-at")?;
    let is_rule = matches!(gauged.series.follows, Follows::Rule { .. });
    if is_rule && args.re_anchor {
        return Err(Problem::new(
            Code::Invalid,
            format!(
                "{} follows a rule, which keeps its schedule",
                gauged.series.title()
            ),
        )
        .remedy("set another rule: !budget set ... --rule ... --reset-at ...")
        .into());
    }
    let before = gauged.window().resets_at;
    end_at(exec, &gauged, reset_at, args.keep_schedule || is_rule).await?;
    let id = gauged.series.id;
    alert::check(exec, &[id]).await?;
    queue::nudge(exec).await?;
    exec.about(Subject::Budget, id);
    let mut changed = Changed::to("reset", status::view_of(exec, id).await?);
    changed.already = before == Some(reset_at);
    if !changed.already {
        let detail = serde_json::json!({ "reset_at": reset_at, "instead_of": before });
        member::audit(exec, "budget.reset", &gauged.series.title(), detail).await?;
    }
    if changed.now.resets_at.is_none() {
        changed.notes.push(format!(
            "Nobody said how long the windows of {} are, so this one has no end until a reset is named.",
            gauged.series.title()
        ));
    }
    Ok(Reply::Budget(changed))
}

/// An instant as typed.
pub(super) fn moment(exec: &Exec<'_>, moment: &Moment, option: &str) -> Result<Timestamp, Problem> {
    moment
        .resolve(exec.now, exec.zone)
        .map_err(|e| Problem::new(Code::BadArgument, format!("{option} {e}")))
}

/// The provider says when the present window resets; nothing to do where we know so already, or where
/// it says what cannot be.
pub(super) async fn follow_provider(
    exec: &mut Exec<'_>,
    gauged: &Gauged,
    at: Timestamp,
) -> Result<(), Stop> {
    let window = gauged.window();
    if window.resets_at == Some(at) || at <= exec.now || at <= window.starts_at {
        return Ok(());
    }
    let keeps = matches!(gauged.series.follows, Follows::Rule { .. });
    end_at(exec, gauged, at, keeps).await
}

/// Ends the present window at an instant and derives the totals anew from the ledger.
pub(super) async fn end_at(
    exec: &mut Exec<'_>,
    gauged: &Gauged,
    at: Timestamp,
    keep_schedule: bool,
) -> Result<(), Stop> {
    let series = &gauged.series;
    let mut found = gauged.found.ok_or(sqlx::Error::RowNotFound)?;
    let id = match found.id {
        Some(id) => id,
        None => window::insert(exec, series.id, found.window).await?,
    };
    found.id = Some(id);
    if at <= found.window.starts_at {
        return Err(too_early(exec, found.window).into());
    }
    sqlx::query!(
        "UPDATE fleet.budget_windows SET resets_at = $3 WHERE tenant_id = $1 AND id = $2",
        exec.tenant.as_str(),
        id,
        time(at) as _
    )
    .execute(&mut *exec.tx)
    .await?;
    // With its schedule kept, the rest of the old window is a window of its own.
    if let Some(end) = found
        .window
        .resets_at
        .filter(|end| keep_schedule && *end > at)
    {
        let rest = Window {
            starts_at: at,
            resets_at: Some(end),
        };
        window::insert(exec, series.id, rest).await?;
    }
    backfill::windows_of_spend(exec, series, at).await?;
    if at <= exec.now && !matches!(series.follows, Follows::AfterFirstUse(_)) {
        window::ensure(exec, series, exec.now).await?;
    }
    sqlx::query_scalar!(
        r#"SELECT 1 AS "done!" FROM fleet.budget_recompute($1, $2)"#,
        series.id,
        time(found.window.starts_at) as _
    )
    .fetch_one(&mut *exec.tx)
    .await?;
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
