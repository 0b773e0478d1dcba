//! Series, as the register has them, and as commands name them.

use fleet_policy::budget::recurrence::{Rule, Succession, SuccessionError};
use fleet_protocol::Problem;
use fleet_protocol::Timestamp;
use fleet_protocol::problem::Code;
use fleet_protocol::scalar::Name;
use fleet_protocol::verbs::budget::{Scope, SeriesRef, Unit};
use jiff::SignedDuration;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use uuid::Uuid;

use super::gauge::{self, Gauged, Which};
use crate::execute::{Exec, Stop};

/// A series.
#[derive(Debug, Clone)]
pub(in crate::execute) struct Series {
    pub(in crate::execute) id: Uuid,
    pub(in crate::execute) scope: Scope,
    pub(in crate::execute) key: Name,
    pub(in crate::execute) name: Name,
    pub(in crate::execute) unit: Unit,
    pub(in crate::execute) model: Option<Name>,
    /// The provider tells a level, instead of us knowing every spend.
    pub(in crate::execute) is_reading: bool,
    pub(in crate::execute) follows: Follows,
    /// The series' own limit, without lifts.
    pub(in crate::execute) limit: u64,
    pub(in crate::execute) alert_at: u8,
    pub(in crate::execute) source: String,
    pub(in crate::execute) checked_at: Timestamp,
    pub(in crate::execute) held: u64,
    pub(in crate::execute) is_paced: bool,
    pub(in crate::execute) burst_bp: u32,
    pub(in crate::execute) is_strict: bool,
    pub(in crate::execute) stale_seconds: i64,
    pub(in crate::execute) closed_until: Option<Timestamp>,
}

/// How windows follow each other, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::execute) enum Follows {
    Open,
    Every(SignedDuration),
    AfterFirstUse(SignedDuration),
    Rule {
        rule: String,
        first: String,
        zone: String,
    },
}

impl Follows {
    /// The stored word.
    pub(in crate::execute) fn word(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Every(_) => "every",
            Self::AfterFirstUse(_) => "after_first_use",
            Self::Rule { .. } => "rule",
        }
    }

    /// The length, where there is one.
    pub(in crate::execute) fn length(&self) -> Option<SignedDuration> {
        match self {
            Self::Every(length) | Self::AfterFirstUse(length) => Some(*length),
            Self::Open | Self::Rule { .. } => None,
        }
    }

    /// Rule, first reading and zone, where there is a rule.
    pub(in crate::execute) fn rule(&self) -> Option<(&str, &str, &str)> {
        match self {
            Self::Rule { rule, first, zone } => Some((rule, first, zone)),
            _ => None,
        }
    }

    /// As the core understands it.
    ///
    /// # Errors
    /// When a rule cannot be read; then nothing is admitted.
    pub(in crate::execute) fn succession(&self) -> Result<Succession, SuccessionError> {
        Ok(match self {
            Self::Open => Succession::Open,
            Self::Every(length) => Succession::Every(*length),
            Self::AfterFirstUse(length) => Succession::AfterFirstUse(*length),
            Self::Rule { rule, first, zone } => {
                let unreadable = |what: &str| SuccessionError::Rule(what.to_owned());
                let first: DateTime = first.parse().map_err(|_| unreadable(first))?;
                let zone = TimeZone::get(zone).map_err(|_| unreadable(zone))?;
                Succession::Rule(Rule::parse(rule, first, zone)?)
            }
        })
    }
}

impl Series {
    /// Whose it is and which, as people name it: `claude weekly`, `role code daily`.
    pub(in crate::execute) fn title(&self) -> String {
        match self.scope {
            Scope::Subscription => format!("{} {}", self.key, self.name),
            scope => format!("{scope} {} {}", self.key, self.name),
        }
    }

    /// The options that name it in a command.
    pub(in crate::execute) fn options(&self) -> String {
        let scope = match self.scope {
            Scope::Subscription => "provider",
            Scope::Role => "role",
            Scope::Agent => "agent",
            Scope::Mission => "mission",
        };
        format!("--{scope} {} --window {}", self.key, self.name)
    }
}

/// A stored word that this build does not know: the register was written by a newer one.
pub(in crate::execute) fn unreadable(what: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("the register holds an unknown {what}").into())
}

/// Whose series a command means.
pub(in crate::execute) async fn scope(
    exec: &mut Exec<'_>,
    named: SeriesRef<'_>,
) -> Result<(Scope, Name), Stop> {
    let one = match named {
        SeriesRef {
            provider: Some(p),
            role: None,
            agent: None,
            mission: None,
            ..
        } => (Scope::Subscription, p.clone()),
        SeriesRef {
            provider: None,
            role: Some(r),
            agent: None,
            mission: None,
            ..
        } => (Scope::Role, r.clone()),
        SeriesRef {
            provider: None,
            role: None,
            agent: Some(a),
            mission: None,
            ..
        } => (Scope::Agent, a.clone()),
        SeriesRef {
            provider: None,
            role: None,
            agent: None,
            mission: Some(m),
            ..
        } => (Scope::Mission, mission(exec, m).await?),
        _ => {
            return Err(Problem::new(
                Code::BadArgument,
                "it does not say whose limit it is, or says it twice",
            )
            .remedy("name one: --provider claude, --role code, --agent code-1 or --mission m7")
            .into());
        }
    };
    Ok(one)
}

/// The short form of a mission, by which its series are kept.
async fn mission(exec: &mut Exec<'_>, reference: fleet_protocol::MissionRef) -> Result<Name, Stop> {
    let id = exec.resolve(reference).await?;
    let number = sqlx::query_scalar!(
        "SELECT number FROM fleet.missions WHERE tenant_id = $1 AND id = $2",
        exec.tenant.as_str(),
        id
    )
    .fetch_optional(&mut *exec.tx)
    .await?
    .ok_or_else(|| Problem::new(Code::NotFound, format!("there is no mission {reference}")))?;
    Ok(format!("m{number}")
        .parse()
        .map_err(|_| unreadable("mission"))?)
}

/// Locks the series of a scope in the order of their keys, and reads them.
pub(super) async fn of_scope(
    exec: &mut Exec<'_>,
    scope: Scope,
    key: &Name,
) -> Result<Vec<Gauged>, Stop> {
    let which = Which::scopes([(scope, key.as_str())]);
    gauge::lock_scopes(exec, &which).await?;
    gauge::read(exec, &which).await
}

/// The series a command means, locked: the named one, or the only one. None when there is none.
///
/// # Errors
/// When there are several and none is named.
pub(super) fn the_one(
    scope: Scope,
    key: &Name,
    window: Option<&Name>,
    all: &[Gauged],
) -> Result<Option<Gauged>, Problem> {
    let of = |what: &str| match scope {
        Scope::Subscription => what.to_owned(),
        scope => format!("{scope} {what}"),
    };
    match (window, all) {
        (Some(name), _) => Ok(all.iter().find(|g| g.series.name == *name).cloned()),
        (None, []) => Ok(None),
        (None, [one]) => Ok(Some(one.clone())),
        (None, several) => {
            let names: Vec<&str> = several.iter().map(|g| g.series.name.as_str()).collect();
            let first = names.first().copied().unwrap_or_default();
            Err(Problem::new(
                Code::Invalid,
                format!(
                    "{} has several windows: {}",
                    of(key.as_str()),
                    names.join(", ")
                ),
            )
            .remedy(format!("say which one, for example --window {first}")))
        }
    }
}

/// The one series a command means.
///
/// # Errors
/// When there is none, or several and none is named.
pub(super) async fn named(exec: &mut Exec<'_>, named: SeriesRef<'_>) -> Result<Gauged, Stop> {
    let (scope, key) = scope(exec, named).await?;
    let all = of_scope(exec, scope, &key).await?;
    let one = the_one(scope, &key, named.window, &all)?;
    Ok(one.ok_or_else(|| no_limit(&key, named.window, &all))?)
}

fn no_limit(key: &Name, window: Option<&Name>, all: &[Gauged]) -> Problem {
    let what = window.map_or_else(|| key.to_string(), |w| format!("{key} {w}"));
    let names: Vec<&str> = all.iter().map(|g| g.series.name.as_str()).collect();
    let remedy = if names.is_empty() {
        "see what there is with: !budget status".to_owned()
    } else {
        format!("its windows are: {}", names.join(", "))
    };
    Problem::new(Code::NotFound, format!("no limit is set for {what}")).remedy(remedy)
}
