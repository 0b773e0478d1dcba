//! The way down the ladder: which account and model, or why none.

use fleet_policy::budget::ladder::{Binding, Decision, Reason, decide as go_down};
use fleet_protocol::Problem;
use fleet_protocol::problem::Code;
use fleet_protocol::scalar::Name;

use super::super::needs::Needs;
use super::super::offer::{self, Account, Offer};
use super::scene::{Scene, needs_of};
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
    fn of(decision: Decision, offers: &[Offer], needs: Needs) -> Self {
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

    pub(super) fn verdict(
        self,
        exec: &Exec<'_>,
        work: &Work,
        scene: &Scene,
    ) -> Result<Verdict, Stop> {
        match self {
            Self::Run(offer, ..) if offer.series.is_empty() => {
                Ok(Verdict::Go(Box::new(Plan::ungoverned(&offer))))
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

/// The rung that was asked for first; those below only when the task may be lowered.
pub(super) async fn choose(
    exec: &mut Exec<'_>,
    work: &Work,
    scene: &Scene,
    accounts: &[Account],
    rungs: &[Option<Name>],
) -> Result<Choice, Stop> {
    let mut offers = Vec::new();
    let mut candidates = Vec::new();
    let mut first: Option<(Decision, Needs, usize)> = None;
    for (rung, model) in rungs.iter().enumerate() {
        let here = offer::on_rung(rung, model.as_ref(), accounts, &scene.gauges);
        let needs = needs_of(exec, work, scene, model.as_ref()).await?;
        candidates.extend(here.iter().map(|o| scene.candidate(exec, work, o, &needs)));
        offers.extend(here);
        let decision = go_down(&candidates, terms(work), exec.now);
        match (decision, &first) {
            (Decision::Queue(_) | Decision::Refuse(_) | Decision::NoCandidate, Some(_)) => {}
            (decision @ (Decision::Queue(_) | Decision::Refuse(_)), None) => {
                if work.is_pinned {
                    return Ok(Choice::of(decision, &offers, needs));
                }
                first = Some((decision, needs, offers.len()));
            }
            (Decision::NoCandidate, None) => {}
            (decision, _) => return Ok(Choice::of(decision, &offers, needs)),
        }
    }
    Ok(match first {
        Some((decision, needs, n)) => Choice::of(decision, &offers[..n], needs),
        None => Choice::NoAccount,
    })
}
