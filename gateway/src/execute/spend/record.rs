//! A fact of spend on its way into the register: what it adds, and which series count it.

use std::collections::BTreeMap;

use fleet_policy::budget::source::{self, Told};
use fleet_policy::budget::{Movement, Usage};
use fleet_protocol::Timestamp;
use fleet_protocol::document::number;
use fleet_protocol::verbs::budget::{Scope, Unit};
use fleet_protocol::verbs::spend::Meter;
use uuid::Uuid;

use super::Of;
use crate::db::time;
use crate::execute::budget::alert;
use crate::execute::budget::gauge::{self, Gauged, Which};
use crate::execute::budget::ledger::{self, Row};
use crate::execute::budget::price;
use crate::execute::budget::series::unreadable;
use crate::execute::{Exec, Stop};
use crate::incident::{self, DIFFERENCE, Raised};

/// A fact to be recorded.
pub(super) struct Fact<'a> {
    pub(super) task: Uuid,
    /// The task as people see it.
    pub(super) number: i32,
    pub(super) attempt: i32,
    pub(super) meter: Meter,
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

/// What was said and charged of an attempt in one unit, before a fact.
#[derive(Debug, Default)]
struct Known {
    told: Vec<Told>,
    charged: u64,
}

/// Records a fact. What it adds is what the most trusted meter of the attempt now says, beyond all that
/// was added before: a total that went back or came twice adds nothing, spend that was charged on
/// somebody's word is not charged again when a meter confirms it, and two meters charge nothing twice.
pub(super) async fn record(exec: &mut Exec<'_>, fact: &Fact<'_>) -> Result<Added, Stop> {
    let known = known(exec, fact).await?;
    let added = |unit: Unit, now: u64| {
        let nothing = Known::default();
        let known = known.get(&unit).unwrap_or(&nothing);
        let total = match fact.estimated {
            true => now,
            false => source::total(&known.told, fact.meter, now),
        };
        fleet_policy::budget::added(total, known.charged)
    };
    let others = fact
        .others
        .iter()
        .map(|(unit, n)| (*unit, added(*unit, *n)));
    let added = Added {
        others: others.collect(),
        report: exec.ids.next(),
        tokens: added(Unit::Tokens, fact.tokens),
        cash: added(Unit::CashUsdMicro, fact.cash),
    };
    if let Some(tokens) = known.get(&Unit::Tokens) {
        compare(exec, fact, &tokens.told).await?;
    }
    store(exec, fact, &added).await?;
    Ok(added)
}

/// What was said of the attempt so far, in every unit that the fact has.
async fn known(exec: &mut Exec<'_>, fact: &Fact<'_>) -> Result<BTreeMap<Unit, Known>, Stop> {
    let units = [Unit::Tokens, Unit::CashUsdMicro].into_iter();
    let units = units.chain(fact.others.keys().copied());
    let units: Vec<String> = units.map(|u| u.as_str().to_owned()).collect();
    let rows = sqlx::query!(
        r#"WITH amounts AS (
               SELECT u.unit, r.meter, r.session, r.model, r.estimated,
                   CASE u.unit WHEN 'tokens' THEN r.tokens WHEN 'cash_usd_micro' THEN r.cash_usd_micro
                       ELSE coalesce((r.others ->> u.unit)::bigint, 0) END AS n,
                   CASE u.unit WHEN 'tokens' THEN r.added_tokens WHEN 'cash_usd_micro' THEN r.added_cash_usd_micro
                       ELSE coalesce((r.added_others ->> u.unit)::bigint, 0) END AS added
               FROM fleet.spend_reports r CROSS JOIN unnest($6::text[]) AS u (unit)
               WHERE r.tenant_id = $1 AND r.task_id = $2 AND r.attempt = $3),
           tops AS (SELECT unit, meter, (session, model) = ($4, $5) AS mine, max(n) AS n FROM amounts
                    WHERE NOT estimated GROUP BY unit, meter, session, model)
           SELECT unit AS "unit!", meter AS "meter!", coalesce(sum(n) FILTER (WHERE NOT mine), 0)::bigint AS "others!",
               coalesce(max(n) FILTER (WHERE mine), 0) AS "mine!", 0::bigint AS "charged!"
           FROM tops GROUP BY unit, meter
           UNION ALL SELECT unit, '', 0, 0, sum(added)::bigint FROM amounts GROUP BY unit"#,
        exec.tenant.as_str(),
        fact.task,
        fact.attempt,
        fact.session,
        fact.model,
        &units
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    let mut known: BTreeMap<Unit, Known> = BTreeMap::new();
    for row in rows {
        let unit = Unit::from_word(&row.unit).ok_or_else(|| unreadable("unit"))?;
        let of = known.entry(unit).or_default();
        match Meter::from_word(&row.meter) {
            Some(meter) => of.told.push(Told {
                meter,
                others: row.others.unsigned_abs(),
                mine: row.mine.unsigned_abs(),
            }),
            None => of.charged = row.charged.unsigned_abs(),
        }
    }
    Ok(known)
}

/// Tells of two meters that cannot both be true.
async fn compare(exec: &mut Exec<'_>, fact: &Fact<'_>, told: &[Told]) -> Result<(), Stop> {
    let is_whole = fact.session.is_empty() && fact.model.is_empty();
    let Some((other, total)) = source::contradicted(told, fact.meter, fact.tokens, is_whole) else {
        return Ok(());
    };
    let detail = format!(
        "t{}: the {} says {} tokens, and the {other} said {} before; the {} counts, and nothing is charged twice. \
         Look which of the two misses something",
        fact.number,
        fact.meter,
        number(fact.tokens),
        number(total),
        other.min(fact.meter),
    );
    let task = format!("t{}", fact.number);
    let raised = Raised {
        rule: DIFFERENCE,
        subject: fact.of.account.as_deref().unwrap_or(&task),
        detail: &detail,
    };
    incident::open(exec.tx, exec.tenant, exec.ids, exec.now, &raised).await?;
    Ok(())
}

/// A count of at most 2^53 - 1, or a sum of such, as the register has it.
fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

async fn store(exec: &mut Exec<'_>, fact: &Fact<'_>, added: &Added) -> Result<(), Stop> {
    sqlx::query!(
        // An account becomes known by what is spent on it.
        "WITH account AS (INSERT INTO fleet.subscriptions (tenant_id, name, created_at) SELECT $1, $7::text, $17::timestamptz WHERE $7 IS NOT NULL
             ON CONFLICT DO NOTHING)
         INSERT INTO fleet.spend_reports (tenant_id, id, task_id, attempt, session, model, subscription, input_tokens, output_tokens,
             cache_write_tokens, cache_read_tokens, cash_usd_micro, tokens, added_tokens, added_cash_usd_micro, spent_at,
             received_at, late, estimated, by, admission, others, added_others, meter)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24)",
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
        crate::journal::encode(&added.others)?,
        fact.meter.as_str()
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
    let needs_price = |g: &Gauged| g.series.unit == Unit::ApiEquivalentUsdMicro;
    if fact.usage != Usage::default()
        && !fact.others.contains_key(&Unit::ApiEquivalentUsdMicro)
        && gauges.iter().any(needs_price)
    {
        price::missing(exec, fact.of.model.as_deref()).await?;
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
