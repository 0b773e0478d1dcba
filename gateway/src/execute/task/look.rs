//! What waits for budget starts by itself when it fits.

use std::collections::{BTreeMap, VecDeque};

use fleet_policy::bounds::WorkerBounds;
use fleet_policy::budget::queue::Look;
use fleet_protocol::Timestamp;
use jiff::SignedDuration;
use uuid::Uuid;

use super::super::budget::{self, Claimer, Ground, Lane, Queued, Verdict, Work};
use super::super::{Exec, Stop};
use super::claim::{self, Waits};
use super::fit::{self, Crew};
use super::row::{self, Row};
use super::start::{Looked, ended, is_waiting};

/// Tasks that one look starts; what is left is due at once again.
const STARTED: usize = 50;
/// Tasks whose ground is read at once.
const AT_ONCE: usize = 16;
/// While the fleet is paused the queue is looked at so often.
const PAUSED_LOOK: SignedDuration = SignedDuration::from_secs(30);

/// Looks at the queue of the tenant in order, and starts what fits; called by the sweep. Of tasks that ask
/// for the same only the first that waits is looked at: the others wait behind it.
pub(crate) async fn look(exec: &mut Exec<'_>) -> Result<(), Stop> {
    // The switch row comes first, as with every claim: two looks, or a look and a claim, take turns.
    let bounds = match fit::switches(exec).await {
        Ok(switches) => switches.bounds,
        Err(Stop::Refused(_)) => return later(exec).await,
        Err(stop) => return Err(stop),
    };
    budget::nudged(exec).await?;
    let mut looking = Looking {
        bounds,
        waiting: budget::in_order(exec).await?.into(),
        seen: Look::default(),
        behind: Vec::new(),
        begun: 0,
    };
    while !looking.waiting.is_empty() && looking.begun < STARTED {
        looking.round(exec).await?;
    }
    if !looking.waiting.is_empty() {
        budget::nudge(exec).await?;
    }
    budget::stay(exec, &looking.behind).await
}

/// A look on its way through the queue.
struct Looking {
    bounds: WorkerBounds,
    waiting: VecDeque<Queued>,
    seen: Look<Lane>,
    behind: Vec<(Uuid, Option<Timestamp>)>,
    begun: usize,
}

/// A task that is looked at.
enum Head {
    /// It waits no more.
    Gone,
    /// Something else than the budget keeps it.
    Kept,
    /// Its place on the ground.
    Ready(usize, Box<Row>),
}

impl Looking {
    /// Looks at some tasks on one ground, which is read anew as soon as it is another: a task began, or one waits for
    /// another limit than before.
    async fn round(&mut self, exec: &mut Exec<'_>) -> Result<(), Stop> {
        let (mut heads, works) = self.heads(exec).await?;
        let mut ground = Ground::read(exec, &works).await?;
        while let Some(queued) = self.waiting.pop_front() {
            if let Some(eta) = self.seen.covers(&queued.lane, queued.need) {
                self.behind.push((queued.task, eta));
                continue;
            }
            let (place, row) = match heads.remove(&queued.task) {
                None => {
                    self.waiting.push_front(queued);
                    return Ok(());
                }
                Some(Head::Gone) => return budget::leave(exec, &[queued.task]).await,
                Some(Head::Kept) => {
                    again(exec, queued.task).await?;
                    continue;
                }
                Some(Head::Ready(place, row)) => (place, row),
            };
            if !self
                .one(exec, queued, &row, &mut ground, (place, &works[place]))
                .await?
            {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Looks at one task; whether the ground is still that of the next.
    async fn one(
        &mut self,
        exec: &mut Exec<'_>,
        queued: Queued,
        row: &Row,
        ground: &mut Ground,
        (place, work): (usize, &Work),
    ) -> Result<bool, Stop> {
        let before = exec.outbox.len();
        let verdict = match ground.decide(exec, place, work).await {
            Ok(verdict) => verdict,
            // Nobody pays for it as things are; the others need not wait for that.
            Err(Stop::Refused(_)) => {
                again(exec, queued.task).await?;
                return Ok(true);
            }
            Err(stop) => return Err(stop),
        };
        if let Verdict::Wait(waits) = &verdict {
            ground.waits(work, waits);
        }
        let claimer = queued.claimer.as_ref();
        // Its claim waits with it already.
        let begun = claim::act(exec, row, work, claimer, Waits::No, verdict).await?;
        let Looked::Waits(stays) = ended(exec, row, claimer, begun).await? else {
            self.begun += 1;
            return Ok(false);
        };
        exec.outbox.truncate(before);
        if stays.is_common {
            self.seen.waits(queued.lane, queued.need, stays.eta);
        }
        Ok(stays.series.is_some() && stays.series == queued.series)
    }

    /// The tasks that come next, locked, as far as each is looked at whatever becomes of those before it.
    async fn heads(&self, exec: &mut Exec<'_>) -> Result<(BTreeMap<Uuid, Head>, Vec<Work>), Stop> {
        let next = self.next();
        let ids: Vec<Uuid> = next.iter().map(|q| q.task).collect();
        let rows = row::lock_all(exec, &ids).await?;
        let mut rows: BTreeMap<Uuid, Row> = rows.into_iter().map(|r| (r.id, r)).collect();
        let agents = next.iter().filter_map(|q| match &q.claimer {
            Some(Claimer::Agent(agent)) => Some(agent.id),
            _ => None,
        });
        let crew = Crew::read(exec, &agents.collect::<Vec<_>>()).await?;
        let (mut heads, mut works) = (BTreeMap::new(), Vec::with_capacity(next.len()));
        for queued in next {
            let row = rows.remove(&queued.task).filter(|r| is_waiting(r.status));
            let Some(row) = row else {
                heads.insert(queued.task, Head::Gone);
                continue;
            };
            let holder = match &queued.claimer {
                Some(Claimer::Agent(agent)) => match crew.fit(agent, self.bounds) {
                    Ok(fit) => Some(fit.holder),
                    Err(Stop::Refused(_)) => {
                        heads.insert(queued.task, Head::Kept);
                        continue;
                    }
                    Err(stop) => return Err(stop),
                },
                Some(Claimer::Person(_)) | None => None,
            };
            let place = works.len();
            works.push(row.work(holder));
            heads.insert(queued.task, Head::Ready(place, Box::new(row)));
        }
        Ok((heads, works))
    }

    fn next(&self) -> Vec<&Queued> {
        let mut lanes: BTreeMap<&Lane, u64> = BTreeMap::new();
        let mut next = Vec::with_capacity(AT_ONCE);
        for queued in &self.waiting {
            if self.seen.covers(&queued.lane, queued.need).is_some() {
                continue;
            }
            match lanes.get(&queued.lane) {
                // It waits behind the one before it, or that one begins and another round comes.
                Some(need) if queued.need >= *need => continue,
                Some(_) => break,
                None => {}
            }
            lanes.insert(&queued.lane, queued.need);
            next.push(queued);
            if next.len() == AT_ONCE {
                break;
            }
        }
        next
    }
}

/// A task that stayed for another reason than the budget is looked at again in a while.
async fn again(exec: &mut Exec<'_>, task: Uuid) -> Result<(), Stop> {
    sqlx::query!(
        "UPDATE fleet.budget_queue SET look_at = $3 + interval '30 seconds' WHERE tenant_id = $1 AND task_id = $2 AND look_at <= $3",
        exec.tenant.as_str(),
        task,
        crate::db::time(exec.now) as _
    )
    .execute(&mut *exec.tx)
    .await?;
    Ok(())
}

/// While the fleet is paused nothing starts; it is looked at again in a while.
async fn later(exec: &mut Exec<'_>) -> Result<(), Stop> {
    let at = exec
        .now
        .0
        .checked_add(PAUSED_LOOK)
        .map_or(exec.now, Timestamp);
    budget::nudged(exec).await?;
    budget::nudge_at(exec, at).await?;
    sqlx::query!(
        "UPDATE fleet.budget_queue SET look_at = $3 WHERE tenant_id = $1 AND look_at <= $2",
        exec.tenant.as_str(),
        crate::db::time(exec.now) as _,
        crate::db::time(at) as _
    )
    .execute(&mut *exec.tx)
    .await?;
    Ok(())
}
