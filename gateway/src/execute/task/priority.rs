//! How soon a task is taken up.

use fleet_protocol::Problem;
use fleet_protocol::Reply;
use fleet_protocol::problem::Code;
use fleet_protocol::verbs::task::SetPriority;

use super::super::{Exec, Stop};
use super::{row, write};
use crate::db;

/// Changes a task's priority; whoever works on it goes on.
pub(crate) async fn set_priority(exec: &mut Exec<'_>, args: &SetPriority) -> Result<Reply, Stop> {
    let id = exec.resolve(args.task).await?;
    let row = row::lock(exec, id).await?;
    if fleet_policy::task::is_end(row.status) {
        return Err(Problem::new(
            Code::WrongState,
            format!(
                "{} is {}, so its priority changes nothing",
                row.short(),
                row.status
            ),
        )
        .remedy("make it ready again with: !task retry")
        .into());
    }
    let priority = i16::from(args.priority.get());
    sqlx::query!(
        "UPDATE fleet.tasks SET priority = $3, updated_at = $4 WHERE tenant_id = $1 AND id = $2",
        exec.tenant.as_str(),
        id,
        priority,
        db::time(exec.now)
    )
    .execute(&mut *exec.tx)
    .await?;
    write::event(exec, &row, "task.priority", Some(&priority.to_string())).await?;
    write::answer(exec, id, "reprioritized", Vec::new()).await
}
