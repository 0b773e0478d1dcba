//! `hush`: agents say nothing to each other in a room for a time. The kill switch of a loop.

use fleet_protocol::problem::Code;
use fleet_protocol::reply::HushView;
use fleet_protocol::verbs::fleet as verbs;
use fleet_protocol::{Problem, Reply, Timestamp};
use jiff::SignedDuration;

use super::super::{Exec, Stop, member};
use crate::db;

/// Seconds unless a length is named, and at most.
const HUSHED: (u32, u32) = (30 * 60, 7 * 24 * 3600);

/// Silences a room, or ends that.
pub(crate) async fn hush(exec: &mut Exec<'_>, args: &verbs::Hush) -> Result<Reply, Stop> {
    let Some(room) = exec.place.room else {
        return Err(Problem::new(Code::Invalid, "this was not said in a room")
            .remedy("type it in the room it is for")
            .into());
    };
    let until = (!args.off).then(|| until(exec.now, args)).transpose()?;
    let by = until.map(|_| exec.actor.principal.clone());
    sqlx::query!(
        "UPDATE fleet.rooms SET hushed_until = $3, hushed_by = $4 WHERE tenant_id = $1 AND id = $2",
        exec.tenant.as_str(),
        room,
        until.map(db::time) as Option<db::Time>,
        by
    )
    .execute(&mut *exec.tx)
    .await?;
    let key = exec.place.room_key.as_ref().map(|k| k.as_str());
    let subject = key.map_or_else(|| room.to_string(), str::to_owned);
    member::audit(
        exec,
        "hush",
        &subject,
        serde_json::json!({ "until": until }),
    )
    .await?;
    Ok(Reply::Hushed(HushView { until }))
}

fn until(now: Timestamp, args: &verbs::Hush) -> Result<Timestamp, Stop> {
    let seconds = args.time.map_or(HUSHED.0, |length| length.seconds());
    if !(1..=HUSHED.1).contains(&seconds) {
        return Err(
            Problem::new(Code::BadArgument, "a room is hushed for at most 7 days")
                .remedy("name a shorter time, for example: !hush 2h")
                .into(),
        );
    }
    let length = SignedDuration::from_secs(seconds.into());
    Ok(Timestamp(now.0.saturating_add(length).unwrap_or(now.0)))
}
