//! Admissions under limits that all of them share, against bare updates of one same row; and the status of a register
//! with a long ledger.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fleet_client::Gateway;
use fleet_gateway::{Floor, Secret, Updates};
use fleet_protocol::Reply;
use fleet_protocol::language::Query;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::measure::{Figure, Target, percentile, rate};
use super::world;
use crate::command::{call, say};
use crate::error::CliError;
use crate::output::Output;
use crate::raise::Fleet;

/// Clients of each side at once.
const CLIENTS: usize = 8;
/// Slices of each side.
const SLICES: usize = 5;
/// What is not counted, of each side.
const WARMING: usize = 80;
/// Windows and rows of the long ledger.
const WINDOWS: usize = 200;
const ROWS: i64 = 1_000_000;
/// How often the status is asked.
const ASKED: usize = 40;
/// A limit that no measure reaches.
const LARGE: u64 = 1_000_000_000_000;

/// One side of the comparison.
#[derive(Clone)]
enum Side {
    /// Claims of tasks, in order.
    Claims(Gateway, Arc<Vec<String>>),
    Updates(Updates),
}

/// Measures `samples` admissions, and the status.
pub(crate) async fn measure(
    out: Output,
    fleet: &Fleet,
    samples: u32,
) -> Result<Vec<Figure>, CliError> {
    let gateway = say::gateway(&fleet.settings)?;
    let connections = u32::try_from(CLIENTS).unwrap_or(8);
    let mut floor = world::floor(fleet, connections).await?;
    if !floor.is_durable().await.map_err(failed)? {
        out.progress("fsync or synchronous_commit is off: admission_rate says nothing here");
    }
    let each = (samples as usize).div_ceil(SLICES).max(CLIENTS);
    out.progress("limits and tasks are made");
    let tasks = prepare(&gateway, WARMING + SLICES * each).await?;
    floor.analyze().await.map_err(failed)?;
    let updates = floor.updates().await.map_err(failed)?;
    let app = fleet.settings.database.app_url()?;
    let one = Floor::alone(&Secret::new(app.expose())).map_err(failed)?;
    let mut figures = admissions(out, gateway.clone(), tasks, updates, &one, each).await?;
    out.progress("a long ledger is written");
    series(&gateway).await?;
    let tenant = fleet.settings.tenant.id.to_string();
    floor.fill_ledger(&tenant, ROWS).await.map_err(failed)?;
    figures.push(status(&gateway).await?);
    floor.remove().await.map_err(failed)?;
    Ok(figures)
}

fn failed(error: impl std::error::Error + 'static) -> CliError {
    CliError::service("the database", &error)
}

/// Tasks under three windows: the account's, which all share, a role's and a mission's, which each client has for
/// itself. The next client's task follows each.
async fn prepare(gateway: &Gateway, count: usize) -> Result<Vec<String>, CliError> {
    let limit = |of: Value| {
        let mut set = json!({ "limit": LARGE, "unit": "tokens", "every": "7d", "pace": "none" });
        for (key, value) in of.as_object().into_iter().flatten() {
            set[key] = value.clone();
        }
        json!({ "budget.set": set })
    };
    command(gateway, limit(json!({ "provider": "bench" }))).await?;
    let mut missions = Vec::new();
    for n in 0..CLIENTS {
        let new = json!({ "mission.new": { "title": format!("Bench {n}") } });
        let Reply::Mission(mission) = command(gateway, new).await? else {
            return Err(CliError::Internal(
                "a mission was answered otherwise".into(),
            ));
        };
        command(gateway, limit(json!({ "role": format!("bench-{n}") }))).await?;
        command(gateway, limit(json!({ "mission": mission.now.id }))).await?;
        missions.push(mission.now.id);
    }
    let mut tasks = Vec::with_capacity(count);
    for n in 0..count {
        let of = n % CLIENTS;
        let add = json!({ "task.add": {
            "title": format!("Admitted {n:06}"), "provider": "bench", "role": format!("bench-{of}"),
            "mission": missions[of], "projected_tokens": 1_000,
        } });
        let Reply::Task(task) = command(gateway, add).await? else {
            return Err(CliError::Internal("a task was answered otherwise".into()));
        };
        tasks.push(task.now.id);
    }
    Ok(tasks)
}

async fn admissions(
    out: Output,
    gateway: Gateway,
    tasks: Vec<String>,
    updates: Updates,
    one: &Updates,
    each: usize,
) -> Result<Vec<Figure>, CliError> {
    let mut tasks = tasks.into_iter();
    let mut claims = |n| Side::Claims(gateway.clone(), Arc::new(tasks.by_ref().take(n).collect()));
    let bare = Side::Updates(updates);
    slice(&claims(WARMING), WARMING).await?;
    slice(&bare, WARMING).await?;
    let (mut ours, mut floor, mut commits) = (Times::default(), Times::default(), Vec::new());
    for _ in 0..SLICES {
        ours.add(slice(&claims(each), each).await?);
        floor.add(slice(&bare, each).await?);
        for _ in 0..CLIENTS {
            let began = Instant::now();
            one.one().await.map_err(failed)?;
            commits.push(began.elapsed());
        }
    }
    let reached = rate(ours.samples.len(), ours.elapsed);
    out.progress(&format!(
        "admission_p99 is at {reached:.0} admissions a second, the most that {CLIENTS} clients reach; its floor is one commit"
    ));
    Ok(vec![
        Figure {
            name: "admission_rate",
            unit: "admissions/s",
            value: reached,
            floor: Some(rate(floor.samples.len(), floor.elapsed)),
            target: Some(Target::RatioAtLeast(3.0)),
        },
        Figure {
            name: "admission_p99",
            unit: "ms",
            value: percentile(&ours.samples, 990).unwrap_or_default(),
            floor: percentile(&commits, 500),
            target: None,
        },
    ])
}

/// Times of one side.
#[derive(Default)]
struct Times {
    elapsed: Duration,
    samples: Vec<Duration>,
}

impl Times {
    fn add(&mut self, more: Self) {
        self.elapsed += more.elapsed;
        self.samples.extend(more.samples);
    }
}

/// `count` of one side by all its clients at once.
async fn slice(side: &Side, count: usize) -> Result<Times, CliError> {
    let next = Arc::new(AtomicUsize::new(0));
    let began = Instant::now();
    let mut workers = JoinSet::new();
    for _ in 0..CLIENTS {
        workers.spawn(work(side.clone(), Arc::clone(&next), count));
    }
    let mut samples = Vec::with_capacity(count);
    while let Some(worked) = workers.join_next().await {
        let worked = worked.map_err(|e| CliError::Internal(format!("a worker: {e}")))?;
        samples.extend(worked?);
    }
    let elapsed = began.elapsed();
    Ok(Times { elapsed, samples })
}

async fn work(side: Side, next: Arc<AtomicUsize>, count: usize) -> Result<Vec<Duration>, CliError> {
    let mut samples = Vec::new();
    loop {
        let n = next.fetch_add(1, Ordering::Relaxed);
        if n >= count {
            return Ok(samples);
        }
        let began = Instant::now();
        match &side {
            Side::Claims(gateway, tasks) => {
                let task = tasks
                    .get(n)
                    .ok_or_else(|| CliError::Internal("too few tasks".into()))?;
                command(gateway, json!({ "task.claim": { "task": task } })).await?;
            }
            Side::Updates(updates) => updates.one().await.map_err(failed)?,
        }
        samples.push(began.elapsed());
    }
}

/// Limits until there are [`WINDOWS`] windows.
async fn series(gateway: &Gateway) -> Result<(), CliError> {
    for n in 2 * CLIENTS + 1..WINDOWS {
        let set = json!({ "budget.set": {
            "provider": format!("account-{n}"), "limit": LARGE, "unit": "tokens", "every": "7d",
        } });
        command(gateway, set).await?;
    }
    Ok(())
}

/// `budget status` over all of them.
async fn status(gateway: &Gateway) -> Result<Figure, CliError> {
    let mut samples = Vec::with_capacity(ASKED);
    for n in 0..ASKED + 5 {
        let query = read::<Query>(json!({ "budget.status": {} }))?;
        let began = Instant::now();
        let reply = call::ask(gateway, None, query).await?;
        let took = began.elapsed();
        match reply {
            Reply::Budgets(all) if all.len() == WINDOWS => {}
            _ => return Err(CliError::Missed(format!("not {WINDOWS} windows are shown"))),
        }
        // The first ones plan their statements.
        if n >= 5 {
            samples.push(took);
        }
    }
    Ok(Figure {
        name: "status_1m_rows",
        unit: "ms",
        value: percentile(&samples, 500).unwrap_or_default(),
        floor: None,
        target: Some(Target::Below(50.0)),
    })
}

fn read<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, CliError> {
    serde_json::from_value(value).map_err(|e| CliError::Internal(e.to_string()))
}

async fn command(gateway: &Gateway, request: Value) -> Result<Reply, CliError> {
    call::write(gateway, None, read(request)?).await
}
