//! The verbs of the fleet as a whole: who am I, status, pause, health.

mod doctor;
mod hush;
pub(crate) mod workers;

use fleet_policy::drift::{Expected, drift};
use fleet_protocol::document::{bold, text};
use fleet_protocol::outbox::Attention;
use fleet_protocol::problem::Code;
use fleet_protocol::reply::{IncidentView, PauseView, PsView, StatusView, WhoAmIView};
use fleet_protocol::verbs::fleet as verbs;
use fleet_protocol::{Document, Problem, Reply};

pub(crate) use doctor::doctor;
pub(crate) use hush::hush;

use super::task::known;
use super::{Exec, Room, Stop, agent, budget, member, mission, notice};
use crate::db;

pub(crate) async fn pause(exec: &mut Exec<'_>, args: &verbs::Pause) -> Result<Reply, Stop> {
    let before = switch(exec).await?;
    if before.paused {
        return Ok(Reply::Pause(PauseView {
            already: true,
            ..before
        }));
    }
    let reason = args.reason.as_ref().map(|r| r.as_str());
    sqlx::query!(
        "UPDATE fleet.settings SET paused = true, paused_by = $2, pause_reason = $3, paused_since = $4 WHERE tenant_id = $1",
        exec.tenant.as_str(),
        exec.actor.principal,
        reason,
        db::time(exec.now)
    )
    .execute(&mut *exec.tx)
    .await?;
    member::audit(
        exec,
        "pause",
        "fleet",
        serde_json::json!({ "reason": reason }),
    )
    .await?;
    let why = reason.map(|r| format!(": {r}")).unwrap_or_default();
    tell_lobby(
        exec,
        "paused",
        &format!(
            " by {}{why}. No new claims; running work, votes and reads go on.",
            exec.actor.principal
        ),
    );
    Ok(Reply::Pause(switch(exec).await?))
}

pub(crate) async fn resume(exec: &mut Exec<'_>, _: &verbs::Resume) -> Result<Reply, Stop> {
    let before = switch(exec).await?;
    if !before.paused {
        return Ok(Reply::Pause(PauseView {
            already: true,
            ..before
        }));
    }
    sqlx::query!(
        "UPDATE fleet.settings SET paused = false, paused_by = NULL, pause_reason = NULL, paused_since = NULL WHERE tenant_id = $1",
        exec.tenant.as_str()
    )
    .execute(&mut *exec.tx)
    .await?;
    member::audit(
        exec,
        "resume",
        "fleet",
        serde_json::json!({ "paused_by": before.by, "since": before.since }),
    )
    .await?;
    tell_lobby(
        exec,
        "resumed",
        &format!(" by {}. Work goes on.", exec.actor.principal),
    );
    Ok(Reply::Pause(switch(exec).await?))
}

/// Tells the lobby of a switch, unless the answer to the command stands there anyway.
fn tell_lobby(exec: &mut Exec<'_>, what: &str, rest: &str) {
    let answered_there = exec.place.event.is_some()
        && exec
            .place
            .room_key
            .as_ref()
            .is_some_and(|k| k.as_str() == "lobby");
    if answered_there {
        return;
    }
    let document = Document::new().paragraph([text("The fleet was "), bold(what), text(rest)]);
    exec.say(
        Room::Key("lobby"),
        notice(Attention::Quiet, document),
        None,
        None,
    );
}

/// The pause switch, locked for who may write.
async fn switch(exec: &mut Exec<'_>) -> Result<PauseView, Stop> {
    let s = sqlx::query!(
        "SELECT paused, paused_by, pause_reason, paused_since FROM fleet.settings WHERE tenant_id = $1 FOR UPDATE",
        exec.tenant.as_str()
    )
    .fetch_one(&mut *exec.tx)
    .await?;
    Ok(PauseView {
        paused: s.paused,
        already: false,
        by: s.paused_by,
        reason: s.pause_reason,
        since: s.paused_since.map(db::instant),
    })
}

/// The pause switch, for who only reads.
async fn paused(exec: &mut Exec<'_>) -> Result<PauseView, Stop> {
    let s = sqlx::query!(
        "SELECT paused, paused_by, pause_reason, paused_since FROM fleet.settings WHERE tenant_id = $1",
        exec.tenant.as_str()
    )
    .fetch_one(&mut *exec.tx)
    .await?;
    Ok(PauseView {
        paused: s.paused,
        already: false,
        by: s.paused_by,
        reason: s.pause_reason,
        since: s.paused_since.map(db::instant),
    })
}

pub(crate) async fn verbosity(exec: &mut Exec<'_>, args: &verbs::Verbosity) -> Result<Reply, Stop> {
    let Some(room) = exec.place.room else {
        return Err(Problem::new(Code::Invalid, "this was not said in a room")
            .remedy("type it in the room it is for")
            .into());
    };
    sqlx::query!(
        "UPDATE fleet.rooms SET verbosity = $3 WHERE tenant_id = $1 AND id = $2",
        exec.tenant.as_str(),
        room,
        args.level.as_str()
    )
    .execute(&mut *exec.tx)
    .await?;
    let key = exec.place.room_key.as_ref().map(|k| k.as_str());
    let subject = key.map_or_else(|| room.to_string(), str::to_owned);
    let detail = serde_json::json!({ "level": args.level });
    member::audit(exec, "verbosity", &subject, detail).await?;
    Ok(Reply::Verbosity(args.level))
}

pub(crate) async fn help(_: &mut Exec<'_>, args: &verbs::Help) -> Result<Reply, Stop> {
    Ok(Reply::Help(fleet_protocol::chat::help(&args.topic)?))
}

pub(crate) async fn whoami(exec: &mut Exec<'_>, _: &verbs::WhoAmI) -> Result<Reply, Stop> {
    Ok(Reply::WhoAmI(WhoAmIView {
        principal: exec.actor.principal.clone(),
        tenant: exec.tenant.clone(),
        roles: exec.actor.roles.clone(),
        agent: exec.actor.agent.as_ref().map(|a| a.name.clone()),
        power_level: exec.actor.power_level,
        zone: exec.zone.iana_name().unwrap_or("UTC").to_owned(),
    }))
}

pub(crate) async fn status(exec: &mut Exec<'_>, _: &verbs::Status) -> Result<Reply, Stop> {
    let counts = sqlx::query!(
        r#"SELECT
               (SELECT count(*) FROM fleet.tasks t
                WHERE t.tenant_id = $1 AND t.status = 'pending' AND NOT EXISTS (
                    SELECT FROM fleet.task_dependencies d
                    JOIN fleet.tasks o ON o.tenant_id = d.tenant_id AND o.id = d.depends_on
                    WHERE d.tenant_id = t.tenant_id AND d.task_id = t.id AND o.status <> 'completed')) AS "ready!",
               (SELECT count(*) FROM fleet.proposals p WHERE p.tenant_id = $1 AND p.state = 'open') AS "proposals!",
               (SELECT count(*) FROM fleet.budget_queue q WHERE q.tenant_id = $1) AS "waiting!""#,
        exec.tenant.as_str()
    )
    .fetch_one(&mut *exec.tx)
    .await?;
    let agents = agent::views(exec, None, false).await?;
    let alive = agents.iter().filter(|a| a.state != "silent").count();
    let budgets = match budget::status(
        exec,
        &fleet_protocol::verbs::budget::Status { provider: None },
    )
    .await?
    {
        Reply::Budgets(windows) => windows,
        _ => Vec::new(),
    };
    Ok(Reply::Status(StatusView {
        tenant: exec.tenant.clone(),
        pause: paused(exec).await?,
        tasks: mission::by_status(exec, None).await?,
        ready: counts.ready.cast_unsigned(),
        waiting: counts.waiting.cast_unsigned(),
        agents: agents.len() as u64,
        alive: alive as u64,
        open_proposals: counts.proposals.cast_unsigned(),
        incidents: incidents(exec, 5).await?,
        budgets,
    }))
}

/// Open incidents, the newest first.
async fn incidents(exec: &mut Exec<'_>, limit: i64) -> Result<Vec<IncidentView>, Stop> {
    let rows = sqlx::query!(
        r#"SELECT rule, subject, detail, opened_at FROM fleet.incidents
           WHERE tenant_id = $1 AND resolved_at IS NULL ORDER BY opened_at DESC LIMIT $2"#,
        exec.tenant.as_str(),
        limit
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    rows.into_iter()
        .map(|i| {
            let rule = known("rule", i.rule.parse().ok())?;
            Ok(IncidentView {
                rule,
                subject: i.subject,
                detail: i.detail,
                since: db::instant(i.opened_at),
            })
        })
        .collect()
}

pub(crate) async fn ps(exec: &mut Exec<'_>, _: &verbs::Ps) -> Result<Reply, Stop> {
    let agents = agent::views(exec, None, false).await?;
    let roster = sqlx::query!(
        "SELECT name, role, host FROM fleet.roster WHERE tenant_id = $1 ORDER BY name",
        exec.tenant.as_str()
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    let expected: Result<Vec<Expected>, Stop> = roster
        .into_iter()
        .map(|r| {
            Ok(Expected {
                name: known("name", r.name.parse().ok())?,
                role: known("role", r.role.parse().ok())?,
                host: r.host.map(|h| known("host", h.parse().ok())).transpose()?,
            })
        })
        .collect();
    let drift = drift(&expected?, &agents);
    Ok(Reply::Ps(PsView { agents, drift }))
}
