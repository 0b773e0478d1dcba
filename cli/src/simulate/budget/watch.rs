//! What happens by time: what is due is done, who waited hears of it, idle agents look for work, and every figure is compared
//! with the truth.

use fleet_protocol::reply::{WaitingView, WindowView};
use fleet_protocol::{Reply, Timestamp};
use serde_json::json;

use super::agents::{Agent, State};
use super::internal;
use super::world::{KINDS, World};
use crate::error::CliError;

impl World {
    /// Lets the gateway do what is due. Whose waiting claim began by it finds that in its inbox.
    pub(super) async fn look(&mut self) -> Result<(), CliError> {
        let is_filled =
            (self.door.sweep().await).map_err(|e| CliError::service("the gateway", &e))?;
        if !is_filled {
            return Ok(());
        }
        let Reply::Agents(all) = self.ask(json!({ "agent.list": {} })).await? else {
            return Err(internal("a list of agents"));
        };
        for view in all.iter().filter(|view| view.unread > 0) {
            let listens =
                |a: &Agent| a.name == view.name.as_str() && !matches!(a.state, State::Dead);
            if let Some(agent) = self.agents.iter().position(listens) {
                self.listen(agent).await?;
            }
        }
        Ok(())
    }

    /// An agent reads its inbox, and takes up the task that its claim waited for.
    async fn listen(&mut self, agent: usize) -> Result<(), CliError> {
        let Reply::Items(items) = self
            .hear(agent, json!({ "agent.next": { "limit": 50 } }))
            .await?
        else {
            return Err(internal("an inbox"));
        };
        let ids: Vec<&str> = items.iter().map(|item| item.id.as_str()).collect();
        if ids.is_empty() {
            return Ok(());
        }
        self.say(agent, json!({ "agent.ack": { "items": ids } }), None)
            .await?;
        for task in items.iter().filter_map(|item| item.task.as_ref()) {
            if !matches!(self.agents[agent].state, State::Waiting) {
                continue;
            }
            let Reply::Task(task) = self
                .hear(agent, json!({ "task.show": { "task": task } }))
                .await?
            else {
                return Err(internal("a task"));
            };
            self.begin(agent, &task.now)?;
        }
        Ok(())
    }

    /// Idle agents look for work, what is due is done, and every figure is compared with the truth.
    pub(super) async fn tick(&mut self) -> Result<(), CliError> {
        self.look().await?;
        for (_, role, _) in KINDS {
            self.wake(role).await?;
        }
        let Reply::Budgets(windows) = self.ask(json!({ "budget.status": {} })).await? else {
            return Err(internal("a status"));
        };
        let Reply::Queue(waiting) = self.ask(json!({ "queue": {} })).await? else {
            return Err(internal("a queue"));
        };
        self.compare(&windows, &waiting);
        Ok(())
    }

    /// Idle agents of a role ask for work until one of them is told that there is none: the others
    /// would be told the same.
    async fn wake(&mut self, role: &str) -> Result<(), CliError> {
        let is_idle = |a: &Agent| a.role == role && matches!(a.state, State::Idle);
        let idle: Vec<_> = (0..self.agents.len())
            .filter(|i| is_idle(&self.agents[*i]))
            .collect();
        for agent in idle {
            self.claim(agent).await?;
            if matches!(self.agents[agent].state, State::Idle) {
                break;
            }
        }
        Ok(())
    }

    fn compare(&mut self, windows: &[WindowView], waiting: &[WaitingView]) {
        let now = self.now();
        for window in windows {
            let account =
                (0..self.accounts.len()).find(|i| self.accounts[*i].name == window.key.as_str());
            let found = account.and_then(|i| {
                let limits = &mut self.accounts[i].limits.iter();
                Some((i, limits.find(|l| l.name == window.window.as_str())?))
            });
            let Some((account, limit)) = found else {
                continue;
            };
            let title = window.title();
            let waits = waiting
                .iter()
                .any(|w| w.binding == title && matches!(w.because.as_str(), "pacing" | "behind"));
            self.measures
                .sample(account, window, limit.spent_at(now), waits);
        }
        let running = self.agents.iter().filter_map(|a| match &a.state {
            State::Working(run) => Some((run.task, run.attempt)),
            _ => None,
        });
        self.measures.printed_for(running.collect());
    }

    /// Asks what was learned, at this point of the month.
    pub(super) async fn calibrate(&mut self) -> Result<(), CliError> {
        let since = Timestamp::from_millis(self.now()).to_string();
        let Reply::SpendReport(report) = self
            .ask(json!({ "report.spend": { "since": since } }))
            .await?
        else {
            return Err(internal("a report"));
        };
        self.measures.calibrations.extend(report.calibration);
        Ok(())
    }
}
