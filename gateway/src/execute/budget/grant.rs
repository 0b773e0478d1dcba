//! The verbs of `spend` that move a running task's grant: hold, top-up, commit, release, settle.

use fleet_policy::budget::hold::Room;
use fleet_policy::budget::{Movement, release as hand_back};
use fleet_protocol::document::number;
use fleet_protocol::problem::Code;
use fleet_protocol::reply::{GrantedView, SpendView};
use fleet_protocol::scalar::Count;
use fleet_protocol::verbs::budget::Unit;
use fleet_protocol::verbs::spend as verbs;
use fleet_protocol::{Problem, Reply};
use uuid::Uuid;

use super::admission::{self, Verdict};
use super::gauge::Gauged;
use super::ledger::{self, Held, Row};
use super::settle::{charged, open};
use super::{alert, decision, queue};
use crate::execute::task::{self, Running};
use crate::execute::{Exec, Stop, Subject, spend};

/// Takes a grant for work that runs without one.
pub(crate) async fn hold(exec: &mut Exec<'_>, args: &verbs::Hold) -> Result<Reply, Stop> {
    let running = task::running(exec, args.task).await?;
    let held = open(exec, running.id, running.attempt).await?;
    if !held.is_empty() {
        return view(
            exec,
            &running,
            0,
            false,
            vec!["It has a grant already.".to_owned()],
        )
        .await;
    }
    match admission::decide(exec, &running.work).await? {
        Verdict::Go(plan) => {
            let granted = admission::take(exec, &running.work, running.attempt, &plan).await?;
            let held = open(exec, running.id, running.attempt).await?;
            let added = tokens(&held).map_or(0, |(_, h)| h.granted);
            view(exec, &running, added, false, granted.notes).await
        }
        Verdict::Wait(waits) => Err(waits.problem.into()),
        Verdict::Never(refused) => Err(refused.problem.into()),
    }
}

fn tokens(open: &[(Gauged, Held)]) -> Option<&(Gauged, Held)> {
    open.iter().find(|(g, _)| g.series.unit == Unit::Tokens)
}

/// Asks for more for a running task, in every unit it holds: granted whole in all of them, or refused.
pub(crate) async fn top_up(exec: &mut Exec<'_>, args: &verbs::TopUp) -> Result<Reply, Stop> {
    let running = task::running(exec, args.task).await?;
    let held = open(exec, running.id, running.attempt).await?;
    let Some((_, of_tokens)) = tokens(&held) else {
        let note = "No limit on tokens governs this task, so nothing has to be granted.".to_owned();
        return view(exec, &running, 0, false, vec![note]).await;
    };
    let median = of_tokens.p50.max(1);
    let asked = args.tokens.map_or(median.div_ceil(2), Count::get).max(1);
    let older = kept_for_older(exec, &running).await?;
    let in_unit = |h: &Held| {
        let scaled = u128::from(asked) * u128::from(h.p50) / u128::from(median);
        u64::try_from(scaled).unwrap_or(u64::MAX)
    };
    let mut rows = Vec::new();
    for (gauged, held) in &held {
        let amount = if gauged.series.unit == Unit::Tokens {
            asked
        } else {
            in_unit(held)
        };
        let kept = older.iter().find(|(id, _)| *id == gauged.series.id);
        let room = Room {
            limit: gauged.limit,
            spent: gauged.spent(),
            held: gauged.series.held,
            kept_for_older: kept.map_or(0, |(_, n)| *n),
        };
        if gauged.series.closed_until.is_some() || !room.admits(amount) {
            return refuse(exec, &running, gauged, amount).await;
        }
        let moved = Movement {
            held: i64::try_from(amount).unwrap_or(i64::MAX),
            ..Movement::default()
        };
        let of = (running.id, running.attempt);
        rows.push(Row::new(exec, "top_up", gauged.series.id, of, moved));
    }
    ledger::append(exec, &rows).await?;
    view(exec, &running, asked, false, Vec::new()).await
}

/// What is kept free for running tasks that began before this one, per series.
async fn kept_for_older(exec: &mut Exec<'_>, running: &Running) -> Result<Vec<(Uuid, u64)>, Stop> {
    let rows = sqlx::query!(
        r#"SELECT h.series_id, coalesce(sum(greatest(h.p80 - h.granted, 0)), 0)::bigint AS "kept!"
           FROM fleet.holds mine
           JOIN fleet.holds h ON h.tenant_id = mine.tenant_id AND h.series_id = mine.series_id AND h.ended_at IS NULL
                AND (h.opened_at, h.task_id) < (mine.opened_at, mine.task_id)
           WHERE mine.tenant_id = $1 AND mine.task_id = $2 AND mine.attempt = $3 GROUP BY h.series_id"#,
        exec.tenant.as_str(),
        running.id,
        running.attempt
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|r| (r.series_id, r.kept.unsigned_abs()))
        .collect())
}

/// One turn is left to hand the work back; then the task is paused until its budget is there again.
async fn refuse(
    exec: &mut Exec<'_>,
    running: &Running,
    gauged: &Gauged,
    amount: u64,
) -> Result<Reply, Stop> {
    sqlx::query!(
        "UPDATE fleet.attempts SET handing_back = true WHERE tenant_id = $1 AND task_id = $2 AND attempt = $3",
        exec.tenant.as_str(),
        running.id,
        running.attempt
    )
    .execute(&mut *exec.tx)
    .await?;
    let title = gauged.series.title();
    let reason = format!(
        "{title} has no room for {} {} more",
        number(amount),
        gauged.series.unit.noun()
    );
    let inputs = serde_json::json!({ "series": [{ "series": title, "limit": gauged.limit, "spent": gauged.spent(),
        "held": gauged.series.held, "asked": amount }] });
    let new = decision::New {
        task: running.id,
        attempt: Some(running.attempt),
        outcome: "handed_back",
        account: None,
        model: None,
        reason: Some(reason.clone()),
        series: Some(title),
        eta: gauged.window().resets_at,
        inputs,
    };
    decision::write(exec, new).await?;
    let note = format!(
        "{reason}. Hand it back with: !task release t{}; what is done is kept, and it goes on by itself.",
        running.number
    );
    view(exec, running, 0, true, vec![note]).await
}

async fn view(
    exec: &mut Exec<'_>,
    running: &Running,
    added_tokens: u64,
    hand_back: bool,
    notes: Vec<String>,
) -> Result<Reply, Stop> {
    let held = open(exec, running.id, running.attempt).await?;
    exec.about(Subject::Task, running.id);
    Ok(Reply::Granted(GrantedView {
        task: format!("t{}", running.number),
        remaining_tokens: tokens(&held).map_or(0, |(_, h)| h.hold.remaining),
        added_tokens,
        hand_back,
        notes,
    }))
}

/// Commits what a task has spent so far by the word of who works on it.
pub(crate) async fn commit(exec: &mut Exec<'_>, args: &verbs::Commit) -> Result<Reply, Stop> {
    let task = exec.resolve(args.task).await?;
    let spender = spend::spender(exec, task, args.attempt).await?;
    let before = spend::total(exec, task, None).await?;
    spend::word(exec, task, spender.attempt, args.tokens.get()).await?;
    let total = spend::total(exec, task, None).await?;
    exec.about(Subject::Task, task);
    let mut notes = Vec::new();
    if total == before {
        notes.push("Nothing new: totals are committed, and this much was known.".to_owned());
    }
    Ok(Reply::Spend(SpendView {
        task: format!("t{}", spender.number),
        added_tokens: total - before,
        total_tokens: total,
        late: spender.late,
        notes,
    }))
}

/// Hands back what is left of a grant; the work goes on without.
pub(crate) async fn release(exec: &mut Exec<'_>, args: &verbs::Release) -> Result<Reply, Stop> {
    let running = task::running(exec, args.task).await?;
    let held = open(exec, running.id, running.attempt).await?;
    let rows: Vec<_> = held
        .iter()
        .map(|(g, h)| {
            let of = (running.id, running.attempt);
            Row::new(exec, "release", g.series.id, of, hand_back(h.hold).0)
        })
        .collect();
    ledger::append(exec, &rows).await?;
    queue::nudge(exec).await?;
    let note = tokens(&held).map_or_else(
        || "It held nothing.".to_owned(),
        |(_, h)| format!("{} tokens are free again.", number(h.hold.remaining)),
    );
    view(exec, &running, 0, false, vec![note]).await
}

/// Settles what a lost attempt was presumed to have spent.
pub(crate) async fn settle(exec: &mut Exec<'_>, args: &verbs::Settle) -> Result<Reply, Stop> {
    let task = exec.resolve(args.task).await?;
    let spender = spend::spender(exec, task, args.attempt).await?;
    let of = (task, spender.attempt);
    let before = spend::total(exec, task, None).await?;
    if let Some(tokens) = args.tokens {
        spend::word(exec, task, spender.attempt, tokens.get()).await?;
    }
    let held = open(exec, task, spender.attempt).await?;
    let presumed = tokens(&held).map_or(0, |(_, h)| h.hold.presumed);
    let reason = args.unknown.as_ref().map(|r| r.as_str());
    if held.iter().all(|(_, h)| h.hold.presumed == 0) && args.tokens.is_none() {
        return Err(Problem::new(
            Code::WrongState,
            format!(
                "nothing is presumed of attempt {} of t{}",
                spender.attempt, spender.number
            ),
        )
        .remedy("it is settled already")
        .into());
    }
    let report = match reason {
        Some(_) if presumed > 0 => {
            Some(spend::charge(exec, task, spender.attempt, presumed).await?)
        }
        _ => None,
    };
    let mut rows = Vec::new();
    for (gauged, held) in held.iter().filter(|(_, h)| h.hold.presumed > 0) {
        if reason.is_some() {
            rows.extend(charged(exec, gauged, held, of, reason, report));
            continue;
        }
        let gone = Movement {
            presumed: -i64::try_from(held.hold.presumed).unwrap_or(i64::MAX),
            ..Movement::default()
        };
        rows.push(Row {
            at: held.presumed_at.unwrap_or(exec.now),
            reason: Some("settled with its actual"),
            ..Row::new(exec, "settle", gauged.series.id, of, gone)
        });
    }
    ledger::append(exec, &rows).await?;
    let ids: Vec<Uuid> = held.iter().map(|(g, _)| g.series.id).collect();
    alert::check(exec, &ids).await?;
    queue::nudge(exec).await?;
    let total = spend::total(exec, task, None).await?;
    exec.about(Subject::Task, task);
    Ok(Reply::Spend(SpendView {
        task: format!("t{}", spender.number),
        added_tokens: total.saturating_sub(before),
        total_tokens: total,
        late: spender.late,
        notes: vec![format!("{} presumed tokens are settled.", number(presumed))],
    }))
}
