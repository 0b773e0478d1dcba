//! A fact of spend on its way into the register: what it adds, and which series count it.

use std::collections::BTreeMap;

use fleet_policy::budget::{Movement, Usage};
use fleet_protocol::Timestamp;
use fleet_protocol::verbs::budget::{Scope, Unit};
use uuid::Uuid;

use super::{Of, subscription};
use crate::db::time;
use crate::execute::budget::alert;
use crate::execute::budget::gauge::{self, Gauged, Which};
use crate::execute::budget::ledger::{self, Row};
use crate::execute::{Exec, Stop};

/// A fact to be recorded.
pub(super) struct Fact<'a> {
    pub(super) task: Uuid,
    pub(super) attempt: i32,
    pub(super) session: &'a str,
    pub(super) model: &'a str,
    pub(super) of: &'a Of,
    pub(super) usage: Usage,
    pub(super) tokens: u64,
    pub(super) cash: u64,
    /// Totals of other units.
    pub(super) others: BTreeMap<Unit, u64>,
    pub(super) spent_at: Timestamp,
    pub(super) late: bool,
    pub(super) estimated: bool,
    /// Whether it uses up the grant of the attempt.
    pub(super) uses_hold: bool,
}

/// What a fact added to what was known.
#[derive(Clone)]
pub(super) struct Added {
    pub(super) report: Uuid,
    pub(super) tokens: u64,
    pub(super) cash: u64,
    pub(super) others: BTreeMap<Unit, u64>,
}

impl Added {
    fn of(&self, unit: Unit) -> u64 {
        match unit {
            Unit::Tokens => self.tokens,
            Unit::CashUsdMicro => self.cash,
            other => self.others.get(&other).copied().unwrap_or(0),
        }
    }

    pub(super) fn is_nothing(&self) -> bool {
        self.tokens == 0 && self.cash == 0 && self.others.values().all(|n| *n == 0)
    }
}

/// Records a fact. What it adds is what the meters of the attempt now say together, beyond all that
/// was added before: a reading that went back or came twice adds nothing, and spend that was charged
/// on somebody's word is not charged again when a meter confirms it.
pub(super) async fn record(exec: &mut Exec<'_>, fact: &Fact<'_>) -> Result<Added, Stop> {
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
pub(super) async fn commit(
    exec: &mut Exec<'_>,
    fact: &Fact<'_>,
    added: &Added,
) -> Result<bool, Stop> {
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
