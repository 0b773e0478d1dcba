//! What somebody waits for and nobody acknowledges: one reminder, then an incident.

use fleet_protocol::Document;
use fleet_protocol::document::{bold, text};
use fleet_protocol::outbox::Attention;
use uuid::Uuid;

use super::super::{Exec, Room, Stop, Subject, notice};
use super::{UNANSWERED, take, wake};
use crate::{db, incident};

/// Looks at an item whose time has come. It may have been acknowledged meanwhile.
pub(crate) async fn unanswered(exec: &mut Exec<'_>, id: Uuid) -> Result<(), Stop> {
    let item = sqlx::query!(
        r#"SELECT i.number, i.agent_id AS "agent_id!", i.to_name, i.from_name, i.reminded_at, i.room,
                  g.retired_at IS NOT NULL AS "retired!"
           FROM fleet.items i JOIN fleet.agents g ON g.tenant_id = i.tenant_id AND g.id = i.agent_id
           WHERE i.tenant_id = $1 AND i.id = $2 AND i.acknowledged_at IS NULL AND i.due_at <= $3 FOR UPDATE OF i"#,
        exec.tenant.as_str(),
        id,
        db::time(exec.now)
    )
    .fetch_optional(&mut *exec.tx)
    .await?;
    let Some(item) = item else {
        return Ok(());
    };
    if wake::is_over(exec, id).await? {
        return take::acknowledge(exec, &[id]).await;
    }
    let is_last = item.reminded_at.is_some() || item.retired;
    sqlx::query!(
        r#"UPDATE fleet.items i SET reminded_at = coalesce(i.reminded_at, $3::timestamptz), visible_at = $3,
               due_at = CASE WHEN $4 THEN NULL ELSE $3 + make_interval(secs => s.inbox_remind_seconds) END
           FROM fleet.settings s WHERE s.tenant_id = $1 AND i.tenant_id = $1 AND i.id = $2"#,
        exec.tenant.as_str(),
        id,
        db::time(exec.now),
        is_last
    )
    .execute(&mut *exec.tx)
    .await?;
    let short = format!("n{}", item.number);
    if is_last {
        let detail = format!(
            "{} did not acknowledge {short} from {}. See it with: !agent inbox {}. To end this: !agent ack {short}",
            item.to_name, item.from_name, item.to_name
        );
        let raised = incident::Raised {
            rule: UNANSWERED,
            subject: &take::subject(&item.to_name, item.number),
            detail: &detail,
        };
        incident::open(exec.tx, exec.tenant, exec.ids, exec.now, &raised).await?;
        return Ok(());
    }
    exec.woken.push(item.agent_id);
    let document = Document::new().paragraph([
        bold(&item.to_name),
        text(format!(
            " was reminded of {short} from {}: it is not acknowledged.",
            item.from_name
        )),
    ]);
    let room = item.room.map_or(Room::Key("tasks"), Room::Id);
    let about = Some((Subject::Item, id));
    exec.say(room, notice(Attention::Quiet, document), None, about);
    Ok(())
}
