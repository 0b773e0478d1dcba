//! `fleet agent reconcile`: the agents that the register knows, and the accounts that are on the homeserver.

use std::collections::{BTreeMap, BTreeSet};

use fleet_agent::matrix::Matrix;
use fleet_protocol::event::{ROOM, RoomContent};
use fleet_protocol::reply::AgentView;
use serde::Serialize;

use super::join;
use crate::Context;
use crate::command::say;
use crate::error::CliError;
use crate::exit::Exit;
use crate::settings::Settings;

/// How the local part of an agent's user begins.
const AGENT: &str = "@agent-";
/// The name of the device that looks.
const DEVICE: &str = "fleet agent reconcile";

/// What is known of one account, on both sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Known {
    user: String,
    /// The agent's name; none for an account that the register does not know.
    agent: Option<String>,
    is_retired: bool,
    has_account: bool,
    /// Keys of the fleet's rooms that it is in.
    rooms: Vec<String>,
}

/// Where both sides differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Difference {
    /// `no_account`, `retired_in_room` or `phantom`.
    kind: &'static str,
    user: String,
    what: String,
    remedy: String,
}

/// Compares, and prints what differs.
pub(crate) async fn run(context: &Context) -> Result<Exit, CliError> {
    let settings = context.settings()?;
    let gateway = say::gateway(&settings)?;
    let agents = join::agents(&gateway).await?;
    let matrix = operator(&settings).await?;
    let looked = look(&matrix, &settings, &agents).await;
    matrix.logout().await?;
    let known = looked?;
    let differences = differences(&known);
    let answer = serde_json::json!({ "agents": known, "differences": differences });
    context.out.answer(&answer, || told(&known, &differences))?;
    Ok(match differences.is_empty() {
        true => Exit::Done,
        false => Exit::Missed,
    })
}

/// The operator's account: it is in every room of the fleet.
async fn operator(settings: &Settings) -> Result<Matrix, CliError> {
    let operator = &settings.operator;
    let (Some(url), Some(user), Some(password)) = (
        &settings.homeserver.url,
        &operator.user_id,
        operator.password()?,
    ) else {
        return Err(CliError::Usage(
            "name the homeserver and an account that is in the fleet's rooms: homeserver.url, operator.user_id and operator.password_file".into(),
        ));
    };
    Ok(Matrix::login(url.clone(), user.as_str(), password.expose(), DEVICE).await?)
}

async fn look(
    matrix: &Matrix,
    settings: &Settings,
    agents: &[AgentView],
) -> Result<Vec<Known>, CliError> {
    let mut rooms: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for room in matrix.joined_rooms().await? {
        let state = match matrix.state(&room, ROOM, "").await {
            Ok(state) => state,
            // A room that is none of the fleet's.
            Err(error) if error.is_not_found() => continue,
            Err(error) => return Err(error.into()),
        };
        let content: Option<RoomContent> = serde_json::from_value(state).ok();
        let Some(content) = content.filter(|c| c.tenant == settings.tenant.id) else {
            continue;
        };
        for member in matrix.members(&room).await? {
            rooms
                .entry(member)
                .or_default()
                .push(content.room.to_string());
        }
    }
    let mut known = Vec::new();
    for agent in agents {
        let user = agent.user.to_string();
        known.push(Known {
            agent: Some(agent.name.to_string()),
            is_retired: agent.state == "retired",
            has_account: matrix.exists(&user).await?,
            rooms: rooms.remove(&user).unwrap_or_default(),
            user,
        });
    }
    let unknown = rooms
        .into_iter()
        .filter(|(user, _)| user.starts_with(AGENT));
    known.extend(unknown.map(|(user, rooms)| Known {
        user,
        agent: None,
        is_retired: false,
        has_account: true,
        rooms,
    }));
    Ok(known)
}

fn differences(known: &[Known]) -> Vec<Difference> {
    // A user of a retired agent may be that of a living one, registered anew under another name.
    let living: BTreeSet<&str> = known
        .iter()
        .filter(|k| k.agent.is_some() && !k.is_retired)
        .map(|k| k.user.as_str())
        .collect();
    let found = known.iter().filter_map(|k| {
        let rooms = k.rooms.join(", ");
        let (kind, what, remedy) = match &k.agent {
            None => (
                "phantom",
                format!(
                    "{} is in {rooms}, and the register knows no such agent",
                    k.user
                ),
                "take it out of the rooms, or let it join: fleet agent join".to_owned(),
            ),
            Some(name)
                if k.is_retired && !rooms.is_empty() && !living.contains(k.user.as_str()) =>
            {
                (
                    "retired_in_room",
                    format!("{name} is retired, and its account is still in {rooms}"),
                    format!(
                        "take its rights away, and the bot takes it out: fleet agent revoke {name}"
                    ),
                )
            }
            Some(name) if !k.is_retired && !k.has_account => (
                "no_account",
                format!(
                    "{name} has no account on the homeserver: there is no {}",
                    k.user
                ),
                "on its machine: fleet agent join; until then it works through the gateway alone"
                    .to_owned(),
            ),
            Some(_) => return None,
        };
        Some(Difference {
            kind,
            user: k.user.clone(),
            what,
            remedy,
        })
    });
    found.collect()
}

fn told(known: &[Known], differences: &[Difference]) -> String {
    let living = known.iter().filter(|k| k.agent.is_some() && !k.is_retired);
    let head = format!(
        "{} agents of the register are compared with the homeserver; {} differences",
        living.count(),
        differences.len()
    );
    let lines = differences
        .iter()
        .map(|d| format!("{}\n  what to do: {}", d.what, d.remedy));
    std::iter::once(head)
        .chain(lines)
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(agent: Option<&str>, is_retired: bool, has_account: bool, rooms: &[&str]) -> Known {
        Known {
            user: format!("@agent-{}-box:s", agent.unwrap_or("ghost")),
            agent: agent.map(str::to_owned),
            is_retired,
            has_account,
            rooms: rooms.iter().map(|r| (*r).to_owned()).collect(),
        }
    }

    #[test]
    fn only_what_should_not_be_is_a_difference() {
        let all = [
            (known(Some("code-1"), false, true, &["lobby"]), None),
            (known(Some("code-2"), false, true, &[]), None),
            (known(Some("code-3"), false, false, &[]), Some("no_account")),
            (known(Some("code-4"), true, false, &[]), None),
            (
                known(Some("code-5"), true, true, &["ops"]),
                Some("retired_in_room"),
            ),
            (known(None, false, true, &["lobby"]), Some("phantom")),
        ];
        for (one, kind) in all {
            let found = differences(std::slice::from_ref(&one));
            assert_eq!(found.first().map(|d| d.kind), kind, "{one:?}");
        }
    }

    #[test]
    fn an_account_that_a_living_agent_took_over_is_no_retired_ones() {
        let mut before = known(Some("code-1"), true, true, &["lobby"]);
        let after = known(Some("coder"), false, true, &["lobby"]);
        before.user.clone_from(&after.user);
        assert_eq!(differences(&[before, after]), []);
    }
}
