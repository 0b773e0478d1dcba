//! Prices: the ones the product ships with, and a fleet's own on top.

use std::collections::BTreeMap;

use fleet_policy::budget::estimate::Price;
use fleet_protocol::Reply;
use fleet_protocol::reply::{Changed, PriceView};
use fleet_protocol::scalar::Name;
use fleet_protocol::verbs::price as verbs;

use super::series::unreadable;
use crate::db::{instant, time};
use crate::execute::{Exec, Stop, member};
use crate::incident::{self, Raised, UNPRICED};

/// Prices as published by the providers; data, so that a change of price is a change of data.
const SHIPPED: &str = include_str!("prices.json");

fn shipped() -> Result<Vec<PriceView>, sqlx::Error> {
    serde_json::from_str(SHIPPED).map_err(|e| sqlx::Error::Decode(e.into()))
}

/// The price of a model; none: unknown.
pub(in crate::execute) async fn of(
    exec: &mut Exec<'_>,
    model: &Name,
) -> Result<Option<Price>, Stop> {
    let all = all(exec).await?;
    Ok(all.get(model).map(|p| Price {
        input: p.input,
        output: p.output,
        cache_write: p.cache_write,
        cache_read: p.cache_read,
    }))
}

/// Tells that a limit needs the price of a model that nobody knows.
pub(in crate::execute) async fn missing(
    exec: &mut Exec<'_>,
    model: Option<&str>,
) -> Result<(), Stop> {
    // A report that names no model is charged from its grant.
    let Some(model) = model else {
        return Ok(());
    };
    let detail = format!(
        "No price is known for {model}, so no limit in money lets it start, and what it spends is charged from the grant. \
         Set it with: !price set {model} --input N --output N --source WHERE"
    );
    let raised = Raised {
        rule: UNPRICED,
        subject: model,
        detail: &detail,
    };
    incident::open(exec.tx, exec.tenant, exec.ids, exec.now, &raised).await?;
    Ok(())
}

async fn all(exec: &mut Exec<'_>) -> Result<BTreeMap<Name, PriceView>, Stop> {
    let rows = sqlx::query!(
        "SELECT DISTINCT ON (model) model, input, output, cache_write, cache_read, source, set_by, set_at FROM fleet.prices
         WHERE tenant_id = $1 ORDER BY model, id DESC",
        exec.tenant.as_str()
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    let mut all: BTreeMap<Name, PriceView> = shipped()?
        .into_iter()
        .map(|p| (p.model.clone(), p))
        .collect();
    for r in rows {
        let model: Name = r.model.parse().map_err(|_| unreadable("model"))?;
        let day = exec.zone.to_datetime(instant(r.set_at).0).date();
        let price = PriceView {
            model: model.clone(),
            input: r.input.unsigned_abs(),
            output: r.output.unsigned_abs(),
            cache_write: r.cache_write.unsigned_abs(),
            cache_read: r.cache_read.unsigned_abs(),
            dated: day.to_string(),
            source: format!("{}, set by {}", r.source, r.set_by),
        };
        all.insert(model, price);
    }
    Ok(all)
}

/// Lists prices.
pub(crate) async fn list(exec: &mut Exec<'_>, _: &verbs::List) -> Result<Reply, Stop> {
    Ok(Reply::Prices(all(exec).await?.into_values().collect()))
}

/// Sets the price of a model.
pub(crate) async fn set(exec: &mut Exec<'_>, args: &verbs::Set) -> Result<Reply, Stop> {
    exec.dry_run = args.dry_run;
    sqlx::query!(
        "INSERT INTO fleet.prices (tenant_id, model, input, output, cache_write, cache_read, source, set_by, set_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        exec.tenant.as_str(),
        args.model.as_str(),
        args.input.as_i64(),
        args.output.as_i64(),
        args.cache_write.unwrap_or(args.input).as_i64(),
        args.cache_read.unwrap_or(args.input).as_i64(),
        args.source.as_str(),
        exec.actor.principal,
        time(exec.now) as _
    )
    .execute(&mut *exec.tx)
    .await?;
    let detail = serde_json::json!({ "input": args.input, "output": args.output });
    member::audit(exec, "price.set", args.model.as_str(), detail).await?;
    let model = (UNPRICED, args.model.as_str());
    incident::resolve(exec.tx, exec.tenant, exec.ids, exec.now, model).await?;
    let now = all(exec)
        .await?
        .remove(&args.model)
        .ok_or(sqlx::Error::RowNotFound)?;
    let mut changed = Changed::to("priced", now);
    if args.input.get() == 0 && args.output.get() == 0 {
        changed
            .notes
            .push("A price of zero is a known price: this model costs nothing.".to_owned());
    }
    Ok(Reply::Price(changed))
}
