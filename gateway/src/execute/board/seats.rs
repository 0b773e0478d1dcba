//! Who sits at the board: the seats a proposal freezes, and the standing board.

use std::collections::BTreeMap;

use fleet_protocol::Problem;
use fleet_protocol::problem::Code;
use fleet_protocol::record::FrozenSeat;
use fleet_protocol::reply::BoardSeatView;
use fleet_protocol::scalar::Name;
use fleet_protocol::template::{SeatGroup, Template, TemplateSeats};
use fleet_protocol::verbs::board::{Holder, Seat};

use super::read;
use crate::execute::{Exec, Stop};

/// More seats than this do not fit on a card.
const MOST_SEATS: usize = 50;

/// The seats given, else those of the template.
pub(super) async fn resolve(
    exec: &mut Exec<'_>,
    given: &[Seat],
    template: &Template,
) -> Result<Vec<Seat>, Stop> {
    let seats = if given.is_empty() {
        of_template(exec, template).await?
    } else {
        given.to_vec()
    };
    if seats.is_empty() || seats.len() > MOST_SEATS {
        let n = seats.len();
        return Err(Problem::new(
            Code::Invalid,
            format!("a board has 1 to {MOST_SEATS} seats, not {n}"),
        )
        .remedy("name them with --seat TITLE=HOLDER")
        .into());
    }
    for (index, seat) in seats.iter().enumerate() {
        if seats.iter().take(index).any(|s| s.title == seat.title) {
            return Err(Problem::new(
                Code::Invalid,
                format!("two seats are called {}", seat.title),
            )
            .remedy("give each seat a title of its own")
            .into());
        }
    }
    Ok(seats)
}

async fn of_template(exec: &mut Exec<'_>, template: &Template) -> Result<Vec<Seat>, Stop> {
    let named = match &template.seats {
        TemplateSeats::Group(SeatGroup::Operators) => return operators(exec).await,
        TemplateSeats::Group(SeatGroup::Standing) => {
            let standing = standing_seats(exec).await?;
            if standing.is_empty() {
                return operators(exec).await;
            }
            return Ok(standing);
        }
        TemplateSeats::Named(named) => named,
    };
    let standing = standing(exec).await?;
    let agents = agents(exec, &[]).await?;
    let mut seats = Vec::with_capacity(named.len());
    for wanted in named {
        let held = standing.iter().find(|s| s.seat.title == wanted.title);
        let agent = agents.get(&wanted.title);
        let holder = held
            .map(|s| s.seat.holder.clone())
            .or_else(|| agent.map(|_| Holder::Agent(wanted.title.clone())));
        let Some(holder) = holder else {
            let title = &wanted.title;
            return Err(Problem::new(Code::Invalid, format!("nobody holds the seat {title}"))
                .remedy(format!("give it to somebody with: !board seat set {title} --holder @dana:example.org, or name all seats with --seat"))
                .into());
        };
        seats.push(Seat {
            title: wanted.title.clone(),
            holder,
            weight: wanted.weight,
            may_veto: wanted.may_veto,
        });
    }
    Ok(seats)
}

/// The standing board, in order.
pub(super) async fn standing(exec: &mut Exec<'_>) -> Result<Vec<BoardSeatView>, Stop> {
    let rows = sqlx::query!(
        r#"SELECT title, user_id, agent, weight, may_veto, suspended_at IS NOT NULL AS "suspended!"
           FROM fleet.board_seats WHERE tenant_id = $1 ORDER BY ordinal"#,
        exec.tenant.as_str()
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    rows.into_iter()
        .map(|r| {
            Ok(BoardSeatView {
                seat: read::seat(
                    &r.title,
                    r.user_id.as_deref(),
                    r.agent.as_deref(),
                    r.weight,
                    r.may_veto,
                )?,
                suspended: r.suspended,
            })
        })
        .collect()
}

/// The seats of the standing board, in order.
pub(crate) async fn standing_seats(exec: &mut Exec<'_>) -> Result<Vec<Seat>, Stop> {
    let all = standing(exec).await?;
    Ok(all.into_iter().map(|s| s.seat).collect())
}

async fn operators(exec: &mut Exec<'_>) -> Result<Vec<Seat>, Stop> {
    // One more than a board may have, so that too many are refused and none is left out unseen.
    let most = MOST_SEATS as i64 + 1;
    let users = crate::incident::first_operators(exec.tx, exec.tenant, most).await?;
    let mut seats: Vec<Seat> = Vec::new();
    for (index, user) in users.into_iter().enumerate() {
        // The name before the colon, where that is a title nobody has yet.
        let local = user.as_str().trim_start_matches('@').split(':').next();
        let local: Option<Name> = local.and_then(|l| l.parse().ok());
        let free = local.filter(|t| seats.iter().all(|s| s.title != *t));
        let numbered = || format!("operator-{}", index + 1).parse().ok();
        let Some(title) = free.or_else(numbered) else {
            continue;
        };
        seats.push(Seat {
            title,
            holder: Holder::User(user),
            weight: 1,
            may_veto: false,
        });
    }
    Ok(seats)
}

/// Registered agents by name with their users: those named or with those users; all for none named.
async fn agents(exec: &mut Exec<'_>, named: &[String]) -> Result<BTreeMap<Name, String>, Stop> {
    let rows = sqlx::query!(
        r#"SELECT name, user_id FROM fleet.agents
           WHERE tenant_id = $1 AND retired_at IS NULL AND (cardinality($2::text[]) = 0 OR name = ANY ($2) OR user_id = ANY ($2))"#,
        exec.tenant.as_str(),
        named
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    let known = |name: &str| name.parse().map_err(|_| read::unreadable("agent"));
    rows.into_iter()
        .map(|r| Ok((known(&r.name)?, r.user_id)))
        .collect()
}

/// Freezes seats: who is a person and who proposed is settled now. An agent's user is the agent, so
/// that nobody counts as two.
pub(super) async fn freeze(exec: &mut Exec<'_>, seats: Vec<Seat>) -> Result<Vec<FrozenSeat>, Stop> {
    let named: Vec<String> = seats.iter().map(|s| s.holder.to_string()).collect();
    let agents = agents(exec, &named).await?;
    let accounts = sqlx::query_scalar!(
        "SELECT user_id FROM fleet.grants WHERE tenant_id = $1 AND user_id = ANY ($2) GROUP BY user_id HAVING bool_and(role = 'agent')",
        exec.tenant.as_str(),
        &named
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    let me = exec.actor.agent.as_ref().map(|a| a.name.clone());
    let user = exec.actor.user.clone();
    seats
        .into_iter()
        .map(|seat| {
            let holder = match seat.holder {
                Holder::Agent(name) if !agents.contains_key(&name) => return Err(unknown(&name)),
                Holder::User(user) => match agents.iter().find(|(_, u)| **u == user.as_str()) {
                    Some((name, _)) => Holder::Agent(name.clone()),
                    None => Holder::User(user),
                },
                agent @ Holder::Agent(_) => agent,
            };
            let (human, proposer) = match &holder {
                Holder::User(u) => (
                    !accounts.iter().any(|a| a == u.as_str()),
                    user.as_ref() == Some(u),
                ),
                Holder::Agent(name) => (false, me.as_ref() == Some(name)),
            };
            Ok(FrozenSeat {
                title: seat.title,
                holder,
                weight: seat.weight,
                may_veto: seat.may_veto,
                human,
                proposer,
            })
        })
        .collect()
}

fn unknown(name: &Name) -> Stop {
    Problem::new(Code::NotFound, format!("there is no agent called {name}"))
        .remedy("a seat is held by an agent's name or a Matrix user such as @dana:example.org")
        .into()
}
