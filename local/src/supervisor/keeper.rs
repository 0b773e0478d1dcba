//! The task behind one child.

use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use fleet_homeserver::child::{self, Child, Output};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::{Policy, Program, State};

/// What a child shall do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    Kill,
    Stop,
    Restart,
}

/// A wish, and how its giver learns that the state shows its effect.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) wish: Wish,
    pub(super) done: oneshot::Sender<()>,
}

impl Order {
    fn obeyed(self) {
        if self.done.send(()).is_err() {
            tracing::debug!(wish = ?self.wish, "obeyed, but its giver stopped waiting");
        }
    }
}

/// How one run of the process ended.
enum End {
    /// By itself, or it did not become ready.
    Unexpected {
        why: String,
        ready_for: Option<Duration>,
    },
    /// On order.
    Ordered(Order),
    /// Nobody can give orders any more.
    Abandoned,
}

/// Owns one child through all its runs.
pub(super) struct Keeper {
    name: String,
    program: Arc<dyn Program>,
    policy: Policy,
    state: watch::Sender<State>,
    orders: mpsc::Receiver<Order>,
    /// Unexpected ends in a row: sets the pause.
    ends: u32,
    /// Starts in a row that did not become ready: sets when to give up.
    failed_starts: u32,
}

impl Keeper {
    pub(super) fn new(
        name: &str,
        program: Arc<dyn Program>,
        policy: Policy,
        state: watch::Sender<State>,
        orders: mpsc::Receiver<Order>,
    ) -> Self {
        Self {
            name: name.to_owned(),
            program,
            policy,
            state,
            orders,
            ends: 0,
            failed_starts: 0,
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            self.state.send_replace(State::Starting);
            let go_on = match self.one_run().await {
                End::Abandoned => false,
                End::Ordered(order) => self.obey(order).await,
                End::Unexpected { why, ready_for } => self.after_unexpected(why, ready_for).await,
            };
            if !go_on {
                self.state.send_replace(State::Stopped);
                return;
            }
        }
    }

    /// What follows an order whose deadly part is done. False: end.
    async fn obey(&mut self, order: Order) -> bool {
        self.failed_starts = 0;
        match order.wish {
            Wish::Restart => {
                self.ends = 0;
                self.state.send_replace(State::Starting);
                order.obeyed();
                true
            }
            Wish::Kill => {
                let last_exit = "killed on request".to_owned();
                self.state.send_replace(State::Restarting {
                    attempt: 1,
                    last_exit,
                });
                order.obeyed();
                self.pause(self.policy.first_pause).await
            }
            Wish::Stop => {
                self.state.send_replace(State::Stopped);
                order.obeyed();
                self.until_restart().await
            }
        }
    }

    async fn after_unexpected(&mut self, why: String, ready_for: Option<Duration>) -> bool {
        match ready_for {
            Some(time) if time > self.policy.longest_pause => {
                (self.ends, self.failed_starts) = (1, 0)
            }
            Some(_) => (self.ends, self.failed_starts) = (self.ends.saturating_add(1), 0),
            None => {
                (self.ends, self.failed_starts) =
                    (self.ends.saturating_add(1), self.failed_starts + 1)
            }
        }
        tracing::warn!(name = self.name, why, "ended unexpectedly");
        if self.failed_starts >= self.policy.attempts {
            self.state.send_replace(State::Failed { why });
            return self.until_restart().await;
        }
        let doublings = (self.ends - 1).min(16);
        let pause = self
            .policy
            .first_pause
            .saturating_mul(1 << doublings)
            .min(self.policy.longest_pause);
        self.state.send_replace(State::Restarting {
            attempt: self.ends,
            last_exit: why,
        });
        self.pause(pause).await
    }

    /// Between two runs. False: end.
    async fn pause(&mut self, pause: Duration) -> bool {
        tokio::select! {
            () = tokio::time::sleep(pause) => true,
            order = self.orders.recv() => match order {
                None => false,
                // There is nothing to kill between two runs, and the restart is on its way.
                Some(order) if order.wish == Wish::Kill => { order.obeyed(); true }
                Some(order) => Box::pin(self.obey(order)).await,
            },
        }
    }

    /// Not running until told to. False: end.
    async fn until_restart(&mut self) -> bool {
        while let Some(order) = self.orders.recv().await {
            if order.wish == Wish::Restart {
                (self.ends, self.failed_starts) = (0, 0);
                self.state.send_replace(State::Starting);
                order.obeyed();
                return true;
            }
            order.obeyed();
        }
        false
    }

    async fn one_run(&mut self) -> End {
        let unexpected = |why: String| End::Unexpected {
            why,
            ready_for: None,
        };
        let program = Arc::clone(&self.program);
        let prepared = tokio::select! {
            prepared = program.before() => prepared,
            order = self.orders.recv() => return order.map_or(End::Abandoned, End::Ordered),
        };
        if let Err(why) = prepared {
            return unexpected(why);
        }
        let spec = program.spec();
        let child = match child::spawn(&spec).await {
            Ok(child) => child,
            Err(error) => return unexpected(error.to_string()),
        };
        let limit = self.policy.start_limit;
        tokio::select! {
            ready = tokio::time::timeout(limit, program.ready(child.pid())) => match ready {
                Ok(Ok(())) => {}
                Ok(Err(why)) => {
                    child.kill().await;
                    return unexpected(why);
                }
                Err(_) => {
                    child.kill().await;
                    return unexpected(format!("not ready after {} s{}", limit.as_secs(), log_end(&spec.output)));
                }
            },
            status = child.exited() => {
                return unexpected(format!("{}{}", how(status), log_end(&spec.output)));
            }
            order = self.orders.recv() => return self.end(&child, order).await,
        }
        self.state.send_replace(State::Ready { pid: child.pid() });
        let since = Instant::now();
        tokio::select! {
            status = child.exited() => {
                let why = format!("{}{}", how(status), log_end(&spec.output));
                End::Unexpected { why, ready_for: Some(since.elapsed()) }
            }
            order = self.orders.recv() => self.end(&child, order).await,
        }
    }

    async fn end(&self, child: &Child, order: Option<Order>) -> End {
        match order.as_ref().map(|order| order.wish) {
            Some(Wish::Kill) => child.kill().await,
            Some(Wish::Stop | Wish::Restart) | None => {
                child.stop(self.policy.stop_signal, self.policy.grace).await
            }
        };
        order.map_or(End::Abandoned, End::Ordered)
    }
}

fn how(status: Option<ExitStatus>) -> String {
    status.map_or_else(
        || "ended, nobody knows how".to_owned(),
        |status| status.to_string(),
    )
}

/// The end of the log, as an appendix to a reason.
fn log_end(output: &Output) -> String {
    match output {
        Output::Log(path) => format!(
            "; the end of {}:\n{}",
            path.display(),
            child::log_tail(path, 8)
        ),
        Output::Inherit | Output::Discard => String::new(),
    }
}
