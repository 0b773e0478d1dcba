//! `budget set`: a limit, new or changed.

use fleet_policy::budget::{Movement, Window};
use fleet_protocol::document::number;
use fleet_protocol::problem::Code;
use fleet_protocol::reply::Changed;
use fleet_protocol::scalar::{Name, Percent};
use fleet_protocol::verbs::budget::{Set, Unit};
use fleet_protocol::{Problem, Reply, Timestamp};
use jiff::SignedDuration;
use uuid::Uuid;

use super::ledger::{self, Row};
use super::series::{self, Series};
use super::{alert, end_at, resolve, the_one};
use crate::db::{instant, time};
use crate::execute::{Exec, Stop, Subject, member, spend};

/// At which share of a limit the room is alerted unless told otherwise.
const DEFAULT_ALERT: u8 = 95;

/// Sets or changes a limit.
pub(crate) async fn set(exec: &mut Exec<'_>, args: &Set) -> Result<Reply, Stop> {
    spend::subscription(exec, args.provider.as_str()).await?;
    let all = series::read(exec, Some(args.provider.as_str()), true).await?;
    let reset_at = match &args.reset_at {
        Some(moment) => Some(resolve(exec, moment)?),
        None => None,
    };
    let (series, change) = match the_one(&args.provider, args.window.as_ref(), &all)? {
        Some(series) => (change(exec, args, series, reset_at).await?, "changed"),
        None => (create(exec, args, reset_at).await?, "set"),
    };
    let found = series::must(series::ensure(exec, &series, exec.now).await?)?;
    alert::check(exec, args.provider.as_str()).await?;
    exec.about(Subject::Budget, series.id);
    let view = series.view(&found);
    let mut changed = Changed::to(change, view);
    changed.already = all.iter().any(|s| same(s, &series)) && reset_at.is_none();
    if !changed.already {
        let detail = serde_json::json!({
            "limit": args.limit, "unit": series.unit, "every": args.every, "reset_at": reset_at,
            "alert_at": series.alert_at,
        });
        member::audit(exec, "budget.set", &series.title(), detail).await?;
    }
    let over = series.totals(&found).over(series.limit);
    if over > 0 {
        changed.notes.push(format!(
            "Already over by {} {}: no new work is admitted; running tasks go on.",
            number(over),
            series.unit.noun()
        ));
    }
    if !matches!(series.unit, Unit::Tokens | Unit::CashUsdMicro) {
        changed.notes.push(format!(
            "Advisory: nothing reports {} yet, so the figure stays at 0.",
            series.unit.noun()
        ));
    }
    Ok(Reply::Budget(changed))
}

fn same(a: &Series, b: &Series) -> bool {
    a.id == b.id && a.limit == b.limit && a.every == b.every && a.alert_at == b.alert_at
}

async fn change(
    exec: &mut Exec<'_>,
    args: &Set,
    series: Series,
    reset_at: Option<Timestamp>,
) -> Result<Series, Stop> {
    if series.unit != args.unit {
        let (title, unit) = (series.title(), series.unit.noun());
        return Err(Problem::new(
            Code::Invalid,
            format!("{title} counts {unit}, not {}", args.unit.noun()),
        )
        .remedy("for a second limit in another unit, give it a name of its own with --window")
        .into());
    }
    let every = length(args).or(series.every);
    let found = series::must(series::ensure(exec, &series, exec.now).await?)?;
    if let Some(at) = reset_at {
        end_at(exec, &series, &found, at, every).await?;
    }
    let changed = Series {
        every,
        limit: args.limit.get(),
        alert_at: args.alert_at.map_or(series.alert_at, Percent::get),
        source: "user-entered".to_owned(),
        ..series.clone()
    };
    sqlx::query!(
        "UPDATE fleet.budget_series SET every_seconds = $3, limit_amount = $4, alert_at = $5, source = $6, last_checked_at = $7
         WHERE tenant_id = $1 AND id = $2",
        exec.tenant.as_str(),
        changed.id,
        changed.every.map(|e| e.as_secs()),
        args.limit.as_i64(),
        i16::from(changed.alert_at),
        changed.source,
        time(exec.now) as _
    )
    .execute(&mut *exec.tx)
    .await?;
    if changed.limit != series.limit {
        remember(exec, changed.id, args).await?;
    }
    Ok(changed)
}

async fn create(
    exec: &mut Exec<'_>,
    args: &Set,
    reset_at: Option<Timestamp>,
) -> Result<Series, Stop> {
    let every = length(args);
    let window = first_window(exec.now, every, reset_at)?;
    let series = Series {
        id: exec.ids.next(),
        provider: args.provider.clone(),
        name: name(args)?,
        unit: args.unit,
        model: None,
        every,
        limit: args.limit.get(),
        alert_at: args.alert_at.map_or(DEFAULT_ALERT, Percent::get),
        source: "user-entered".to_owned(),
        held: 0,
    };
    let inserted = sqlx::query!(
        "INSERT INTO fleet.budget_series (tenant_id, id, scope, scope_key, name, unit, every_seconds, limit_amount, alert_at, source,
             last_checked_at, created_at)
         VALUES ($1, $2, 'subscription', $3, $4, $5, $6, $7, $8, $9, $10, $10)
         ON CONFLICT (tenant_id, scope, scope_key, name) DO NOTHING",
        exec.tenant.as_str(),
        series.id,
        series.provider.as_str(),
        series.name.as_str(),
        series.unit.as_str(),
        every.map(|e| e.as_secs()),
        args.limit.as_i64(),
        i16::from(series.alert_at),
        series.source,
        time(exec.now) as _
    )
    .execute(&mut *exec.tx)
    .await?;
    if inserted.rows_affected() == 0 {
        let title = series.title();
        return Err(Problem::new(
            Code::Exists,
            format!("somebody has just set a limit for {title}"),
        )
        .remedy("look at it with !budget status, then set it again if need be")
        .into());
    }
    series::insert(exec, series.id, window).await?;
    remember(exec, series.id, args).await?;
    charge_known(exec, &series, window).await?;
    Ok(series)
}

fn length(args: &Set) -> Option<SignedDuration> {
    args.every
        .map(|l| SignedDuration::from_secs(l.seconds().into()))
}

/// The name of a window that was given none: what its length is commonly called.
fn name(args: &Set) -> Result<Name, Stop> {
    let word = match (&args.window, args.every) {
        (Some(name), _) => return Ok(name.clone()),
        (None, None) => "main".to_owned(),
        (None, Some(every)) => match every.seconds() {
            3_600 => "hourly".to_owned(),
            86_400 => "daily".to_owned(),
            604_800 => "weekly".to_owned(),
            _ => every.to_string(),
        },
    };
    word.parse()
        .map_err(|_| Problem::new(Code::BadArgument, "give the window a name with --window").into())
}

/// The first window ends at the instant named; one that lies in the past needs a length.
fn first_window(
    now: Timestamp,
    every: Option<SignedDuration>,
    reset_at: Option<Timestamp>,
) -> Result<Window, Problem> {
    let back = |at: Timestamp, by: SignedDuration| at.0.checked_sub(by).map(Timestamp);
    let out_of_range = |_| Problem::new(Code::Invalid, "the window is out of range");
    let window = match (reset_at, every) {
        (None, every) => Window {
            starts_at: now,
            resets_at: match every {
                Some(e) => Some(Timestamp(now.0.checked_add(e).map_err(out_of_range)?)),
                None => None,
            },
        },
        (Some(at), Some(every)) if at > now => Window {
            starts_at: back(at, every).map_err(out_of_range)?.min(now),
            resets_at: Some(at),
        },
        (Some(at), None) if at > now => Window {
            starts_at: now,
            resets_at: Some(at),
        },
        (Some(at), every) => {
            let past = Window {
                starts_at: back(at, SignedDuration::from_secs(1)).map_err(out_of_range)?,
                resets_at: Some(at),
            };
            every
                .and_then(|e| fleet_policy::budget::containing(past, Some(e), now))
                .ok_or_else(|| {
                    Problem::new(
                        Code::Invalid,
                        "the reset lies in the past, so no window would be open now",
                    )
                    .remedy("name the next reset, or give the length of the windows with --every")
                })?
        }
    };
    Ok(window)
}

async fn remember(exec: &mut Exec<'_>, series: Uuid, args: &Set) -> Result<(), Stop> {
    let id = exec.ids.next();
    sqlx::query!(
        "INSERT INTO fleet.budget_limits (tenant_id, series_id, id, limit_amount, effective_from, set_by, admission)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        exec.tenant.as_str(),
        series,
        id,
        args.limit.as_i64(),
        time(exec.now) as _,
        exec.actor.principal,
        exec.admission
    )
    .execute(&mut *exec.tx)
    .await?;
    Ok(())
}

/// Spend that was recorded before there was a limit counts in the window it belongs to.
async fn charge_known(exec: &mut Exec<'_>, series: &Series, window: Window) -> Result<(), Stop> {
    let known = sqlx::query!(
        "SELECT id, task_id, attempt, added_tokens, added_cash_usd_micro, spent_at, late, estimated FROM fleet.spend_reports
         WHERE tenant_id = $1 AND subscription = $2 AND spent_at >= $3 AND (added_tokens > 0 OR added_cash_usd_micro > 0)
         ORDER BY id",
        exec.tenant.as_str(),
        series.provider.as_str(),
        time(window.starts_at) as _
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    for spent in known {
        let committed = match series.unit {
            Unit::Tokens => spent.added_tokens,
            Unit::CashUsdMicro => spent.added_cash_usd_micro,
            _ => 0,
        };
        let row = Row {
            kind: "commit",
            task: spent.task_id,
            attempt: spent.attempt,
            moved: Movement {
                committed,
                ..Movement::default()
            },
            at: instant(spent.spent_at),
            report: Some(spent.id),
            late: spent.late,
            estimated: spent.estimated,
            reason: Some("spent before the limit was set"),
        };
        ledger::append(exec, series.id, row).await?;
    }
    Ok(())
}
