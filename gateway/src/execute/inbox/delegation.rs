//! Giving work away: who may (doctrine 10), and what goes with it (doctrine 14).

use fleet_protocol::Problem;
use fleet_protocol::ids::TaskRef;
use fleet_protocol::problem::Code;
use fleet_protocol::verbs::member::GrantRole;
use uuid::Uuid;

use super::super::{Exec, Stop, task};
use super::recipient::Recipient;

/// The role that assigns.
const ORCHESTRATOR: &str = "orchestrator";

/// Refuses whoever does not assign: a worker hands back or asks.
pub(super) async fn check_giver(exec: &mut Exec<'_>) -> Result<(), Stop> {
    let Some(me) = &exec.actor.agent else {
        return if exec.actor.roles.iter().any(|r| *r >= GrantRole::Member) {
            Ok(())
        } else {
            Err(refused(
                "only a member, an operator or the orchestrator assigns work",
            ))
        };
    };
    let role = sqlx::query_scalar!(
        "SELECT role FROM fleet.agents WHERE tenant_id = $1 AND id = $2",
        exec.tenant.as_str(),
        me.id
    )
    .fetch_one(&mut *exec.tx)
    .await?;
    if role == ORCHESTRATOR {
        return Ok(());
    }
    Err(refused(&format!(
        "{} has the role {role}, and only the orchestrator assigns work",
        me.name
    )))
}

fn refused(said: &str) -> Stop {
    Problem::new(Code::WrongRole, said)
        .remedy("hand the task back, or ask: agent send --to orchestrator \"...\"")
        .into()
}

/// A task that its new holder could claim now, with all it must know: mission, task, what is added.
pub(super) async fn brief(
    exec: &mut Exec<'_>,
    reference: TaskRef,
    to: &Recipient,
    added: Option<&str>,
) -> Result<(Uuid, String), Stop> {
    let id = exec.resolve(reference).await?;
    let offered = task::offered(exec, id).await?;
    if offered.role != to.role {
        return Err(Problem::new(
            Code::WrongRole,
            format!(
                "{} is for the role {}; {} has the role {}",
                offered.short, offered.role, to.name, to.role
            ),
        )
        .remedy(format!(
            "give it to an agent of that role: --to {}",
            offered.role
        ))
        .into());
    }
    let mission = sqlx::query!(
        r#"SELECT m.number, m.title, m.goal FROM fleet.tasks t
           JOIN fleet.missions m ON m.tenant_id = t.tenant_id AND m.id = t.mission_id
           WHERE t.tenant_id = $1 AND t.id = $2"#,
        exec.tenant.as_str(),
        id
    )
    .fetch_optional(&mut *exec.tx)
    .await?;
    let mut text = format!("Take {}: {}", offered.short, offered.title);
    let mut add = |part: &str| {
        text.push_str("\n\n");
        text.push_str(part);
    };
    if let Some(mission) = mission {
        add(&format!("Mission m{}: {}", mission.number, mission.title));
        mission.goal.as_deref().map(&mut add);
    }
    offered.brief.as_deref().map(&mut add);
    added.map(&mut add);
    Ok((id, text))
}
