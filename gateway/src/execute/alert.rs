//! The verbs of `alert`: what somebody must look at, and who does.

use fleet_protocol::outbox::{Attention, Message};
use fleet_protocol::problem::Code;
use fleet_protocol::reply::{AlertView, Changed};
use fleet_protocol::scalar::Name;
use fleet_protocol::verbs::alert as verbs;
use fleet_protocol::{Document, Problem, Reply};
use uuid::Uuid;

use super::budget::alert::in_thread;
use super::{Exec, Room, Stop, Subject, notice};
use crate::db::{Tx, instant, time};

/// Alerts that are listed, the newest.
const LISTED: i64 = 50;

/// An incident, and where it was told.
struct Incident {
    view: AlertView,
    message: Option<Uuid>,
    room: Option<Uuid>,
}

/// The open alert whose message an event is.
pub(crate) async fn of_message(
    tx: &mut Tx,
    tenant: &Name,
    event: &str,
) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "SELECT i.id FROM fleet.outbox o
         JOIN fleet.incidents i ON i.tenant_id = o.tenant_id AND i.message = o.id AND i.resolved_at IS NULL
         WHERE o.tenant_id = $1 AND o.event_id = $2",
        tenant.as_str(),
        event
    )
    .fetch_optional(&mut **tx)
    .await
}

/// Lists open alerts.
pub(crate) async fn list(exec: &mut Exec<'_>, args: &verbs::List) -> Result<Reply, Stop> {
    let all = read(exec, None, args.all).await?;
    Ok(Reply::Alerts(all.into_iter().map(|i| i.view).collect()))
}

/// Shows an alert.
pub(crate) async fn show(exec: &mut Exec<'_>, args: &verbs::Show) -> Result<Reply, Stop> {
    let id = exec.resolve(args.alert).await?;
    let incident = one(exec, id).await?;
    exec.about(Subject::Incident, id);
    Ok(Reply::Alert(Changed::shown(incident.view)))
}

/// Says that somebody takes care of an alert.
pub(crate) async fn ack(exec: &mut Exec<'_>, args: &verbs::Ack) -> Result<Reply, Stop> {
    let id = exec.resolve(args.alert).await?;
    acknowledge(exec, id).await
}

/// Acknowledges; the first one counts, and its name goes into the alert's thread.
pub(crate) async fn acknowledge(exec: &mut Exec<'_>, id: Uuid) -> Result<Reply, Stop> {
    let acknowledged = sqlx::query!(
        "UPDATE fleet.incidents SET acknowledged_at = $3, acknowledged_by = $4
         WHERE tenant_id = $1 AND id = $2 AND acknowledged_at IS NULL AND resolved_at IS NULL",
        exec.tenant.as_str(),
        id,
        time(exec.now) as _,
        exec.actor.principal
    )
    .execute(&mut *exec.tx)
    .await?;
    let incident = one(exec, id).await?;
    exec.about(Subject::Incident, id);
    let already = acknowledged.rows_affected() == 0;
    if let (false, Some(row), Some(room)) = (already, incident.message, incident.room) {
        let line = Document::text(format!("{} takes care of it.", exec.actor.principal));
        let said = Message {
            twin: serde_json::json!({ "acknowledged": incident.view.id }),
            ..notice(Attention::Quiet, line)
        };
        let about = Some((Subject::Incident, id));
        exec.say(Room::Id(room), said, Some(in_thread(row)), about);
    }
    Ok(Reply::Alert(Changed {
        already,
        ..Changed::to("acknowledged", incident.view)
    }))
}

async fn one(exec: &mut Exec<'_>, id: Uuid) -> Result<Incident, Stop> {
    let incident = read(exec, Some(id), true).await?.pop();
    Ok(incident.ok_or_else(|| {
        Problem::new(Code::NotFound, format!("there is no alert {id}"))
            .remedy("see what there is with: !alert list")
    })?)
}

async fn read(
    exec: &mut Exec<'_>,
    id: Option<Uuid>,
    with_resolved: bool,
) -> Result<Vec<Incident>, Stop> {
    let rows = sqlx::query!(
        r#"SELECT coalesce(i.number, 0) AS "number!", i.rule, i.subject, i.detail, i.opened_at, i.acknowledged_by, i.resolved_at,
               i.message, o.room AS "room?"
           FROM fleet.incidents i LEFT JOIN fleet.outbox o ON o.tenant_id = i.tenant_id AND o.id = i.message
           WHERE i.tenant_id = $1 AND i.id = coalesce($2, i.id) AND ($3 OR i.resolved_at IS NULL)
           ORDER BY i.opened_at DESC, i.number DESC LIMIT $4"#,
        exec.tenant.as_str(),
        id,
        with_resolved,
        LISTED
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    let incidents = rows.into_iter().map(|r| Incident {
        message: r.message,
        room: r.room,
        view: AlertView {
            id: format!("i{}", r.number),
            rule: r.rule,
            subject: r.subject,
            detail: r.detail,
            since: instant(r.opened_at),
            acknowledged_by: r.acknowledged_by,
            resolved_at: r.resolved_at.map(instant),
        },
    });
    Ok(incidents.collect())
}
