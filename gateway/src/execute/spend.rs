//! The verbs of `spend`: facts, always recorded (budget.md, "Ledger").

use std::collections::BTreeMap;

use fleet_policy::budget::Usage;
use fleet_policy::budget::estimate::{Cost, Price, cost};
use fleet_policy::budget::hold::spent_at;
use fleet_protocol::problem::Code;
use fleet_protocol::reply::SpendView;
use fleet_protocol::scalar::{Count, Name};
use fleet_protocol::verbs::budget::Unit;
use fleet_protocol::verbs::spend as verbs;
use fleet_protocol::{Problem, Reply, Timestamp};
use uuid::Uuid;

use super::budget::{hint, price};
use super::{Exec, Stop, Subject, inbox};
use crate::db::{instant, time};

mod record;
mod sums;

use record::{Added, Fact, commit, record};
pub(in crate::execute) use sums::{actual, other, reported, total};

/// What is known of the task and of the attempt that a report belongs to.
pub(in crate::execute) struct Spender {
    pub(in crate::execute) number: i32,
    pub(in crate::execute) attempt: i32,
    pub(in crate::execute) late: bool,
    /// An agent reports on work that another holds or held: recorded, but it uses up nobody's grant.
    is_stranger: bool,
    of: Of,
    /// When the attempt began; none for work that nobody claimed.
    granted_at: Option<Timestamp>,
}

/// Whose limits count spend.
#[derive(Debug, Clone)]
struct Of {
    account: Option<String>,
    model: Option<String>,
    role: String,
    agent: Option<String>,
    mission: Option<String>,
}

pub(crate) async fn report(exec: &mut Exec<'_>, args: &verbs::Report) -> Result<Reply, Stop> {
    let task = exec.resolve(args.task).await?;
    let (usage, cash) = reading(args)?;
    let mut spender = spender(exec, task, args.attempt).await?;
    exec.about(Subject::Task, task);
    if let Some(provider) = &args.provider {
        spender.of.account = Some(provider.to_string());
    }
    if let Some(model) = &args.model {
        spender.of.model = Some(model.to_string());
    }
    let metered = match &args.spent_at {
        Some(moment) => Some(
            moment
                .resolve(exec.now, exec.zone)
                .map_err(|e| Problem::new(Code::BadArgument, format!("--spent-at {e}")))?,
        ),
        None => None,
    };
    let spent_at = match spender.granted_at {
        Some(granted) => spent_at(metered, granted, exec.now),
        None => metered.unwrap_or(exec.now).min(exec.now),
    };
    let fact = Fact {
        task,
        number: spender.number,
        attempt: spender.attempt,
        meter: args.meter.unwrap_or(verbs::Meter::Agent),
        session: args.session.as_ref().map_or("", Name::as_str),
        model: args.model.as_ref().map_or("", Name::as_str),
        of: &spender.of,
        usage,
        tokens: usage.tokens(),
        cash,
        others: others(exec, args, usage, spender.of.model.as_deref()).await?,
        spent_at,
        late: spender.late,
        estimated: false,
        uses_hold: !spender.is_stranger,
    };
    let added = record(exec, &fact).await?;
    let governed = commit(exec, &fact, &added).await?;
    if let Some(agent) = exec.actor.agent.as_ref().map(|a| a.id) {
        inbox::spent(exec, agent, added.tokens).await?;
    }
    let mut notes = notes(&fact, &added);
    if let (Some(account), false) = (&spender.of.account, governed) {
        let account = account
            .parse()
            .map_err(|_| super::budget::series::unreadable("account"))?;
        notes.extend(hint(exec, Some(&account)).await?);
    }
    Ok(Reply::Spend(SpendView {
        task: format!("t{}", spender.number),
        added_tokens: added.tokens,
        total_tokens: total(exec, task, None).await?,
        late: spender.late,
        notes,
    }))
}

/// Totals of the units besides tokens and billed money: as reported, and what the tokens would have cost.
async fn others(
    exec: &mut Exec<'_>,
    args: &verbs::Report,
    usage: Usage,
    model: Option<&str>,
) -> Result<BTreeMap<Unit, u64>, Stop> {
    let told = [
        (Unit::Messages, args.messages),
        (Unit::Credits, args.credits),
        (Unit::ComputeSeconds, args.compute_seconds),
    ];
    let mut others: BTreeMap<Unit, u64> = told
        .into_iter()
        .filter_map(|(unit, n)| Some((unit, n?.get())))
        .collect();
    let price: Option<Price> = match model.and_then(|m| m.parse().ok()) {
        Some(model) if usage != Usage::default() => price::of(exec, &model).await?,
        _ => None,
    };
    if let Cost::Known(n) = cost(usage, price) {
        others.insert(Unit::ApiEquivalentUsdMicro, n);
    }
    Ok(others)
}

fn reading(args: &verbs::Report) -> Result<(Usage, u64), Problem> {
    let n = |count: Option<Count>| count.map_or(0, Count::get);
    let given = [
        args.input_tokens,
        args.output_tokens,
        args.cache_write_tokens,
        args.cache_read_tokens,
        args.cash_usd_micro,
        args.messages,
        args.credits,
        args.compute_seconds,
    ];
    if given.iter().all(Option::is_none) {
        return Err(
            Problem::new(Code::BadArgument, "the report names no amount").remedy(
                "give the totals so far, for example --input-tokens 12000 --output-tokens 3000",
            ),
        );
    }
    let usage = Usage {
        input: n(args.input_tokens),
        output: n(args.output_tokens),
        cache_write: n(args.cache_write_tokens),
        cache_read: n(args.cache_read_tokens),
    };
    if usage.tokens() > fleet_protocol::scalar::MAX_INTEGER {
        return Err(Problem::new(
            Code::BadArgument,
            "the tokens add up to more than can be counted",
        ));
    }
    Ok((usage, n(args.cash_usd_micro)))
}

fn notes(fact: &Fact<'_>, added: &Added) -> Vec<String> {
    let mut notes = Vec::new();
    if fact.late {
        notes.push("It came after the lease had ended: recorded all the same, marked late.".into());
    }
    if !fact.uses_hold {
        notes.push(
            "Another agent holds or held this work: recorded, but it uses up nobody's grant."
                .into(),
        );
    }
    if added.is_nothing() {
        notes.push("Nothing new: reports are totals, and this much was known.".into());
    }
    if fact.of.account.is_none() {
        notes.push("No provider pays for this task, so no account's limit counts it; name one with --provider.".into());
    }
    notes
}

/// Reads the attempt a report belongs to, under the task's lock.
pub(in crate::execute) async fn spender(
    exec: &mut Exec<'_>,
    task: Uuid,
    attempt: Option<Count>,
) -> Result<Spender, Stop> {
    let row = sqlx::query!(
        r#"SELECT t.number, t.attempt, t.provider, t.role, m.number AS "mission?" FROM fleet.tasks t
           LEFT JOIN fleet.missions m ON m.tenant_id = t.tenant_id AND m.id = t.mission_id
           WHERE t.tenant_id = $1 AND t.id = $2 FOR UPDATE OF t"#,
        exec.tenant.as_str(),
        task
    )
    .fetch_optional(&mut *exec.tx)
    .await?
    .ok_or_else(|| Problem::new(Code::NotFound, "there is no such task"))?;
    let number = attempt.map_or(Ok(row.attempt), |n| i32::try_from(n.get()));
    let number = number.ok().filter(|n| *n <= row.attempt).ok_or_else(|| {
        let begun = row.attempt;
        Problem::new(
            Code::Invalid,
            format!("t{} has begun {begun} attempts so far", row.number),
        )
        .remedy("leave --attempt out for the present one")
    })?;
    let lease = sqlx::query!(
        r#"SELECT a.epoch, a.started_at, a.lease_until, a.ended_at, a.subscription, a.model, a.holder, a.agent_id
           FROM fleet.attempts a WHERE a.tenant_id = $1 AND a.task_id = $2 AND a.attempt = $3"#,
        exec.tenant.as_str(),
        task,
        number
    )
    .fetch_optional(&mut *exec.tx)
    .await?;
    let claimed = exec.actor.lease.as_ref().map(|l| l.epoch);
    let late = lease.as_ref().is_some_and(|l| {
        l.ended_at.is_some()
            || l.lease_until.is_some_and(|end| instant(end) <= exec.now)
            || claimed.is_some_and(|epoch| epoch != l.epoch.unsigned_abs())
    });
    let is_stranger = match (&exec.actor.agent, &lease) {
        (Some(me), Some(l)) => l.agent_id != Some(me.id),
        _ => false,
    };
    let granted_at = lease.as_ref().map(|l| instant(l.started_at));
    let of = Of {
        account: lease
            .as_ref()
            .and_then(|l| l.subscription.clone())
            .or(row.provider),
        model: lease.as_ref().and_then(|l| l.model.clone()),
        role: row.role,
        agent: lease.filter(|l| l.agent_id.is_some()).map(|l| l.holder),
        mission: row.mission.map(|n| format!("m{n}")),
    };
    Ok(Spender {
        number: row.number,
        attempt: number,
        late,
        is_stranger,
        of,
        granted_at,
    })
}

/// Makes a provider account known.
pub(in crate::execute) async fn subscription(exec: &mut Exec<'_>, name: &str) -> Result<(), Stop> {
    sqlx::query!(
        "INSERT INTO fleet.subscriptions (tenant_id, name, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        exec.tenant.as_str(),
        name,
        time(exec.now) as _
    )
    .execute(&mut *exec.tx)
    .await?;
    Ok(())
}

/// The agent's word for the tokens of an attempt in all: raises what the meters said, never lowers it.
pub(in crate::execute) async fn word(
    exec: &mut Exec<'_>,
    task: Uuid,
    attempt: i32,
    tokens: u64,
) -> Result<(), Stop> {
    let spender = of_attempt(exec, task, attempt).await?;
    let fact = estimate(exec, task, &spender, tokens);
    let added = record(exec, &fact).await?;
    commit(exec, &fact, &added).await?;
    Ok(())
}

/// Records the rest of a grant as spent because its actual is unknown; the ledger's rows are the
/// caller's, who ends the hold with them.
pub(in crate::execute) async fn charge(
    exec: &mut Exec<'_>,
    task: Uuid,
    attempt: i32,
    rest: u64,
) -> Result<Uuid, Stop> {
    let spender = of_attempt(exec, task, attempt).await?;
    let known = total(exec, task, Some(attempt)).await?;
    let fact = estimate(exec, task, &spender, known + rest);
    Ok(record(exec, &fact).await?.report)
}

async fn of_attempt(exec: &mut Exec<'_>, task: Uuid, attempt: i32) -> Result<Spender, Stop> {
    let attempt = u32::try_from(attempt).unwrap_or(0);
    spender(exec, task, Some(attempt.into())).await
}

fn estimate<'a>(exec: &Exec<'_>, task: Uuid, spender: &'a Spender, tokens: u64) -> Fact<'a> {
    Fact {
        task,
        number: spender.number,
        attempt: spender.attempt,
        meter: verbs::Meter::Agent,
        session: "",
        model: "",
        of: &spender.of,
        usage: Usage::default(),
        tokens,
        cash: 0,
        others: BTreeMap::new(),
        spent_at: exec.now,
        late: false,
        estimated: true,
        uses_hold: true,
    }
}
