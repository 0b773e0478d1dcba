//! The register's view of the fleet's health: each check says what was found and what to do.

use fleet_protocol::Reply;
use fleet_protocol::reply::{AgentView, Check, CheckState, DoctorView};
use fleet_protocol::verbs::fleet as verbs;

use super::super::{Exec, Stop, agent};
use super::{incidents, paused};
use crate::db;

pub(crate) async fn doctor(exec: &mut Exec<'_>, _: &verbs::Doctor) -> Result<Reply, Stop> {
    let agents = agent::views(exec, None, false).await?;
    let mut checks = vec![
        alone(
            &agents,
            "orchestrator",
            "is the single point of contact for people",
        ),
        alone(&agents, "enhancer", "improves tools and roles"),
        silent(&agents),
    ];
    checks.push(switch(exec).await?);
    checks.push(bot(exec).await?);
    checks.push(rooms(exec).await?);
    checks.push(outbox(exec).await?);
    checks.push(leases(exec).await?);
    checks.push(open_incidents(exec).await?);
    Ok(Reply::Doctor(DoctorView { checks }))
}

fn check(name: &str, state: CheckState, found: impl Into<String>, remedy: Option<&str>) -> Check {
    let remedy = remedy
        .filter(|_| state != CheckState::Ok)
        .map(str::to_owned);
    Check {
        name: name.to_owned(),
        state,
        found: found.into(),
        remedy,
    }
}

/// Doctrine 3: exactly one of the role.
fn alone(agents: &[AgentView], role: &str, what_for: &str) -> Check {
    let names: Vec<_> = agents
        .iter()
        .filter(|a| a.role.as_str() == role)
        .map(|a| a.name.as_str())
        .collect();
    let remedy = format!(
        "register one: !agent register {role}-1 --role {role} --host HOST --user @agent-{role}-1-HOST:SERVER"
    );
    match names.as_slice() {
        [] => check(
            role,
            CheckState::Warning,
            format!("there is none; it {what_for}"),
            Some(&remedy),
        ),
        [one] => check(role, CheckState::Ok, *one, None),
        many => check(
            role,
            CheckState::Warning,
            format!("there are {}: {}", many.len(), many.join(", ")),
            Some("a fleet has exactly one; an operator can type: !agent retire NAME"),
        ),
    }
}

fn silent(agents: &[AgentView]) -> Check {
    let names: Vec<_> = agents
        .iter()
        .filter(|a| a.state == "silent")
        .map(|a| a.name.as_str())
        .collect();
    match names.is_empty() {
        true => check(
            "agents",
            CheckState::Ok,
            format!("{} registered, none silent", agents.len()),
            None,
        ),
        false => check(
            "agents",
            CheckState::Warning,
            format!(
                "nothing was heard for {} minutes of {}",
                agent::SILENT_AFTER / 60,
                names.join(", ")
            ),
            Some("start them again, or an operator can type: !agent retire NAME"),
        ),
    }
}

async fn switch(exec: &mut Exec<'_>) -> Result<Check, Stop> {
    let pause = paused(exec).await?;
    Ok(match (pause.paused, pause.by) {
        (false, _) => check("pause", CheckState::Ok, "not paused", None),
        (true, by) => {
            let since = pause
                .since
                .map(|s| exec.reader().clock(s))
                .unwrap_or_default();
            let found = format!("paused by {} since {since}", by.unwrap_or_default());
            check(
                "pause",
                CheckState::Warning,
                found,
                Some("an operator can type: !resume"),
            )
        }
    })
}

async fn bot(exec: &mut Exec<'_>) -> Result<Check, Stop> {
    let live = sqlx::query!(
        "SELECT account, expires_at FROM fleet.bot_leases WHERE tenant_id = $1 ORDER BY expires_at DESC LIMIT 1",
        exec.tenant.as_str()
    )
    .fetch_optional(&mut *exec.tx)
    .await?;
    let remedy = Some("start it: fleet bot; its log names what stops it");
    Ok(match live {
        None => check(
            "bot",
            CheckState::Broken,
            "no bot has ever been here",
            remedy,
        ),
        Some(l) if db::instant(l.expires_at) <= exec.now => {
            let since = exec.reader().clock(db::instant(l.expires_at));
            check(
                "bot",
                CheckState::Broken,
                format!("{} has been gone since {since}", l.account),
                remedy,
            )
        }
        Some(l) => check(
            "bot",
            CheckState::Ok,
            format!("{} is live", l.account),
            None,
        ),
    })
}

async fn rooms(exec: &mut Exec<'_>) -> Result<Check, Stop> {
    let rows = sqlx::query!(
        r#"SELECT key AS "key!", room_id IS NULL AS "unmade!", mark_event_id IS NULL AND kind = 'plan' AS "unread!"
           FROM fleet.rooms WHERE tenant_id = $1 AND key IS NOT NULL ORDER BY key"#,
        exec.tenant.as_str()
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    let unmade: Vec<_> = rows
        .iter()
        .filter(|r| r.unmade)
        .map(|r| r.key.as_str())
        .collect();
    let unread: Vec<_> = rows
        .iter()
        .filter(|r| !r.unmade && r.unread)
        .map(|r| r.key.as_str())
        .collect();
    Ok(if !unmade.is_empty() {
        let found = format!("not made yet: {}", unmade.join(", "));
        check(
            "rooms",
            CheckState::Broken,
            found,
            Some("the bot makes them when it runs; its log names what stops it"),
        )
    } else if !unread.is_empty() {
        let found = format!("never read: {}", unread.join(", "));
        check(
            "rooms",
            CheckState::Warning,
            found,
            Some("the bot must be joined to them; invite it again"),
        )
    } else {
        check(
            "rooms",
            CheckState::Ok,
            format!("{} made and read", rows.len()),
            None,
        )
    })
}

async fn outbox(exec: &mut Exec<'_>) -> Result<Check, Stop> {
    let rows = sqlx::query!(
        r#"SELECT count(*) FILTER (WHERE state = 'dead') AS "dead!", count(*) FILTER (WHERE state = 'parked') AS "parked!",
                  count(*) FILTER (WHERE state = 'pending' AND created_at < $2::timestamptz - interval '60 seconds') AS "late!"
           FROM fleet.outbox WHERE tenant_id = $1 AND state IN ('dead', 'parked', 'pending')"#,
        exec.tenant.as_str(),
        db::time(exec.now),
    )
    .fetch_one(&mut *exec.tx)
    .await?;
    let found = format!(
        "{} dead, {} parked, {} unsent for more than a minute",
        rows.dead, rows.parked, rows.late
    );
    Ok(match (rows.dead, rows.parked, rows.late) {
        (0, 0, 0) => check("outbox", CheckState::Ok, "all sent", None),
        _ => check(
            "outbox",
            CheckState::Warning,
            found,
            Some(
                "parked: invite the bot to the room; unsent: look at the bot's and the homeserver's logs; dead: see the incidents",
            ),
        ),
    })
}

async fn leases(exec: &mut Exec<'_>) -> Result<Check, Stop> {
    let late = sqlx::query_scalar!(
        r#"SELECT count(*) AS "n!" FROM fleet.attempts
           WHERE tenant_id = $1 AND ended_at IS NULL AND lease_until < $2::timestamptz - interval '60 seconds'"#,
        exec.tenant.as_str(),
        db::time(exec.now)
    )
    .fetch_one(&mut *exec.tx)
    .await?;
    Ok(match late {
        0 => check("leases", CheckState::Ok, "none has ended unnoticed", None),
        n => check(
            "leases",
            CheckState::Broken,
            format!("{n} ended more than a minute ago and were not taken back"),
            Some("the gateway's sweep does not run; its log says why"),
        ),
    })
}

async fn open_incidents(exec: &mut Exec<'_>) -> Result<Check, Stop> {
    let open = incidents(exec, 5).await?;
    let names: Vec<_> = open
        .iter()
        .map(|i| format!("{} {}", i.rule, i.subject))
        .collect();
    Ok(match names.is_empty() {
        true => check("incidents", CheckState::Ok, "none is open", None),
        false => check(
            "incidents",
            CheckState::Warning,
            names.join("; "),
            Some("each has its message in the room ops"),
        ),
    })
}
