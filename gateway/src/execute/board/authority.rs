//! One tap on an alert asks the board for authority: the proposal says what it costs, what is left, and
//! what happens if nobody decides (board.md, last paragraph).

use fleet_protocol::document::number;
use fleet_protocol::problem::Code;
use fleet_protocol::reply::Changed;
use fleet_protocol::verbs::board::{Effect, Propose};
use fleet_protocol::{Problem, Reply};
use uuid::Uuid;

use super::propose::propose;
use super::read::load;
use crate::db::Tx;
use crate::execute::budget::gauge::{self, Which};
use crate::execute::{Exec, Stop, Subject};
use crate::run::Job;

/// The open alert of a budget whose message an event is.
pub(crate) async fn alert_of(
    tx: &mut Tx,
    job: &Job<'_>,
    event: &str,
) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "SELECT i.id FROM fleet.outbox o
         JOIN fleet.incidents i ON i.tenant_id = o.tenant_id AND i.message = o.id AND i.resolved_at IS NULL
         JOIN fleet.budget_alerts a ON a.tenant_id = i.tenant_id AND a.incident = i.id
         WHERE o.tenant_id = $1 AND o.event_id = $2",
        job.tenant.as_str(),
        event
    )
    .fetch_optional(&mut **tx)
    .await
}

/// Opens the proposal that an alert asks for; the one there is, where it was tapped before.
pub(crate) async fn ask(exec: &mut Exec<'_>, incident: Uuid) -> Result<Reply, Stop> {
    let asked = sqlx::query!(
        "SELECT i.proposal, a.series_id FROM fleet.incidents i
         JOIN fleet.budget_alerts a ON a.tenant_id = i.tenant_id AND a.incident = i.id
         WHERE i.tenant_id = $1 AND i.id = $2 FOR UPDATE OF i",
        exec.tenant.as_str(),
        incident
    )
    .fetch_one(&mut *exec.tx)
    .await?;
    if let Some(id) = asked.proposal {
        let there = load(exec, id).await?;
        exec.about(Subject::Proposal, id);
        let mut changed = Changed::to("opened", there.view());
        changed.already = true;
        return Ok(Reply::Proposal(changed));
    }
    let propose_this = lift(exec, asked.series_id).await?;
    let reply = propose(exec, &propose_this).await?;
    if let Some((Subject::Proposal, id)) = exec.answer_subject {
        sqlx::query!(
            "UPDATE fleet.incidents SET proposal = $3 WHERE tenant_id = $1 AND id = $2",
            exec.tenant.as_str(),
            incident,
            id
        )
        .execute(&mut *exec.tx)
        .await?;
    }
    Ok(reply)
}

/// Half as much again for the window that is used up.
async fn lift(exec: &mut Exec<'_>, id: Uuid) -> Result<Propose, Stop> {
    let all = gauge::read(exec, &Which::ids(vec![id])).await?;
    let Some(gauged) = all.into_iter().next() else {
        return Err(
            Problem::new(Code::NotFound, "the limit of this alert is gone")
                .remedy("see what there is with: !budget status")
                .into(),
        );
    };
    let (series, spent) = (&gauged.series, gauged.spent());
    let more = series.limit.div_ceil(2).max(1);
    let limit = series.limit.saturating_add(more);
    let (title, unit) = (series.title(), series.unit);
    let line = format!(
        "budget set {} --limit {limit} --unit {unit}",
        series.options()
    );
    let reset = gauged.window().resets_at.map_or_else(
        || "no reset is known".to_owned(),
        |at| format!("it resets {}", exec.reader().clock(at)),
    );
    let text = format!(
        "{title}: {} of {} {} are spent, {} are left; {reset}. This asks for {} more. If nobody decides, the limit stays, and no new work is admitted before the reset.",
        number(spent),
        number(series.limit),
        unit.noun(),
        number(series.limit.saturating_sub(spent)),
        number(more)
    );
    let made = |what: &str| Problem::new(Code::Internal, format!("the {what} cannot be made"));
    let effect: Effect = line.parse().map_err(|_| made("effect"))?;
    Ok(Propose {
        title: format!(
            "Raise the limit of {title} to {} {}?",
            number(limit),
            unit.noun()
        )
        .parse()
        .map_err(|_| made("title"))?,
        text: Some(text.parse().map_err(|_| made("text"))?),
        kind: None,
        effect: Some(effect),
        closes_at: None,
        seats: Vec::new(),
        quorum: None,
        threshold: None,
        template: None,
    })
}
