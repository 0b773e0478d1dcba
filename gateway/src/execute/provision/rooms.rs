//! The rooms that a roster names, and those of the roles it has. The bot makes and mends them by their plan.

use std::collections::BTreeMap;

use fleet_protocol::role::Role;
use fleet_protocol::roster::{RoomSettings, Roster};
use fleet_protocol::scalar::Name;
use fleet_protocol::verbs::member::GrantRole;

use super::Difference;
use crate::execute::{Exec, Stop};
use crate::plan;

/// A room as it should be.
#[derive(Default)]
struct Wanted {
    settings: RoomSettings,
    /// The name it gets when nothing else is said.
    title: Option<String>,
    may_command: Option<Vec<GrantRole>>,
}

pub(super) async fn bring(
    exec: &mut Exec<'_>,
    roster: &Roster,
    roles: &BTreeMap<Name, Role>,
    found: &mut Difference,
) -> Result<(), Stop> {
    for (key, wanted) in wanted(roster, roles) {
        let before = sqlx::query!(
            "SELECT name, topic, verbosity, may_command FROM fleet.rooms WHERE tenant_id = $1 AND key = $2 FOR UPDATE",
            exec.tenant.as_str(),
            key.as_str()
        )
        .fetch_optional(&mut *exec.tx)
        .await?;
        let given = |text: &Option<fleet_protocol::scalar::Title>| {
            text.as_ref().map(|t| t.as_str().to_owned())
        };
        let (name, topic) = (given(&wanted.settings.name), given(&wanted.settings.topic));
        let verbosity = wanted.settings.verbosity.map(|v| v.as_str().to_owned());
        let may: Option<Vec<String>> = wanted
            .may_command
            .map(|may| may.iter().map(|r| r.as_str().to_owned()).collect());
        if let Some(before) = &before {
            let differs = |wanted: &Option<String>, is: Option<&str>| {
                wanted.as_deref().is_some_and(|w| Some(w) != is)
            };
            let same = !differs(&name, before.name.as_deref())
                && !differs(&topic, before.topic.as_deref())
                && !differs(&verbosity, Some(&before.verbosity))
                && may.as_ref().is_none_or(|may| *may == before.may_command);
            if same {
                continue;
            }
        }
        let word = if before.is_some() {
            "other settings"
        } else {
            "new"
        };
        found.changes.push(format!("room {key}: {word}"));
        sqlx::query!(
            "INSERT INTO fleet.rooms AS r (tenant_id, id, kind, key, name, topic, alias, verbosity, may_command)
             VALUES ($1, $2, 'plan', $3, coalesce($4, $9, $3), coalesce($5, ''), $6, coalesce($7, 'normal'), coalesce($8::text[], '{}'))
             ON CONFLICT (tenant_id, key) DO UPDATE SET name = coalesce($4, r.name), topic = coalesce($5, r.topic),
                 verbosity = coalesce($7, r.verbosity), may_command = coalesce($8::text[], r.may_command)",
            exec.tenant.as_str(),
            exec.ids.next(),
            key.as_str(),
            name as Option<String>,
            topic as Option<String>,
            plan::alias(exec.tenant.as_str(), key.as_str()),
            verbosity as Option<String>,
            may.as_deref() as Option<&[String]>,
            wanted.title as Option<String>,
        )
        .execute(&mut *exec.tx)
        .await?;
    }
    Ok(())
}

/// What the roster says of rooms, and the rooms of its agents' roles. Who may command somewhere is said by a role
/// whose room is called like the role: a room that several share obeys the fleet's usual rules.
fn wanted(roster: &Roster, roles: &BTreeMap<Name, Role>) -> BTreeMap<Name, Wanted> {
    let mut all: BTreeMap<Name, Wanted> = BTreeMap::new();
    for (key, settings) in &roster.rooms {
        all.entry(key.clone()).or_default().settings = settings.clone();
    }
    for agent in &roster.agents {
        let Some((role, room)) = roles
            .get(&agent.class)
            .and_then(|r| Some((r, r.room.as_ref()?)))
        else {
            continue;
        };
        let entry = all.entry(room.clone()).or_default();
        if *room == agent.class {
            entry.title = Some(role.title.to_string());
            entry.may_command = Some(role.may_command.clone());
        }
    }
    all
}
