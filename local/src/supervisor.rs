//! Keeps named children running: started, watched until ready, started again when they end
//! without being asked, stopped in reverse order.

mod keeper;

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fleet_homeserver::child::{ChildSpec, Signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;

use keeper::{Keeper, Order, Wish};

/// What [`Program`] promises to do; the error is for people.
pub type Step<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;

/// Something that can be started again and again.
pub trait Program: Send + Sync + 'static {
    /// The process.
    fn spec(&self) -> ChildSpec;

    /// Done before each start.
    fn before(&self) -> Step<'_> {
        Box::pin(async { Ok(()) })
    }

    /// Ends when the process `pid` is ready for use. The supervisor has the deadline and notices
    /// the process's end.
    fn ready(&self, pid: u32) -> Step<'_>;
}

/// How a child is kept.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The request to end.
    pub stop_signal: Signal,
    /// Time to end before SIGKILL.
    pub grace: Duration,
    /// Time to become ready; after it the process is killed and started again.
    pub start_limit: Duration,
    /// Starts in a row that may fail to become ready before it is [`State::Failed`].
    pub attempts: u32,
    /// The pause after the first unexpected end; doubled for each further one ...
    pub first_pause: Duration,
    /// ... up to this, until the process has been ready for longer than this.
    pub longest_pause: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            stop_signal: Signal::Terminate,
            grace: Duration::from_secs(20),
            start_limit: Duration::from_secs(90),
            attempts: 5,
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(5),
        }
    }
}

/// Where a child is in its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Being started, not ready yet.
    Starting,
    /// In use.
    Ready {
        /// Its process id.
        pid: u32,
    },
    /// It ended without being asked; waiting before the next start.
    Restarting {
        /// Unexpected ends in a row.
        attempt: u32,
        /// How it ended.
        last_exit: String,
    },
    /// Ended because it was asked to.
    Stopped,
    /// Given up: too many starts in a row failed.
    Failed {
        /// How the last one ended, with the end of its log.
        why: String,
    },
}

/// Why a child is not as wanted.
#[derive(Debug, thiserror::Error)]
pub enum SupervisorError {
    /// No child of that name.
    #[error("there is no process named `{0}`")]
    Unknown(String),
    /// The name is taken.
    #[error("there is a process named `{0}` already")]
    Duplicate(String),
    /// It could not be started.
    #[error("{name} could not be started: {why}")]
    Failed {
        /// Its name.
        name: String,
        /// The reason.
        why: String,
    },
    /// It was stopped while somebody waited for it.
    #[error("{0} was stopped")]
    Stopped(String),
}

#[derive(Debug)]
struct Entry {
    name: String,
    orders: mpsc::Sender<Order>,
    state: watch::Receiver<State>,
}

/// The keeper of all children. Dropping it stops them, but without waiting: use
/// [`Supervisor::shutdown`].
#[derive(Debug, Default)]
pub struct Supervisor {
    entries: Mutex<Vec<Entry>>,
    keepers: TaskTracker,
}

impl Supervisor {
    /// Without children.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a child under a name; returns when it is ready.
    ///
    /// # Errors
    /// [`SupervisorError::Failed`] when it does not become ready within its policy.
    pub async fn start(
        &self,
        name: &str,
        program: Arc<dyn Program>,
        policy: Policy,
    ) -> Result<u32, SupervisorError> {
        self.add(name, program, policy)?;
        self.ready(name).await
    }

    /// Adds a child and starts it without waiting.
    ///
    /// # Errors
    /// [`SupervisorError::Duplicate`].
    pub fn add(
        &self,
        name: &str,
        program: Arc<dyn Program>,
        policy: Policy,
    ) -> Result<(), SupervisorError> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.iter().any(|entry| entry.name == name) {
            return Err(SupervisorError::Duplicate(name.to_owned()));
        }
        let (orders, queue) = mpsc::channel(4);
        let (sender, state) = watch::channel(State::Starting);
        self.keepers
            .spawn(Keeper::new(name, program, policy, sender, queue).run());
        entries.push(Entry {
            name: name.to_owned(),
            orders,
            state,
        });
        Ok(())
    }

    /// The child's state, to be watched.
    ///
    /// # Errors
    /// [`SupervisorError::Unknown`].
    pub fn state(&self, name: &str) -> Result<watch::Receiver<State>, SupervisorError> {
        self.entry(name).map(|(_, state)| state)
    }

    /// The process id while it is ready.
    ///
    /// # Errors
    /// [`SupervisorError::Unknown`].
    pub fn pid(&self, name: &str) -> Result<Option<u32>, SupervisorError> {
        Ok(match *self.state(name)?.borrow() {
            State::Ready { pid } => Some(pid),
            _ => None,
        })
    }

    /// Waits until the child is ready; gives its process id.
    ///
    /// # Errors
    /// [`SupervisorError::Failed`] or [`SupervisorError::Stopped`] when it will not be.
    pub async fn ready(&self, name: &str) -> Result<u32, SupervisorError> {
        let mut state = self.state(name)?;
        let settled = |state: &State| !matches!(state, State::Starting | State::Restarting { .. });
        let stopped = || SupervisorError::Stopped(name.to_owned());
        match &*state.wait_for(settled).await.map_err(|_| stopped())? {
            State::Ready { pid } => Ok(*pid),
            State::Failed { why } => Err(SupervisorError::Failed {
                name: name.to_owned(),
                why: why.clone(),
            }),
            _ => Err(stopped()),
        }
    }

    /// Waits until a child is given up, and tells why; `None` when all children were stopped.
    pub async fn given_up(&self) -> Option<SupervisorError> {
        let mut watched = JoinSet::new();
        for (name, mut state) in self.states() {
            watched.spawn(async move {
                let failed = |state: &State| matches!(state, State::Failed { .. });
                match &*state.wait_for(failed).await.ok()? {
                    State::Failed { why } => Some(SupervisorError::Failed {
                        name,
                        why: why.clone(),
                    }),
                    _ => None,
                }
            });
        }
        while let Some(ended) = watched.join_next().await {
            if let Ok(Some(error)) = ended {
                return Some(error);
            }
        }
        None
    }

    /// SIGKILL, as a crash would be: returns when the process is dead and its restart is on its
    /// way ([`Supervisor::ready`] waits for that).
    ///
    /// # Errors
    /// [`SupervisorError::Unknown`].
    pub async fn kill(&self, name: &str) -> Result<(), SupervisorError> {
        self.order(name, Wish::Kill).await
    }

    /// Stops the child; it stays stopped until [`Supervisor::restart`].
    ///
    /// # Errors
    /// [`SupervisorError::Unknown`].
    pub async fn stop(&self, name: &str) -> Result<(), SupervisorError> {
        self.order(name, Wish::Stop).await
    }

    /// Stops the child if it runs, starts it, waits until it is ready. Also out of
    /// [`State::Stopped`] and [`State::Failed`].
    ///
    /// # Errors
    /// As [`Supervisor::ready`].
    pub async fn restart(&self, name: &str) -> Result<u32, SupervisorError> {
        self.order(name, Wish::Restart).await?;
        self.ready(name).await
    }

    /// Stops all children, the last one started first, and waits for their ends.
    pub async fn shutdown(&self) {
        loop {
            let last = self
                .entries
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop();
            let Some(Entry {
                name,
                orders,
                mut state,
            }) = last
            else {
                break;
            };
            tracing::debug!(name, "stopping");
            drop(orders);
            // The keeper stops its child when nobody can give orders, and ends: an error here.
            while state.changed().await.is_ok() {}
        }
        self.keepers.close();
        self.keepers.wait().await;
    }

    fn states(&self) -> Vec<(String, watch::Receiver<State>)> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let states = entries.iter().map(|e| (e.name.clone(), e.state.clone()));
        states.collect()
    }

    fn entry(
        &self,
        name: &str,
    ) -> Result<(mpsc::Sender<Order>, watch::Receiver<State>), SupervisorError> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.iter().find(|entry| entry.name == name);
        entry
            .map(|entry| (entry.orders.clone(), entry.state.clone()))
            .ok_or_else(|| SupervisorError::Unknown(name.to_owned()))
    }

    async fn order(&self, name: &str, wish: Wish) -> Result<(), SupervisorError> {
        let (orders, _) = self.entry(name)?;
        let (done, obeyed) = oneshot::channel();
        let gone = || SupervisorError::Stopped(name.to_owned());
        orders
            .send(Order { wish, done })
            .await
            .map_err(|_| gone())?;
        obeyed.await.map_err(|_| gone())
    }
}
