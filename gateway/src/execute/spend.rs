//! The verbs of `spend`: facts, always recorded (budget.md, "Ledger").

use std::collections::{BTreeMap, BTreeSet};

use fleet_policy::budget::estimate::{Cost, Price, cost};
use fleet_policy::budget::hold::spent_at;
use fleet_policy::budget::{Movement, Usage};
use fleet_protocol::problem::Code;
use fleet_protocol::reply::SpendView;
use fleet_protocol::scalar::{Count, Name};
use fleet_protocol::verbs::budget::{Scope, Unit};
use fleet_protocol::verbs::spend as verbs;
use fleet_protocol::{Problem, Reply, Timestamp};
use uuid::Uuid;

use super::budget::gauge::{self, Gauged, Which};
use super::budget::ledger::{self, Row};
use super::budget::{alert, hint, price};
use super::{Exec, Stop, Subject};
use crate::db::{instant, time};

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

/// A fact to be recorded.
struct Fact<'a> {
    task: Uuid,
    attempt: i32,
    session: &'a str,
    model: &'a str,
    of: &'a Of,
    usage: Usage,
    tokens: u64,
    cash: u64,
    /// Totals of other units.
    others: BTreeMap<Unit, u64>,
    spent_at: Timestamp,
    late: bool,
    estimated: bool,
    /// Whether it uses up the grant of the attempt.
    uses_hold: bool,
}

/// What a fact added to what was known.
#[derive(Clone)]
struct Added {
    report: Uuid,
    tokens: u64,
    cash: u64,
    others: BTreeMap<Unit, u64>,
}

impl Added {
    fn of(&self, unit: Unit) -> u64 {
        match unit {
            Unit::Tokens => self.tokens,
            Unit::CashUsdMicro => self.cash,
            other => self.others.get(&other).copied().unwrap_or(0),
        }
    }

    fn is_nothing(&self) -> bool {
        self.tokens == 0 && self.cash == 0 && self.others.values().all(|n| *n == 0)
    }
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
        attempt: spender.attempt,
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
    let mut notes = notes(&fact, &added);
    if let (Some(account), false) = (&spender.of.account, governed) {
        let account = account
            .parse()
            .map_err(|_| super::budget::series::unreadable("account"))?;
        notes.extend(hint(exec, &account).await?);
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

/// Records a fact. What it adds is what the meters of the attempt now say together, beyond all that
/// was added before: a reading that went back or came twice adds nothing, and spend that was charged
/// on somebody's word is not charged again when a meter confirms it.
async fn record(exec: &mut Exec<'_>, fact: &Fact<'_>) -> Result<Added, Stop> {
    if let Some(account) = &fact.of.account {
        subscription(exec, account).await?;
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
                  coalesce((SELECT sum(added_cash_usd_micro) FROM of_attempt), 0)::bigint AS "added_cash!",
                  EXISTS (SELECT FROM of_attempt WHERE others <> '{}') AS "has_others!""#,
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
    let others = match known.has_others {
        true => added_others(exec, fact).await?,
        false => fact.others.clone(),
    };
    let added = Added {
        others,
        report: exec.ids.next(),
        tokens: fleet_policy::budget::added(tokens, known.added_tokens.unsigned_abs()),
        cash: fleet_policy::budget::added(cash, known.added_cash.unsigned_abs()),
    };
    store(exec, fact, &added).await?;
    Ok(added)
}

/// What a fact adds in units besides tokens and billed money, by the same rule.
async fn added_others(exec: &mut Exec<'_>, fact: &Fact<'_>) -> Result<BTreeMap<Unit, u64>, Stop> {
    let mut added = BTreeMap::new();
    for (unit, n) in &fact.others {
        let known = sqlx::query!(
            r#"WITH of_attempt AS (SELECT session, model, estimated, (others ->> $6)::bigint AS n, (added_others ->> $6)::bigint AS added
                   FROM fleet.spend_reports WHERE tenant_id = $1 AND task_id = $2 AND attempt = $3)
               SELECT coalesce((SELECT sum(n) FROM (SELECT max(n) AS n FROM of_attempt
                          WHERE NOT estimated AND (session, model) <> ($4, $5) GROUP BY session, model) o), 0)::bigint AS "others!",
                      coalesce((SELECT max(n) FROM of_attempt WHERE NOT estimated AND session = $4 AND model = $5), 0) AS "mine!",
                      coalesce((SELECT sum(added) FROM of_attempt), 0)::bigint AS "added!""#,
            exec.tenant.as_str(),
            fact.task,
            fact.attempt,
            fact.session,
            fact.model,
            unit.as_str()
        )
        .fetch_one(&mut *exec.tx)
        .await?;
        let total = known
            .others
            .unsigned_abs()
            .saturating_add(known.mine.unsigned_abs().max(*n));
        added.insert(
            *unit,
            fleet_policy::budget::added(total, known.added.unsigned_abs()),
        );
    }
    Ok(added)
}

/// A count of at most 2^53 - 1, or a sum of such, as the register has it.
fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

async fn store(exec: &mut Exec<'_>, fact: &Fact<'_>, added: &Added) -> Result<(), Stop> {
    sqlx::query!(
        "INSERT INTO fleet.spend_reports (tenant_id, id, task_id, attempt, session, model, subscription, input_tokens, output_tokens,
             cache_write_tokens, cache_read_tokens, cash_usd_micro, tokens, added_tokens, added_cash_usd_micro, spent_at,
             received_at, late, estimated, by, admission, others, added_others)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23)",
        exec.tenant.as_str(),
        added.report,
        fact.task,
        fact.attempt,
        fact.session,
        fact.model,
        fact.of.account,
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
        exec.admission,
        crate::journal::encode(&fact.others)?,
        crate::journal::encode(&added.others)?
    )
    .execute(&mut *exec.tx)
    .await?;
    Ok(())
}

/// Commits what a fact added to every series that counts it; whether there is one.
async fn commit(exec: &mut Exec<'_>, fact: &Fact<'_>, added: &Added) -> Result<bool, Stop> {
    let gauges = counting(exec, fact.of).await?;
    if gauges.is_empty() || added.is_nothing() {
        return Ok(!gauges.is_empty());
    }
    let held = ledger::held(exec, fact.task, fact.attempt).await?;
    let mut rows = Vec::new();
    let mut touched = Vec::new();
    for gauged in &gauges {
        let series = &gauged.series;
        let amount = added.of(series.unit);
        let model = fact.of.model.as_deref();
        if amount == 0
            || series
                .model
                .as_ref()
                .is_some_and(|m| Some(m.as_str()) != model)
        {
            continue;
        }
        let row = Row {
            at: fact.spent_at,
            report: Some(added.report),
            late: fact.late,
            estimated: fact.estimated,
            ..Row::new(
                exec,
                "commit",
                series.id,
                (fact.task, fact.attempt),
                Movement::default(),
            )
        };
        let held = held
            .iter()
            .find(|h| fact.uses_hold && h.series == series.id);
        rows.extend(ledger::spent(exec, gauged, held, amount, row).await?);
        touched.push(series.id);
    }
    ledger::append(exec, &rows).await?;
    alert::check(exec, &touched).await?;
    Ok(true)
}

/// The series that count spend, locked in the order of their keys.
async fn counting(exec: &mut Exec<'_>, of: &Of) -> Result<Vec<Gauged>, Stop> {
    let scopes = [
        of.account.as_deref().map(|a| (Scope::Subscription, a)),
        Some((Scope::Role, of.role.as_str())),
        of.agent.as_deref().map(|a| (Scope::Agent, a)),
        of.mission.as_deref().map(|m| (Scope::Mission, m)),
    ];
    let which = Which::scopes(scopes.into_iter().flatten());
    gauge::lock_scopes(exec, &which).await?;
    gauge::read(exec, &which).await
}

/// Units in which something was reported of an attempt.
pub(in crate::execute) async fn reported_units(
    exec: &mut Exec<'_>,
    task: Uuid,
    attempt: i32,
) -> Result<BTreeSet<Unit>, Stop> {
    let row = sqlx::query!(
        r#"SELECT count(*) > 0 AS "any!", coalesce(bool_or(cash_usd_micro > 0), false) AS "cash!",
               coalesce((SELECT array_agg(DISTINCT k) FROM fleet.spend_reports o, jsonb_object_keys(o.others) AS k
                         WHERE o.tenant_id = $1 AND o.task_id = $2 AND o.attempt = $3), '{}') AS "others!"
           FROM fleet.spend_reports WHERE tenant_id = $1 AND task_id = $2 AND attempt = $3"#,
        exec.tenant.as_str(),
        task,
        attempt
    )
    .fetch_one(&mut *exec.tx)
    .await?;
    let mut units: BTreeSet<Unit> = row
        .others
        .iter()
        .filter_map(|w| Unit::from_word(w))
        .collect();
    if row.any {
        units.insert(Unit::Tokens);
    }
    if row.cash {
        units.insert(Unit::CashUsdMicro);
    }
    Ok(units)
}

/// What a task has spent in all its attempts, per unit that was reported.
pub(in crate::execute) async fn actuals(
    exec: &mut Exec<'_>,
    task: Uuid,
) -> Result<Vec<(Unit, u64)>, Stop> {
    let rows = sqlx::query!(
        r#"SELECT coalesce(sum(added_tokens), 0)::bigint AS "tokens!", coalesce(sum(added_cash_usd_micro), 0)::bigint AS "cash!",
               coalesce(jsonb_agg(added_others) FILTER (WHERE added_others <> '{}'), '[]') AS "others!"
           FROM fleet.spend_reports WHERE tenant_id = $1 AND task_id = $2"#,
        exec.tenant.as_str(),
        task
    )
    .fetch_one(&mut *exec.tx)
    .await?;
    let mut sums: BTreeMap<Unit, u64> = BTreeMap::new();
    for part in rows.others.as_array().into_iter().flatten() {
        for (word, n) in part.as_object().into_iter().flatten() {
            if let (Some(unit), Some(n)) = (Unit::from_word(word), n.as_u64()) {
                let sum = sums.entry(unit).or_default();
                *sum = sum.saturating_add(n);
            }
        }
    }
    sums.insert(Unit::Tokens, rows.tokens.unsigned_abs());
    sums.insert(Unit::CashUsdMicro, rows.cash.unsigned_abs());
    Ok(sums.into_iter().collect())
}

/// An amount of a unit in a stored object of amounts.
pub(in crate::execute) fn other(amounts: &serde_json::Value, unit: Unit) -> i64 {
    let n = amounts
        .get(unit.as_str())
        .and_then(serde_json::Value::as_i64);
    n.unwrap_or(0)
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
        attempt: spender.attempt,
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
