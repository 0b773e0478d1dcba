//! `budget lift`, `close` and `reopen`: a limit raised for a time, and a provider's "limit reached".

use fleet_protocol::problem::Code;
use fleet_protocol::reply::Changed;
use fleet_protocol::scalar::Name;
use fleet_protocol::verbs::budget::{self as verbs, Scope};
use fleet_protocol::{Problem, Reply, Timestamp};
use uuid::Uuid;

use super::{queue, reset, series, status};
use crate::db::time;
use crate::execute::{Exec, Stop, Subject, member};

/// Raises a limit for a time, or lifts its pacing.
pub(crate) async fn lift(exec: &mut Exec<'_>, args: &verbs::Lift) -> Result<Reply, Stop> {
    exec.dry_run = args.dry_run;
    let amount = args.amount.map_or(0, |n| n.as_i64());
    if amount == 0 && !args.no_pacing {
        return Err(Problem::new(
            Code::BadArgument,
            "the lift names neither an amount nor --no-pacing",
        )
        .remedy("for example: !budget lift --provider claude --amount 500k --until +3h")
        .into());
    }
    let until = reset::moment(exec, &args.until, "--until")?;
    if until <= exec.now {
        return Err(
            Problem::new(Code::Invalid, "the lift would be over already")
                .remedy("name an instant in the future, for example --until +3h")
                .into(),
        );
    }
    let gauged = series::named(exec, args.series()).await?;
    if amount > 0 && gauged.series.is_reading {
        return Err(Problem::new(
            Code::Invalid,
            format!(
                "{} is its provider's own limit, which nobody here can raise",
                gauged.series.title()
            ),
        )
        .remedy("a lift of the pacing alone is possible: --no-pacing")
        .into());
    }
    let id = exec.ids.next();
    sqlx::query!(
        "INSERT INTO fleet.budget_lifts (tenant_id, series_id, id, amount, no_pacing, starts_at, until, reason, set_by, admission)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        exec.tenant.as_str(),
        gauged.series.id,
        id,
        amount,
        args.no_pacing,
        time(exec.now) as _,
        time(until) as _,
        args.reason.as_ref().map(|r| r.as_str()),
        exec.actor.principal,
        exec.admission
    )
    .execute(&mut *exec.tx)
    .await?;
    let detail = serde_json::json!({ "amount": amount, "no_pacing": args.no_pacing, "until": until, "reason": args.reason });
    member::audit(exec, "budget.lift", &gauged.series.title(), detail).await?;
    let note = format!("The lift ends {}.", exec.reader().moment(until));
    answer(exec, gauged.series.id, "lifted", false, vec![note]).await
}

/// Closes a window until an instant, whatever is left of it.
pub(crate) async fn close(exec: &mut Exec<'_>, args: &verbs::Close) -> Result<Reply, Stop> {
    exec.dry_run = args.dry_run;
    let gauged = series::named(exec, args.series()).await?;
    let until = match &args.until {
        Some(moment) => reset::moment(exec, moment, "--until")?,
        None => gauged.window().resets_at.ok_or_else(|| {
            Problem::new(
                Code::BadArgument,
                "no reset is known, so it must be said until when",
            )
            .remedy("for example --until +1h")
        })?,
    };
    if until <= exec.now {
        return Err(
            Problem::new(Code::Invalid, "it would be open again already")
                .remedy("name an instant in the future, for example --until +1h")
                .into(),
        );
    }
    let reason = args.reason.as_ref().map(|r| r.as_str());
    let already = gauged.series.closed_until == Some(until);
    put(exec, gauged.series.id, Some(until), reason).await?;
    let detail = serde_json::json!({ "until": until, "reason": reason });
    member::audit(exec, "budget.close", &gauged.series.title(), detail).await?;
    let note = format!("It opens by itself {}.", exec.reader().moment(until));
    answer(exec, gauged.series.id, "closed", already, vec![note]).await
}

/// Opens a window that was closed.
pub(crate) async fn reopen(exec: &mut Exec<'_>, args: &verbs::Reopen) -> Result<Reply, Stop> {
    exec.dry_run = args.dry_run;
    let gauged = series::named(exec, args.series()).await?;
    let already = gauged.series.closed_until.is_none();
    put(exec, gauged.series.id, None, None).await?;
    member::audit(
        exec,
        "budget.reopen",
        &gauged.series.title(),
        serde_json::json!({}),
    )
    .await?;
    answer(exec, gauged.series.id, "opened", already, Vec::new()).await
}

/// Closes every window of an account: its provider asked not to come back before. How many there are.
pub(super) async fn close_account(
    exec: &mut Exec<'_>,
    account: &Name,
    until: Timestamp,
) -> Result<usize, Stop> {
    let all = series::of_scope(exec, Scope::Subscription, account).await?;
    for gauged in &all {
        let is_later = gauged
            .series
            .closed_until
            .is_none_or(|before| before < until);
        if is_later {
            put(exec, gauged.series.id, Some(until), Some("retry-after")).await?;
        }
    }
    Ok(all.len())
}

async fn put(
    exec: &mut Exec<'_>,
    series: Uuid,
    until: Option<Timestamp>,
    reason: Option<&str>,
) -> Result<(), Stop> {
    sqlx::query!(
        "UPDATE fleet.budget_series SET closed_until = $3, closed_reason = $4 WHERE tenant_id = $1 AND id = $2",
        exec.tenant.as_str(),
        series,
        until.map(time) as _,
        reason
    )
    .execute(&mut *exec.tx)
    .await?;
    Ok(())
}

async fn answer(
    exec: &mut Exec<'_>,
    series: Uuid,
    change: &str,
    already: bool,
    notes: Vec<String>,
) -> Result<Reply, Stop> {
    queue::nudge(exec).await?;
    exec.about(Subject::Budget, series);
    let now = status::view_of(exec, series).await?;
    Ok(Reply::Budget(Changed {
        already,
        notes,
        ..Changed::to(change, now)
    }))
}
