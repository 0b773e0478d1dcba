//! A crew that claims and completes small tasks; now and then one of it is cut off in the middle of a
//! call and starts anew.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fleet_client::Gateway;
use fleet_protocol::address::Address;
use fleet_protocol::envelope::Call;
use fleet_protocol::event::{AgentIdentity, LeaseClaim};
use fleet_protocol::problem::Code;
use fleet_protocol::verbs::task::{Add, Claim, Complete, TaskStatus};
use fleet_protocol::verbs::{agent, fleet, workers};
use fleet_protocol::{Command, Problem, Query, Reply};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;
use url::Url;

use crate::bench::measure::{Figure, Target, percentile};
use crate::command::agent::join;
use crate::command::call;
use crate::error::{CliError, fixed};
use crate::output::Output;
use crate::system;

/// How often one of the crew is cut off.
const CUT_OFF: usize = 3;
/// How long an agent rests that found nothing, or that somebody else was in the way of.
const REST: Duration = Duration::from_millis(50);
/// Rests one after the other until it goes home.
const IDLE: u32 = 60;
/// The longest that the work may take.
const LONGEST: Duration = Duration::from_mins(20);

/// One agent.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) gateway: Gateway,
    pub(super) token: String,
    pub(super) agent: AgentIdentity,
}

/// What the crew has done.
#[derive(Debug, Default)]
struct Done {
    claims: Vec<Duration>,
    completed: Vec<String>,
}

impl Member {
    /// Joins as `code-N`, without an account on the homeserver.
    pub(super) async fn join(operator: &Gateway, url: &Url, n: u32) -> Result<Self, CliError> {
        let server = join::server(operator).await?;
        let name = format!("code-{n}");
        let user = fixed(&format!("@agent-{name}-bench:{server}"))?;
        let token = join::fresh();
        let register = agent::Register {
            name: fixed(&name)?,
            role: fixed("code")?,
            host: fixed("bench")?,
            runtime: None,
            model: None,
            user: Some(user),
        };
        let agent = join::enroll(operator, register, &token).await?;
        Ok(Self {
            gateway: Gateway::new(url.clone(), token.as_str())?,
            token,
            agent,
        })
    }

    pub(super) fn address(&self) -> Result<Address, CliError> {
        fixed(self.agent.name.as_str())
    }

    pub(super) async fn ask(&self, request: Query) -> Result<Reply, CliError> {
        Ok(self.gateway.query(&self.call(request, None)).await?)
    }

    pub(super) async fn say(&self, request: impl Into<Command>) -> Result<Reply, CliError> {
        let answer = self.under(None, request.into()).await?;
        answer.map_err(|p| CliError::Refused(Box::new(p)))
    }

    /// A command under a lease; the fleet's reason, when it refuses.
    async fn under(
        &self,
        lease: Option<LeaseClaim>,
        request: Command,
    ) -> Result<Result<Reply, Problem>, CliError> {
        let key = system::id().to_string();
        let receipt = self
            .gateway
            .command(&self.call(request, lease), &key)
            .await?;
        match (receipt.reply, receipt.problem) {
            (Some(reply), None) => Ok(Ok(reply)),
            (_, Some(problem)) => Ok(Err(problem)),
            (None, None) => Err(CliError::Internal("a receipt without an answer".into())),
        }
    }

    fn call<R>(&self, request: R, lease: Option<LeaseClaim>) -> Call<R> {
        Call {
            request,
            agent: Some(self.agent.clone()),
            lease,
            chain: None,
            room: None,
        }
    }

    /// Starts anew, as a process does that was killed.
    async fn back(mut self) -> Result<Self, CliError> {
        let register = agent::Register {
            name: self.agent.name.clone(),
            role: fixed("code")?,
            host: self.agent.host.clone(),
            runtime: None,
            model: None,
            user: None,
        };
        if let Reply::Agent(changed) = self.say(register).await? {
            self.agent.incarnation = changed.now.incarnation;
        }
        Ok(self)
    }

    /// Claims and completes until nothing has been ready for a while.
    async fn work(self, done: Arc<Mutex<Done>>) -> Result<(), CliError> {
        let mut idle = 0;
        while idle < IDLE {
            let began = Instant::now();
            let claimed = self.under(None, Claim { task: None }.into()).await?;
            let task = match claimed {
                Ok(Reply::Task(task)) => task.now,
                Ok(_) => return Err(CliError::Internal("a claim answers no task".into())),
                Err(p) if matches!(p.code, Code::NothingReady | Code::WorkerBound) => {
                    idle += 1;
                    tokio::time::sleep(REST).await;
                    continue;
                }
                Err(p) => return Err(CliError::Refused(Box::new(p))),
            };
            let took = began.elapsed();
            idle = 0;
            let lease = LeaseClaim {
                task: fixed(&task.id)?,
                epoch: task.epoch.unwrap_or_default(),
            };
            let complete = Complete {
                task: lease.task,
                summary: None,
                tokens: Some(1_u32.into()),
                unknown_spend: None,
                files_changed: Vec::new(),
            };
            let completed = self.under(Some(lease), complete.into()).await?;
            completed.map_err(|p| CliError::Refused(Box::new(p)))?;
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            done.claims.push(took);
            done.completed.push(task.id);
        }
        Ok(())
    }
}

fn count(done: &Mutex<Done>) -> usize {
    done.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .completed
        .len()
}

/// Adds the tasks, lets the crew work, and counts what became of them.
pub(super) async fn work(
    out: Output,
    operator: &Gateway,
    members: Vec<Member>,
    tasks: u32,
) -> Result<Vec<Figure>, CliError> {
    let most = u16::try_from(members.len()).unwrap_or(u16::MAX);
    let bound = workers::Set {
        fleet: Some(most),
        role: Some(most),
        dry_run: false,
    };
    call::write(operator, None, bound.into()).await?;
    let before = completed(operator).await?;
    out.progress(&format!("{tasks} tasks are added"));
    for n in 0..tasks {
        call::write(operator, None, small(n)?.into()).await?;
    }
    out.progress("the crew works");
    let (done, total) = (Arc::new(Mutex::new(Done::default())), tasks as usize);
    let worked = crew(out, members, &done, total);
    tokio::time::timeout(LONGEST, worked)
        .await
        .map_err(|_| CliError::Missed("the crew did not come to an end".into()))??;
    let in_register = completed(operator).await?.saturating_sub(before);
    let done = done.lock().unwrap_or_else(PoisonError::into_inner);
    let distinct: BTreeSet<_> = done.completed.iter().collect();
    let doubled = done.completed.len() - distinct.len();
    let lost = u64::from(tasks).saturating_sub(in_register);
    let claim = percentile(&done.claims, 990).unwrap_or_default();
    let figure = |name, unit, value, target| Figure {
        name,
        unit,
        value,
        floor: None,
        target,
    };
    Ok(vec![
        figure("claim_p99", "ms", claim, None),
        figure(
            "agents_lost",
            "tasks",
            lost as f64,
            Some(Target::Below(1.0)),
        ),
        figure(
            "agents_doubled",
            "tasks",
            doubled as f64,
            Some(Target::Below(1.0)),
        ),
    ])
}

/// Everybody works; at each quarter one is cut off and starts anew.
async fn crew(
    out: Output,
    members: Vec<Member>,
    done: &Arc<Mutex<Done>>,
    total: usize,
) -> Result<(), CliError> {
    let mut working = JoinSet::new();
    let mut handles: Vec<(Member, AbortHandle)> = Vec::new();
    for member in members {
        let handle = working.spawn(member.clone().work(Arc::clone(done)));
        handles.push((member, handle));
    }
    for cut in 1..=CUT_OFF {
        while count(done) < total * cut / (CUT_OFF + 1) && !working.is_empty() {
            tokio::time::sleep(REST).await;
        }
        let at = fastrand::usize(..handles.len());
        let (member, handle) = handles.swap_remove(at);
        handle.abort();
        out.progress(&format!("{} is cut off", member.agent.name));
        let member = member.back().await?;
        let handle = working.spawn(member.clone().work(Arc::clone(done)));
        handles.push((member, handle));
    }
    while let Some(ended) = working.join_next().await {
        match ended {
            Ok(ended) => ended?,
            Err(e) if e.is_cancelled() => {}
            Err(e) => return Err(CliError::Internal(format!("an agent: {e}"))),
        }
    }
    Ok(())
}

fn small(n: u32) -> Result<Add, CliError> {
    Ok(Add {
        title: fixed(&format!("Small {n}"))?,
        brief: None,
        mission: None,
        task_type: None,
        role: None,
        priority: None,
        depends_on: Vec::new(),
        provider: None,
        projected_tokens: None,
        model: None,
        pin_model: false,
        max_wait: None,
        max_attempts: None,
    })
}

/// Tasks that the register holds as completed.
async fn completed(operator: &Gateway) -> Result<u64, CliError> {
    match call::ask(operator, fleet::Status {}.into()).await? {
        Reply::Status(status) => Ok(status
            .tasks
            .iter()
            .filter(|(status, _)| *status == TaskStatus::Completed)
            .map(|(_, n)| n)
            .sum()),
        _ => Err(CliError::Internal("a status is no status".into())),
    }
}
