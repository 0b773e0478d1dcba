//! Claims of several callers at once: read together, decided one after the other, written together.
//!
//! Each gets what it would have got alone, in the order in which they came. What is not plain (a task that waits for
//! budget or must wait, an agent that may not work, a model that must be lowered) is left to be done alone.

use std::collections::{BTreeMap, BTreeSet};

use fleet_protocol::verbs::task as verbs;
use fleet_protocol::{TaskRef, ids::Ref};
use sqlx::PgConnection;
use uuid::Uuid;

use super::super::dispatch;
use super::super::fit::{Crew, Fit, Switches, switches};
use super::super::row::{self, Row};
use super::begun::{self, Start};
use super::ready::{self, Whose};
use super::{check, claimer, remark};
use crate::Ids;
use crate::execute::budget::{Ground, Work};
use crate::execute::{Exec, NewRow, Stop, Subject};
use crate::run::{Ended, Job};

/// A claim among others.
pub(crate) struct Asking<'a> {
    pub(crate) job: Job<'a>,
    pub(crate) args: &'a verbs::Claim,
}

/// A claim whose task is found.
struct Found {
    /// Its place among those that ask.
    place: usize,
    row: Row,
    fit: Option<Fit>,
}

/// What each came to; none where it must be done alone.
///
/// # Errors
/// Those of the database: then nothing of it may be kept.
pub(crate) async fn claim_all(
    tx: &mut PgConnection,
    ids: &dyn Ids,
    all: &[Asking<'_>],
) -> Result<Vec<Option<Ended>>, Stop> {
    let mut ended: Vec<Option<Ended>> = all.iter().map(|_| None).collect();
    let Some(first) = all.first() else {
        return Ok(ended);
    };
    // What is read is the tenant's, whoever asks.
    let exec = &mut first.job.exec(tx, ids);
    let switches = match switches(exec).await {
        Ok(switches) => switches,
        Err(Stop::Refused(_)) => return Ok(ended),
        Err(stop) => return Err(stop),
    };
    let agents = all.iter().filter_map(|a| a.job.actor.agent.as_ref());
    let agents: Vec<Uuid> = agents.map(|a| a.id).collect();
    let crew = Crew::read(exec, &agents).await?;
    let found = find(exec, all, &crew, switches).await?;
    let work = |f: &Found| f.row.work(f.fit.as_ref().map(|f| f.holder.clone()));
    let works: Vec<Work> = found.iter().map(work).collect();
    let ground = Ground::read(exec, &works).await?;
    let begins = decide(exec, all, (crew, ground, switches), (found, &works));
    let (mut starts, mut tasks) = (Vec::with_capacity(begins.len()), Vec::new());
    let mut said = Vec::with_capacity(begins.len());
    for begin in begins {
        said.push((begin.place, begin.start.notes(), begin.said, begin.row.id));
        tasks.push((begin.row, all[begin.place].job.actor.agent.is_some()));
        starts.push(begin.start);
    }
    begun::write(exec, starts).await?;
    let tasks = dispatch::briefed_all(exec, tasks).await?;
    for ((place, notes, said, id), task) in said.into_iter().zip(tasks) {
        let reply = dispatch::said(task, "claimed", notes);
        ended[place] = Some(Ended::done(reply, said, (Subject::Task, id)));
    }
    Ok(ended)
}

/// A claim whose attempt begins.
struct Begin {
    /// Its place among those that ask.
    place: usize,
    start: Start,
    /// The task as it is then.
    row: Row,
    said: Vec<NewRow>,
}

/// Decides one after the other; each sees what those before it took.
fn decide(
    exec: &mut Exec<'_>,
    all: &[Asking<'_>],
    (mut crew, mut ground, switches): (Crew, Ground, Switches),
    (found, works): (Vec<Found>, &[Work]),
) -> Vec<Begin> {
    let mut begins = Vec::with_capacity(found.len());
    for ((n, found), work) in found.into_iter().enumerate().zip(works) {
        let exec = &mut all[found.place].job.exec(exec.tx, exec.ids);
        let agent = exec.actor.agent.as_ref();
        // Those before it may have filled the fleet.
        if agent.is_some_and(|a| crew.fit(a, switches.bounds).is_err()) {
            continue;
        }
        let Some(plan) = ground.admit(exec, n, work) else {
            continue;
        };
        if plan.ungoverned().is_some() && !switches.is_hinted {
            continue;
        }
        if let Some(agent) = agent {
            crew.takes(agent.id, found.row.role.as_str());
        }
        let (start, row) = Start::new(exec, &found.row, &claimer(exec), work, &plan);
        remark(exec, &row);
        begins.push(Begin {
            place: found.place,
            start,
            row,
            said: std::mem::take(&mut exec.outbox),
        });
    }
    begins
}

/// Finds and locks a task for each that may have one: the tasks that are named, then the most urgent of each role.
async fn find(
    exec: &mut Exec<'_>,
    all: &[Asking<'_>],
    crew: &Crew,
    switches: Switches,
) -> Result<Vec<Found>, Stop> {
    let named = named(exec, all.iter().filter_map(|a| a.args.task)).await?;
    let mut of_role: BTreeMap<String, Vec<(usize, Fit)>> = BTreeMap::new();
    let mut wanted: BTreeMap<usize, (Uuid, Option<Fit>)> = BTreeMap::new();
    let mut taken = BTreeSet::new();
    for (place, asking) in all.iter().enumerate() {
        let fit = match &asking.job.actor.agent {
            Some(agent) if crew.has_its_own(agent.id) => continue,
            Some(agent) => match crew.fit(agent, switches.bounds) {
                Ok(fit) => Some(fit),
                Err(Stop::Refused(_)) => continue,
                Err(stop) => return Err(stop),
            },
            None => None,
        };
        match (asking.args.task, fit) {
            (Some(reference), fit) => {
                let it = named.iter().find(|(named, _)| *named == reference);
                if let Some(&(_, id)) = it.filter(|(_, id)| taken.insert(*id)) {
                    wanted.insert(place, (id, fit));
                }
            }
            (None, Some(fit)) => {
                let of_it = of_role.entry(fit.role.clone()).or_default();
                of_it.push((place, fit));
            }
            // What a person takes next may be of any role: theirs comes after the others.
            (None, None) => {}
        }
    }
    let passed: Vec<_> = taken.iter().map(|id| (*id, None)).collect();
    for (role, asking) in of_role {
        let most = i64::try_from(asking.len()).unwrap_or(i64::MAX);
        let ids = ready::next(exec, Some(&role), &Whose::default(), &passed, most).await?;
        for ((place, fit), id) in asking.into_iter().zip(ids) {
            wanted.insert(place, (id, Some(fit)));
        }
    }
    loaded(exec, all, wanted).await
}

/// The tasks that were found, as they are; those that anybody may not claim just so are left out.
async fn loaded(
    exec: &mut Exec<'_>,
    all: &[Asking<'_>],
    wanted: BTreeMap<usize, (Uuid, Option<Fit>)>,
) -> Result<Vec<Found>, Stop> {
    let ids: Vec<Uuid> = wanted.values().map(|(id, _)| *id).collect();
    let rows = row::load_all(exec, &ids).await?;
    let mut rows: BTreeMap<Uuid, Row> = rows.into_iter().map(|r| (r.id, r)).collect();
    let mut found = Vec::with_capacity(wanted.len());
    for (place, (id, fit)) in wanted {
        let Some(row) = rows.remove(&id) else {
            continue;
        };
        let me = all[place].job.exec(exec.tx, exec.ids);
        let role = fit.as_ref().map(|f| f.role.as_str());
        if row.queued_at.is_none() && check(&me, &row, role).is_ok() {
            found.push(Found { place, row, fit });
        }
    }
    Ok(found)
}

/// Locks the tasks that are named, in the order of their keys.
async fn named(
    exec: &mut Exec<'_>,
    named: impl Iterator<Item = TaskRef>,
) -> Result<Vec<(TaskRef, Uuid)>, Stop> {
    let (mut ids, mut numbers) = (Vec::new(), Vec::new());
    let mut references = Vec::new();
    for reference in named {
        match reference {
            Ref::Id(id, _) => ids.push(id),
            Ref::Short(number) => numbers.extend(i32::try_from(number)),
            // Only a message that stands somewhere means a task without naming it.
            Ref::This => {}
        }
        references.push(reference);
    }
    if references.is_empty() {
        return Ok(Vec::new());
    }
    let locked = sqlx::query!(
        "SELECT id, number FROM fleet.tasks WHERE tenant_id = $1 AND (id = ANY ($2) OR number = ANY ($3)) ORDER BY id FOR UPDATE",
        exec.tenant.as_str(),
        &ids,
        &numbers
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    let of = |reference: TaskRef| {
        let is_it = |number: i32, id: Uuid| match reference {
            Ref::Id(named, _) => named == id,
            Ref::Short(named) => i32::try_from(named) == Ok(number),
            Ref::This => false,
        };
        let row = locked.iter().find(|r| is_it(r.number, r.id))?;
        Some((reference, row.id))
    };
    Ok(references.into_iter().filter_map(of).collect())
}
