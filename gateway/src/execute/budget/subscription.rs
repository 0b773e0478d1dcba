//! The verbs of `subscription`: the accounts that pay.

use fleet_protocol::problem::Code;
use fleet_protocol::reply::{Changed, SubscriptionView};
use fleet_protocol::scalar::Name;
use fleet_protocol::verbs::budget::Scope;
use fleet_protocol::verbs::subscription as verbs;
use fleet_protocol::{Problem, Reply};

use super::gauge::Which;
use super::series::unreadable;
use super::{queue, status};
use crate::db::{instant, time};
use crate::execute::{Exec, Stop, member};

/// Adds an account, says more about one, or takes a retired one back.
pub(crate) async fn add(exec: &mut Exec<'_>, args: &verbs::Add) -> Result<Reply, Stop> {
    exec.dry_run = args.dry_run;
    let models: Vec<String> = args.models.iter().map(ToString::to_string).collect();
    let before = find(exec, &args.name).await?;
    sqlx::query!(
        "INSERT INTO fleet.subscriptions (tenant_id, name, created_at, provider, models) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (tenant_id, name) DO UPDATE SET provider = coalesce(excluded.provider, subscriptions.provider),
             models = CASE WHEN cardinality(excluded.models) > 0 THEN excluded.models ELSE subscriptions.models END, retired_at = NULL",
        exec.tenant.as_str(),
        args.name.as_str(),
        time(exec.now) as _,
        args.provider.as_ref().map(Name::as_str),
        &models
    )
    .execute(&mut *exec.tx)
    .await?;
    done(exec, &args.name, "added", before).await
}

/// Lets work move between accounts, or stops it.
pub(crate) async fn pool(exec: &mut Exec<'_>, args: &verbs::Pool) -> Result<Reply, Stop> {
    exec.dry_run = args.dry_run;
    if args.pool.is_some() == args.none {
        return Err(Problem::new(
            Code::BadArgument,
            "it says neither a pool nor --none, or both",
        )
        .remedy("for example: !subscription pool claude-1 claude-2 --pool claude")
        .into());
    }
    for name in &args.names {
        let before = known(exec, name).await?;
        sqlx::query!(
            "UPDATE fleet.subscriptions SET pool = $3 WHERE tenant_id = $1 AND name = $2",
            exec.tenant.as_str(),
            name.as_str(),
            args.pool.as_ref().map(Name::as_str)
        )
        .execute(&mut *exec.tx)
        .await?;
        audit(exec, name, "pooled", Some(&before)).await?;
    }
    queue::nudge(exec).await?;
    let mut views = Vec::new();
    for name in &args.names {
        views.push(known(exec, name).await?);
    }
    Ok(Reply::Subscriptions(views))
}

/// Gives no more work to an account.
pub(crate) async fn retire(exec: &mut Exec<'_>, args: &verbs::Retire) -> Result<Reply, Stop> {
    exec.dry_run = args.dry_run;
    let before = known(exec, &args.name).await?;
    sqlx::query!(
        "UPDATE fleet.subscriptions SET retired_at = coalesce(retired_at, $3) WHERE tenant_id = $1 AND name = $2",
        exec.tenant.as_str(),
        args.name.as_str(),
        time(exec.now) as _
    )
    .execute(&mut *exec.tx)
    .await?;
    done(exec, &args.name, "retired", Some(before)).await
}

/// Lists accounts.
pub(crate) async fn list(exec: &mut Exec<'_>, args: &verbs::List) -> Result<Reply, Stop> {
    Ok(Reply::Subscriptions(all(exec, None, args.all).await?))
}

/// Shows an account and its limits.
pub(crate) async fn show(exec: &mut Exec<'_>, args: &verbs::Show) -> Result<Reply, Stop> {
    let mut view = known(exec, &args.name).await?;
    let which = Which::scopes([(Scope::Subscription, args.name.as_str())]);
    view.windows = status::views(exec, &which).await?;
    Ok(Reply::Subscription(Changed::shown(view)))
}

async fn done(
    exec: &mut Exec<'_>,
    name: &Name,
    change: &str,
    before: Option<SubscriptionView>,
) -> Result<Reply, Stop> {
    let now = known(exec, name).await?;
    let already = before.as_ref() == Some(&now);
    if !already {
        audit(exec, name, change, before.as_ref()).await?;
        queue::nudge(exec).await?;
    }
    Ok(Reply::Subscription(Changed {
        already,
        ..Changed::to(change, now)
    }))
}

async fn audit(
    exec: &mut Exec<'_>,
    name: &Name,
    change: &str,
    before: Option<&SubscriptionView>,
) -> Result<(), Stop> {
    let detail = serde_json::json!({ "before": before });
    member::audit(
        exec,
        &format!("subscription.{change}"),
        name.as_str(),
        detail,
    )
    .await
}

async fn find(exec: &mut Exec<'_>, name: &Name) -> Result<Option<SubscriptionView>, Stop> {
    Ok(all(exec, Some(name), true).await?.pop())
}

async fn known(exec: &mut Exec<'_>, name: &Name) -> Result<SubscriptionView, Stop> {
    Ok(find(exec, name).await?.ok_or_else(|| {
        Problem::new(Code::NotFound, format!("there is no account {name}"))
            .remedy("see what there is with: !subscription list")
    })?)
}

/// The accounts, by name.
pub(super) async fn all(
    exec: &mut Exec<'_>,
    name: Option<&Name>,
    with_retired: bool,
) -> Result<Vec<SubscriptionView>, Stop> {
    let rows = sqlx::query!(
        "SELECT name, provider, models, pool, retired_at FROM fleet.subscriptions
         WHERE tenant_id = $1 AND name = coalesce($2, name) AND ($3 OR retired_at IS NULL) ORDER BY name",
        exec.tenant.as_str(),
        name.map(Name::as_str),
        with_retired
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    let named = |word: String, what| word.parse::<Name>().map_err(|_| unreadable(what));
    let mut views = Vec::with_capacity(rows.len());
    for r in rows {
        let models: Result<Vec<Name>, _> =
            r.models.into_iter().map(|m| named(m, "model")).collect();
        views.push(SubscriptionView {
            name: named(r.name, "account")?,
            provider: r.provider.map(|p| named(p, "provider")).transpose()?,
            models: models?,
            pool: r.pool.map(|p| named(p, "pool")).transpose()?,
            retired_at: r.retired_at.map(instant),
            windows: Vec::new(),
        });
    }
    Ok(views)
}
