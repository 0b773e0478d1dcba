//! A task as the register has it, and as it is shown.

use fleet_policy::lease::Lease;
use fleet_policy::task::{Party, Tries};
use fleet_protocol::problem::Code;
use fleet_protocol::reply::TaskView;
use fleet_protocol::scalar::Name;
use fleet_protocol::verbs::member::GrantRole;
use fleet_protocol::verbs::task::{TaskStatus, TaskType};
use fleet_protocol::{Problem, Timestamp};
use uuid::Uuid;

use super::super::{Exec, Stop, budget};
use super::gate::Gates;
use super::reserve::Reserved;
use crate::db;

/// A task, with the lease in force.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) id: Uuid,
    pub(super) number: i32,
    pub(super) title: String,
    pub(super) status: TaskStatus,
    pub(super) task_type: TaskType,
    pub(super) role: Name,
    pub(super) priority: i16,
    pub(super) mission: Option<i32>,
    pub(super) provider: Option<Name>,
    pub(super) projected_tokens: Option<i64>,
    pub(super) model: Option<Name>,
    pub(super) is_pinned: bool,
    pub(super) max_wait_seconds: i32,
    /// Who said that it starts past pacing and queue.
    pub(super) start_now_by: Option<String>,
    /// Since when it waits for budget.
    pub(super) queued_at: Option<Timestamp>,
    /// The account of its last attempt.
    pub(super) ran_on: Option<Name>,
    pub(super) note: Option<String>,
    pub(super) percent: Option<i16>,
    pub(super) attempt: i32,
    pub(super) failures: i32,
    pub(super) max_attempts: i32,
    pub(super) epoch: i64,
    pub(super) waits_for: Vec<i32>,
    pub(super) granted_tokens: Option<i64>,
    pub(super) actual_tokens: i64,
    pub(super) held: Option<Held>,
    pub(super) gates: Gates,
    /// The agent for which it is kept.
    pub(super) reserved: Option<Reserved>,
}

/// Who holds a task.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) holder: String,
    pub(super) agent: Option<Uuid>,
    pub(super) incarnation: Option<i64>,
    pub(super) until: Option<Timestamp>,
    /// The model it runs with.
    pub(super) model: Option<Name>,
    /// A refused top-up left it one turn to hand the work back.
    pub(super) is_handing_back: bool,
}

impl Row {
    /// A task that nobody has begun, of which nothing more is known.
    pub(super) fn new(id: Uuid, role: Name) -> Self {
        Self {
            id,
            role,
            number: 0,
            title: String::new(),
            status: TaskStatus::Pending,
            task_type: TaskType::Coding,
            priority: 0,
            mission: None,
            provider: None,
            projected_tokens: None,
            model: None,
            is_pinned: false,
            max_wait_seconds: 0,
            start_now_by: None,
            queued_at: None,
            ran_on: None,
            note: None,
            percent: None,
            attempt: 0,
            failures: 0,
            max_attempts: 0,
            epoch: 0,
            waits_for: Vec::new(),
            granted_tokens: None,
            actual_tokens: 0,
            held: None,
            gates: Gates::default(),
            reserved: None,
        }
    }

    /// Short form.
    pub(super) fn short(&self) -> String {
        format!("t{}", self.number)
    }

    /// The lease in force.
    pub(super) fn lease(&self) -> Option<Lease> {
        self.held.as_ref().map(|h| Lease {
            epoch: self.epoch.cast_unsigned(),
            until: h.until,
        })
    }

    /// As the budget sees it, to be held by `agent` or by a person.
    pub(super) fn work(&self, agent: Option<budget::AgentHolder>) -> budget::Work {
        budget::Work {
            id: self.id,
            number: self.number,
            task_type: self.task_type.as_str().to_owned(),
            role: self.role.clone(),
            mission: self.mission,
            provider: self.provider.clone(),
            model: self.model.clone(),
            is_pinned: self.is_pinned,
            projected_tokens: self.projected_tokens,
            spent_tokens: self.actual_tokens,
            priority: self.priority,
            queued_at: self.queued_at,
            max_wait_seconds: self.max_wait_seconds,
            start_now: self.start_now_by.is_some(),
            agent,
            ran_on: self.ran_on.clone(),
        }
    }

    /// Refuses while what it waits for is not done (doctrine 12).
    pub(super) fn done_before(&self) -> Result<(), Problem> {
        if self.waits_for.is_empty() {
            return Ok(());
        }
        let open: Vec<_> = self.waits_for.iter().map(|n| format!("t{n}")).collect();
        let open = open.join(", ");
        Err(Problem::new(
            Code::Dependency,
            format!("{} waits for {open}", self.short()),
        )
        .remedy(format!("{open} must be completed first")))
    }

    /// How often it was tried in vain.
    pub(super) fn tries(&self) -> Tries {
        Tries {
            failed: self.failures.cast_unsigned(),
            max: self.max_attempts.cast_unsigned(),
        }
    }

    /// Who the sender is to this task.
    pub(super) fn party(&self, exec: &Exec<'_>) -> Party {
        let held = self.held.as_ref();
        match &exec.actor.agent {
            Some(agent) => match held.is_some_and(|h| h.agent == Some(agent.id)) {
                true => Party::Holder,
                false => Party::OtherAgent,
            },
            None if held.is_some_and(|h| h.agent.is_none() && h.holder == exec.actor.principal) => {
                Party::Holder
            }
            None if exec.actor.roles.contains(&GrantRole::Operator) => Party::Operator,
            None => Party::Member,
        }
    }
}

/// A task under its lock, so that steps on it come one after the other.
pub(super) async fn lock(exec: &mut Exec<'_>, id: Uuid) -> Result<Row, Stop> {
    let found = sqlx::query_scalar!(
        "SELECT id FROM fleet.tasks WHERE tenant_id = $1 AND id = $2 FOR UPDATE",
        exec.tenant.as_str(),
        id
    )
    .fetch_optional(&mut *exec.tx)
    .await?;
    match found {
        Some(id) => load(exec, id).await,
        None => Err(missing(id)),
    }
}

/// Tasks under their locks, taken in the order of their keys; those that are there, in the order that was asked for.
pub(super) async fn lock_all(exec: &mut Exec<'_>, ids: &[Uuid]) -> Result<Vec<Row>, Stop> {
    sqlx::query_scalar!(
        "SELECT id FROM fleet.tasks WHERE tenant_id = $1 AND id = ANY ($2) ORDER BY id FOR UPDATE",
        exec.tenant.as_str(),
        ids
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    load_all(exec, ids).await
}

/// A task as it is now, without a lock.
pub(super) async fn load(exec: &mut Exec<'_>, id: Uuid) -> Result<Row, Stop> {
    load_all(exec, &[id])
        .await?
        .pop()
        .ok_or_else(|| missing(id))
}

fn missing(id: Uuid) -> Stop {
    Problem::new(Code::NotFound, format!("there is no task {id}"))
        .remedy("see what there is with: !task list")
        .into()
}

/// Tasks by their keys, in the order of the keys.
pub(super) async fn load_all(exec: &mut Exec<'_>, ids: &[Uuid]) -> Result<Vec<Row>, Stop> {
    let rows = sqlx::query!(
        r#"SELECT t.id, t.number, t.title, t.status, t.task_type, t.role, t.priority, m.number AS "mission?",
                  t.provider, t.projected_tokens, t.model, t.model_pinned, t.max_wait_seconds, t.start_now_by, q.queued_at AS "queued_at?",
                  (SELECT l.subscription FROM fleet.attempts l
                   WHERE l.tenant_id = t.tenant_id AND l.task_id = t.id AND l.attempt = t.attempt) AS ran_on,
                  a.model AS "runs_with?", t.status_note, t.percent, t.attempt, t.failures, t.max_attempts, t.epoch,
                  a.holder AS "holder?", a.agent_id AS "agent_id?", a.incarnation AS "incarnation?",
                  a.lease_until AS "lease_until?", a.handing_back AS "handing_back?",
                  ARRAY(SELECT o.number FROM fleet.task_dependencies d
                        JOIN fleet.tasks o ON o.tenant_id = d.tenant_id AND o.id = d.depends_on
                        WHERE d.tenant_id = t.tenant_id AND d.task_id = t.id AND o.status <> 'completed'
                        ORDER BY o.number) AS "waits_for!",
                  (SELECT min(h.granted) FROM fleet.holds h
                   JOIN fleet.budget_series s ON s.tenant_id = h.tenant_id AND s.id = h.series_id AND s.unit = 'tokens'
                   WHERE h.tenant_id = t.tenant_id AND h.task_id = t.id AND h.attempt = t.attempt) AS granted_tokens,
                  (SELECT coalesce(sum(r.added_tokens), 0)::bigint FROM fleet.spend_reports r
                   WHERE r.tenant_id = t.tenant_id AND r.task_id = t.id) AS "actual_tokens!",
                  t.quality_gates, t.gate_results, t.reserved_agent,
                  (SELECT g.name FROM fleet.agents g WHERE g.tenant_id = t.tenant_id AND g.id = t.reserved_agent) AS reserved_for
           FROM unnest($2::uuid[]) WITH ORDINALITY AS wanted (id, place)
           JOIN fleet.tasks t ON t.tenant_id = $1 AND t.id = wanted.id
           LEFT JOIN fleet.missions m ON m.tenant_id = t.tenant_id AND m.id = t.mission_id
           LEFT JOIN fleet.budget_queue q ON q.tenant_id = t.tenant_id AND q.task_id = t.id
           LEFT JOIN fleet.attempts a ON a.tenant_id = t.tenant_id AND a.task_id = t.id AND a.ended_at IS NULL
           ORDER BY wanted.place"#,
        exec.tenant.as_str(),
        ids
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    rows.into_iter()
        .map(|r| {
            let (incarnation, agent, until) =
                (r.incarnation, r.agent_id, r.lease_until.map(db::instant));
            let is_handing_back = r.handing_back.unwrap_or(false);
            let name = |column, word: Option<String>| {
                word.map(|w| known(column, w.parse::<Name>().ok()))
                    .transpose()
            };
            let model = name("model", r.runs_with)?;
            let kept = r
                .reserved_agent
                .zip(name("reserved_agent", r.reserved_for)?);
            let reserved = kept.map(|(agent, name)| Reserved { agent, name });
            let held = r.holder.map(|holder| Held {
                holder,
                agent,
                incarnation,
                until,
                model,
                is_handing_back,
            });
            Ok(Row {
                id: r.id,
                number: r.number,
                title: r.title,
                status: known("status", TaskStatus::from_word(&r.status))?,
                task_type: known("task_type", TaskType::from_word(&r.task_type))?,
                role: known("role", r.role.parse().ok())?,
                priority: r.priority,
                mission: r.mission,
                provider: name("provider", r.provider)?,
                projected_tokens: r.projected_tokens,
                model: name("model", r.model)?,
                is_pinned: r.model_pinned,
                max_wait_seconds: r.max_wait_seconds,
                start_now_by: r.start_now_by,
                queued_at: r.queued_at.map(db::instant),
                ran_on: name("subscription", r.ran_on)?,
                note: r.status_note,
                percent: r.percent,
                attempt: r.attempt,
                failures: r.failures,
                max_attempts: r.max_attempts,
                epoch: r.epoch,
                waits_for: r.waits_for,
                granted_tokens: r.granted_tokens,
                actual_tokens: r.actual_tokens,
                held,
                gates: Gates::stored(r.quality_gates, r.gate_results)?,
                reserved,
            })
        })
        .collect()
}

/// A stored word that this program must know; the schema's checks keep others out.
pub(crate) fn known<T>(column: &str, value: Option<T>) -> Result<T, Stop> {
    value.ok_or_else(|| {
        let source = format!("a value this version does not know in {column}");
        Stop::Database(sqlx::Error::ColumnDecode {
            index: column.to_owned(),
            source: source.into(),
        })
    })
}

/// A task as it is shown when it is looked at: with its gates, and what they came to under the newest lease.
pub(super) fn view_with_gates(mut row: Row) -> TaskView {
    let epoch = row.epoch.cast_unsigned();
    let Gates { wanted, results } = std::mem::take(&mut row.gates);
    TaskView {
        quality_gates: wanted,
        gate_results: results.into_iter().filter(|r| r.epoch == epoch).collect(),
        ..view(row)
    }
}

/// A task as it is shown after a change.
pub(super) fn view(row: Row) -> TaskView {
    let held = row.held;
    TaskView {
        id: format!("t{}", row.number),
        title: row.title,
        brief: None,
        status: row.status,
        task_type: row.task_type,
        role: row.role,
        priority: u8::try_from(row.priority).unwrap_or_default(),
        mission: row.mission.map(|n| format!("m{n}")),
        reserved_for: row.reserved.map(|r| r.name),
        waits_for: row.waits_for.iter().map(|n| format!("t{n}")).collect(),
        epoch: held.as_ref().map(|_| row.epoch.cast_unsigned()),
        lease_until: held.as_ref().and_then(|h| h.until),
        account: held.as_ref().and(row.ran_on),
        model: held.as_ref().and_then(|h| h.model.clone()).or(row.model),
        holder: held.map(|h| h.holder),
        percent: row.percent.and_then(|p| u8::try_from(p).ok()),
        note: row.note,
        attempts: row.attempt.cast_unsigned(),
        max_attempts: row.max_attempts.cast_unsigned(),
        provider: row.provider,
        projected_tokens: row.projected_tokens.map(i64::cast_unsigned),
        granted_tokens: row.granted_tokens.map(i64::cast_unsigned),
        actual_tokens: row.actual_tokens.cast_unsigned(),
        quality_gates: Vec::new(),
        gate_results: Vec::new(),
        handed_back: None,
        escalation: None,
        dispatch: None,
        history: Vec::new(),
    }
}
