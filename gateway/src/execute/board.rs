//! The verbs of `board`.

use fleet_policy::board::hex;
use fleet_protocol::envelope::BallotInput;
use fleet_protocol::problem::Code;
use fleet_protocol::record::{EndedBy, Export, FORMAT, Linked, Statement, Via};
use fleet_protocol::reply::{Changed, MinutesView, ProposalView};
use fleet_protocol::scalar::{Note, Percent};
use fleet_protocol::verbs::board as verbs;
use fleet_protocol::{Problem, Reply};
use jiff::SignedDuration;
use uuid::Uuid;

use super::{Exec, Stop, Subject, member};
use crate::db::time;

mod amend;
mod authority;
mod card;
mod cast;
mod chain;
mod deadline;
mod effect;
mod end;
mod event;
mod library;
mod money;
mod propose;
mod read;
mod seats;
mod standing;

pub(crate) use amend::amend;
pub(crate) use authority::{alert_of, ask};
pub(crate) use deadline::due;
pub(crate) use event::{ballot, card_of, may_tell, redact, redacted};
pub(crate) use library::personas;
pub(crate) use propose::propose;
pub(crate) use seats::standing_seats;
pub(crate) use standing::change as change_seat;

/// The most proposals a list shows.
const MOST: i64 = 100;
/// How far minutes go back unless told otherwise.
const MINUTES: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Casts or changes a ballot.
pub(crate) async fn vote(exec: &mut Exec<'_>, args: &verbs::Vote) -> Result<Reply, Stop> {
    let id = exec.resolve(args.proposal).await?;
    let wanted = cast::Wanted {
        verdict: args.verdict,
        statement: args.statement(),
        confidence: args.confidence.map(Percent::get),
        seat: args.seat.as_ref(),
        via: Via::Command,
    };
    cast::cast(exec, id, wanted).await
}

/// Takes a ballot back.
pub(crate) async fn withdraw(exec: &mut Exec<'_>, args: &verbs::Withdraw) -> Result<Reply, Stop> {
    let id = exec.resolve(args.proposal).await?;
    cast::withdraw(exec, id, args.seat.as_ref()).await
}

/// Ends a vote before its time, with the ballots as they stand.
pub(crate) async fn close(exec: &mut Exec<'_>, args: &verbs::Close) -> Result<Reply, Stop> {
    let id = exec.resolve(args.proposal).await?;
    let proposal = read::locked(exec, id).await?;
    exec.about(Subject::Proposal, id);
    if !proposal.is_open() {
        let mut changed = Changed::to("closed", proposal.view());
        changed.already = true;
        return Ok(Reply::Proposal(changed));
    }
    let ended = proposal.outcome();
    let reason = args.reason.as_ref().map(Note::as_str);
    let detail = serde_json::json!({ "outcome": ended.outcome, "reason": reason });
    member::audit(exec, "board.close", &proposal.short(), detail).await?;
    let why = end::Why {
        reason,
        ..end::Why::new(EndedBy::Operator)
    };
    end::end(exec, proposal, ended, why).await?;
    let closed = read::load(exec, id).await?;
    Ok(Reply::Proposal(Changed::to("closed", closed.view())))
}

/// Shows a proposal, its ballots and who is missing.
pub(crate) async fn show(exec: &mut Exec<'_>, args: &verbs::Show) -> Result<Reply, Stop> {
    let id = exec.resolve(args.proposal).await?;
    let proposal = read::load(exec, id).await?;
    exec.about(Subject::Proposal, id);
    Ok(Reply::Proposal(Changed::shown(proposal.view())))
}

/// Lists open proposals, or all, the newest first.
pub(crate) async fn list(exec: &mut Exec<'_>, args: &verbs::List) -> Result<Reply, Stop> {
    let ids = sqlx::query_scalar!(
        "SELECT id FROM fleet.proposals WHERE tenant_id = $1 AND (state = 'open' OR $2) ORDER BY number DESC LIMIT $3",
        exec.tenant.as_str(),
        args.all,
        MOST
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    Ok(Reply::Proposals(views(exec, ids, |_| true).await?))
}

/// Lists the open proposals that wait for the caller's ballot.
pub(crate) async fn mine(exec: &mut Exec<'_>, _: &verbs::Mine) -> Result<Reply, Stop> {
    let user = exec.actor.user.clone();
    let agent = exec.actor.agent.as_ref().map(|a| a.name.clone());
    let ids = sqlx::query!(
        r#"SELECT DISTINCT p.id, p.ends_at FROM fleet.proposals p
           JOIN fleet.seats s ON s.tenant_id = p.tenant_id AND s.proposal_id = p.id
           WHERE p.tenant_id = $1 AND p.state = 'open' AND (s.user_id = $2 OR s.agent = $3) ORDER BY p.ends_at LIMIT $4"#,
        exec.tenant.as_str(),
        user.as_ref().map(|u| u.as_str()),
        agent.as_ref().map(|a| a.as_str()),
        MOST
    )
    .map(|r| r.id)
    .fetch_all(&mut *exec.tx)
    .await?;
    let is_me = |holder: &verbs::Holder| match holder {
        verbs::Holder::User(u) => user.as_ref() == Some(u),
        verbs::Holder::Agent(a) => agent.as_ref() == Some(a),
    };
    let waits = |view: &ProposalView| view.missing().any(|s| is_me(&s.seat.holder));
    Ok(Reply::Proposals(views(exec, ids, waits).await?))
}

async fn views(
    exec: &mut Exec<'_>,
    ids: Vec<Uuid>,
    wanted: impl Fn(&ProposalView) -> bool,
) -> Result<Vec<ProposalView>, Stop> {
    let mut views = Vec::new();
    for id in ids {
        let mut view = read::load(exec, id).await?.view();
        view.text = None;
        if wanted(&view) {
            views.push(view);
        }
    }
    Ok(views)
}

/// Shows the standing board.
pub(crate) async fn seats(exec: &mut Exec<'_>, _: &verbs::Seats) -> Result<Reply, Stop> {
    Ok(Reply::BoardSeats(seats::standing(exec).await?))
}

/// Lists the templates.
pub(crate) async fn templates(exec: &mut Exec<'_>, _: &verbs::Templates) -> Result<Reply, Stop> {
    Ok(Reply::Templates(library::templates(exec).await?))
}

/// Gives a proposal's whole record.
pub(crate) async fn export(exec: &mut Exec<'_>, args: &verbs::Export) -> Result<Reply, Stop> {
    let id = exec.resolve(args.proposal).await?;
    let proposal = read::load(exec, id).await?;
    exec.about(Subject::Proposal, id);
    let entries = read::entries(exec, id).await?;
    let linked = |(entry, hash): (_, Vec<u8>)| Linked {
        entry,
        hash: hex(&hash),
    };
    Ok(Reply::Export(Box::new(Export {
        format: FORMAT.to_owned(),
        hash: hex(&proposal.hash),
        head: hex(&proposal.head),
        proposal: proposal.content,
        entries: entries.into_iter().map(linked).collect(),
    })))
}

/// Lists what was decided, the oldest first.
pub(crate) async fn minutes(exec: &mut Exec<'_>, args: &verbs::Minutes) -> Result<Reply, Stop> {
    let since = match &args.since {
        Some(moment) => moment
            .resolve(exec.now, exec.zone)
            .map_err(|e| Problem::new(Code::BadArgument, format!("--since {e}")))?,
        None => exec.now.earlier(MINUTES),
    };
    let mut ids = sqlx::query_scalar!(
        "SELECT proposal_id FROM fleet.decisions WHERE tenant_id = $1 AND decided_at >= $2 ORDER BY decided_at, id LIMIT $3",
        exec.tenant.as_str(),
        time(since) as _,
        MOST + 1
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    let most = usize::try_from(MOST).unwrap_or(usize::MAX);
    let more = ids.len() > most;
    ids.truncate(most);
    Ok(Reply::Minutes(MinutesView {
        since,
        decided: views(exec, ids, |_| true).await?,
        more,
    }))
}
