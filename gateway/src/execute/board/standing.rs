//! Changes of the standing board, and of seats that must not vote.

use fleet_protocol::problem::Code;
use fleet_protocol::record::Act;
use fleet_protocol::reply::{BoardSeatView, Changed};
use fleet_protocol::scalar::{Name, Note};
use fleet_protocol::verbs::board::{ChangeSeat, Holder, SeatChange};
use fleet_protocol::{Problem, Reply};

use super::read::locked;
use super::{card, chain, seats};
use crate::db::time;
use crate::execute::{Exec, Stop, member};

/// Suspends, restores, sets or removes a seat of the standing board.
pub(crate) async fn change(exec: &mut Exec<'_>, args: &ChangeSeat) -> Result<Reply, Stop> {
    let before = find(exec, &args.seat).await?;
    let (word, already) = match args.change {
        SeatChange::Suspend | SeatChange::Restore => suspend(exec, args, before.as_ref()).await?,
        SeatChange::Set => (set(exec, args, before.as_ref()).await?, false),
        SeatChange::Remove => {
            let removed = before.clone().ok_or_else(|| no_such(&args.seat))?;
            remove(exec, &args.seat).await?;
            audit(exec, args).await?;
            return Ok(Reply::BoardSeat(Changed::to("removed", removed)));
        }
    };
    audit(exec, args).await?;
    let now = match find(exec, &args.seat).await?.or(before) {
        Some(now) => now,
        None => frozen(exec, args).await?,
    };
    Ok(Reply::BoardSeat(Changed {
        already,
        ..Changed::to(word, now)
    }))
}

async fn audit(exec: &mut Exec<'_>, args: &ChangeSeat) -> Result<(), Stop> {
    let detail = serde_json::json!({
        "change": args.change, "holder": args.holder, "weight": args.weight, "veto": args.veto,
        "reason": args.reason.as_ref().map(Note::as_str),
    });
    member::audit(exec, "board.seat", args.seat.as_str(), detail).await
}

async fn find(exec: &mut Exec<'_>, title: &Name) -> Result<Option<BoardSeatView>, Stop> {
    let all = seats::standing(exec).await?;
    Ok(all.into_iter().find(|s| s.seat.title == *title))
}

fn no_such(title: &Name) -> Stop {
    Problem::new(Code::NotFound, format!("there is no seat {title}"))
        .remedy(
            "see the standing board with: !board seats, and a proposal's seats with: !board show",
        )
        .into()
}

/// A seat that no standing board has, as the newest open proposal has it.
async fn frozen(exec: &mut Exec<'_>, args: &ChangeSeat) -> Result<BoardSeatView, Stop> {
    for id in open_with(exec, &args.seat).await? {
        let proposal = super::read::load(exec, id).await?;
        let seats = proposal.seats().into_iter();
        if let Some(seat) = seats.rev().find(|s| s.seat.title == args.seat) {
            return Ok(BoardSeatView {
                seat: seat.seat,
                suspended: seat.suspended,
            });
        }
    }
    Err(no_such(&args.seat))
}

/// Keeps a seat from voting or lets it vote again, on the standing board and on open proposals.
async fn suspend(
    exec: &mut Exec<'_>,
    args: &ChangeSeat,
    standing: Option<&BoardSeatView>,
) -> Result<(&'static str, bool), Stop> {
    let suspends = args.change == SeatChange::Suspend;
    let mut changed = standing.is_some_and(|s| s.suspended != suspends);
    sqlx::query!(
        "UPDATE fleet.board_seats SET suspended_at = $3 WHERE tenant_id = $1 AND title = $2",
        exec.tenant.as_str(),
        args.seat.as_str(),
        suspends.then(|| time(exec.now)) as _
    )
    .execute(&mut *exec.tx)
    .await?;
    let open = open_with(exec, &args.seat).await?;
    if standing.is_none() && open.is_empty() {
        return Err(no_such(&args.seat));
    }
    for id in open {
        let mut proposal = locked(exec, id).await?;
        let seats = proposal.seats();
        let is = seats
            .iter()
            .any(|s| s.seat.title == args.seat && s.suspended);
        if !proposal.is_open() || is == suspends {
            continue;
        }
        let seat = args.seat.clone();
        let act = if suspends {
            Act::Suspend { seat }
        } else {
            Act::Restore { seat }
        };
        let at = exec.now;
        chain::append(exec, &mut proposal, at, act).await?;
        card::refresh(exec, &proposal);
        changed = true;
    }
    let word = if suspends { "suspended" } else { "restored" };
    Ok((word, !changed))
}

/// Open proposals that have a seat, in the order in which they are locked.
async fn open_with(exec: &mut Exec<'_>, title: &Name) -> Result<Vec<uuid::Uuid>, Stop> {
    Ok(sqlx::query_scalar!(
        "SELECT p.id FROM fleet.proposals p JOIN fleet.seats s ON s.tenant_id = p.tenant_id AND s.proposal_id = p.id
         WHERE p.tenant_id = $1 AND p.state = 'open' AND s.title = $2 ORDER BY p.id",
        exec.tenant.as_str(),
        title.as_str()
    )
    .fetch_all(&mut *exec.tx)
    .await?)
}

async fn set(
    exec: &mut Exec<'_>,
    args: &ChangeSeat,
    before: Option<&BoardSeatView>,
) -> Result<&'static str, Stop> {
    let holder = args.holder.as_ref().or(before.map(|b| &b.seat.holder));
    let Some(holder) = holder.cloned() else {
        return Err(Problem::new(Code::BadArgument, "a new seat needs a holder")
            .remedy(format!(
                "say who holds it: !board seat set {} --holder @dana:example.org",
                args.seat
            ))
            .into());
    };
    let weight = args.weight.or(before.map(|b| b.seat.weight)).unwrap_or(1);
    let probe = fleet_protocol::verbs::board::Seat {
        title: args.seat.clone(),
        holder,
        weight,
        may_veto: args.veto,
    };
    // An unknown agent is refused here, not when somebody wants to vote.
    let frozen = seats::freeze(exec, vec![probe]).await?;
    let Some(seat) = frozen.first() else {
        return Err(no_such(&args.seat));
    };
    let (user, agent) = match &seat.holder {
        Holder::User(user) => (Some(user.as_str()), None),
        Holder::Agent(name) => (None, Some(name.as_str())),
    };
    sqlx::query!(
        "INSERT INTO fleet.board_seats (tenant_id, ordinal, title, user_id, agent, weight, may_veto)
         VALUES ($1, (SELECT coalesce(max(ordinal), 0) + 1 FROM fleet.board_seats WHERE tenant_id = $1), $2, $3, $4, $5, $6)
         ON CONFLICT (tenant_id, title) DO UPDATE SET user_id = excluded.user_id, agent = excluded.agent,
             weight = excluded.weight, may_veto = excluded.may_veto",
        exec.tenant.as_str(),
        args.seat.as_str(),
        user,
        agent,
        weight.cast_signed(),
        args.veto
    )
    .execute(&mut *exec.tx)
    .await?;
    Ok(if before.is_some() { "changed" } else { "made" })
}

async fn remove(exec: &mut Exec<'_>, title: &Name) -> Result<(), Stop> {
    sqlx::query!(
        "DELETE FROM fleet.board_seats WHERE tenant_id = $1 AND title = $2",
        exec.tenant.as_str(),
        title.as_str()
    )
    .execute(&mut *exec.tx)
    .await?;
    Ok(())
}
