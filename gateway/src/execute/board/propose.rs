//! Opening a proposal: seats and content are frozen, hashed, and put before the board.

use fleet_policy::board::{Content, Rule, Threshold, canonical_form, hash, kind_of};
use fleet_protocol::outbox::{Post, Relation, Target};
use fleet_protocol::problem::Code;
use fleet_protocol::reply::Changed;
use fleet_protocol::scalar::{Brief, Name, Percent};
use fleet_protocol::verbs::board::{Holder, Propose, Seat};
use fleet_protocol::{Problem, Reply, Timestamp};
use jiff::SignedDuration;
use uuid::Uuid;

use super::read::{self, load};
use super::{card, effect};
use crate::db::time;
use crate::execute::{Exec, Stop, Subject};

/// How long a vote lasts unless told otherwise.
const DEFAULT_LENGTH: SignedDuration = SignedDuration::from_hours(24);
/// Share of the weight that must be cast unless told otherwise, in percent.
const DEFAULT_QUORUM: u8 = 50;
/// More seats than this do not fit on a card.
const MOST_SEATS: usize = 50;

/// Opens a proposal.
pub(crate) async fn propose(exec: &mut Exec<'_>, args: &Propose) -> Result<Reply, Stop> {
    let kind = args.kind.unwrap_or_else(|| kind_of(args.effect.as_ref()));
    let closes_at = closes_at(exec, args)?;
    let effect = match &args.effect {
        Some(effect) => Some(effect::fix(exec, kind, effect).await?),
        None => None,
    };
    let mut notes = Vec::new();
    if let Some(effect) = &effect
        && let Err(problem) = effect::try_out(exec, effect).await?
    {
        notes.push(format!(
            "As things are now the effect would be refused: {}.",
            problem.detail
        ));
    }
    let seats = seats(exec, args).await?;
    let room = sqlx::query!(
        r#"SELECT id, coalesce(key, '') AS "key!" FROM fleet.rooms WHERE tenant_id = $1 AND key IN ('board', 'lobby')
           ORDER BY (key = 'board') DESC LIMIT 1"#,
        exec.tenant.as_str()
    )
    .fetch_one(&mut *exec.tx)
    .await?;
    let content = Content {
        tenant: exec.tenant.to_string(),
        id: exec.ids.next(),
        title: args.title.to_string(),
        text: args.text.as_ref().map(Brief::to_string),
        kind,
        proposer: exec.actor.principal.clone(),
        room: room.key,
        effect,
        seats,
        closes_at,
        default: "rejected",
        rule: Rule {
            quorum: args.quorum.map_or(DEFAULT_QUORUM, Percent::get),
            threshold: Threshold::Majority,
        },
    };
    let id = content.id;
    open(exec, &content, room.id).await?;
    let proposal = load(exec, id).await?;
    tell(exec, &proposal).await?;
    exec.about(Subject::Proposal, id);
    let mut changed = Changed::to("opened", proposal.view());
    changed.notes = notes;
    Ok(Reply::Proposal(changed))
}

/// Posts the card, pins it, and seeds the two reactions, so that a vote is one tap.
async fn tell(exec: &mut Exec<'_>, proposal: &read::Proposal) -> Result<(), Stop> {
    let mentions = card::holders(exec, &proposal.seats).await?;
    let message = card::card(exec, proposal, mentions);
    let about = Some((Subject::Proposal, proposal.id));
    // The row's id is already in the proposal, so that the card can be found from there.
    exec.outbox.push(crate::execute::NewRow {
        id: proposal.card,
        room: card::room(proposal),
        post: Post::Message(message),
        relation: None,
        subject: about,
        is_detail: false,
    });
    let pin = Relation::Pins(Target::Row(proposal.card));
    exec.post(
        card::room(proposal),
        Post::Pin { pinned: true },
        Some(pin),
        about,
    );
    for key in ["✅", "❌"] {
        let on = Relation::Annotates(Target::Row(proposal.card));
        let reaction = Post::Reaction {
            key: key.to_owned(),
        };
        exec.post(card::room(proposal), reaction, Some(on), about);
    }
    Ok(())
}

fn closes_at(exec: &Exec<'_>, args: &Propose) -> Result<Timestamp, Problem> {
    let at = match &args.closes_at {
        Some(moment) => moment
            .resolve(exec.now, exec.zone)
            .map_err(|e| Problem::new(Code::BadArgument, format!("--closes-at {e}")))?,
        None => Timestamp(
            exec.now
                .0
                .saturating_add(DEFAULT_LENGTH)
                .unwrap_or(exec.now.0),
        ),
    };
    // What PostgreSQL keeps, so that the hash can be checked from the register's row.
    let micros = jiff::Timestamp::from_microsecond(at.0.as_microsecond()).unwrap_or(at.0);
    if micros <= exec.now.0 {
        return Err(
            Problem::new(Code::Invalid, "the vote would have ended already")
                .remedy("name an instant in the future, for example --closes-at +24h"),
        );
    }
    Ok(Timestamp(micros))
}

/// The seats given, else the tenant's, else one for every operator.
async fn seats(exec: &mut Exec<'_>, args: &Propose) -> Result<Vec<Seat>, Stop> {
    let mut seats = args.seats.clone();
    if seats.is_empty() {
        seats = default_seats(exec).await?;
    }
    if seats.is_empty() {
        seats = operators(exec).await?;
    }
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
        if let Holder::Agent(name) = &seat.holder {
            known_agent(exec, name).await?;
        }
    }
    Ok(seats)
}

async fn known_agent(exec: &mut Exec<'_>, name: &Name) -> Result<(), Stop> {
    let known = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM fleet.agents WHERE tenant_id = $1 AND name = $2) AS "known!""#,
        exec.tenant.as_str(),
        name.as_str()
    )
    .fetch_one(&mut *exec.tx)
    .await?;
    if known {
        return Ok(());
    }
    Err(
        Problem::new(Code::NotFound, format!("there is no agent called {name}"))
            .remedy("a seat is held by an agent's name or a Matrix user such as @dana:example.org")
            .into(),
    )
}

async fn default_seats(exec: &mut Exec<'_>) -> Result<Vec<Seat>, Stop> {
    let rows = sqlx::query!(
        "SELECT title, user_id, agent, weight, may_veto FROM fleet.board_seats WHERE tenant_id = $1 ORDER BY ordinal",
        exec.tenant.as_str()
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    rows.into_iter()
        .map(|r| {
            read::seat(
                &r.title,
                r.user_id.as_deref(),
                r.agent.as_deref(),
                r.weight,
                r.may_veto,
            )
        })
        .collect()
}

async fn operators(exec: &mut Exec<'_>) -> Result<Vec<Seat>, Stop> {
    let users = crate::execute::budget::alert::operators(exec).await?;
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

async fn open(exec: &mut Exec<'_>, content: &Content, room: Uuid) -> Result<(), Stop> {
    let json = |e: serde_json::Error| sqlx::Error::Encode(e.into());
    let (canonical, hash) = (
        canonical_form(content).map_err(json)?,
        hash(content).map_err(json)?,
    );
    let effect = content.effect.as_ref().map(serde_json::to_value);
    let effect_text = content.effect.as_ref().map(|e| effect::in_words(exec, e));
    let card = exec.ids.next();
    sqlx::query!(
        "INSERT INTO fleet.proposals (tenant_id, id, number, title, text, kind, proposer, room, effect, effect_text, quorum, closes_at,
             canonical, hash, card, created_at, admission)
         VALUES ($1, $2, fleet.next_number((SELECT ordinal FROM fleet.tenants WHERE tenant_id = $1), 'proposal'), $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
        exec.tenant.as_str(),
        content.id,
        content.title,
        content.text,
        content.kind.as_str(),
        content.proposer,
        room,
        effect.transpose().map_err(json)?,
        effect_text,
        i16::from(content.rule.quorum),
        time(content.closes_at) as _,
        canonical,
        hash.as_slice(),
        card,
        time(exec.now) as _,
        exec.admission
    )
    .execute(&mut *exec.tx)
    .await?;
    for (ordinal, seat) in (1_i16..).zip(&content.seats) {
        let (user, agent) = match &seat.holder {
            Holder::User(user) => (Some(user.as_str()), None),
            Holder::Agent(name) => (None, Some(name.as_str())),
        };
        sqlx::query!(
            "INSERT INTO fleet.seats (tenant_id, proposal_id, ordinal, title, user_id, agent, weight, may_veto) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            exec.tenant.as_str(),
            content.id,
            ordinal,
            seat.title.as_str(),
            user,
            agent,
            seat.weight.cast_signed(),
            seat.may_veto
        )
        .execute(&mut *exec.tx)
        .await?;
    }
    Ok(())
}
