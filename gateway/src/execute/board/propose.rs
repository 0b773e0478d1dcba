//! Opening a proposal: seats and content are frozen, hashed, and put before the board.

use fleet_policy::board::{
    can_pass, canonical_form, hash, human_required, kind_of, remind_at, runs_by_default,
};
use fleet_protocol::problem::Code;
use fleet_protocol::record::{Act, Content, Default as ByDefault, FrozenSeat};
use fleet_protocol::reply::Changed;
use fleet_protocol::scalar::{Brief, Percent};
use fleet_protocol::template::Template;
use fleet_protocol::verbs::board::{Effect, Holder, ProposalKind, Propose};
use fleet_protocol::verbs::member::GrantRole;
use fleet_protocol::{Moment, Problem, Reply, Timestamp};
use jiff::SignedDuration;
use uuid::Uuid;

use super::read::{Proposal, load};
use super::{card, chain, effect, library, money, seats};
use crate::db::time;
use crate::execute::{Exec, Stop, Subject};

/// The most proposals that are open at once.
const MOST_OPEN: i64 = 500;

/// Opens a proposal.
pub(crate) async fn propose(exec: &mut Exec<'_>, args: &Propose) -> Result<Reply, Stop> {
    let kind = args.kind.unwrap_or_else(|| kind_of(args.effect.as_ref()));
    room_for_one_more(exec).await?;
    let names_rule = !args.seats.is_empty()
        || args.quorum.is_some()
        || args.threshold.is_some()
        || args.template.is_some();
    if args.effect.is_some() && names_rule && !is_operator(exec) {
        return Err(not_yours().into());
    }
    let (effect, notes) = fixed(exec, kind, args.effect.as_ref()).await?;
    let template = library::template(exec, args.template.as_ref(), kind).await?;
    let asked = seats::resolve(exec, &args.seats, &template).await?;
    let room = board_room(exec).await?;
    let mut rule = template.rule();
    rule.quorum = args.quorum.map_or(rule.quorum, Percent::get);
    rule.threshold = args.threshold.unwrap_or(rule.threshold);
    let content = Content {
        tenant: exec.tenant.to_string(),
        id: exec.ids.next(),
        title: args.title.to_string(),
        text: args.text.as_ref().map(Brief::to_string),
        kind,
        proposer: exec.actor.principal.clone(),
        room: room.1,
        effect,
        seats: seats::freeze(exec, asked).await?,
        opened_at: millis(exec.now),
        closes_at: closes_at(exec, args.closes_at.as_ref(), &template)?,
        rule,
        supersedes: None,
    };
    let proposal = open(exec, &content, room.0).await?;
    let mut changed = Changed::to("opened", proposal.view());
    changed.notes = notes;
    Ok(Reply::Proposal(changed))
}

/// Whether the actor may say who decides on an effect: who is no operator could otherwise make
/// themselves a board, and it would give them what they are not allowed.
pub(super) fn is_operator(exec: &Exec<'_>) -> bool {
    exec.actor.roles.contains(&GrantRole::Operator)
}

pub(super) fn not_yours() -> Problem {
    Problem::new(
        Code::WrongRole,
        "who decides on an effect, and by which rule, is the fleet's to say, not the proposer's",
    )
    .remedy(
        "leave out --seat, --quorum, --threshold and --template, or ask an operator to propose it",
    )
}

/// Refuses a proposal when too many are open: nobody could read them.
async fn room_for_one_more(exec: &mut Exec<'_>) -> Result<(), Stop> {
    let open = sqlx::query_scalar!(
        r#"SELECT count(*) AS "open!" FROM fleet.proposals WHERE tenant_id = $1 AND state = 'open'"#,
        exec.tenant.as_str()
    )
    .fetch_one(&mut *exec.tx)
    .await?;
    if open < MOST_OPEN {
        return Ok(());
    }
    Err(Problem::new(
        Code::Busy,
        format!("{open} proposals are open, and more than {MOST_OPEN} are not kept open at once"),
    )
    .remedy("decide some first: !board list, !board close")
    .into())
}

/// Fixes an effect and tries it out; what would be refused now is told, and may be different then.
pub(super) async fn fixed(
    exec: &mut Exec<'_>,
    kind: ProposalKind,
    wanted: Option<&Effect>,
) -> Result<(Option<Effect>, Vec<String>), Stop> {
    let Some(wanted) = wanted else {
        return Ok((None, Vec::new()));
    };
    let effect = effect::fix(exec, kind, wanted).await?;
    let tried = effect::try_out(exec, &effect).await?;
    let notes = tried.err().map(|problem| {
        format!(
            "As things are now the effect would be refused: {}.",
            problem.detail
        )
    });
    Ok((Some(effect), notes.into_iter().collect()))
}

/// The room of the cards, by the register's key and its own.
async fn board_room(exec: &mut Exec<'_>) -> Result<(Uuid, String), Stop> {
    let room = sqlx::query!(
        r#"SELECT id, coalesce(key, '') AS "key!" FROM fleet.rooms WHERE tenant_id = $1 AND key IN ('board', 'lobby')
           ORDER BY (key = 'board') DESC LIMIT 1"#,
        exec.tenant.as_str()
    )
    .fetch_one(&mut *exec.tx)
    .await?;
    Ok((room.id, room.key))
}

/// Puts a proposal before the board: register, card, pin, legend.
pub(super) async fn open(
    exec: &mut Exec<'_>,
    content: &Content,
    room: Uuid,
) -> Result<Proposal, Stop> {
    decidable(exec, content).await?;
    store(exec, content, room).await?;
    let mut proposal = load(exec, content.id).await?;
    let standing = seats::standing(exec).await?;
    for seat in &content.seats {
        let suspended = |s: &fleet_protocol::reply::BoardSeatView| {
            s.suspended && s.seat.title == seat.title && s.seat.holder == seat.holder
        };
        if standing.iter().any(suspended) {
            let (at, seat) = (content.opened_at, seat.title.clone());
            chain::append(exec, &mut proposal, at, Act::Suspend { seat }).await?;
        }
    }
    card::post(exec, &proposal).await?;
    exec.about(Subject::Proposal, content.id);
    Ok(proposal)
}

/// Refuses a rule that these seats could never satisfy, and a default that would move money or
/// authority.
async fn decidable(exec: &mut Exec<'_>, content: &Content) -> Result<(), Stop> {
    let rule = &content.rule;
    let defaults = rule.default == ByDefault::Approved;
    if let Some(effect) = content
        .effect
        .as_ref()
        .filter(|e| defaults && !runs_by_default(e))
    {
        return Err(Problem::new(
            Code::BadEffect,
            format!(
                "\"{}\" moves money or authority, and that never happens because nobody objected",
                effect.0.name()
            ),
        )
        .remedy("use a template that asks for votes, for example --template standing")
        .into());
    }
    let moved = money::moved(exec, content.effect.as_ref()).await?;
    let human = human_required(rule, moved.money, 0);
    if can_pass(&content.seats, rule, human) {
        return Ok(());
    }
    let detail = if human && !content.seats.iter().any(|s| s.human) {
        "so much money needs the approval of a person, and no person has a seat".to_owned()
    } else if rule.two_keys {
        "it needs two voters other than the proposer, and the seats have fewer".to_owned()
    } else {
        format!(
            "it needs {} different voters, and the seats have fewer",
            rule.principals
        )
    };
    Err(Problem::new(Code::Invalid, detail)
        .remedy("add seats with --seat TITLE=HOLDER, or use another --template")
        .into())
}

/// To whole milliseconds, as Matrix has them and PostgreSQL keeps them: so the hash can be checked.
fn millis(at: Timestamp) -> Timestamp {
    Timestamp::from_millis(at.as_millis())
}

pub(super) fn closes_at(
    exec: &Exec<'_>,
    asked: Option<&Moment>,
    template: &Template,
) -> Result<Timestamp, Problem> {
    let length = SignedDuration::from_hours(i64::from(template.hours));
    let at = match asked {
        Some(moment) => moment
            .resolve(exec.now, exec.zone)
            .map_err(|e| Problem::new(Code::BadArgument, format!("--closes-at {e}")))?,
        None => Timestamp(exec.now.0.saturating_add(length).unwrap_or(exec.now.0)),
    };
    in_future(exec, millis(at))
}

/// Refuses an end that has passed.
pub(super) fn in_future(exec: &Exec<'_>, at: Timestamp) -> Result<Timestamp, Problem> {
    if at <= millis(exec.now) {
        return Err(
            Problem::new(Code::Invalid, "the vote would have ended already")
                .remedy("name an instant in the future, for example --closes-at +24h"),
        );
    }
    Ok(at)
}

async fn store(exec: &mut Exec<'_>, content: &Content, room: Uuid) -> Result<(), Stop> {
    let json = |e: serde_json::Error| sqlx::Error::Encode(e.into());
    let (canonical, hash) = (
        canonical_form(content).map_err(json)?,
        hash(content).map_err(json)?,
    );
    let effect = content.effect.as_ref().map(serde_json::to_value);
    let effect_text = match &content.effect {
        Some(effect) => Some(effect::in_words(exec, effect).await?),
        None => None,
    };
    let card = exec.ids.next();
    sqlx::query!(
        "INSERT INTO fleet.proposals (tenant_id, id, number, title, text, kind, proposer, room, effect, effect_text, closes_at, ends_at,
             remind_at, canonical, hash, card, supersedes, created_at, admission)
         VALUES ($1, $2, fleet.next_number((SELECT ordinal FROM fleet.tenants WHERE tenant_id = $1), 'proposal'), $3, $4, $5, $6, $7, $8, $9, $10, $10, $11, $12, $13, $14, $15, $16, $17)",
        exec.tenant.as_str(),
        content.id,
        content.title,
        content.text,
        content.kind.as_str(),
        content.proposer,
        room,
        effect.transpose().map_err(json)?,
        effect_text,
        time(content.closes_at) as _,
        time(remind_at(content.opened_at, content.closes_at)) as _,
        canonical,
        hash.as_slice(),
        card,
        content.supersedes,
        time(content.opened_at) as _,
        exec.admission
    )
    .execute(&mut *exec.tx)
    .await?;
    store_seats(exec, content.id, &content.seats).await
}

async fn store_seats(
    exec: &mut Exec<'_>,
    proposal: Uuid,
    seats: &[FrozenSeat],
) -> Result<(), Stop> {
    let (mut ordinals, mut titles) = (Vec::new(), Vec::new());
    let (mut users, mut agents) = (Vec::new(), Vec::new());
    let (mut weights, mut vetoes) = (Vec::new(), Vec::new());
    for (ordinal, seat) in (1_i16..).zip(seats) {
        ordinals.push(ordinal);
        titles.push(seat.title.to_string());
        let (user, agent) = match &seat.holder {
            Holder::User(user) => (Some(user.to_string()), None),
            Holder::Agent(name) => (None, Some(name.to_string())),
        };
        users.push(user);
        agents.push(agent);
        weights.push(seat.weight.cast_signed());
        vetoes.push(seat.may_veto);
    }
    sqlx::query!(
        "INSERT INTO fleet.seats (tenant_id, proposal_id, ordinal, title, user_id, agent, weight, may_veto)
         SELECT $1, $2, s.* FROM unnest($3::smallint[], $4::text[], $5::text[], $6::text[], $7::smallint[], $8::boolean[]) s",
        exec.tenant.as_str(),
        proposal,
        &ordinals,
        &titles,
        &users as &[Option<String>],
        &agents as &[Option<String>],
        &weights,
        &vetoes
    )
    .execute(&mut *exec.tx)
    .await?;
    Ok(())
}
