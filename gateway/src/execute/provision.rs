//! `provision`: brings the fleet to what a roster says, in one transaction. What differs is changed by the commands
//! that a person would type, so that each change has the same checks and leaves the same traces.

use std::collections::BTreeMap;

use fleet_protocol::problem::Code;
use fleet_protocol::reply::ProvisionView;
use fleet_protocol::role::Role;
use fleet_protocol::roster::{ConnectorKind, Roster, RosterAgent};
use fleet_protocol::scalar::Name;
use fleet_protocol::verbs::board::{ChangeSeat, Holder, Seat, SeatChange};
use fleet_protocol::verbs::fleet as verbs;
use fleet_protocol::verbs::{agent as agents, member};
use fleet_protocol::{Problem, Reply};

use super::{Exec, Stop, agent, board, budget, member as grants, role};

mod rooms;

/// Roles of which a fleet has exactly one each (doctrine 3).
const FLOOR: [&str; 2] = ["orchestrator", "enhancer"];

/// What differs, as it is found and changed.
#[derive(Default)]
struct Difference {
    changes: Vec<String>,
    kept: Vec<String>,
    notes: Vec<String>,
}

/// Brings rooms, agents, grants, seats and budgets to what a roster says.
pub(crate) async fn provision(exec: &mut Exec<'_>, args: &verbs::Provision) -> Result<Reply, Stop> {
    let roster = Roster::read(args.document.as_str()).map_err(|e| {
        Problem::new(Code::BadArgument, format!("the roster cannot be used: {e}"))
            .remedy("mend that key; the keys are in the book, \"The roster\"")
    })?;
    if let Some(tenant) = roster.tenant_id.as_ref().filter(|t| *t != exec.tenant) {
        let detail = format!(
            "this roster is for the tenant {tenant}, and this is {}",
            exec.tenant
        );
        return Err(Problem::new(Code::Invalid, detail)
            .remedy("use the gateway of that tenant, or leave tenant_id out")
            .into());
    }
    let roles = role::roles(exec).await?;
    known_roles(&roster, &roles)?;
    let mut found = Difference::default();
    found.notes.extend(warnings(&roster));
    rooms::bring(exec, &roster, &roles, &mut found).await?;
    bring_agents(exec, &roster, args.prune, &mut found).await?;
    bring_grants(exec, &roster, &mut found).await?;
    bring_seats(exec, &roster, args.prune, &mut found).await?;
    for set in &roster.budgets {
        found.changes.extend(budget::bring(exec, set).await?);
    }
    // Each command says for itself whether it is only tried.
    exec.dry_run = args.dry_run;
    Ok(Reply::Provisioned(ProvisionView {
        dry_run: args.dry_run,
        changes: found.changes,
        kept: found.kept,
        notes: found.notes,
    }))
}

/// Refuses an agent of a role that there is no file for.
fn known_roles(roster: &Roster, roles: &BTreeMap<Name, Role>) -> Result<(), Problem> {
    for (index, agent) in roster.agents.iter().enumerate() {
        if !roles.contains_key(&agent.class) {
            let mut problem = role::unknown("role", &agent.class, roles.keys());
            problem.detail = format!("agents[{index}].class: {}", problem.detail);
            return Err(problem);
        }
    }
    Ok(())
}

/// What a roster says that works, and that somebody should look at.
fn warnings(roster: &Roster) -> Vec<String> {
    let mut notes = Vec::new();
    if !roster.agents.is_empty() {
        for role in FLOOR {
            let n = roster
                .agents
                .iter()
                .filter(|a| a.class.as_str() == role)
                .count();
            if n != 1 {
                notes.push(format!(
                    "a fleet has exactly one {role}, and this roster has {n}"
                ));
            }
        }
    }
    if let Some(connector) = &roster.connector
        && connector.kind == ConnectorKind::Discord
    {
        notes.push(
            "connector.kind: discord is not implemented; the kinds are tmux and matrix".to_owned(),
        );
    }
    notes
}

/// The agents that should be: their rows in the register's roster. Each becomes alive by `fleet agent join`.
async fn bring_agents(
    exec: &mut Exec<'_>,
    roster: &Roster,
    prune: bool,
    found: &mut Difference,
) -> Result<(), Stop> {
    let before = sqlx::query!(
        "SELECT name, entry FROM fleet.roster WHERE tenant_id = $1 ORDER BY name FOR UPDATE",
        exec.tenant.as_str()
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    for wanted in &roster.agents {
        let entry = crate::journal::encode(wanted)?;
        let existing = before.iter().find(|row| row.name == wanted.name.as_str());
        if existing.is_some_and(|row| row.entry == entry) {
            continue;
        }
        let word = if existing.is_some() {
            "changed"
        } else {
            "expected"
        };
        found.changes.push(format!(
            "agent {}: {word}, {}",
            wanted.name,
            described(wanted)
        ));
        sqlx::query!(
            "INSERT INTO fleet.roster (tenant_id, name, role, runtime, host, entry) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (tenant_id, name) DO UPDATE SET role = excluded.role, runtime = excluded.runtime,
                 host = excluded.host, entry = excluded.entry",
            exec.tenant.as_str(),
            wanted.name.as_str(),
            wanted.class.as_str(),
            wanted.runtime.as_str(),
            wanted.host.as_ref().map(Name::as_str),
            entry
        )
        .execute(&mut *exec.tx)
        .await?;
    }
    let surplus = before.iter().filter(|row| {
        let is_named = |a: &RosterAgent| a.name.as_str() == row.name;
        !roster.agents.iter().any(is_named)
    });
    for row in surplus {
        if prune {
            drop_agent(exec, &row.name).await?;
            found.changes.push(format!("agent {}: taken out", row.name));
        } else {
            found.kept.push(format!("agent {}", row.name));
        }
    }
    Ok(())
}

fn described(agent: &RosterAgent) -> String {
    let host = agent
        .host
        .as_ref()
        .map(|h| format!(" on {h}"))
        .unwrap_or_default();
    let model = agent
        .model_hint
        .as_ref()
        .map(|m| format!(", at most {m}"))
        .unwrap_or_default();
    format!("{} with {}{host}{model}", agent.class, agent.runtime)
}

/// Takes an agent out of the roster; a live one is retired.
async fn drop_agent(exec: &mut Exec<'_>, name: &str) -> Result<(), Stop> {
    sqlx::query!(
        "DELETE FROM fleet.roster WHERE tenant_id = $1 AND name = $2",
        exec.tenant.as_str(),
        name
    )
    .execute(&mut *exec.tx)
    .await?;
    let name: Name = name.parse().map_err(|_| sqlx::Error::RowNotFound)?;
    if is_agent(exec, &name).await? {
        agent::retire(exec, &agents::Retire { name }).await?;
    }
    Ok(())
}

async fn bring_grants(
    exec: &mut Exec<'_>,
    roster: &Roster,
    found: &mut Difference,
) -> Result<(), Stop> {
    for wanted in &roster.members {
        let grant = member::Grant {
            user: wanted.user.clone(),
            role: wanted.role,
            room: wanted.room.clone(),
        };
        if let Reply::Member(changed) = grants::grant(exec, &grant).await?
            && !changed.already
        {
            let room = wanted
                .room
                .as_ref()
                .map(|r| format!(" in {r}"))
                .unwrap_or_default();
            found
                .changes
                .push(format!("{}: {}{room}", wanted.user, wanted.role));
        }
    }
    Ok(())
}

async fn bring_seats(
    exec: &mut Exec<'_>,
    roster: &Roster,
    prune: bool,
    found: &mut Difference,
) -> Result<(), Stop> {
    let Some(wanted) = &roster.board else {
        return Ok(());
    };
    let before = board::standing_seats(exec).await?;
    for seat in &wanted.seats {
        if before.iter().any(|b| b == seat) {
            continue;
        }
        if let Holder::Agent(name) = &seat.holder
            && !is_agent(exec, name).await?
        {
            found.notes.push(format!(
                "seat {}: {name} has not joined yet; provision again when it has",
                seat.title
            ));
            continue;
        }
        board::change_seat(exec, &set(seat)).await?;
        found.changes.push(format!("seat {}: {seat}", seat.title));
    }
    for seat in before
        .iter()
        .filter(|b| !wanted.seats.iter().any(|w| w.title == b.title))
    {
        if prune {
            let remove = ChangeSeat {
                change: SeatChange::Remove,
                ..set(seat)
            };
            board::change_seat(exec, &remove).await?;
            found
                .changes
                .push(format!("seat {}: taken away", seat.title));
        } else {
            found.kept.push(format!("seat {}", seat.title));
        }
    }
    Ok(())
}

async fn is_agent(exec: &mut Exec<'_>, name: &Name) -> Result<bool, Stop> {
    Ok(sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM fleet.agents WHERE tenant_id = $1 AND name = $2 AND retired_at IS NULL) AS "live!""#,
        exec.tenant.as_str(),
        name.as_str()
    )
    .fetch_one(&mut *exec.tx)
    .await?)
}

fn set(seat: &Seat) -> ChangeSeat {
    ChangeSeat {
        change: SeatChange::Set,
        seat: seat.title.clone(),
        holder: Some(seat.holder.clone()),
        weight: Some(seat.weight),
        veto: seat.may_veto,
        reason: None,
    }
}
