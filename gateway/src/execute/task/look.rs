//! What waits for budget starts by itself when it fits.

use std::collections::{BTreeMap, VecDeque};

use fleet_policy::bounds::WorkerBounds;
use fleet_policy::budget::queue::Look;
use fleet_protocol::Timestamp;
use jiff::SignedDuration;
use uuid::Uuid;

use super::super::budget::{self, Claimer, Ground, Lane, Queued, Verdict, Work};
use super::super::{Exec, Stop};
use super::claim::{self, Stay, Waits};
use super::fit::{self, Crew};
use super::row::{self, Row};
use super::start::{is_waiting, told};

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

/// What some of the tasks in front rest on.
struct Round {
    /// Each with its place among the works; none where it waits no more.
    rows: BTreeMap<Uuid, Option<(usize, Row)>>,
    works: Vec<Work>,
    crew: Crew,
    ground: Ground,
    /// Those that were looked at and go on waiting, each with its place among the works.
    staying: Vec<(Row, usize, Box<budget::Waits>)>,
}

impl Looking {
    /// Looks at some tasks on one ground; each sees what became of those before it.
    async fn round(&mut self, exec: &mut Exec<'_>) -> Result<(), Stop> {
        let mut round = self.read(exec).await?;
        while self.begun < STARTED
            && let Some(queued) = self.waiting.pop_front()
        {
            if let Some(eta) = self.seen.covers(&queued.lane, queued.need) {
                self.behind.push((queued.task, eta));
                continue;
            }
            match round.rows.remove(&queued.task) {
                Some(Some((place, row))) => {
                    self.one(exec, queued, row, place, &mut round).await?;
                }
                Some(None) => budget::leave(exec, &[queued.task]).await?,
                None => {
                    self.waiting.push_front(queued);
                    break;
                }
            }
        }
        // Their claims wait with them already.
        let stays = round.staying.iter().map(|(row, place, waits)| Stay {
            row,
            work: &round.works[*place],
            waits,
            claimer: None,
        });
        claim::stay_all(exec, &stays.collect::<Vec<_>>()).await
    }

    /// Looks at one task.
    async fn one(
        &mut self,
        exec: &mut Exec<'_>,
        queued: Queued,
        row: Row,
        place: usize,
        round: &mut Round,
    ) -> Result<(), Stop> {
        let claimer = queued.claimer.as_ref();
        let agent = claimer.and_then(Claimer::agent);
        // Something else than the budget may keep it, as well as that nobody pays for it as things are; the others need not
        // wait for that.
        let fits = agent.map(|a| round.crew.fit(a, self.bounds)).transpose();
        let work = &round.works[place];
        let verdict = match fits {
            Ok(_) => round.ground.decide(exec, place, work).await,
            Err(stop) => Err(stop),
        };
        let verdict = match verdict {
            Err(Stop::Refused(_)) => return again(exec, queued.task).await,
            verdict => verdict?,
        };
        (round.ground).follow(exec.now, work, &verdict, claimer.is_some());
        if let Verdict::Wait(waits) = verdict {
            if waits.is_common {
                self.seen.waits(queued.lane, queued.need, waits.eta);
            }
            round.staying.push((row, place, waits));
            return Ok(());
        }
        let begun = claim::act(exec, &row, work, claimer, Waits::No, verdict).await?;
        if told(exec, &row, claimer, begun).await?.is_none() {
            self.begun += 1;
            if let Some(agent) = agent {
                round.crew.takes(agent.id, row.role.as_str());
            }
        }
        Ok(())
    }

    /// Locks the tasks that come next, and reads what they rest on.
    async fn read(&self, exec: &mut Exec<'_>) -> Result<Round, Stop> {
        let is_next = |q: &&Queued| self.seen.covers(&q.lane, q.need).is_none();
        let next: Vec<&Queued> = self.waiting.iter().filter(is_next).take(AT_ONCE).collect();
        let ids: Vec<Uuid> = next.iter().map(|q| q.task).collect();
        let locked = row::lock_all(exec, &ids).await?.into_iter();
        let waiting = locked.filter(|row| is_waiting(row.status));
        let mut found: BTreeMap<Uuid, Row> = waiting.map(|row| (row.id, row)).collect();
        let agents = next.iter().filter_map(|q| q.claimer.as_ref()?.agent());
        let agents: Vec<Uuid> = agents.map(|agent| agent.id).collect();
        let crew = Crew::read(exec, &agents).await?;
        let (mut rows, mut works) = (BTreeMap::new(), Vec::new());
        for queued in next {
            let Some(row) = found.remove(&queued.task) else {
                rows.insert(queued.task, None);
                continue;
            };
            let agent = queued.claimer.as_ref().and_then(Claimer::agent);
            let holder = agent.map(|agent| crew.holder(agent)).transpose()?;
            let place = works.len();
            works.push(row.work(holder));
            rows.insert(row.id, Some((place, row)));
        }
        let mut ground = Ground::read(exec, &works).await?;
        ground.stand(&self.waiting);
        Ok(Round {
            rows,
            works,
            crew,
            ground,
            staying: Vec::new(),
        })
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
