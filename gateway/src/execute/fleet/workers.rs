//! `workers set` and `show`: the bounds of doctrine 9.

use fleet_protocol::problem::Code;
use fleet_protocol::reply::{Changed, WorkersView};
use fleet_protocol::verbs::workers as verbs;
use fleet_protocol::{Problem, Reply};

use crate::execute::{Exec, Stop, member};

pub(crate) async fn set(exec: &mut Exec<'_>, args: &verbs::Set) -> Result<Reply, Stop> {
    if args.fleet.is_none() && args.role.is_none() {
        return Err(Problem::new(Code::BadArgument, "nothing to set")
            .remedy("say how many: !workers set --fleet 20 --role 4")
            .into());
    }
    let before = bounds(exec).await?;
    sqlx::query!(
        "UPDATE fleet.settings SET workers_fleet = coalesce($2, workers_fleet), workers_role = coalesce($3, workers_role)
         WHERE tenant_id = $1",
        exec.tenant.as_str(),
        args.fleet.map(i32::from),
        args.role.map(i32::from)
    )
    .execute(&mut *exec.tx)
    .await?;
    let now = bounds(exec).await?;
    exec.dry_run = args.dry_run;
    let mut changed = Changed::to("set", now);
    changed.already = changed.now == before;
    if !changed.already {
        let detail = serde_json::json!({ "fleet": args.fleet, "role": args.role });
        member::audit(exec, "workers.set", "fleet", detail).await?;
    }
    Ok(Reply::Workers(changed))
}

pub(crate) async fn show(exec: &mut Exec<'_>, _: &verbs::Show) -> Result<Reply, Stop> {
    Ok(Reply::Workers(Changed::shown(bounds(exec).await?)))
}

async fn bounds(exec: &mut Exec<'_>) -> Result<WorkersView, Stop> {
    let s = sqlx::query!(
        r#"SELECT workers_fleet, workers_role,
               (SELECT count(DISTINCT agent_id) FROM fleet.attempts a WHERE a.tenant_id = $1 AND a.ended_at IS NULL) AS "working!"
           FROM fleet.settings WHERE tenant_id = $1"#,
        exec.tenant.as_str()
    )
    .fetch_one(&mut *exec.tx)
    .await?;
    Ok(WorkersView {
        fleet: s.workers_fleet.cast_unsigned(),
        role: s.workers_role.cast_unsigned(),
        working: s.working.cast_unsigned(),
    })
}
