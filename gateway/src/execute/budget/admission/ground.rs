//! What the decisions of several tasks rest on: read once, in a fixed number of statements however many there are.

use std::collections::BTreeMap;

use fleet_policy::budget::queue::Blocked;
use fleet_protocol::scalar::Name;
use fleet_protocol::{Problem, Timestamp};

use super::super::gauge::{self, Which};
use super::super::needs::{self, Needs};
use super::super::offer::{self, Account, Scopes};
use super::super::queue::Queued;
use super::choice::{Choice, choose};
use super::scene::{self, Scene};
use super::{Plan, Verdict, Work};
use crate::execute::{Exec, Stop};

/// The ground of decisions.
pub(crate) struct Ground {
    pub(super) scene: Scene,
    /// What each task asks for.
    pub(super) asked: Vec<Asked>,
}

/// What one task asks for.
pub(super) struct Asked {
    pub(super) scopes: Scopes,
    /// Who may pay; or why nobody does.
    pub(super) accounts: Result<Vec<Account>, Box<Problem>>,
    /// The model asked for, with what the task needs there.
    pub(super) rung: (Option<Name>, Needs),
    /// Models below it.
    pub(super) lower: Vec<Option<Name>>,
}

impl Ground {
    /// Reads it. Every series that may matter is locked first: claims of a tenant take turns anyway, and what was
    /// chosen is then what holds.
    pub(crate) async fn read(exec: &mut Exec<'_>, works: &[Work]) -> Result<Self, Stop> {
        let payers = payers(exec, works).await?;
        let asks_model = |w: &Work| w.model.is_some() || w.ceiling().is_some();
        let ladder = match works.iter().any(asks_model) {
            true => offer::ladder(exec).await?,
            false => Vec::new(),
        };
        let mut asked = Vec::with_capacity(works.len());
        for work in works {
            let accounts = work.provider.as_ref().and_then(|p| payers.get(p));
            let mut rungs = offer::rungs(&ladder, work.model.as_ref(), work.ceiling()).into_iter();
            asked.push(Asked {
                scopes: work.scopes()?,
                accounts: accounts.cloned().unwrap_or(Ok(Vec::new())),
                rung: (rungs.next().flatten(), Needs::default()),
                lower: rungs.collect(),
            });
        }
        let which = asked.iter().map(Asked::which);
        let which = Which::any(which).with_recent();
        gauge::lock_scopes(exec, &which).await?;
        let scene = scene::read(exec, &which).await?;
        if !scene.gauges.is_empty() {
            let kinds = works.iter().zip(&asked);
            let kinds: Vec<_> = kinds.map(|(w, a)| w.kind(a.rung.0.as_ref())).collect();
            let needs = needs::read(exec, &kinds, &scene.units()).await?;
            for (asked, needs) in asked.iter_mut().zip(needs) {
                asked.rung.1 = needs;
            }
        }
        Ok(Self { scene, asked })
    }

    /// Goes down the ladder for the task at a place. Where it may be lowered, what it needs below is read now.
    pub(crate) async fn decide(
        &self,
        exec: &mut Exec<'_>,
        place: usize,
        work: &Work,
    ) -> Result<Verdict, Stop> {
        let asked = self.asked.get(place).ok_or(sqlx::Error::RowNotFound)?;
        let accounts = asked.accounts.as_ref().map_err(|p| (**p).clone())?;
        let who = (&asked.scopes, accounts.as_slice());
        let mut rungs = vec![asked.rung.clone()];
        let mut chosen = choose(exec.now, work, &self.scene, who, &rungs);
        if chosen.may_be_lowered(work) && !asked.lower.is_empty() {
            let kinds = asked.lower.iter().map(|m| work.kind(m.as_ref()));
            let kinds: Vec<_> = kinds.collect();
            let needs = needs::read(exec, &kinds, &self.scene.units()).await?;
            rungs.extend(asked.lower.iter().cloned().zip(needs));
            chosen = choose(exec.now, work, &self.scene, who, &rungs);
        }
        chosen.verdict(exec, work, &self.scene)
    }

    /// Admits the task at a place as it asks, if it fits: the decisions after it see what it takes. None where more
    /// must be looked at, which is for [`Self::decide`].
    pub(crate) fn admit(&mut self, exec: &Exec<'_>, place: usize, work: &Work) -> Option<Plan> {
        let asked = self.asked.get(place)?;
        let accounts = asked.accounts.as_ref().ok()?;
        let (who, rung) = (
            (&asked.scopes, accounts.as_slice()),
            std::slice::from_ref(&asked.rung),
        );
        let chosen @ Choice::Run(..) = choose(exec.now, work, &self.scene, who, rung) else {
            return None;
        };
        let Ok(Verdict::Go(plan)) = chosen.verdict(exec, work, &self.scene) else {
            return None;
        };
        self.scene.take(&plan.holds);
        Some(*plan)
    }

    /// Knows all that waits, and not only what waits in front: those may begin.
    pub(crate) fn stand<'a>(&mut self, queue: impl IntoIterator<Item = &'a Queued>) {
        for (series, blocked) in queue.into_iter().filter_map(|q| q.blocked) {
            self.scene.waits(series, blocked);
        }
    }

    /// What was decided is done: the decisions after it see that. Without who would hold it a task only becomes ready.
    pub(crate) fn follow(&mut self, now: Timestamp, work: &Work, verdict: &Verdict, is_held: bool) {
        let waiting = work.waiting(now);
        match verdict {
            Verdict::Wait(waits) => {
                if let Some(series) = waits.series {
                    let blocked = Blocked {
                        waiting,
                        reason: waits.reason,
                        need: waits.need,
                        p50: waits.p50,
                    };
                    self.scene.waits(series, blocked);
                }
                return;
            }
            Verdict::Go(plan) if is_held => self.scene.take(&plan.holds),
            Verdict::Go(_) | Verdict::Never(_) => {}
        }
        self.scene.leaves(waiting.task);
    }
}

impl Asked {
    fn which(&self) -> Which {
        self.scopes
            .which(self.accounts.as_deref().unwrap_or_default())
    }
}

/// Who may pay for what the tasks ask for, by the name they ask for.
async fn payers(
    exec: &mut Exec<'_>,
    works: &[Work],
) -> Result<BTreeMap<Name, Result<Vec<Account>, Box<Problem>>>, Stop> {
    let mut payers = BTreeMap::new();
    for provider in works.iter().filter_map(|w| w.provider.as_ref()) {
        if payers.contains_key(provider) {
            continue;
        }
        let accounts = match offer::accounts(exec, provider).await {
            Ok(accounts) => Ok(accounts),
            Err(Stop::Refused(problem)) => Err(problem),
            Err(stop) => return Err(stop),
        };
        payers.insert(provider.clone(), accounts);
    }
    Ok(payers)
}
