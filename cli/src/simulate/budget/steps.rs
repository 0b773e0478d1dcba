//! What agents do, step by step, through the gateway's door.

use fleet_protocol::event::LeaseClaim;
use fleet_protocol::problem::Code;
use fleet_protocol::reply::TaskView;
use fleet_protocol::{Problem, Reply, Timestamp};
use serde_json::json;

use super::agents::{Run, State};
use super::internal;
use super::provider::Instant;
use super::world::{Event, World};
use crate::error::CliError;

/// Length of a step, after which an agent reports.
const STEP: Instant = 480_000;
/// Typical tokens in a minute.
const RATE: f64 = 4_000.0;
/// A dead agent is started anew after this.
const REVIVAL: Instant = 2_400_000;

impl World {
    /// An agent asks for the next task of its role.
    pub(super) async fn claim(&mut self, agent: usize) -> Result<(), CliError> {
        let receipt = self.say(agent, json!({ "task.claim": {} }), None).await?;
        match (receipt.reply, receipt.problem) {
            (Some(Reply::Task(task)), _) => self.begin(agent, &task.now),
            (_, Some(problem)) => self.turned_away(agent, &problem),
            _ => Err(internal("a claim without an answer")),
        }
    }

    fn turned_away(&mut self, agent: usize, problem: &Problem) -> Result<(), CliError> {
        match problem.code {
            Code::NothingReady => self.agents[agent].state = State::Idle,
            Code::BudgetCap | Code::BudgetWait => {
                self.agents[agent].state = State::Waiting;
                let number = number(&problem.detail)?;
                let now = self.now();
                if let Some(job) = self.jobs.get_mut(&number) {
                    job.queued_at.get_or_insert(now);
                }
            }
            Code::BudgetNever => {
                let number = number(&problem.detail)?;
                if self.fits(number) {
                    self.measures.false_refusals += 1;
                }
                self.agents[agent].state = State::Idle;
            }
            _ => return Err(internal(format!("a claim: {}", problem.detail))),
        }
        Ok(())
    }

    /// Whether a task as a whole is within every limit of an account: to refuse it is a mistake.
    pub(super) fn fits(&self, number: u32) -> bool {
        let size = self.jobs.get(&number).map_or(0, |job| job.size);
        let accounts = &mut self.accounts.iter();
        accounts.any(|a| a.limits.iter().all(|l| size <= l.limit))
    }

    /// An attempt begins.
    pub(super) fn begin(&mut self, agent: usize, task: &TaskView) -> Result<(), CliError> {
        let number = number(&task.id)?;
        let account = task.account.as_ref().map(ToString::to_string);
        let place = self
            .accounts
            .iter()
            .position(|a| Some(&a.name) == account.as_ref());
        let place = place.ok_or_else(|| internal(format!("{} runs on {account:?}", task.id)))?;
        let lease = LeaseClaim {
            task: task.id.parse().map_err(internal)?,
            epoch: task
                .epoch
                .ok_or_else(|| internal("a claim without an epoch"))?,
        };
        let now = self.now();
        if let Some(job) = self.jobs.get_mut(&number) {
            let waited = job.queued_at.take().map_or(0, |since| now - since);
            self.measures.waits.push(waited);
        }
        let rate = self.chance.log_normal(RATE, 0.4) as u64 + 1;
        let is_slow = self.chance.happens(0.05);
        let run = Run {
            task: number,
            attempt: task.attempts,
            lease,
            lease_until: task.lease_until.map_or(now, Timestamp::as_millis),
            account: place,
            granted: task.granted_tokens.unwrap_or(0),
            spent: 0,
            reported: 0,
            planned: 0,
            rate: if is_slow { rate / 4 + 1 } else { rate },
            hands_back: false,
            dies: false,
            is_bursty: self.chance.happens(0.05),
        };
        self.agents[agent].run += 1;
        self.agents[agent].state = State::Working(Box::new(run));
        self.plan(agent)
    }

    /// Plans a step: how much it will spend, and whether the agent dies in it.
    fn plan(&mut self, agent: usize) -> Result<(), CliError> {
        let dies = self.chance.happens(0.01);
        let State::Working(run) = &mut self.agents[agent].state else {
            return Ok(());
        };
        let job = self
            .jobs
            .get(&run.task)
            .ok_or_else(|| internal("a run without a task"))?;
        let left = job
            .size
            .saturating_sub(job.done + (run.spent - run.reported))
            .max(1);
        let in_step = run.rate * STEP.unsigned_abs() / 60_000;
        run.planned = left.min(in_step);
        run.dies = dies;
        let wait = STEP * run.planned as Instant / in_step.max(1) as Instant;
        let event = Event::Step {
            agent,
            run: self.agents[agent].run,
        };
        self.after(wait.max(30_000), event);
        Ok(())
    }

    /// A step ends: it was spent at the provider; the agent reports, goes on, ends, or is dead.
    pub(super) async fn step(&mut self, agent: usize, run: u64) -> Result<(), CliError> {
        if self.agents[agent].run != run {
            return Ok(());
        }
        let State::Working(mut now) = self.agents[agent].state.clone() else {
            return Ok(());
        };
        if !now.is_bursty && !now.hands_back {
            self.ask_for_more(agent, &mut now).await?;
        }
        if now.hands_back {
            // What is left of the grant is the reserve for this one turn.
            now.planned = now.planned.min(now.granted.saturating_sub(now.spent));
        }
        self.spend(&mut now).await?;
        if now.dies {
            self.die(agent, &now);
            return Ok(());
        }
        self.report(agent, &mut now).await?;
        self.agents[agent].state = State::Working(now.clone());
        let job = self
            .jobs
            .get(&now.task)
            .ok_or_else(|| internal("a run without a task"))?;
        if job.done >= job.size {
            return self.complete(agent, &now).await;
        }
        if now.hands_back {
            return self.hand_back(agent, &now).await;
        }
        self.renew(agent, &mut now).await?;
        self.agents[agent].state = State::Working(now);
        self.plan(agent)
    }

    /// Asks for what the step spends beyond the grant.
    async fn ask_for_more(&mut self, agent: usize, run: &mut Run) -> Result<(), CliError> {
        let missing = (run.spent + run.planned).saturating_sub(run.granted);
        if missing == 0 {
            return Ok(());
        }
        let ask =
            json!({ "spend.top-up": { "task": format!("t{}", run.task), "tokens": missing } });
        let receipt = self.say(agent, ask, Some(run.lease.clone())).await?;
        match receipt.reply {
            Some(Reply::Granted(granted)) if granted.hand_back => run.hands_back = true,
            Some(Reply::Granted(granted)) => run.granted += granted.added_tokens,
            _ => return Err(internal(format!("a top-up: {:?}", receipt.problem))),
        }
        Ok(())
    }

    /// Spends at the provider, whose own count is the truth; where this began a window, its end is told.
    async fn spend(&mut self, run: &mut Run) -> Result<(), CliError> {
        let (now, by) = (self.now(), (run.task, run.attempt));
        let amount = run.planned;
        if amount == 0 {
            return Ok(());
        }
        let before = run.spent;
        run.spent += amount;
        let began = self.accounts[run.account].spend(now, amount, by);
        self.measures
            .spent(run.account, by, (before, run.spent), run.granted);
        if let Some(end) = began {
            let name = self.accounts[run.account].name.clone();
            let at = Timestamp::from_millis(end).to_string();
            let reset =
                json!({ "budget.reset": { "provider": name, "window": "5h", "reset_at": at } });
            self.order(reset).await?;
        }
        Ok(())
    }

    /// Reports the totals; now and then twice, now and then a late copy.
    async fn report(&mut self, agent: usize, run: &mut Run) -> Result<(), CliError> {
        let report = json!({ "spend.report": { "task": format!("t{}", run.task), "attempt": run.attempt,
            "input_tokens": run.spent, "session": "s1" } });
        let receipt = self
            .say(agent, report.clone(), Some(run.lease.clone()))
            .await?;
        if let Some(problem) = receipt.problem {
            return Err(internal(format!("a report: {}", problem.detail)));
        }
        if self.chance.happens(0.05) {
            let wait = self.chance.below(3_600_000) as Instant;
            self.after(wait, Event::Report(agent, report.to_string()));
        }
        if let Some(job) = self.jobs.get_mut(&run.task) {
            job.done += run.spent - run.reported;
        }
        run.reported = run.spent;
        Ok(())
    }

    async fn renew(&mut self, agent: usize, run: &mut Run) -> Result<(), CliError> {
        if run.lease_until - self.now() > STEP + 60_000 {
            return Ok(());
        }
        let renew = json!({ "task.renew": { "task": format!("t{}", run.task) } });
        let receipt = self.say(agent, renew, Some(run.lease.clone())).await?;
        match receipt.reply {
            Some(Reply::Task(task)) => {
                run.lease_until = task
                    .now
                    .lease_until
                    .map_or(run.lease_until, Timestamp::as_millis);
                Ok(())
            }
            _ => Err(internal(format!("a renewal: {:?}", receipt.problem))),
        }
    }

    async fn complete(&mut self, agent: usize, run: &Run) -> Result<(), CliError> {
        let complete = json!({ "task.complete": { "task": format!("t{}", run.task) } });
        let receipt = self.say(agent, complete, Some(run.lease.clone())).await?;
        if let Some(problem) = receipt.problem {
            return Err(internal(format!("a completion: {}", problem.detail)));
        }
        let now = self.now();
        if let Some(job) = self.jobs.get_mut(&run.task) {
            job.done_at = Some(now);
        }
        self.measures.completed += 1;
        if self.measures.completed.is_multiple_of(100) {
            self.calibrate().await?;
        }
        self.free(agent).await
    }

    async fn hand_back(&mut self, agent: usize, run: &Run) -> Result<(), CliError> {
        let release = json!({ "task.release": { "task": format!("t{}", run.task), "reason": "no more budget" } });
        let receipt = self.say(agent, release, Some(run.lease.clone())).await?;
        if let Some(problem) = receipt.problem {
            return Err(internal(format!("a hand-back: {}", problem.detail)));
        }
        let now = self.now();
        if let Some(job) = self.jobs.get_mut(&run.task) {
            job.queued_at = Some(now);
        }
        self.measures.handed_back += 1;
        self.free(agent).await
    }

    /// What was freed may let somebody start who waits; then the agent takes its next task.
    async fn free(&mut self, agent: usize) -> Result<(), CliError> {
        self.agents[agent].state = State::Idle;
        self.agents[agent].run += 1;
        self.look().await?;
        self.claim(agent).await
    }

    /// The agent is gone in the middle of a step: what it spent was not reported.
    fn die(&mut self, agent: usize, run: &Run) {
        self.measures.died += 1;
        let owes = (run.task, run.attempt, run.spent);
        self.agents[agent].owes = self.chance.happens(0.5).then_some(owes);
        self.agents[agent].state = State::Dead;
        self.agents[agent].run += 1;
        self.after(REVIVAL, Event::Revive(agent));
    }

    /// A dead agent is started anew; what it owes is reported late.
    pub(super) async fn revive(&mut self, agent: usize) -> Result<(), CliError> {
        self.register(agent).await?;
        self.agents[agent].state = State::Idle;
        if let Some((task, attempt, tokens)) = self.agents[agent].owes.take() {
            let report = json!({ "spend.report": { "task": format!("t{task}"), "attempt": attempt,
                "input_tokens": tokens, "session": "s1" } });
            let receipt = self.say(agent, report, None).await?;
            if let Some(problem) = receipt.problem {
                return Err(internal(format!("a late report: {}", problem.detail)));
            }
        }
        self.look().await?;
        self.claim(agent).await
    }
}

/// The number of a short form at the start of a text: `t12 is queued: ...`.
fn number(text: &str) -> Result<u32, CliError> {
    let digits = text.strip_prefix('t').unwrap_or(text);
    let end = digits
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(digits.len());
    digits[..end]
        .parse()
        .map_err(|_| internal(format!("no task in: {text}")))
}
