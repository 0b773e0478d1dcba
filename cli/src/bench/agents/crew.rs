//! A crew of processes that listens, claims and completes; three of them are killed, and one of these never
//! comes back.

use std::time::Duration;

use fleet_client::Gateway;
use fleet_gateway::Floor;
use fleet_protocol::reply::TaskView;
use fleet_protocol::scalar::Count;
use fleet_protocol::verbs::inbox::Send;
use fleet_protocol::verbs::task::{Add, List, Show, TaskStatus};
use fleet_protocol::verbs::{fleet, workers};
use fleet_protocol::{Query, Reply};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::member::Member;
use super::tally::Tally;
use super::worker::Said;
use crate::bench::measure::{Figure, Target, percentile};
use crate::command::call;
use crate::error::{CliError, fixed};
use crate::output::Output;

/// How many processes are killed; the last of them is not started again.
const KILLS: usize = 3;
/// How often it is looked how far the crew is.
const LOOK: Duration = Duration::from_millis(100);
/// The crew has come to its end when nothing was completed for so long.
const STILL: Duration = Duration::from_mins(1);
/// What is left of the lease of an agent that is dead for good.
const LEFT: Duration = Duration::from_secs(2);
/// Messages that one agent sends to others; one chain holds 200.
const TOLD: usize = 100;
/// Lines that wait to be counted, at most.
const LINES: usize = 1_024;

/// The crew at work.
struct Crew<'a> {
    out: Output,
    operator: &'a Gateway,
    folder: tempfile::TempDir,
    members: Vec<Member>,
    /// A process for each member; none for one that is dead for good.
    processes: Vec<Option<Child>>,
    readers: JoinSet<Result<(), CliError>>,
    sender: mpsc::Sender<(usize, Said)>,
    lines: mpsc::Receiver<(usize, Said)>,
    tally: Tally,
    kills: usize,
    /// When the lease of the dead agent ends, and the task with its epoch.
    dead: Option<(Instant, TaskView)>,
    /// How long after that end its task was ready again.
    ready_again: Option<Duration>,
}

/// Adds the tasks, lets the crew work, and counts what became of them.
pub(super) async fn work(
    out: Output,
    operator: &Gateway,
    floor: &mut Floor,
    tenant: &str,
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
    let mut crew = Crew::start(out, operator, members)?;
    crew.tell().await?;
    crew.until_done(floor, tenant, before, tasks).await?;
    if crew.kills < KILLS {
        let killed = crew.kills;
        return Err(CliError::Missed(format!(
            "the crew was done when {killed} of {KILLS} were killed; give it more with --tasks"
        )));
    }
    let done = completed(operator).await?.saturating_sub(before);
    let lost = u64::from(tasks).saturating_sub(done);
    Ok(crew.figures(lost))
}

impl<'a> Crew<'a> {
    fn start(out: Output, operator: &'a Gateway, members: Vec<Member>) -> Result<Self, CliError> {
        out.progress(&format!("{} processes start", members.len()));
        let folder = tempfile::tempdir().map_err(|e| CliError::file("the crew's folder", e))?;
        let (sender, lines) = mpsc::channel(LINES);
        let mut crew = Self {
            out,
            operator,
            folder,
            processes: members.iter().map(|_| None).collect(),
            members,
            readers: JoinSet::new(),
            sender,
            lines,
            tally: Tally::default(),
            kills: 0,
            dead: None,
            ready_again: None,
        };
        for place in 0..crew.members.len() {
            crew.run(place)?;
        }
        Ok(crew)
    }

    /// Starts the process of a member, and reads what it says.
    fn run(&mut self, place: usize) -> Result<(), CliError> {
        let Some(member) = self.members.get(place) else {
            return Ok(());
        };
        let mut child = member.start(self.folder.path(), &["bench", "agent"])?;
        let stdout = child.stdout.take();
        let stdout = stdout.ok_or_else(|| CliError::Internal("an agent without output".into()))?;
        let (sender, name) = (self.sender.clone(), member.agent.name.clone());
        self.readers.spawn(async move {
            let mut lines = BufReader::new(stdout).lines();
            let unread = |e| CliError::file("an agent's output", e);
            while let Some(line) = lines.next_line().await.map_err(unread)? {
                // A process that is killed may leave half a line.
                match serde_json::from_str(&line) {
                    Ok(said) => {
                        if sender.send((place, said)).await.is_err() {
                            break;
                        }
                    }
                    Err(e) => tracing::warn!(%name, error = %e, "a line is not read"),
                }
            }
            Ok(())
        });
        if let Some(process) = self.processes.get_mut(place) {
            *process = Some(child);
        }
        Ok(())
    }

    /// The first agent says something to the others.
    async fn tell(&self) -> Result<(), CliError> {
        let Some((first, others)) = self.members.split_first() else {
            return Ok(());
        };
        for other in others.iter().take(TOLD) {
            let send = Send {
                to: other.address()?,
                text: fixed("measure")?,
                class: None,
            };
            first.say(send).await?;
        }
        Ok(())
    }

    /// Until the register holds all tasks as completed, or nothing happens any more.
    async fn until_done(
        &mut self,
        floor: &mut Floor,
        tenant: &str,
        before: u64,
        tasks: u32,
    ) -> Result<(), CliError> {
        self.out.progress("the crew works");
        let mut last = (0, Instant::now());
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                // What was said comes first: a kill is due by it, and a look takes its time.
                biased;
                Some((place, said)) = self.lines.recv() => {
                    let holds = matches!(said, Said::Claimed { .. });
                    self.tally.add(place, said);
                    let due = tasks as usize * (self.kills + 1) / (KILLS + 1);
                    // What was said after it may be that the task is done.
                    let is_news = holds && self.lines.is_empty();
                    if is_news && self.kills < KILLS && self.tally.completed() >= due {
                        self.kill(place, floor, tenant).await?;
                    }
                    continue;
                }
                _ = looks.tick() => {}
            }
            self.look().await?;
            let now = completed(self.operator).await?.saturating_sub(before);
            if now != last.0 {
                last = (now, Instant::now());
            }
            looks.reset();
            let is_dead_known = self.dead.is_none() || self.ready_again.is_some();
            if now >= u64::from(tasks) && is_dead_known || last.1.elapsed() > STILL {
                return self.stop().await;
            }
        }
    }

    /// Kills a process that has just claimed: chance chose it among many. All but the last come back.
    async fn kill(
        &mut self,
        place: usize,
        floor: &mut Floor,
        tenant: &str,
    ) -> Result<(), CliError> {
        let Some(mut process) = self.processes.get_mut(place).and_then(Option::take) else {
            return Ok(());
        };
        let killed = process.kill().await;
        killed.map_err(|e| CliError::file("an agent's process", e))?;
        let Some(member) = self.members.get(place).cloned() else {
            return Ok(());
        };
        let name = member.agent.name.as_str();
        if self.kills + 1 == KILLS {
            let left = self.held_by(name).await?;
            // It was quick, and had completed: it comes back, and the next one is killed.
            if let Some(task) = left {
                let shortened = floor.shorten_leases(tenant, name, LEFT).await;
                shortened.map_err(|e| CliError::service("the database", &e))?;
                self.dead = Some((Instant::now() + LEFT, task));
                self.kills += 1;
                self.out.progress(&format!("{name} is killed for good"));
                return Ok(());
            }
        } else {
            self.kills += 1;
        }
        self.out
            .progress(&format!("{name} is killed, and starts anew"));
        if let Some(member) = self.members.get_mut(place) {
            member.back().await?;
        }
        self.run(place)
    }

    async fn held_by(&self, name: &str) -> Result<Option<TaskView>, CliError> {
        let list = List {
            status: Some(TaskStatus::Running),
            mission: None,
            ready: false,
            mine: false,
            limit: Some(Count::from(200)),
        };
        match call::ask(self.operator, None, Query::from(list)).await? {
            Reply::Tasks(list) => Ok(list
                .tasks
                .into_iter()
                .find(|t| t.holder.as_deref() == Some(name))),
            _ => Err(CliError::Internal("a list of tasks is no list".into())),
        }
    }

    /// Looks whether the dead agent's task is ready again, or somebody else's already.
    async fn look(&mut self) -> Result<(), CliError> {
        let Some((ends, task)) = self.dead.as_ref().filter(|_| self.ready_again.is_none()) else {
            return Ok(());
        };
        let show = Show {
            task: fixed(&task.id)?,
        };
        let Reply::Task(shown) = call::ask(self.operator, None, Query::from(show)).await? else {
            return Err(CliError::Internal("a task is answered otherwise".into()));
        };
        if shown.now.status != TaskStatus::Running || shown.now.epoch != task.epoch {
            self.ready_again = Some(Instant::now().saturating_duration_since(*ends));
        }
        Ok(())
    }

    /// Asks all processes to stop, and counts what they still say.
    async fn stop(&mut self) -> Result<(), CliError> {
        let ending: Vec<_> = self.processes.iter_mut().filter_map(Option::take).collect();
        for pid in ending.iter().filter_map(Child::id) {
            let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
            let asked = pid.map_or(Ok(()), |pid| kill_process(pid, Signal::TERM));
            asked.map_err(|e| CliError::file("an agent's process", e.into()))?;
        }
        let (closed, _) = mpsc::channel(1);
        self.sender = closed;
        while let Some((place, said)) = self.lines.recv().await {
            self.tally.add(place, said);
        }
        while let Some(read) = self.readers.join_next().await {
            read.map_err(|e| CliError::Internal(format!("a reader: {e}")))??;
        }
        for mut process in ending {
            let ended = process.wait().await;
            let ended = ended.map_err(|e| CliError::file("an agent's process", e))?;
            if !ended.success() {
                return Err(CliError::Missed(format!("an agent's process: {ended}")));
            }
        }
        Ok(())
    }

    fn figures(&self, lost: u64) -> Vec<Figure> {
        let figure = |name, unit, value, limit: Option<f64>| Figure {
            name,
            unit,
            value,
            floor: None,
            target: limit.map(Target::Below),
        };
        let living = (1..=TOLD.min(self.members.len() - 1)).filter(|place| {
            let dead = self
                .dead
                .as_ref()
                .and_then(|(_, task)| task.holder.as_deref());
            let name = self.members.get(*place).map(|m| m.agent.name.as_str());
            dead.is_none() || dead != name
        });
        let deaf = self.tally.deaf(living);
        let claim = percentile(&self.tally.claims, 990).unwrap_or_default();
        let mut figures = vec![
            figure("claim_p99", "ms", claim, None),
            figure("agents_lost", "tasks", lost as f64, Some(1.0)),
            figure(
                "agents_doubled",
                "tasks",
                self.tally.doubled as f64,
                Some(1.0),
            ),
            figure("agents_deaf", "agents", deaf as f64, Some(1.0)),
        ];
        let again = self.ready_again.map(|d| d.as_secs_f64());
        figures.extend(again.map(|s| figure("ready_after_lease_s", "s", s, Some(5.0))));
        figures
    }
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
        gates: Vec::new(),
    })
}

/// Tasks that the register holds as completed.
async fn completed(operator: &Gateway) -> Result<u64, CliError> {
    match call::ask(operator, None, fleet::Status {}.into()).await? {
        Reply::Status(status) => Ok(status
            .tasks
            .iter()
            .filter(|(status, _)| *status == TaskStatus::Completed)
            .map(|(_, n)| n)
            .sum()),
        _ => Err(CliError::Internal("a status is no status".into())),
    }
}
