//! `budget set`: a limit, new or changed.

use fleet_policy::budget::Window;
use fleet_policy::budget::recurrence::{Rule, Succession};
use fleet_protocol::document::number;
use fleet_protocol::problem::Code;
use fleet_protocol::reply::{Changed, WindowView};
use fleet_protocol::scalar::Name;
use fleet_protocol::verbs::budget::{Pace, Scope, Set, Unit, Unknown};
use fleet_protocol::{Problem, Reply, Timestamp};
use jiff::SignedDuration;
use jiff::tz::TimeZone;
use uuid::Uuid;

use super::gauge::{self, Gauged, Which};
use super::series::{self, Follows};
use super::{alert, backfill, queue, reset, status, window};
use crate::db::time;
use crate::execute::{Exec, Stop, Subject, member, spend};

/// At which share of a limit the room is alerted unless told otherwise.
const DEFAULT_ALERT: i16 = 95;
/// Share of the limit that may be ahead of plan unless told otherwise, in basis points.
const DEFAULT_BURST: i32 = 500;

/// Sets or changes a limit.
pub(crate) async fn set(exec: &mut Exec<'_>, args: &Set) -> Result<Reply, Stop> {
    exec.dry_run = args.dry_run;
    let (scope, key) = series::scope(exec, args.series()).await?;
    if scope == Scope::Subscription {
        spend::subscription(exec, key.as_str()).await?;
    }
    let all = series::of_scope(exec, scope, &key).await?;
    let reset_at = match &args.reset_at {
        Some(moment) => Some(reset::moment(exec, moment, "--reset-at")?),
        None => None,
    };
    let follows = follows(exec, args, reset_at)?;
    let existing = series::the_one(scope, &key, args.window.as_ref(), &all)?;
    let id = match &existing {
        Some(gauged) => {
            change(exec, args, gauged, follows, reset_at).await?;
            gauged.series.id
        }
        None => create(exec, args, (scope, key), follows, reset_at).await?,
    };
    let after = gauge::read(exec, &Which::ids(vec![id])).await?;
    let after = after.into_iter().next().ok_or(sqlx::Error::RowNotFound)?;
    alert::check(exec, &[id]).await?;
    queue::nudge(exec).await?;
    exec.about(Subject::Budget, id);
    answer(exec, args, existing.as_ref(), &after).await
}

async fn answer(
    exec: &mut Exec<'_>,
    args: &Set,
    before: Option<&Gauged>,
    after: &Gauged,
) -> Result<Reply, Stop> {
    let change = if before.is_some() { "changed" } else { "set" };
    let mut changed = Changed::to(change, status::view_of_gauged(exec, after).await?);
    changed.already = before.is_some_and(|b| is_same(b, after));
    if !changed.already {
        let detail = serde_json::to_value(args).map_err(|e| sqlx::Error::Encode(e.into()))?;
        member::audit(exec, "budget.set", &after.series.title(), detail).await?;
    }
    changed.notes = notes(&changed.now);
    Ok(Reply::Budget(changed))
}

fn notes(now: &WindowView) -> Vec<String> {
    let mut notes = Vec::new();
    let (over, unit) = (now.over(), now.unit);
    if over > 0 {
        notes.push(format!(
            "Already over by {} {}: no new work is admitted; running tasks go on.",
            number(over),
            unit.noun()
        ));
    }
    if matches!(unit, Unit::Messages | Unit::Credits | Unit::ComputeSeconds) {
        notes.push(format!(
            "Advisory: it counts what reports say of {}, and charges the grant where they say nothing.",
            unit.noun()
        ));
    }
    if unit == Unit::BasisPoints {
        notes.push(
            "Unknown until the provider's level is read: !budget reading, or the headers of its answers."
                .to_owned(),
        );
    }
    notes
}

/// Whether a limit stands as it stood.
fn is_same(a: &Gauged, b: &Gauged) -> bool {
    let terms = |g: &Gauged| {
        let s = &g.series;
        let tuned = (s.is_paced, s.burst_bp, s.is_strict, s.alert_at);
        (
            s.limit,
            s.model.clone(),
            s.follows.clone(),
            tuned,
            g.window(),
        )
    };
    terms(a) == terms(b)
}

/// How windows follow each other, when the command says so.
fn follows(
    exec: &Exec<'_>,
    args: &Set,
    reset_at: Option<Timestamp>,
) -> Result<Option<Follows>, Stop> {
    let length = args
        .every
        .map(|l| SignedDuration::from_secs(l.seconds().into()));
    if let Some(length) = length {
        return Ok(Some(if args.after_first_use {
            Follows::AfterFirstUse(length)
        } else {
            Follows::Every(length)
        }));
    }
    let (Some(rule), Some(reset_at)) = (&args.rule, reset_at) else {
        return Ok(None);
    };
    let zone = match &args.zone {
        Some(name) => TimeZone::get(name.as_str()).map_err(|_| {
            Problem::new(
                Code::BadArgument,
                format!("--zone {name} is not a time zone"),
            )
            .remedy("write it like Europe/Berlin")
        })?,
        None => exec.zone.clone(),
    };
    let first = zone.to_datetime(reset_at.0);
    let invalid = |e: fleet_policy::budget::recurrence::SuccessionError| {
        Problem::new(Code::BadArgument, format!("--rule: {e}"))
            .remedy("write it like FREQ=WEEKLY;BYDAY=MO or FREQ=MONTHLY;BYMONTHDAY=1")
    };
    let parsed = Rule::parse(rule.as_str(), first, zone.clone()).map_err(invalid)?;
    parsed.around(reset_at).map_err(invalid)?;
    Ok(Some(Follows::Rule {
        rule: rule.as_str().trim().to_ascii_uppercase(),
        first: first.to_string(),
        zone: zone.iana_name().unwrap_or("UTC").to_owned(),
    }))
}

async fn change(
    exec: &mut Exec<'_>,
    args: &Set,
    gauged: &Gauged,
    follows: Option<Follows>,
    reset_at: Option<Timestamp>,
) -> Result<(), Stop> {
    let s = &gauged.series;
    if s.unit != args.unit {
        return Err(Problem::new(
            Code::Invalid,
            format!(
                "{} counts {}, not {}",
                s.title(),
                s.unit.noun(),
                args.unit.noun()
            ),
        )
        .remedy("for a second limit in another unit, give it a name of its own with --window")
        .into());
    }
    let follows = follows.unwrap_or_else(|| s.follows.clone());
    let of_rule = follows.rule();
    sqlx::query!(
        "UPDATE fleet.budget_series SET limit_amount = $3, alert_at = coalesce($4, alert_at), succession = $5, every_seconds = $6, rule = $7,
             rule_first = $8, rule_zone = $9, paced = coalesce($10, paced), burst_bp = coalesce($11, burst_bp),
             strict = coalesce($12, strict), model = coalesce($13, model), source = 'user-entered', last_checked_at = $14
         WHERE tenant_id = $1 AND id = $2",
        exec.tenant.as_str(),
        s.id,
        args.limit.as_i64(),
        args.alert_at.map(|p| i16::from(p.get())),
        follows.word(),
        follows.length().map(|l| l.as_secs()),
        of_rule.map(|r| r.0),
        of_rule.map(|r| r.1),
        of_rule.map(|r| r.2),
        args.pace.map(|p| p == Pace::Even),
        args.burst.map(|p| i32::from(p.get()) * 100),
        args.unknown.map(|u| u == Unknown::Refuse),
        args.model.as_ref().map(Name::as_str),
        time(exec.now) as _
    )
    .execute(&mut *exec.tx)
    .await?;
    if let Some(at) = reset_at {
        let mut changed = gauged.clone();
        changed.series.follows = follows;
        reset::end_at(exec, &changed, at, false).await?;
    }
    if args.limit.get() != s.limit {
        remember(exec, s.id, args).await?;
    }
    Ok(())
}

async fn create(
    exec: &mut Exec<'_>,
    args: &Set,
    (scope, key): (Scope, Name),
    follows: Option<Follows>,
    reset_at: Option<Timestamp>,
) -> Result<Uuid, Stop> {
    let follows = follows.unwrap_or(Follows::Open);
    let first = first_window(exec.now, &follows, reset_at)?;
    let id = exec.ids.next();
    let name = name(args)?;
    let of_rule = follows.rule();
    let meter = if args.unit == Unit::BasisPoints {
        "reading"
    } else {
        "ledger"
    };
    let inserted = sqlx::query!(
        "INSERT INTO fleet.budget_series (tenant_id, id, scope, scope_key, name, unit, model, meter, succession, every_seconds, rule, rule_first,
             rule_zone, limit_amount, alert_at, paced, burst_bp, strict, source, last_checked_at, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, 'user-entered', $19, $19)
         ON CONFLICT (tenant_id, scope, scope_key, name) DO NOTHING",
        exec.tenant.as_str(),
        id,
        scope.as_str(),
        key.as_str(),
        name.as_str(),
        args.unit.as_str(),
        args.model.as_ref().map(Name::as_str),
        meter,
        follows.word(),
        follows.length().map(|l| l.as_secs()),
        of_rule.map(|r| r.0),
        of_rule.map(|r| r.1),
        of_rule.map(|r| r.2),
        args.limit.as_i64(),
        args.alert_at.map_or(DEFAULT_ALERT, |p| i16::from(p.get())),
        args.pace != Some(Pace::None),
        args.burst.map_or(DEFAULT_BURST, |p| i32::from(p.get()) * 100),
        args.unknown == Some(Unknown::Refuse),
        time(exec.now) as _
    )
    .execute(&mut *exec.tx)
    .await?;
    if inserted.rows_affected() == 0 {
        return Err(Problem::new(
            Code::Exists,
            format!("somebody has just set a limit for {key} {name}"),
        )
        .remedy("look at it with !budget status, then set it again if need be")
        .into());
    }
    if let Some(first) = first {
        window::insert(exec, id, first).await?;
    }
    remember(exec, id, args).await?;
    backfill::charge_known(exec, id, first).await?;
    Ok(id)
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

/// The first window: ends at the instant named, or as its succession says. One that begins with its
/// first use has none yet, unless its end is named.
fn first_window(
    now: Timestamp,
    follows: &Follows,
    reset_at: Option<Timestamp>,
) -> Result<Option<Window>, Problem> {
    let out_of_range = |_| Problem::new(Code::Invalid, "the window is out of range");
    let past = || {
        Problem::new(
            Code::Invalid,
            "the reset lies in the past, so no window would be open now",
        )
        .remedy("name the next reset, or give the length of the windows with --every")
    };
    let back = |at: Timestamp, by: SignedDuration| at.0.checked_sub(by).map(Timestamp);
    let ahead = |by: SignedDuration| now.0.checked_add(by).map(Timestamp).map_err(out_of_range);
    let until = |starts_at, at| {
        Some(Window {
            starts_at,
            resets_at: Some(at),
        })
    };
    Ok(match (follows, reset_at) {
        (Follows::Rule { .. }, _) => {
            let succession = follows
                .succession()
                .map_err(|e| Problem::new(Code::BadArgument, format!("--rule: {e}")))?;
            let Succession::Rule(rule) = succession else {
                return Ok(None);
            };
            match rule.around(now) {
                Ok(window) => Some(window),
                // The first occurrence lies ahead: this window ends there.
                Err(_) => until(now, reset_at.filter(|at| *at > now).ok_or_else(past)?),
            }
        }
        (Follows::AfterFirstUse(_), None) => None,
        (Follows::Every(length), None) => until(now, ahead(*length)?),
        (Follows::Open, None) => Some(Window {
            starts_at: now,
            resets_at: None,
        }),
        (Follows::Every(length) | Follows::AfterFirstUse(length), Some(at)) if at > now => {
            until(back(at, *length).map_err(out_of_range)?.min(now), at)
        }
        (Follows::Open, Some(at)) if at > now => until(now, at),
        (Follows::Every(length), Some(at)) => {
            let before = Window {
                starts_at: back(at, SignedDuration::from_secs(1)).map_err(out_of_range)?,
                resets_at: Some(at),
            };
            Some(fleet_policy::budget::containing(before, Some(*length), now).ok_or_else(past)?)
        }
        (Follows::AfterFirstUse(_), Some(_)) => None,
        (Follows::Open, Some(_)) => return Err(past()),
    })
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
