//! Tasks that come into the queue, or stay in it.

use fleet_protocol::Timestamp;
use uuid::Uuid;

use super::super::admission::{Waits, Work};
use super::super::decision::{self, Asked};
use super::{Claimer, look_at, waits_no_more};
use crate::db::{Time, time};
use crate::execute::{Exec, Stop};

/// A task that must wait.
pub(crate) struct Put<'a> {
    pub(crate) work: &'a Work,
    pub(crate) waits: &'a Waits,
    /// Whose claim waits with it from now on; none: whoever waits with it already.
    pub(crate) claimer: Option<&'a Claimer>,
}

/// Puts tasks into the queue, or keeps them there, each with its newest reason. Their places count from when they came
/// first.
pub(crate) async fn put(exec: &mut Exec<'_>, all: &[Put<'_>]) -> Result<(), Stop> {
    for put in all {
        if let Some(agent) = put.claimer.and_then(Claimer::agent) {
            waits_no_more(exec, &[agent.id], Some(put.work.id)).await?;
        }
    }
    let mut columns = Columns::default();
    for put in all {
        columns.push(exec.now, put);
    }
    // The same reason at every look is one decision.
    let changed = sqlx::query_scalar!(
        r#"WITH n AS (
               SELECT * FROM unnest($3::uuid[], $4::uuid[], $5::bigint[], $6::text[], $7::text[], $8::uuid[], $9::bigint[], $10::bigint[],
                   $11::timestamptz[], $12::timestamptz[])
               AS n (task, agent, incarnation, person, reason, series, need, p50, eta, look_at)),
           before AS (
               SELECT q.task_id, q.reason FROM n JOIN fleet.budget_queue q ON q.tenant_id = $1 AND q.task_id = n.task),
           put AS (
               INSERT INTO fleet.budget_queue AS q (tenant_id, task_id, queued_at, agent_id, incarnation, person, reason, series_id, need, p50,
                   eta, look_at)
               SELECT $1, task, $2, agent, incarnation, person, reason, series, need, p50, eta, look_at FROM n
               ON CONFLICT (tenant_id, task_id) DO UPDATE SET reason = excluded.reason, series_id = excluded.series_id,
                   need = excluded.need, p50 = excluded.p50, eta = excluded.eta, look_at = excluded.look_at,
                   agent_id = CASE WHEN excluded.agent_id IS NULL AND excluded.person IS NULL THEN q.agent_id ELSE excluded.agent_id END,
                   incarnation = CASE WHEN excluded.agent_id IS NULL AND excluded.person IS NULL THEN q.incarnation ELSE excluded.incarnation END,
                   person = CASE WHEN excluded.agent_id IS NULL AND excluded.person IS NULL THEN q.person ELSE excluded.person END)
           SELECT n.task AS "task!" FROM n LEFT JOIN before b ON b.task_id = n.task WHERE b.reason IS DISTINCT FROM n.reason"#,
        exec.tenant.as_str(),
        time(exec.now) as _,
        &columns.tasks,
        &columns.agents as &[Option<Uuid>],
        &columns.incarnations as &[Option<i64>],
        &columns.persons as &[Option<String>],
        &columns.reasons,
        &columns.series as &[Option<Uuid>],
        &columns.needs,
        &columns.p50s,
        &columns.etas as &[Option<Time>],
        &columns.looks as &[Time]
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    let changed = all.iter().filter(|put| changed.contains(&put.work.id));
    let decisions = changed.map(|put| Asked::of(exec, put.decision())).collect();
    decision::write_all(exec, decisions).await
}

impl Put<'_> {
    fn decision(&self) -> decision::New {
        decision::New {
            task: self.work.id,
            outcome: "queued",
            reason: Some(self.waits.problem.detail.clone()),
            series: Some(self.waits.title.clone()),
            eta: self.waits.eta,
            inputs: self.waits.inputs.clone(),
            ..decision::New::default()
        }
    }
}

/// Waiting tasks, by column.
#[derive(Default)]
struct Columns {
    tasks: Vec<Uuid>,
    agents: Vec<Option<Uuid>>,
    incarnations: Vec<Option<i64>>,
    persons: Vec<Option<String>>,
    reasons: Vec<String>,
    series: Vec<Option<Uuid>>,
    needs: Vec<i64>,
    p50s: Vec<i64>,
    etas: Vec<Option<Time>>,
    looks: Vec<Time>,
}

impl Columns {
    fn push(&mut self, now: Timestamp, put: &Put<'_>) {
        let (agent, person) = match put.claimer {
            Some(Claimer::Agent(agent)) => (Some(agent), None),
            Some(Claimer::Person(name)) => (None, Some(name.clone())),
            None => (None, None),
        };
        let waits = put.waits;
        self.tasks.push(put.work.id);
        self.agents.push(agent.map(|a| a.id));
        self.incarnations
            .push(agent.map(|a| a.incarnation.cast_signed()));
        self.persons.push(person);
        self.reasons.push(waits.reason.as_str().to_owned());
        self.series.push(waits.series);
        self.needs
            .push(i64::try_from(waits.need).unwrap_or(i64::MAX));
        self.p50s.push(i64::try_from(waits.p50).unwrap_or(i64::MAX));
        self.etas.push(waits.eta.map(time));
        self.looks.push(time(look_at(now, waits.eta)));
    }
}
