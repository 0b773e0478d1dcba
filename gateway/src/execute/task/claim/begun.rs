//! Attempts that begin, and all that is written of them: of one or of many in the same statements.

use fleet_policy::lease::{Holder, Lease};
use fleet_protocol::verbs::task::TaskStatus;
use uuid::Uuid;

use super::super::row::{Held, Row};
use super::super::write;
use crate::db;
use crate::execute::budget::{self, Claimer, Plan, Taken, Work};
use crate::execute::{Exec, Stop, inbox};

/// An attempt that begins.
pub(super) struct Start {
    task: Uuid,
    attempt: i32,
    epoch: i64,
    holder: String,
    agent: Option<Uuid>,
    incarnation: Option<i64>,
    role: String,
    until: Option<db::Time>,
    account: Option<String>,
    model: Option<String>,
    taken: Taken,
    was_queued: bool,
    by: String,
    admission: Uuid,
}

impl Start {
    /// A new attempt under a new lease; and the task as it is then.
    pub(super) fn new(
        exec: &Exec<'_>,
        row: &Row,
        claimer: &Claimer,
        work: &Work,
        plan: &Plan,
    ) -> (Self, Row) {
        let (agent, holder, kind) = match claimer {
            Claimer::Agent(agent) => (Some(agent), agent.name.to_string(), Holder::Agent),
            Claimer::Person(name) => (None, name.clone(), Holder::Person),
        };
        let lease = Lease::claim(row.epoch.cast_unsigned(), kind, exec.now);
        let attempt = row.attempt + 1;
        let taken = budget::taken(exec, work, attempt, plan);
        let begun = Row {
            status: TaskStatus::Running,
            note: None,
            percent: None,
            attempt,
            epoch: lease.epoch.cast_signed(),
            start_now_by: None,
            reserved: None,
            ran_on: plan.account.clone(),
            queued_at: None,
            granted_tokens: taken.granted.tokens.map(u64::cast_signed),
            held: Some(Held {
                holder: holder.clone(),
                agent: agent.map(|a| a.id),
                incarnation: agent.map(|a| a.incarnation.cast_signed()),
                until: lease.until,
                model: plan.model.clone(),
                is_handing_back: false,
            }),
            ..row.clone()
        };
        let start = Self {
            task: row.id,
            attempt,
            epoch: begun.epoch,
            holder,
            agent: agent.map(|a| a.id),
            incarnation: agent.map(|a| a.incarnation.cast_signed()),
            role: row.role.to_string(),
            until: lease.until.map(db::time),
            account: plan.account.as_ref().map(ToString::to_string),
            model: plan.model.as_ref().map(ToString::to_string),
            taken,
            was_queued: row.queued_at.is_some(),
            by: write::by(exec).to_owned(),
            admission: exec.admission,
        };
        (start, begun)
    }

    /// What the claimer should know, one sentence each.
    pub(super) fn notes(&self) -> Vec<String> {
        self.taken.granted.notes.clone()
    }
}

/// Writes them. The attempts come first: what the budget writes names their epochs.
pub(super) async fn write(exec: &mut Exec<'_>, starts: Vec<Start>) -> Result<(), Stop> {
    let agents: Vec<Uuid> = starts.iter().filter_map(|s| s.agent).collect();
    if !agents.is_empty() {
        budget::waits_no_more(exec, &agents, None).await?;
        inbox::begin_anew(exec, &agents).await?;
    }
    let queued = starts.iter().filter(|s| s.was_queued).map(|s| s.task);
    let queued: Vec<Uuid> = queued.collect();
    if !queued.is_empty() {
        budget::leave(exec, &queued).await?;
    }
    let mut columns = Columns::default();
    let mut taken = Vec::with_capacity(starts.len());
    for start in starts {
        taken.push(columns.push(start));
    }
    attempts(exec, &columns).await?;
    budget::write_taken(exec, taken).await
}

async fn attempts(exec: &mut Exec<'_>, columns: &Columns) -> Result<(), Stop> {
    sqlx::query!(
        r#"WITH n AS (
               SELECT * FROM unnest($3::uuid[], $4::integer[], $5::bigint[], $6::text[], $7::uuid[], $8::bigint[], $9::text[], $10::timestamptz[],
                   $11::text[], $12::text[], $13::text[], $14::uuid[])
               WITH ORDINALITY AS n (task, attempt, epoch, holder, agent, incarnation, role, until, subscription, model, by, admission, place)),
           begun AS (
               INSERT INTO fleet.attempts (tenant_id, task_id, attempt, epoch, holder, agent_id, incarnation, role, started_at, lease_until,
                   subscription, model)
               SELECT $1, task, attempt, epoch, holder, agent, incarnation, role, $2, until, subscription, model
               FROM n ORDER BY place),
           told AS (
               INSERT INTO fleet.task_events (tenant_id, task_id, at, event, attempt, by, admission)
               SELECT $1, task, $2, 'task.started', attempt, by, admission FROM n ORDER BY place)
           UPDATE fleet.tasks t SET status = 'running', status_note = NULL, percent = NULL, attempt = n.attempt, epoch = n.epoch,
               updated_at = $2, start_now_by = NULL, reserved_agent = NULL, reserved_at = NULL
           FROM n WHERE t.tenant_id = $1 AND t.id = n.task"#,
        exec.tenant.as_str(),
        db::time(exec.now) as _,
        &columns.tasks,
        &columns.attempts,
        &columns.epochs,
        &columns.holders,
        &columns.agents as &[Option<Uuid>],
        &columns.incarnations as &[Option<i64>],
        &columns.roles,
        &columns.untils as &[Option<db::Time>],
        &columns.accounts as &[Option<String>],
        &columns.models as &[Option<String>],
        &columns.by,
        &columns.admissions
    )
    .execute(&mut *exec.tx)
    .await?;
    Ok(())
}

/// Attempts, by column.
#[derive(Default)]
struct Columns {
    tasks: Vec<Uuid>,
    attempts: Vec<i32>,
    epochs: Vec<i64>,
    holders: Vec<String>,
    agents: Vec<Option<Uuid>>,
    incarnations: Vec<Option<i64>>,
    roles: Vec<String>,
    untils: Vec<Option<db::Time>>,
    accounts: Vec<Option<String>>,
    models: Vec<Option<String>>,
    by: Vec<String>,
    admissions: Vec<Uuid>,
}

impl Columns {
    fn push(&mut self, start: Start) -> Taken {
        self.tasks.push(start.task);
        self.attempts.push(start.attempt);
        self.epochs.push(start.epoch);
        self.holders.push(start.holder);
        self.agents.push(start.agent);
        self.incarnations.push(start.incarnation);
        self.roles.push(start.role);
        self.untils.push(start.until);
        self.accounts.push(start.account);
        self.models.push(start.model);
        self.by.push(start.by);
        self.admissions.push(start.admission);
        start.taken
    }
}
