//! The verbs of `spend`: facts, always recorded (budget.md, "Ledger").

use fleet_policy::budget::{Movement, Usage};
use fleet_protocol::problem::Code;
use fleet_protocol::reply::SpendView;
use fleet_protocol::scalar::{Count, Name};
use fleet_protocol::verbs::budget::Unit;
use fleet_protocol::verbs::spend as verbs;
use fleet_protocol::{Problem, Reply, Timestamp};
use uuid::Uuid;

use super::budget::ledger::{self, Row};
use super::budget::{alert, series};
use super::{Exec, Stop, Subject};
use crate::db::{instant, time};

/// What is known of the task and of the attempt that a report belongs to.
struct Spender {
    number: i32,
    attempt: i32,
    provider: Option<String>,
    /// When the attempt began; none for work that nobody claimed.
    granted_at: Option<Timestamp>,
    late: bool,
}

/// A fact to be recorded.
struct Fact<'a> {
    task: Uuid,
    attempt: i32,
    session: &'a str,
    model: &'a str,
    provider: Option<&'a str>,
    usage: Usage,
    tokens: u64,
    cash: u64,
    spent_at: Timestamp,
    late: bool,
    estimated: bool,
}

/// What a fact added to what was known.
#[derive(Clone, Copy)]
struct Added {
    report: Uuid,
    tokens: u64,
    cash: u64,
}

pub(crate) async fn report(exec: &mut Exec<'_>, args: &verbs::Report) -> Result<Reply, Stop> {
    let task = exec.resolve(args.task).await?;
    let (usage, cash) = reading(args)?;
    let spender = spender(exec, task, args.attempt).await?;
    exec.about(Subject::Task, task);
    let provider = args.provider.as_ref().map(Name::as_str);
    let provider = provider.or(spender.provider.as_deref());
    let spent_at = match &args.spent_at {
        Some(moment) => moment
            .resolve(exec.now, exec.zone)
            .map_err(|e| Problem::new(Code::BadArgument, format!("--spent-at {e}")))?,
        None => exec.now,
    };
    let fact = Fact {
        task,
        attempt: spender.attempt,
        session: args.session.as_ref().map_or("", Name::as_str),
        model: args.model.as_ref().map_or("", Name::as_str),
        provider,
        usage,
        tokens: usage.tokens(),
        cash,
        spent_at: spent_at
            .max(spender.granted_at.unwrap_or(spent_at))
            .min(exec.now),
        late: spender.late,
        estimated: false,
    };
    let added = record(exec, &fact).await?;
    let governed = commit(exec, &fact, added).await?;
    let notes = notes(&fact, added, governed);
    Ok(Reply::Spend(SpendView {
        task: format!("t{}", spender.number),
        added_tokens: added.tokens,
        total_tokens: total(exec, task, None).await?,
        late: spender.late,
        notes,
    }))
}

fn reading(args: &verbs::Report) -> Result<(Usage, u64), Problem> {
    let n = |count: Option<Count>| count.map_or(0, Count::get);
    let given = [
        args.input_tokens,
        args.output_tokens,
        args.cache_write_tokens,
        args.cache_read_tokens,
        args.cash_usd_micro,
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

fn notes(fact: &Fact<'_>, added: Added, governed: bool) -> Vec<String> {
    let mut notes = Vec::new();
    if fact.late {
        notes.push("It came after the lease had ended: recorded all the same, marked late.".into());
    }
    if added.tokens == 0 && added.cash == 0 {
        notes.push("Nothing new: reports are totals, and this much was known.".into());
    }
    match fact.provider {
        None => notes.push("No provider pays for this task, so no limit counts it; name one with --provider.".into()),
        Some(provider) if !governed => notes.push(format!(
            "No limit is set for {provider}; an operator can set one: !budget set --provider {provider} --limit 2M --unit tokens --every 7d"
        )),
        Some(_) => {}
    }
    notes
}

/// Reads the attempt a report belongs to, under the task's lock.
async fn spender(exec: &mut Exec<'_>, task: Uuid, attempt: Option<Count>) -> Result<Spender, Stop> {
    let row = sqlx::query!(
        "SELECT number, attempt, provider FROM fleet.tasks WHERE tenant_id = $1 AND id = $2 FOR UPDATE",
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
        "SELECT epoch, started_at, lease_until, ended_at FROM fleet.attempts WHERE tenant_id = $1 AND task_id = $2 AND attempt = $3",
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
    Ok(Spender {
        number: row.number,
        attempt: number,
        provider: row.provider,
        granted_at: lease.map(|l| instant(l.started_at)),
        late,
    })
}

/// Records a fact. What it adds is what the meters of the attempt now say together, beyond all that
/// was added before: a reading that went back or came twice adds nothing, and spend that was charged
/// on somebody's word is not charged again when a meter confirms it.
async fn record(exec: &mut Exec<'_>, fact: &Fact<'_>) -> Result<Added, Stop> {
    if let Some(provider) = fact.provider {
        subscription(exec, provider).await?;
    }
    let known = sqlx::query!(
        r#"WITH of_attempt AS (SELECT * FROM fleet.spend_reports WHERE tenant_id = $1 AND task_id = $2 AND attempt = $3),
           others AS (SELECT max(tokens) AS tokens, max(cash_usd_micro) AS cash FROM of_attempt
                      WHERE NOT estimated AND (session, model) <> ($4, $5) GROUP BY session, model),
           mine AS (SELECT max(tokens) AS tokens, max(cash_usd_micro) AS cash FROM of_attempt
                    WHERE NOT estimated AND session = $4 AND model = $5)
           SELECT coalesce((SELECT sum(tokens) FROM others), 0)::bigint AS "other_tokens!",
                  coalesce((SELECT sum(cash) FROM others), 0)::bigint AS "other_cash!",
                  coalesce((SELECT tokens FROM mine), 0) AS "my_tokens!", coalesce((SELECT cash FROM mine), 0) AS "my_cash!",
                  coalesce((SELECT sum(added_tokens) FROM of_attempt), 0)::bigint AS "added_tokens!",
                  coalesce((SELECT sum(added_cash_usd_micro) FROM of_attempt), 0)::bigint AS "added_cash!""#,
        exec.tenant.as_str(),
        fact.task,
        fact.attempt,
        fact.session,
        fact.model
    )
    .fetch_one(&mut *exec.tx)
    .await?;
    let (tokens, cash) = if fact.estimated {
        (fact.tokens, fact.cash)
    } else {
        (
            known.other_tokens.unsigned_abs() + known.my_tokens.unsigned_abs().max(fact.tokens),
            known.other_cash.unsigned_abs() + known.my_cash.unsigned_abs().max(fact.cash),
        )
    };
    let added = Added {
        report: exec.ids.next(),
        tokens: fleet_policy::budget::added(tokens, known.added_tokens.unsigned_abs()),
        cash: fleet_policy::budget::added(cash, known.added_cash.unsigned_abs()),
    };
    store(exec, fact, added).await?;
    Ok(added)
}

/// A count of at most 2^53 - 1, or a sum of such, as the register has it.
fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

async fn store(exec: &mut Exec<'_>, fact: &Fact<'_>, added: Added) -> Result<(), Stop> {
    sqlx::query!(
        "INSERT INTO fleet.spend_reports (tenant_id, id, task_id, attempt, session, model, subscription, input_tokens, output_tokens,
             cache_write_tokens, cache_read_tokens, cash_usd_micro, tokens, added_tokens, added_cash_usd_micro, spent_at,
             received_at, late, estimated, by, admission)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)",
        exec.tenant.as_str(),
        added.report,
        fact.task,
        fact.attempt,
        fact.session,
        fact.model,
        fact.provider,
        signed(fact.usage.input),
        signed(fact.usage.output),
        signed(fact.usage.cache_write),
        signed(fact.usage.cache_read),
        signed(fact.cash),
        signed(fact.tokens),
        signed(added.tokens),
        signed(added.cash),
        time(fact.spent_at) as _,
        time(exec.now) as _,
        fact.late,
        fact.estimated,
        exec.actor.principal,
        exec.admission
    )
    .execute(&mut *exec.tx)
    .await?;
    Ok(())
}

/// Commits what a fact added to every series that counts it; whether there is one.
async fn commit(exec: &mut Exec<'_>, fact: &Fact<'_>, added: Added) -> Result<bool, Stop> {
    let Some(provider) = fact.provider else {
        return Ok(false);
    };
    let all = series::read(exec, Some(provider), true).await?;
    for series in &all {
        let amount = match series.unit {
            Unit::Tokens => added.tokens,
            Unit::CashUsdMicro => added.cash,
            _ => 0,
        };
        if amount == 0 || series.model.as_deref().is_some_and(|m| m != fact.model) {
            continue;
        }
        let row = Row {
            kind: "commit",
            task: fact.task,
            attempt: fact.attempt,
            moved: Movement::default(),
            at: fact.spent_at,
            report: Some(added.report),
            late: fact.late,
            estimated: fact.estimated,
            reason: None,
        };
        ledger::spend(exec, series, amount, row).await?;
    }
    alert::check(exec, provider).await?;
    Ok(!all.is_empty())
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

/// Tokens of a task, or of one attempt, in all.
pub(in crate::execute) async fn total(
    exec: &mut Exec<'_>,
    task: Uuid,
    attempt: Option<i32>,
) -> Result<u64, Stop> {
    let sum = sqlx::query_scalar!(
        r#"SELECT coalesce(sum(added_tokens), 0)::bigint AS "sum!" FROM fleet.spend_reports
           WHERE tenant_id = $1 AND task_id = $2 AND attempt = coalesce($3, attempt)"#,
        exec.tenant.as_str(),
        task,
        attempt
    )
    .fetch_one(&mut *exec.tx)
    .await?;
    Ok(sum.unsigned_abs())
}

/// The agent's word for the tokens of an attempt in all: raises what the meters said, never lowers it.
pub(in crate::execute) async fn word(
    exec: &mut Exec<'_>,
    task: Uuid,
    attempt: i32,
    tokens: u64,
) -> Result<(), Stop> {
    let provider = payer(exec, task).await?;
    let fact = estimate(exec, task, attempt, provider.as_deref(), tokens);
    let added = record(exec, &fact).await?;
    commit(exec, &fact, added).await?;
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
    let provider = payer(exec, task).await?;
    let known = total(exec, task, Some(attempt)).await?;
    let fact = estimate(exec, task, attempt, provider.as_deref(), known + rest);
    Ok(record(exec, &fact).await?.report)
}

fn estimate<'a>(
    exec: &Exec<'_>,
    task: Uuid,
    attempt: i32,
    provider: Option<&'a str>,
    tokens: u64,
) -> Fact<'a> {
    Fact {
        task,
        attempt,
        session: "",
        model: "",
        provider,
        usage: Usage::default(),
        tokens,
        cash: 0,
        spent_at: exec.now,
        late: false,
        estimated: true,
    }
}

async fn payer(exec: &mut Exec<'_>, task: Uuid) -> Result<Option<String>, Stop> {
    let provider = sqlx::query_scalar!(
        "SELECT provider FROM fleet.tasks WHERE tenant_id = $1 AND id = $2",
        exec.tenant.as_str(),
        task
    )
    .fetch_one(&mut *exec.tx)
    .await?;
    Ok(provider)
}
