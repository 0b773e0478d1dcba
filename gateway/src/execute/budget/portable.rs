//! `budget export` and `import`: every account and limit as a TOML document.

use fleet_protocol::problem::Code;
use fleet_protocol::reply::ImportView;
use fleet_protocol::scalar::{Name, Note, Title};
use fleet_protocol::time::Length;
use fleet_protocol::verbs::budget as verbs;
use fleet_protocol::verbs::budget::{Pace, Scope, Unit, Unknown};
use fleet_protocol::verbs::subscription as accounts;
use fleet_protocol::{Moment, Problem, Reply};
use serde::{Deserialize, Serialize};

use super::gauge::{self, Gauged, Which};
use super::series::{self, Follows};
use super::{subscription, write};
use crate::execute::{Exec, Stop};

/// The whole document. What it does not name stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    subscription: Vec<Account>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    limit: Vec<Limit>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Account {
    name: Name,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    provider: Option<Name>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    models: Vec<Name>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pool: Option<Name>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limit {
    scope: Scope,
    key: Name,
    window: Name,
    limit: u64,
    unit: Unit,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    model: Option<Name>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    every: Option<Length>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    after_first_use: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rule: Option<Note>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    zone: Option<Title>,
    /// The end of the present window; not needed where there is one already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reset_at: Option<Moment>,
    pace: Pace,
    burst_percent: u8,
    unknown: Unknown,
    alert_at: u8,
}

/// Writes down every account and limit.
pub(crate) async fn export(exec: &mut Exec<'_>, _: &verbs::Export) -> Result<Reply, Stop> {
    let document = present(exec).await?;
    let text = toml::to_string_pretty(&document).map_err(|e| sqlx::Error::Encode(e.into()))?;
    Ok(Reply::Exported(text))
}

async fn present(exec: &mut Exec<'_>) -> Result<Document, Stop> {
    let subscription = subscription::all(exec, None, false)
        .await?
        .into_iter()
        .map(|s| Account {
            name: s.name,
            provider: s.provider,
            models: s.models,
            pool: s.pool,
        });
    let limits = gauge::read(exec, &Which::default()).await?;
    Ok(Document {
        subscription: subscription.collect(),
        limit: limits.iter().map(limit).collect(),
    })
}

fn limit(gauged: &Gauged) -> Limit {
    let s = &gauged.series;
    let length = s
        .follows
        .length()
        .and_then(|l| u32::try_from(l.as_secs()).ok());
    let rule = s.follows.rule();
    let text = |t: &str| t.parse().ok();
    Limit {
        scope: s.scope,
        key: s.key.clone(),
        window: s.name.clone(),
        limit: s.limit,
        unit: s.unit,
        model: s.model.clone(),
        every: length.map(Length::from_seconds),
        after_first_use: matches!(s.follows, Follows::AfterFirstUse(_)),
        rule: rule.and_then(|r| text(r.0)),
        zone: rule.and_then(|r| r.2.parse().ok()),
        reset_at: gauged.window().resets_at.map(|at| Moment::At(at.0)),
        pace: if s.is_paced { Pace::Even } else { Pace::None },
        burst_percent: u8::try_from(s.burst_bp / 100).unwrap_or(100),
        unknown: if s.is_strict {
            Unknown::Refuse
        } else {
            Unknown::One
        },
        alert_at: s.alert_at,
    }
}

/// Brings accounts and limits to what a document says.
pub(crate) async fn import(exec: &mut Exec<'_>, args: &verbs::Import) -> Result<Reply, Stop> {
    let wanted: Document = toml::from_str(args.document.as_str()).map_err(|e| {
        Problem::new(
            Code::BadArgument,
            format!("the document cannot be read: {}", e.message()),
        )
        .remedy("write it as budget export does")
    })?;
    let before = present(exec).await?;
    let mut changes = Vec::new();
    for account in &wanted.subscription {
        if !before.subscription.contains(account) {
            changes.push(format!("account {}", account.name));
            put_account(exec, account).await?;
        }
    }
    for limit in &wanted.limit {
        let same =
            |l: &&Limit| (l.scope, &l.key, &l.window) == (limit.scope, &limit.key, &limit.window);
        let existing = before.limit.iter().find(same);
        if existing.is_some_and(|l| settled(l) == settled(limit)) {
            continue;
        }
        changes.push(described(limit, existing));
        let set = command(limit, existing.is_some())?;
        write::set(exec, &set).await?;
    }
    // Each command says for itself whether it is only tried.
    exec.dry_run = args.dry_run;
    Ok(Reply::Imported(ImportView {
        dry_run: args.dry_run,
        changes,
    }))
}

/// Brings one limit to what a roster says; what changed, in words. What the roster leaves open stays as it is,
/// and so does the end of a window that exists.
pub(crate) async fn bring(exec: &mut Exec<'_>, set: &verbs::Set) -> Result<Option<String>, Stop> {
    let (scope, key) = series::scope(exec, set.series()).await?;
    let all = series::of_scope(exec, scope, &key).await?;
    let before = series::the_one(scope, &key, set.window.as_ref(), &all)?;
    let mut set = verbs::Set {
        dry_run: false,
        ..set.clone()
    };
    if before.is_some() && set.rule.is_none() {
        set.reset_at = None;
    }
    let Reply::Budget(changed) = write::set(exec, &set).await? else {
        return Ok(None);
    };
    let (limit, unit) = (changed.now.limit, set.unit.noun());
    let name = changed.now.title();
    Ok(match before {
        _ if changed.already => None,
        None => Some(format!("{name}: new, {limit} {unit}")),
        Some(before) if before.series.limit != limit => {
            Some(format!("{name}: {} → {limit} {unit}", before.series.limit))
        }
        Some(_) => Some(format!("{name}: other terms")),
    })
}

/// A limit without what time alone moves.
fn settled(limit: &Limit) -> Limit {
    Limit {
        reset_at: None,
        ..limit.clone()
    }
}

fn described(limit: &Limit, before: Option<&Limit>) -> String {
    let name = format!("{} {} {}", limit.scope, limit.key, limit.window);
    let unit = limit.unit.noun();
    match before {
        Some(before) if before.limit != limit.limit => {
            format!("{name}: {} → {} {unit}", before.limit, limit.limit)
        }
        Some(_) => format!("{name}: other terms"),
        None => format!("{name}: new, {} {unit}", limit.limit),
    }
}

async fn put_account(exec: &mut Exec<'_>, account: &Account) -> Result<(), Stop> {
    let add = accounts::Add {
        name: account.name.clone(),
        provider: account.provider.clone(),
        models: account.models.clone(),
        dry_run: false,
    };
    subscription::add(exec, &add).await?;
    let pool = accounts::Pool {
        names: vec![account.name.clone()],
        pool: account.pool.clone(),
        none: account.pool.is_none(),
        dry_run: false,
    };
    subscription::pool(exec, &pool).await?;
    Ok(())
}

/// The command that makes a limit. The end of a window that exists is not moved.
fn command(limit: &Limit, exists: bool) -> Result<verbs::Set, Problem> {
    let odd = |what: &str| Problem::new(Code::BadArgument, format!("{}: {what}", limit.key));
    let is = |scope| (limit.scope == scope).then(|| limit.key.clone());
    let mission = is(Scope::Mission)
        .map(|key| key.as_str().parse().map_err(|_| odd("not a mission")))
        .transpose()?;
    let percent = |n: u8| n.try_into().map_err(|_| odd("not a percentage"));
    let keeps_end = exists && limit.rule.is_none();
    Ok(verbs::Set {
        provider: is(Scope::Subscription),
        role: is(Scope::Role),
        agent: is(Scope::Agent),
        mission,
        window: Some(limit.window.clone()),
        limit: limit
            .limit
            .try_into()
            .map_err(|_| odd("the limit is too large"))?,
        unit: limit.unit,
        reset_at: limit.reset_at.clone().filter(|_| !keeps_end),
        every: limit.every,
        after_first_use: limit.after_first_use,
        rule: limit.rule.clone(),
        zone: limit.zone.clone(),
        model: limit.model.clone(),
        pace: Some(limit.pace),
        burst: Some(percent(limit.burst_percent)?),
        unknown: Some(limit.unknown),
        alert_at: Some(percent(limit.alert_at)?),
        dry_run: false,
    })
}
