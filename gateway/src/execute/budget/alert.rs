//! Alerts: one open incident per series, one message in the room `budget`, edited as it worsens.

use fleet_policy::alert::{Action, Level, act, level};
use fleet_protocol::Document;
use fleet_protocol::document::{bold, code, text};
use fleet_protocol::outbox::{Attention, Message, Post, Relation, Target};
use fleet_protocol::scalar::UserId;
use uuid::Uuid;

use super::series::{Found, Series, find, must, read};
use crate::db::time;
use crate::execute::{Exec, Room, Stop, Subject};
use fleet_protocol::document::number;

/// The rule under which the incident stands.
const RULE: &str = "budget.threshold";
/// One tap opens the proposal.
const ASK: &str = " To ask the board for half as much again, tap 🗳.";
const ROOM: Room = Room::Key("budget");

/// An open alert.
struct Open {
    incident: Uuid,
    level: Level,
    message: Option<Uuid>,
}

/// Looks at every series of a provider after something changed, and tells what must be told.
pub(in crate::execute) async fn check(exec: &mut Exec<'_>, provider: &str) -> Result<(), Stop> {
    for series in read(exec, Some(provider), false).await? {
        let found = must(find(exec, &series, exec.now).await?)?;
        let now = level(series.totals(&found).spent(), series.limit, series.alert_at);
        let open = open_alert(exec, &series).await?;
        match act(now, open.as_ref().map(|o| o.level)) {
            Action::Keep => {}
            Action::Open(level) => raise(exec, &series, &found, level).await?,
            Action::Worsen(level) => {
                if let Some(open) = open {
                    worsen(exec, &series, &found, &open, level).await?;
                }
            }
            Action::Resolve => {
                if let Some(open) = open {
                    resolve(exec, &series, &found, &open).await?;
                }
            }
        }
    }
    Ok(())
}

async fn open_alert(exec: &mut Exec<'_>, series: &Series) -> Result<Option<Open>, Stop> {
    let row = sqlx::query!(
        r#"SELECT a.incident, a.level, i.message FROM fleet.budget_alerts a
           JOIN fleet.incidents i ON i.tenant_id = a.tenant_id AND i.id = a.incident
           WHERE a.tenant_id = $1 AND a.series_id = $2"#,
        exec.tenant.as_str(),
        series.id
    )
    .fetch_optional(&mut *exec.tx)
    .await?;
    Ok(row.and_then(|r| {
        Some(Open {
            incident: r.incident,
            level: Level::from_word(&r.level)?,
            message: r.message,
        })
    }))
}

async fn raise(
    exec: &mut Exec<'_>,
    series: &Series,
    found: &Found,
    level: Level,
) -> Result<(), Stop> {
    let incident = exec.ids.next();
    let said = said(exec, series, found, level);
    let detail = detail(series, found, level);
    let said = Message {
        mentions: operators(exec).await?,
        ..said
    };
    let about = Some((Subject::Incident, incident));
    let message = exec.say(ROOM, said, None, about);
    let on = Some(Relation::Annotates(Target::Row(message)));
    let tap = Post::Reaction {
        key: "🗳".to_owned(),
    };
    exec.post(ROOM, tap, on, about);
    sqlx::query!(
        "INSERT INTO fleet.incidents (tenant_id, id, rule, subject, detail, opened_at, message) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        exec.tenant.as_str(),
        incident,
        RULE,
        series.title(),
        detail,
        time(exec.now) as _,
        message
    )
    .execute(&mut *exec.tx)
    .await?;
    sqlx::query!(
        "INSERT INTO fleet.budget_alerts (tenant_id, series_id, incident, level) VALUES ($1, $2, $3, $4)",
        exec.tenant.as_str(),
        series.id,
        incident,
        level.as_str()
    )
    .execute(&mut *exec.tx)
    .await?;
    Ok(())
}

async fn worsen(
    exec: &mut Exec<'_>,
    series: &Series,
    found: &Found,
    open: &Open,
    level: Level,
) -> Result<(), Stop> {
    let said = said(exec, series, found, level);
    sqlx::query!(
        "UPDATE fleet.incidents SET detail = $3 WHERE tenant_id = $1 AND id = $2",
        exec.tenant.as_str(),
        open.incident,
        detail(series, found, level)
    )
    .execute(&mut *exec.tx)
    .await?;
    sqlx::query!(
        "UPDATE fleet.budget_alerts SET level = $3 WHERE tenant_id = $1 AND series_id = $2",
        exec.tenant.as_str(),
        series.id,
        level.as_str()
    )
    .execute(&mut *exec.tx)
    .await?;
    if let Some(row) = open.message {
        exec.edit(ROOM, row, said, Some((Subject::Incident, open.incident)));
    }
    Ok(())
}

async fn resolve(
    exec: &mut Exec<'_>,
    series: &Series,
    found: &Found,
    open: &Open,
) -> Result<(), Stop> {
    sqlx::query!(
        "DELETE FROM fleet.budget_alerts WHERE tenant_id = $1 AND series_id = $2",
        exec.tenant.as_str(),
        series.id
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
    if let Some(row) = open.message {
        let said = said(exec, series, found, Level::Below);
        exec.edit(ROOM, row, said, Some((Subject::Incident, open.incident)));
    }
    Ok(())
}

/// `96,000 of 100,000 tokens spent (96 %)`.
fn share(series: &Series, found: &Found) -> String {
    let spent = series.totals(found).spent();
    let percent = u128::from(spent) * 100 / u128::from(series.limit.max(1));
    format!(
        "{} of {} {} spent ({percent} %)",
        number(spent),
        number(series.limit),
        series.unit.noun()
    )
}

/// What the incident keeps: nothing that another moment or reader would put in other words.
fn detail(series: &Series, found: &Found, level: Level) -> String {
    let consequence = match level {
        Level::Limit => "; no new work is admitted before the reset or a higher limit",
        Level::Below | Level::Threshold => "",
    };
    format!("{}{consequence}", share(series, found))
}

fn said(exec: &Exec<'_>, series: &Series, found: &Found, level: Level) -> Message {
    let mark = match level {
        Level::Below => "✅ ",
        Level::Threshold => "⚠ ",
        Level::Limit => "⛔ ",
    };
    let reset = found.window.resets_at.map_or_else(
        || "no reset is known".to_owned(),
        |at| format!("resets {}", exec.reader().moment(at)),
    );
    let line = format!(": {}; {reset}", share(series, found));
    let document = Document::new().paragraph([text(mark), bold(series.title()), text(line)]);
    let document = match level {
        Level::Below => document.paragraph([text("Below its threshold again.")]),
        Level::Threshold => document.paragraph([
            text(format!(
                "An alert is raised at {} %. To see all limits: ",
                series.alert_at
            )),
            code("!budget status"),
            text(ASK),
        ]),
        Level::Limit => document.paragraph([text(format!(
            "The limit is reached: no new work is admitted before the reset or a higher limit.{ASK}"
        ))]),
    };
    let view = series.view(found);
    let twin =
        serde_json::json!({ "alert": { "rule": RULE, "level": level.as_str(), "window": view } });
    Message {
        attention: Attention::Loud,
        document,
        mentions: Vec::new(),
        twin,
    }
}

/// Operators of the whole fleet: whom an alarm mentions.
pub(in crate::execute) async fn operators(exec: &mut Exec<'_>) -> Result<Vec<UserId>, Stop> {
    let users = sqlx::query_scalar!(
        "SELECT DISTINCT user_id FROM fleet.grants WHERE tenant_id = $1 AND role = 'operator' AND room_key IS NULL ORDER BY user_id LIMIT 20",
        exec.tenant.as_str()
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    Ok(users.iter().filter_map(|u| u.parse().ok()).collect())
}
