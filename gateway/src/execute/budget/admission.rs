//! Admission: the ladder before an attempt starts, and the holds it takes (budget.md, "The ladder").

use fleet_policy::budget::Movement;
use fleet_policy::budget::ladder::{Binding, Reason, Terms};
use fleet_policy::budget::queue::Waiting;
use fleet_protocol::document::number;
use fleet_protocol::scalar::Name;
use fleet_protocol::verbs::budget::Unit;
use fleet_protocol::{Problem, Timestamp};
use serde_json::json;
use uuid::Uuid;

use super::decision::{self, Asked};
use super::gauge::Gauged;
use super::ledger::{self, Row};
use super::needs::{Kind, Needs, Wanted};
use super::offer::{Offer, Scopes};
use super::series::unreadable;
use super::words;
use crate::execute::{Exec, Stop};

mod choice;
mod ground;
mod scene;

pub(crate) use ground::Ground;
use scene::Scene;

/// A task that wants to start.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    pub(crate) id: Uuid,
    pub(crate) number: i32,
    pub(crate) task_type: String,
    pub(crate) role: Name,
    pub(crate) mission: Option<i32>,
    pub(crate) provider: Option<Name>,
    pub(crate) model: Option<Name>,
    pub(crate) is_pinned: bool,
    pub(crate) projected_tokens: Option<i64>,
    pub(crate) spent_tokens: i64,
    pub(crate) priority: i16,
    pub(crate) queued_at: Option<Timestamp>,
    pub(crate) max_wait_seconds: i32,
    /// An operator said that it starts past pacing and queue.
    pub(crate) start_now: bool,
    /// Who would hold it.
    pub(crate) agent: Option<Holder>,
    /// The account it ran on before.
    pub(crate) ran_on: Option<Name>,
}

/// An agent, as far as budgets are concerned.
#[derive(Debug, Clone)]
pub(crate) struct Holder {
    pub(crate) name: Name,
    /// The operator's ceiling.
    pub(crate) model: Option<Name>,
    pub(crate) context_tokens: Option<i64>,
}

impl Holder {
    /// From an agent's registration and the context that it reported last.
    pub(crate) fn registered(
        name: &Name,
        model: Option<String>,
        context_tokens: Option<i64>,
    ) -> Result<Self, Stop> {
        let model = model.map(|m| m.parse().map_err(|_| unreadable("model")));
        Ok(Self {
            name: name.clone(),
            model: model.transpose()?,
            context_tokens,
        })
    }
}

/// What was decided.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It may start so.
    Go(Box<Plan>),
    /// It waits, for this reason.
    Wait(Box<Waits>),
    /// No reset can help.
    Never(Box<Refused>),
}

/// How a task starts.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) account: Option<Name>,
    pub(crate) model: Option<Name>,
    holds: Vec<(Gauged, Wanted)>,
    lowered: Option<Reason>,
    inputs: serde_json::Value,
    is_governed: bool,
}

/// Why and how long a task waits.
#[derive(Debug)]
pub(crate) struct Waits {
    pub(crate) problem: Problem,
    pub(crate) reason: Reason,
    pub(crate) series: Option<Uuid>,
    pub(crate) title: String,
    pub(crate) need: u64,
    pub(crate) p50: u64,
    pub(crate) eta: Option<Timestamp>,
    /// Whether no limit of a single agent is in play: any other of the role would wait as well.
    pub(crate) is_common: bool,
    pub(crate) inputs: serde_json::Value,
}

/// Why a task is refused.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) problem: Problem,
    pub(crate) reason: Reason,
    pub(crate) title: String,
    pub(crate) inputs: serde_json::Value,
}

impl Work {
    fn scopes(&self) -> Result<Scopes, Stop> {
        let mission = self.mission.map(|n| format!("m{n}").parse::<Name>());
        Ok(Scopes {
            role: self.role.clone(),
            agent: self.agent.as_ref().map(|a| a.name.clone()),
            mission: mission.transpose().map_err(|_| unreadable("mission"))?,
        })
    }

    /// The operator's ceiling for the model.
    pub(super) fn ceiling(&self) -> Option<&Name> {
        self.agent.as_ref().and_then(|a| a.model.as_ref())
    }

    fn waiting(&self, now: Timestamp) -> Waiting {
        Waiting {
            task: i64::from(self.number),
            priority: i64::from(self.priority),
            queued_at: self.queued_at.unwrap_or(now),
        }
    }

    fn kind<'a>(&'a self, model: Option<&'a Name>) -> Kind<'a> {
        let context = self.agent.as_ref().and_then(|a| a.context_tokens);
        Kind {
            task_type: &self.task_type,
            role: self.role.as_str(),
            model,
            projected: self.projected_tokens.map(i64::unsigned_abs),
            spent: self.spent_tokens.unsigned_abs(),
            turn: context.unwrap_or(0).unsigned_abs() / fleet_policy::budget::CACHE_READ_DIVISOR,
        }
    }
}

/// Goes down the ladder for a task.
pub(crate) async fn decide(exec: &mut Exec<'_>, work: &Work) -> Result<Verdict, Stop> {
    let ground = Ground::read(exec, std::slice::from_ref(work)).await?;
    ground.decide(exec, 0, work).await
}

fn terms(work: &Work) -> Terms {
    Terms {
        asked: 0,
        ceiling: 0,
        pinned: work.is_pinned,
        start_now: work.start_now,
        max_wait_ms: i64::from(work.max_wait_seconds) * 1_000,
    }
}

impl Plan {
    /// The account whose spend nothing limits.
    pub(crate) fn ungoverned(&self) -> Option<&Name> {
        self.account.as_ref().filter(|_| !self.is_governed)
    }

    fn without_limits(offer: &Offer) -> Self {
        Self {
            account: offer.account.clone(),
            model: offer.model.clone(),
            holds: Vec::new(),
            lowered: None,
            inputs: json!({ "series": [] }),
            is_governed: false,
        }
    }
}

fn plan(
    exec: &Exec<'_>,
    work: &Work,
    scene: &Scene,
    offer: &Offer,
    needs: &Needs,
    lowered: Option<Reason>,
) -> Plan {
    let holds = offer.series.iter().map(|place| {
        let gauge = scene.gauge(exec.now, work, *place);
        (
            scene.gauges[*place].clone(),
            scene.wanted(&gauge, *place, needs),
        )
    });
    Plan {
        account: offer.account.clone(),
        model: offer.model.clone(),
        holds: holds.collect(),
        lowered,
        inputs: inputs(exec, work, scene, offer, needs),
        is_governed: true,
    }
}

/// All that a decision rested on, for `budget explain`.
fn inputs(
    exec: &Exec<'_>,
    work: &Work,
    scene: &Scene,
    offer: &Offer,
    needs: &Needs,
) -> serde_json::Value {
    let series: Vec<_> = offer
        .series
        .iter()
        .map(|place| {
            let gauge = scene.gauge(exec.now, work, *place);
            let wanted = scene.wanted(&gauge, *place, needs);
            let gauged = &scene.gauges[*place];
            let (planned, allowance) = super::status::plan(gauged, &scene.medians, exec.now);
            json!({
                "series": gauged.series.title(), "limit": gauge.limit, "spent": gauge.spent, "held": gauge.held,
                "kept_free": gauge.kept_free, "in_flight": gauge.in_flight, "recent": gauge.recent, "running": gauge.running,
                "planned": planned, "allowance": allowance, "grant": wanted.need.grant, "median": wanted.need.p50,
                "p80": wanted.estimate.p80, "p95": wanted.estimate.p95, "reserved_for_pacing": gauge.ahead.for_pacing,
                "reserved_for_cap": gauge.ahead.for_cap, "learned": wanted.need.learned,
            })
        })
        .collect();
    json!({ "series": series, "start_now": work.start_now, "asked": work.model, "max_wait_seconds": work.max_wait_seconds })
}

fn waits(
    exec: &Exec<'_>,
    work: &Work,
    scene: &Scene,
    binding: &Binding,
    offer: Option<&Offer>,
    needs: &Needs,
) -> Result<Waits, Stop> {
    let place = scene
        .gauges
        .iter()
        .position(|g| g.series.id.to_string() == binding.series)
        .ok_or(sqlx::Error::RowNotFound)?;
    let gauge = scene.gauge(exec.now, work, place);
    let wanted = scene.wanted(&gauge, place, needs);
    let gauged = &scene.gauges[place];
    let inputs = offer.map_or_else(|| json!({}), |o| inputs(exec, work, scene, o, needs));
    Ok(Waits {
        problem: words::problem(exec, gauged, &gauge, &wanted.need, binding, &scene.medians),
        reason: binding.reason,
        series: Some(gauged.series.id),
        title: gauged.series.title(),
        need: wanted.need.grant.unwrap_or(0),
        p50: wanted.need.p50,
        eta: binding.eta,
        is_common: scene.is_common(work.agent.as_ref().map(|a| &a.name)),
        inputs,
    })
}

/// What an admission granted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Granted {
    /// The least it may spend in tokens under any limit; none where none counts them.
    pub(crate) tokens: Option<u64>,
    /// What the claimer should know, one sentence each.
    pub(crate) notes: Vec<String>,
}

/// What a plan writes.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(in crate::execute) holds: Vec<Row<'static>>,
    /// None where nothing governs.
    pub(in crate::execute) decision: Option<Asked>,
    pub(crate) granted: Granted,
}

/// Writes what plans write, of several requests at once.
pub(crate) async fn write_taken(exec: &mut Exec<'_>, all: Vec<Taken>) -> Result<(), Stop> {
    let (mut holds, mut decisions) = (Vec::new(), Vec::new());
    for taken in all {
        holds.extend(taken.holds);
        decisions.extend(taken.decision);
    }
    ledger::append(exec, &holds).await?;
    decision::write_all(exec, decisions).await
}

/// Takes the holds of a plan for a running attempt, and writes the decision down.
pub(super) async fn take(
    exec: &mut Exec<'_>,
    work: &Work,
    attempt: i32,
    plan: &Plan,
) -> Result<Granted, Stop> {
    let taken = taken(exec, work, attempt, plan);
    let mut granted = taken.granted.clone();
    granted
        .notes
        .extend(super::hint(exec, plan.ungoverned()).await?);
    write_taken(exec, vec![taken]).await?;
    Ok(granted)
}

/// What a plan writes for an attempt: holds, and the decision.
pub(crate) fn taken(exec: &Exec<'_>, work: &Work, attempt: i32, plan: &Plan) -> Taken {
    if !plan.is_governed {
        return Taken::default();
    }
    let holds = plan
        .holds
        .iter()
        .map(|(gauged, wanted)| hold(exec, work.id, attempt, gauged, wanted));
    let mut notes = Vec::new();
    let why = plan.lowered.map(|reason| match reason {
        Reason::Pacing => "the model asked for would have waited longer than the task does",
        _ => "the model asked for does not fit",
    });
    if let (Some(why), Some(model)) = (why, &plan.model) {
        notes.push(format!("Lowered to {model}: {why}."));
    }
    if work.start_now {
        notes.push("Started past pacing and queue, as an operator said.".to_owned());
    }
    let new = decision::New {
        task: work.id,
        attempt: Some(attempt),
        outcome: if why.is_some() {
            "downgraded"
        } else {
            "admitted"
        },
        account: plan.account.as_ref().map(ToString::to_string),
        model: plan.model.as_ref().map(ToString::to_string),
        reason: why.map(str::to_owned),
        inputs: plan.inputs.clone(),
        ..decision::New::default()
    };
    let in_tokens = plan
        .holds
        .iter()
        .filter(|(g, _)| g.series.unit == Unit::Tokens);
    let tokens = in_tokens.map(|(_, wanted)| grant(wanted)).min();
    Taken {
        holds: holds.collect(),
        decision: Some(Asked::of(exec, new)),
        granted: Granted { tokens, notes },
    }
}

/// The first tranche in one series, in its unit.
fn grant(wanted: &Wanted) -> u64 {
    wanted.need.grant.unwrap_or(1)
}

/// It as a row of the ledger.
fn hold(
    exec: &Exec<'_>,
    task: Uuid,
    attempt: i32,
    gauged: &Gauged,
    wanted: &Wanted,
) -> Row<'static> {
    let moved = Movement {
        held: i64::try_from(grant(wanted)).unwrap_or(i64::MAX),
        ..Movement::default()
    };
    Row::new(exec, "hold", gauged.series.id, (task, attempt), moved)
        .expecting(wanted.estimate, wanted.most_per_report)
}

/// A hint how to set a budget, for work that nothing limits.
pub(super) fn how_to_limit(account: &Name) -> String {
    format!(
        "No limit is set for {account}; an operator can set one: !budget set --provider {account} --limit 2M --unit tokens --every 7d"
    )
}

/// `600,000 of 2,000,000 tokens`.
pub(super) fn of_limit(n: u64, limit: u64, unit: Unit) -> String {
    format!("{} of {} {}", number(n), number(limit), unit.noun())
}
