//! What a person tells an agent from a room: one answer, which follows what becomes of it.

use fleet_protocol::Reply;
use fleet_protocol::outbox::Attention;
use fleet_protocol::reply::Changed;
use fleet_protocol::verbs::inbox::{Class, Tell};
use uuid::Uuid;

use super::super::{Exec, Room, Stop, Subject, notice};
use super::{recipient, send, view};

/// Says something to an agent from a room; the answer there says when it was acknowledged.
pub(crate) async fn tell(exec: &mut Exec<'_>, args: &Tell) -> Result<Reply, Stop> {
    let to = recipient::of(exec, &args.to).await?;
    let id = send::say(exec, &to, args.text.as_str(), Class::Human).await?;
    exec.about(Subject::Item, id);
    let told = Changed::to("sent", view::one(exec, id).await?);
    if exec.place.event.is_none() {
        return Ok(Reply::Item(told));
    }
    sqlx::query!(
        "UPDATE fleet.items SET is_followed = true WHERE tenant_id = $1 AND id = $2",
        exec.tenant.as_str(),
        id
    )
    .execute(&mut *exec.tx)
    .await?;
    let note = format!("This answer says when {} has acknowledged it.", to.name);
    Ok(Reply::Item(Changed {
        notes: vec![note],
        ..told
    }))
}

/// Says in the answer to who told it in a room that it was acknowledged.
pub(super) async fn follow(exec: &mut Exec<'_>, item: Uuid) -> Result<(), Stop> {
    let answer = sqlx::query!(
        r#"SELECT id, room FROM fleet.outbox
           WHERE tenant_id = $1 AND subject_kind = 'item' AND subject_id = $2 AND relation ? 'reply' ORDER BY seq LIMIT 1"#,
        exec.tenant.as_str(),
        item
    )
    .fetch_optional(&mut *exec.tx)
    .await?;
    let Some(answer) = answer else {
        return Ok(());
    };
    let now = Changed::to("acknowledged", view::one(exec, item).await?);
    let document = Reply::Item(now).document(&exec.reader());
    let about = Some((Subject::Item, item));
    exec.edit(
        Room::Id(answer.room),
        answer.id,
        notice(Attention::Quiet, document),
        about,
    );
    Ok(())
}
