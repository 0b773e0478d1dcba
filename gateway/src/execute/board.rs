//! The verbs of `board`.

use fleet_protocol::envelope::BallotInput;
use fleet_protocol::problem::Code;
use fleet_protocol::reply::Changed;
use fleet_protocol::scalar::{Note, Percent};
use fleet_protocol::verbs::board as verbs;
use fleet_protocol::{Problem, Reply};

use super::{Exec, Stop, Subject, member};

mod card;
mod cast;
mod effect;
mod end;
mod propose;
mod read;

pub(crate) use end::close_due;
pub(crate) use propose::propose;

/// The most proposals a list shows.
const MOST: i64 = 100;

/// Casts or changes a ballot.
pub(crate) async fn vote(exec: &mut Exec<'_>, args: &verbs::Vote) -> Result<Reply, Stop> {
    let id = exec.resolve(args.proposal).await?;
    let reason = args.reason_text();
    if reason.as_deref().is_some_and(|r| r.chars().count() > 2_000) {
        return Err(Problem::new(
            Code::BadArgument,
            "the reason is longer than 2,000 characters",
        )
        .into());
    }
    let ballot = cast::Ballot {
        verdict: args.verdict,
        reason: reason.as_deref(),
        confidence: args.confidence.map(Percent::get),
        seat: args.seat.as_ref(),
        via: "command",
    };
    cast::cast(exec, id, &ballot).await
}

/// Records a ballot that is a reply or a reaction; none when it does not point at a proposal's card.
pub(crate) async fn ballot(
    exec: &mut Exec<'_>,
    target: &str,
    verdict: verbs::Verdict,
    reason: Option<&str>,
    via: BallotInput,
) -> Result<Option<Reply>, Stop> {
    let card = sqlx::query_scalar!(
        "SELECT p.id FROM fleet.outbox o JOIN fleet.proposals p ON p.tenant_id = o.tenant_id AND p.card = o.id
         WHERE o.tenant_id = $1 AND o.event_id = $2",
        exec.tenant.as_str(),
        target
    )
    .fetch_optional(&mut *exec.tx)
    .await?;
    let Some(id) = card else { return Ok(None) };
    let reason: Option<String> = reason.map(|r| r.chars().take(2_000).collect());
    let ballot = cast::Ballot {
        verdict,
        reason: reason.as_deref().map(str::trim).filter(|r| !r.is_empty()),
        confidence: None,
        seat: None,
        via: match via {
            BallotInput::Reply => "reply",
            BallotInput::Reaction => "reaction",
        },
    };
    cast::cast(exec, id, &ballot).await.map(Some)
}

/// Ends a vote before its time, with the ballots as they stand.
pub(crate) async fn close(exec: &mut Exec<'_>, args: &verbs::Close) -> Result<Reply, Stop> {
    let id = exec.resolve(args.proposal).await?;
    read::lock(exec, id).await?;
    let proposal = read::load(exec, id).await?;
    exec.about(Subject::Proposal, id);
    if proposal.state != "open" {
        let mut changed = Changed::to("closed", proposal.view());
        changed.already = true;
        return Ok(Reply::Proposal(changed));
    }
    let outcome = fleet_policy::board::outcome(proposal.tally(), &proposal.rule);
    let reason = args.reason.as_ref().map(Note::as_str);
    end::end(exec, &proposal, outcome, end::Why::Operator(reason)).await?;
    let detail = serde_json::json!({ "outcome": outcome.as_str(), "reason": reason });
    member::audit(exec, "board.close", &proposal.short(), detail).await?;
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
    let mut views = Vec::new();
    for id in ids {
        let mut view = read::load(exec, id).await?.view();
        view.text = None;
        views.push(view);
    }
    Ok(Reply::Proposals(views))
}
