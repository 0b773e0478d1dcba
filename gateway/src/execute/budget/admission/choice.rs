//! The way down the ladder: which account and model, or why none.

use fleet_policy::budget::ladder::{Binding, Decision, Reason, decide as go_down};
use fleet_protocol::problem::Code;
use fleet_protocol::scalar::Name;
use fleet_protocol::{Problem, Timestamp};

use super::super::needs::Needs;
use super::super::offer::{self, Account, Offer, Scopes};
use super::scene::Scene;
use super::{Plan, Refused, Verdict, Work, plan, terms, waits};
use crate::execute::{Exec, Stop};

/// What the ladder came to.
pub(super) enum Choice {
    Run(Offer, Option<Reason>, Needs),
    Wait(Binding, Option<Offer>, Needs),
    Never(Binding, Option<Offer>, Needs),
    NoAccount,
}

impl Choice {
    fn of(decision: Decision, offers: &[Offer], needs: &Needs) -> Self {
        let needs = needs.clone();
        let offer_of = |binding: &Binding| {
            let bound = offers.iter().find(|_| !binding.series.is_empty());
            bound.cloned()
        };
        match decision {
            Decision::Ungoverned => offers
                .first()
                .map_or(Self::NoAccount, |o| Self::Run(o.clone(), None, needs)),
            Decision::Admit(i) => Self::Run(offers[i].clone(), None, needs),
            Decision::Downgrade(i, why) => Self::Run(offers[i].clone(), Some(why), needs),
            Decision::Queue(binding) => Self::Wait(binding.clone(), offer_of(&binding), needs),
            Decision::Refuse(binding) => Self::Never(binding.clone(), offer_of(&binding), needs),
            Decision::NoCandidate => Self::NoAccount,
        }
    }

    /// Whether a lower model may be looked at.
    pub(super) fn may_be_lowered(&self, work: &Work) -> bool {
        match self {
            Self::Run(..) => false,
            Self::Wait(..) | Self::Never(..) => !work.is_pinned,
            Self::NoAccount => true,
        }
    }

    pub(super) fn verdict(
        self,
        exec: &Exec<'_>,
        work: &Work,
        scene: &Scene,
    ) -> Result<Verdict, Stop> {
        match self {
            Self::Run(offer, ..) if offer.series.is_empty() => {
                Ok(Verdict::Go(Box::new(Plan::without_limits(&offer))))
            }
            Self::Run(offer, lowered, needs) => {
                let plan = plan(exec, work, scene, &offer, &needs, lowered);
                Ok(Verdict::Go(Box::new(plan)))
            }
            Self::NoAccount => Err(no_account(work).into()),
            Self::Wait(binding, offer, needs) => Ok(Verdict::Wait(Box::new(waits(
                exec,
                work,
                scene,
                &binding,
                offer.as_ref(),
                &needs,
            )?))),
            Self::Never(binding, offer, needs) => {
                let w = waits(exec, work, scene, &binding, offer.as_ref(), &needs)?;
                Ok(Verdict::Never(Box::new(Refused {
                    problem: w.problem,
                    reason: w.reason,
                    title: w.title,
                    inputs: w.inputs,
                })))
            }
        }
    }
}

fn no_account(work: &Work) -> Problem {
    let model = work.model.as_ref().map_or("any", Name::as_str);
    let provider = work.provider.as_ref().map_or("no account", Name::as_str);
    Problem::new(
        Code::BudgetNever,
        format!("no account of {provider} serves the model {model}"),
    )
    .remedy("see what each serves with: !subscription list")
}

/// The rung that was asked for first; those below only when the task may be lowered. Each rung with what the task
/// needs there.
pub(super) fn choose(
    now: Timestamp,
    work: &Work,
    scene: &Scene,
    (scopes, accounts): (&Scopes, &[Account]),
    rungs: &[(Option<Name>, Needs)],
) -> Choice {
    let mut offers = Vec::new();
    let mut candidates = Vec::new();
    let mut first: Option<(Decision, &Needs, usize)> = None;
    for (rung, (model, needs)) in rungs.iter().enumerate() {
        let here = offer::on_rung(rung, model.as_ref(), accounts, scopes, &scene.gauges);
        candidates.extend(here.iter().map(|o| scene.candidate(now, work, o, needs)));
        offers.extend(here);
        let decision = go_down(&candidates, terms(work), now);
        match (decision, &first) {
            (Decision::Queue(_) | Decision::Refuse(_) | Decision::NoCandidate, Some(_)) => {}
            (decision @ (Decision::Queue(_) | Decision::Refuse(_)), None) => {
                if work.is_pinned {
                    return Choice::of(decision, &offers, needs);
                }
                first = Some((decision, needs, offers.len()));
            }
            (Decision::NoCandidate, None) => {}
            (decision, _) => return Choice::of(decision, &offers, needs),
        }
    }
    match first {
        Some((decision, needs, n)) => Choice::of(decision, &offers[..n], needs),
        None => Choice::NoAccount,
    }
}
