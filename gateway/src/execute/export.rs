//! `export` and `report mission`: documents and sums over missions and their tasks.

use fleet_protocol::manifest;
use fleet_protocol::reply::{MissionReport, TaskView};
use fleet_protocol::verbs::export as verbs;
use fleet_protocol::verbs::report;
use fleet_protocol::{MissionRef, Reply};
use uuid::Uuid;

use super::{Exec, Stop, Subject, mission, task};

/// Missions in one manifest, the newest.
const MISSIONS: i64 = 100;
/// Tasks in one document, the most urgent; a longer list is read by nobody.
const TASKS: i64 = 5_000;

pub(crate) async fn tasks(exec: &mut Exec<'_>, args: &verbs::Tasks) -> Result<Reply, Stop> {
    let mission = resolved(exec, args.mission).await?;
    let all = tasks_of(exec, mission).await?;
    Ok(Reply::Exported(manifest::tasks(&all)))
}

pub(crate) async fn manifest(exec: &mut Exec<'_>, args: &verbs::Manifest) -> Result<Reply, Stop> {
    let missions = match resolved(exec, args.mission).await? {
        Some(mission) => vec![mission],
        None => {
            sqlx::query_scalar!(
                "SELECT id FROM fleet.missions WHERE tenant_id = $1 AND closed_at IS NULL ORDER BY number DESC LIMIT $2",
                exec.tenant.as_str(),
                MISSIONS
            )
            .fetch_all(&mut *exec.tx)
            .await?
        }
    };
    let mut reports = Vec::with_capacity(missions.len());
    for mission in missions {
        reports.push(report_of(exec, mission).await?);
    }
    Ok(Reply::Exported(manifest::manifest(&reports)))
}

/// Projected against actual spend of a mission and of each of its tasks (doctrine 7).
pub(crate) async fn mission(exec: &mut Exec<'_>, args: &report::Mission) -> Result<Reply, Stop> {
    let id = exec.resolve(args.mission).await?;
    exec.about(Subject::Mission, id);
    Ok(Reply::MissionReport(report_of(exec, id).await?))
}

async fn resolved(exec: &mut Exec<'_>, mission: Option<MissionRef>) -> Result<Option<Uuid>, Stop> {
    match mission {
        Some(reference) => exec.resolve(reference).await.map(Some),
        None => Ok(None),
    }
}

async fn report_of(exec: &mut Exec<'_>, id: Uuid) -> Result<MissionReport, Stop> {
    Ok(MissionReport {
        mission: mission::view(exec, id).await?,
        tasks: tasks_of(exec, Some(id)).await?,
    })
}

async fn tasks_of(exec: &mut Exec<'_>, mission: Option<Uuid>) -> Result<Vec<TaskView>, Stop> {
    let ids = sqlx::query_scalar!(
        r#"SELECT id FROM fleet.tasks WHERE tenant_id = $1 AND ($2::uuid IS NULL OR mission_id = $2)
           ORDER BY (ended_at IS NOT NULL), priority DESC, number LIMIT $3"#,
        exec.tenant.as_str(),
        mission,
        TASKS
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    task::views_with_results(exec, &ids).await
}
