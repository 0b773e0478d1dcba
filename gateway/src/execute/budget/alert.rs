//! Alerts: one open incident per series and rule, one message in the room `budget`, edited as it worsens,
//! its history in its thread.

use std::collections::BTreeMap;

use fleet_policy::alert::{Action, act};
use fleet_policy::budget::pacing::Pace;
use fleet_policy::budget::watch::{Alarm, Watched, alarms, has_reached};
use fleet_protocol::Document;
use fleet_protocol::outbox::{Attention, Message, Post, Relation, Target};
use uuid::Uuid;

use super::gauge::{self, Gauged, Which};
use crate::db::time;
use crate::execute::{Exec, Room, Stop, Subject, notice};
use crate::incident::{self, TAKE};

mod said;

use said::{detail, said, share};

/// A tap asks the board for more.
const ASK: &str = "🗳";
const ROOM: Room = Room::Key("budget");

/// The rules under which incidents stand.
const RULES: [Rule; 4] = [Rule::Threshold, Rule::Forecast, Rule::BurnRate, Rule::Stale];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rule {
    Threshold,
    Forecast,
    BurnRate,
    Stale,
}

impl Rule {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Threshold => "budget.threshold",
            Self::Forecast => "budget.forecast",
            Self::BurnRate => "budget.burn-rate",
            Self::Stale => "budget.stale",
        }
    }

    /// Whose alarm it is, and how severe.
    fn severity(self, alarm: &Alarm) -> Option<u64> {
        match (self, alarm) {
            (Self::Threshold, Alarm::Reached(percent)) => Some(u64::from(*percent)),
            // Told once; how many they are now is in `budget status`.
            (Self::Forecast, Alarm::WillNotRun(_) | Alarm::WillCross(_))
            | (Self::BurnRate, Alarm::BurnRate(_))
            | (Self::Stale, Alarm::Stale(_)) => Some(1),
            _ => None,
        }
    }
}

/// An open alert.
#[derive(Debug, Clone)]
struct Open {
    incident: Uuid,
    told: u64,
    message: Option<Uuid>,
}

/// What is known of alerts on a series besides its gauge.
#[derive(Debug, Clone, Default)]
struct Known {
    open: BTreeMap<&'static str, Open>,
    waiting: (u64, u64),
    spread: u64,
}

/// Looks at series after something changed there, and tells what must be told.
pub(in crate::execute) async fn check(exec: &mut Exec<'_>, series: &[Uuid]) -> Result<(), Stop> {
    look(exec, series, |_| true).await
}

/// Looks at series in which less is expected than before: no alarm can come of it, but one may be over.
pub(in crate::execute) async fn check_relieved(
    exec: &mut Exec<'_>,
    series: &[Uuid],
) -> Result<(), Stop> {
    look(exec, series, |known| !known.open.is_empty()).await
}

/// Looks at those series of which what is known says so.
async fn look(
    exec: &mut Exec<'_>,
    series: &[Uuid],
    is_due: fn(&Known) -> bool,
) -> Result<(), Stop> {
    if series.is_empty() {
        return Ok(());
    }
    let known = known(exec, series).await?;
    let is_due = |id: &&Uuid| known.get(id).is_some_and(is_due);
    let due: Vec<Uuid> = series.iter().filter(is_due).copied().collect();
    if due.is_empty() {
        return Ok(());
    }
    for gauged in gauge::read(exec, &Which::ids(due).with_recent()).await? {
        let of = known.get(&gauged.series.id).cloned().unwrap_or_default();
        one(exec, &gauged, &of).await?;
    }
    Ok(())
}

async fn known(exec: &mut Exec<'_>, series: &[Uuid]) -> Result<BTreeMap<Uuid, Known>, Stop> {
    let rows = sqlx::query!(
        r#"SELECT s.id AS "series!", a.rule AS "rule?", a.level AS "level?", a.incident AS "incident?", i.message AS "message?",
               (SELECT coalesce(sum(q.p50), 0)::bigint FROM fleet.budget_queue q WHERE q.tenant_id = $1 AND q.series_id = s.id) AS "p50!",
               (SELECT count(*) FROM fleet.budget_queue q WHERE q.tenant_id = $1 AND q.series_id = s.id) AS "waiting!",
               (SELECT coalesce(sqrt(sum(greatest(h.p80 - h.p50, 0)::numeric ^ 2)), 0)::bigint FROM fleet.holds h
                WHERE h.tenant_id = $1 AND h.series_id = s.id AND h.ended_at IS NULL) AS "spread!"
           FROM unnest($2::uuid[]) AS s (id)
           LEFT JOIN fleet.budget_alerts a ON a.tenant_id = $1 AND a.series_id = s.id
           LEFT JOIN fleet.incidents i ON i.tenant_id = $1 AND i.id = a.incident"#,
        exec.tenant.as_str(),
        series
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    let mut known: BTreeMap<Uuid, Known> = BTreeMap::new();
    for r in rows {
        let of = known.entry(r.series).or_default();
        of.spread = r.spread.unsigned_abs();
        of.waiting = (r.p50.unsigned_abs(), r.waiting.unsigned_abs());
        let (Some(rule), Some(level), Some(incident)) = (r.rule, r.level, r.incident) else {
            continue;
        };
        if let Some(rule) = RULES.into_iter().find(|known| known.as_str() == rule) {
            let open = Open {
                incident,
                told: told(&level),
                message: r.message,
            };
            of.open.insert(rule.as_str(), open);
        }
    }
    Ok(known)
}

/// The severity of a stored level. Registers of the first release hold words.
fn told(level: &str) -> u64 {
    match level {
        "limit" => 100,
        "threshold" => 95,
        number => number.parse().unwrap_or(0),
    }
}

async fn one(exec: &mut Exec<'_>, gauged: &Gauged, known: &Known) -> Result<(), Stop> {
    let window = gauged.window();
    let length = window
        .resets_at
        .map_or(0, |end| end.as_millis() - window.starts_at.as_millis());
    let watched = Watched {
        window,
        limit: gauged.limit,
        spent: gauged.spent(),
        in_flight: gauged.in_flight,
        waiting: known.waiting,
        spread: known.spread,
        is_advisory: gauged.running > 0 && gauged.worst.is_none(),
        read: gauged.series.is_reading.then(|| {
            let most = gauged.series.stale_seconds.saturating_mul(1_000);
            (gauged.series.checked_at, most)
        }),
        short: (gauged.recent, length / 24),
        pace: Pace {
            burst_bp: gauged.series.burst_bp,
            ..Pace::default()
        },
        is_paced: gauged.series.is_paced && !gauged.is_unpaced,
        alert_at: gauged.series.alert_at,
    };
    let alarms = alarms(watched, exec.now);
    for rule in RULES {
        let alarm = alarms.iter().find(|a| rule.severity(a).is_some());
        let now = alarm.and_then(|a| rule.severity(a));
        let open = known.open.get(rule.as_str());
        let is_over = match (rule, open) {
            (Rule::Threshold, Some(open)) => {
                let percent = u8::try_from(open.told).unwrap_or(100);
                let limit_rose = now.is_none_or(|n| n < open.told);
                limit_rose && !has_reached(watched.spent, watched.limit, percent)
            }
            (Rule::Forecast, _) => known.waiting.1 == 0 && alarm.is_none(),
            (_, _) => alarm.is_none(),
        };
        match act(now, open.map(|o| o.told), is_over) {
            Action::Keep => {}
            Action::Open(severity) => raise(exec, gauged, rule, severity, alarm).await?,
            Action::Worsen(severity) => {
                if let Some(open) = open {
                    worsen(exec, gauged, rule, open, severity, alarm).await?;
                }
            }
            Action::Resolve => {
                if let Some(open) = open {
                    resolve(exec, gauged, rule, open).await?;
                }
            }
        }
    }
    Ok(())
}

async fn raise(
    exec: &mut Exec<'_>,
    gauged: &Gauged,
    rule: Rule,
    severity: u64,
    alarm: Option<&Alarm>,
) -> Result<(), Stop> {
    let incident = exec.ids.next();
    let detail = detail(exec, gauged, alarm);
    let said = Message {
        mentions: incident::operators(exec.tx, exec.tenant).await?,
        ..said(exec, gauged, rule, severity, &detail).await?
    };
    let about = Some((Subject::Incident, incident));
    let message = exec.say(ROOM, said, None, about);
    let on = Some(Relation::Annotates(Target::Row(message)));
    for key in taps(rule) {
        let tap = Post::Reaction {
            key: (*key).to_owned(),
        };
        exec.post(ROOM, tap, on.clone(), about);
    }
    sqlx::query!(
        "INSERT INTO fleet.incidents (tenant_id, id, rule, subject, detail, opened_at, message) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        exec.tenant.as_str(),
        incident,
        rule.as_str(),
        gauged.series.title(),
        detail,
        time(exec.now) as _,
        message
    )
    .execute(&mut *exec.tx)
    .await?;
    sqlx::query!(
        "INSERT INTO fleet.budget_alerts (tenant_id, series_id, rule, incident, level) VALUES ($1, $2, $3, $4, $5)",
        exec.tenant.as_str(),
        gauged.series.id,
        rule.as_str(),
        incident,
        severity.to_string()
    )
    .execute(&mut *exec.tx)
    .await?;
    Ok(())
}

/// What may be tapped on an alert. The board can raise a limit, and read no meter.
const fn taps(rule: Rule) -> &'static [&'static str] {
    match rule {
        Rule::Stale => &[TAKE],
        Rule::Threshold | Rule::Forecast | Rule::BurnRate => &[TAKE, ASK],
    }
}

async fn worsen(
    exec: &mut Exec<'_>,
    gauged: &Gauged,
    rule: Rule,
    open: &Open,
    severity: u64,
    alarm: Option<&Alarm>,
) -> Result<(), Stop> {
    let detail = detail(exec, gauged, alarm);
    let said = said(exec, gauged, rule, severity, &detail).await?;
    sqlx::query!(
        "UPDATE fleet.incidents SET detail = $3 WHERE tenant_id = $1 AND id = $2",
        exec.tenant.as_str(),
        open.incident,
        detail
    )
    .execute(&mut *exec.tx)
    .await?;
    sqlx::query!(
        "UPDATE fleet.budget_alerts SET level = $4 WHERE tenant_id = $1 AND series_id = $2 AND rule = $3",
        exec.tenant.as_str(),
        gauged.series.id,
        rule.as_str(),
        severity.to_string()
    )
    .execute(&mut *exec.tx)
    .await?;
    edit(exec, open, said, &format!("It got worse: {detail}"));
    Ok(())
}

async fn resolve(
    exec: &mut Exec<'_>,
    gauged: &Gauged,
    rule: Rule,
    open: &Open,
) -> Result<(), Stop> {
    sqlx::query!(
        "DELETE FROM fleet.budget_alerts WHERE tenant_id = $1 AND series_id = $2 AND rule = $3",
        exec.tenant.as_str(),
        gauged.series.id,
        rule.as_str()
    )
    .execute(&mut *exec.tx)
    .await?;
    sqlx::query!(
        "UPDATE fleet.incidents SET resolved_at = $3 WHERE tenant_id = $1 AND id = $2",
        exec.tenant.as_str(),
        open.incident,
        time(exec.now) as _
    )
    .execute(&mut *exec.tx)
    .await?;
    let detail = share(gauged);
    let said = said(exec, gauged, rule, 0, &detail).await?;
    edit(exec, open, said, &format!("It is over: {detail}"));
    Ok(())
}

/// Edits the incident's message, and adds to its history in its thread.
fn edit(exec: &mut Exec<'_>, open: &Open, said: Message, history: &str) {
    let about = Some((Subject::Incident, open.incident));
    let Some(row) = open.message else { return };
    exec.edit(ROOM, row, said, about);
    let line = notice(Attention::Quiet, Document::text(history));
    exec.say(ROOM, line, Some(in_thread(row)), about);
}

/// In the thread of a message.
pub(in crate::execute) fn in_thread(row: Uuid) -> Relation {
    Relation::Reply {
        to: Target::Row(row),
        thread_root: Some(Target::Row(row)),
    }
}
