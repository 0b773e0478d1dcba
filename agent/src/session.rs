//! One agent at the gateway: who it is, which leases it holds, and which writes have no answer yet.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use fleet_client::{ClientError, Gateway};
use fleet_protocol::envelope::Call;
use fleet_protocol::event::{AgentIdentity, LeaseClaim};
use fleet_protocol::problem::{Code, Problem};
use fleet_protocol::reply::TaskView;
use fleet_protocol::scalar::Name;
use fleet_protocol::verbs::{agent, task};
use fleet_protocol::{Command, Query, Receipt, Reply, Request};
use uuid::Uuid;

use crate::credentials::Credentials;

/// Writes without an answer whose keys are remembered; the oldest is forgotten first.
const UNANSWERED: usize = 64;
/// Leases that are remembered; a worker holds one or a few.
const LEASES: usize = 64;

/// Where new ids come from.
pub type Ids = Arc<dyn Fn() -> Uuid + Send + Sync>;

/// What the fleet answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The answer.
    pub reply: Reply,
    /// Whether the write had run before under its key, and nothing ran again.
    pub replayed: bool,
}

/// One agent's voice at the gateway. A write names the epoch of the lease that the agent holds, and
/// keeps its idempotency key until there is an answer: the same write said again runs once.
pub struct Session {
    gateway: Gateway,
    ids: Ids,
    life: Option<Life>,
    room: Option<Name>,
    memory: Mutex<Memory>,
}

/// The file of the agent's credentials, and the life that this process is part of.
struct Life {
    file: PathBuf,
    joined_as: u64,
}

struct Memory {
    agent: AgentIdentity,
    /// Epochs by the task's short form.
    leases: BTreeMap<String, u64>,
    /// Calls, as JSON, with the keys they went out under.
    unanswered: Vec<(String, String)>,
}

impl Session {
    /// A session of `agent`, which is in its current incarnation.
    pub fn new(gateway: Gateway, agent: AgentIdentity, ids: Ids) -> Self {
        let memory = Memory {
            agent,
            leases: BTreeMap::new(),
            unanswered: Vec::new(),
        };
        Self {
            gateway,
            ids,
            life: None,
            room: None,
            memory: Mutex::new(memory),
        }
    }

    /// A session from a credentials file. When the agent's context is emptied and it is registered
    /// anew in the same life, the session goes on as the new incarnation.
    ///
    /// # Errors
    /// The client's, for an address or a token that cannot be.
    pub fn of(file: PathBuf, credentials: Credentials, ids: Ids) -> Result<Self, ClientError> {
        let gateway = Gateway::new(credentials.gateway, credentials.token.as_str())?;
        let mut session = Self::new(gateway, credentials.agent, ids);
        session.life = Some(Life {
            file,
            joined_as: credentials.joined_as,
        });
        Ok(session)
    }

    /// The same session, whose words count in this room.
    #[must_use]
    pub fn in_room(mut self, room: Option<Name>) -> Self {
        self.room = room;
        self
    }

    /// Who speaks.
    pub fn agent(&self) -> AgentIdentity {
        self.memory().agent.clone()
    }

    /// Says it, and returns what the fleet answers.
    ///
    /// # Errors
    /// The fleet's reason, or [`Code::Unavailable`] when the gateway cannot be reached: then the same
    /// request, said again, runs once.
    pub async fn ask(&self, request: impl Into<Request>) -> Result<Answer, Problem> {
        let (reply, replayed) = match request.into() {
            Request::Query(query) => (self.query(query).await?, false),
            Request::Command(command) => {
                let receipt = self.command(command, None).await?;
                let reply = receipt.reply.ok_or_else(|| {
                    Problem::new(
                        Code::Internal,
                        "the receipt holds neither an answer nor a reason",
                    )
                })?;
                (reply, receipt.replayed)
            }
        };
        Ok(Answer { reply, replayed })
    }

    /// Registers the agent anew, with an empty context, in the same life; the credentials file then
    /// says so to every process of that life.
    ///
    /// # Errors
    /// The fleet's reason; [`Code::Invalid`] without a credentials file.
    pub async fn rotate(&self) -> Result<AgentIdentity, Problem> {
        let Some(life) = &self.life else {
            return Err(Problem::new(
                Code::Invalid,
                "without a credentials file nobody else would know of a new incarnation",
            )
            .remedy(format!(
                "let the agent join, and name its file in {}",
                crate::credentials::VARIABLE
            )));
        };
        let unreadable =
            |e: crate::credentials::CredentialsError| Problem::new(Code::Invalid, e.to_string());
        let mut credentials = Credentials::read(&life.file).map_err(unreadable)?;
        let register = agent::Register {
            name: credentials.agent.name.clone(),
            role: credentials.role.clone(),
            host: credentials.agent.host.clone(),
            runtime: None,
            model: None,
            user: None,
        };
        let answer = self.ask(Command::from(register)).await?;
        if let Reply::Agent(changed) = answer.reply {
            credentials.agent.incarnation = changed.now.incarnation;
            credentials.store(&life.file).map_err(unreadable)?;
            self.memory().agent.incarnation = changed.now.incarnation;
        }
        Ok(self.agent())
    }

    /// The tasks that this agent holds.
    ///
    /// # Errors
    /// The fleet's reason.
    pub async fn held(&self) -> Result<Vec<TaskView>, Problem> {
        let list = task::List {
            status: None,
            mission: None,
            ready: false,
            mine: true,
            limit: None,
        };
        match self.ask(Query::from(list)).await?.reply {
            Reply::Tasks(list) => Ok(list.tasks),
            other => Err(unexpected(&other)),
        }
    }

    /// Writes under a key of the caller's, or one of its own, and returns the receipt of what was done.
    ///
    /// # Errors
    /// As [`Session::ask`].
    pub async fn command(&self, command: Command, key: Option<String>) -> Result<Receipt, Problem> {
        match self.write(command.clone(), key).await {
            Err(problem) if problem.code == Code::StaleIncarnation && self.catch_up() => {
                // Under the key it had, the former incarnation was refused, and that is final.
                self.write(command, None).await
            }
            receipt => receipt,
        }
    }

    async fn query(&self, query: Query) -> Result<Reply, Problem> {
        loop {
            let call = self.call(query.clone(), None);
            match self.gateway.query(&call).await.map_err(problem) {
                Err(problem) if problem.code == Code::StaleIncarnation && self.catch_up() => {}
                reply => return reply,
            }
        }
    }

    fn call<R>(&self, request: R, lease: Option<LeaseClaim>) -> Call<R> {
        Call {
            request,
            agent: Some(self.agent()),
            lease,
            chain: None,
            room: self.room.clone(),
        }
    }

    async fn write(&self, command: Command, key: Option<String>) -> Result<Receipt, Problem> {
        let lease = self.lease(&command).await;
        let call = self.call(command, lease.clone());
        let body = serde_json::to_string(&call)
            .map_err(|e| Problem::new(Code::Internal, format!("a call is no JSON: {e}")))?;
        let known = key.or_else(|| self.memory().key_of(&body));
        let key = known.unwrap_or_else(|| (self.ids)().to_string());
        let answer = self.gateway.command(&call, &key).await;
        let lost = answer.as_ref().is_err_and(ClientError::is_retryable);
        self.memory().settle(body, key, lost);
        let receipt = match answer {
            Ok(receipt) => match receipt.problem {
                Some(problem) => Err(problem),
                None => Ok(receipt),
            },
            Err(error) => Err(problem(error)),
        };
        self.learn(&receipt, lease.as_ref());
        receipt
    }

    /// The lease under which a command writes: as the claim answered it, or, in a process that was
    /// started since, as the register has it for this very agent. An incarnation that is over is
    /// refused whatever it names.
    async fn lease(&self, command: &Command) -> Option<LeaseClaim> {
        let task = command.task()?;
        if let Some(epoch) = self.memory().leases.get(&task.to_string()) {
            return Some(LeaseClaim {
                task,
                epoch: *epoch,
            });
        }
        let show = self.call(Query::from(task::Show { task }), None);
        match self.gateway.query(&show).await {
            Ok(Reply::Task(shown)) => {
                let epoch = self.memory().remember(&shown.now)?;
                Some(LeaseClaim { task, epoch })
            }
            // The write itself then says what is wrong.
            _ => None,
        }
    }

    fn learn(&self, receipt: &Result<Receipt, Problem>, lease: Option<&LeaseClaim>) {
        match receipt {
            Ok(receipt) => {
                if let Some(Reply::Task(changed)) = &receipt.reply {
                    self.memory().remember(&changed.now);
                }
            }
            Err(problem) if problem.code == Code::StaleEpoch => {
                if let Some(lease) = lease {
                    self.memory().leases.remove(&lease.task.to_string());
                }
            }
            Err(_) => {}
        }
    }

    /// Whether the agent has been registered anew in this process's life, so that it goes on.
    fn catch_up(&self) -> bool {
        let Some(life) = &self.life else { return false };
        let Ok(now) = Credentials::read(&life.file) else {
            return false;
        };
        let mut memory = self.memory();
        let goes_on =
            now.joined_as == life.joined_as && now.agent.incarnation > memory.agent.incarnation;
        if goes_on {
            memory.agent = now.agent;
        }
        goes_on
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        // A panic elsewhere leaves nothing half written here.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    /// Keeps what is known of the lease on a task; the epoch, if this agent holds it.
    fn remember(&mut self, task: &TaskView) -> Option<u64> {
        let mine = task.holder.as_deref() == Some(self.agent.name.as_str());
        match task.epoch.filter(|_| mine) {
            Some(epoch) => {
                if self.leases.len() >= LEASES {
                    self.leases.pop_first();
                }
                self.leases.insert(task.id.clone(), epoch);
                Some(epoch)
            }
            None => {
                self.leases.remove(&task.id);
                None
            }
        }
    }

    /// The key under which this very call went out without an answer.
    fn key_of(&self, body: &str) -> Option<String> {
        let same = self.unanswered.iter().find(|(said, _)| said == body);
        same.map(|(_, key)| key.clone())
    }

    fn settle(&mut self, body: String, key: String, lost: bool) {
        self.unanswered.retain(|(_, known)| *known != key);
        if lost {
            if self.unanswered.len() >= UNANSWERED {
                self.unanswered.remove(0);
            }
            self.unanswered.push((body, key));
        }
    }
}

/// What went wrong, with a stable code whatever it was.
fn problem(error: ClientError) -> Problem {
    match error {
        ClientError::Problem { problem, .. } => *problem,
        error if error.is_retryable() => Problem::new(Code::Unavailable, error.to_string())
            .remedy("do the same again a little later: a write said twice runs once"),
        // Nothing was sent; it is over when the certificate is another, or trusted.
        ClientError::Untrusted { .. } => Problem::new(Code::Unavailable, error.to_string()),
        error => Problem::new(Code::Internal, error.to_string()),
    }
}

/// An answer of another kind than the request has: another version of the gateway.
pub fn unexpected(reply: &Reply) -> Problem {
    let kind = serde_json::to_value(reply).ok().and_then(|v| {
        let (kind, _) = v.as_object()?.iter().next()?;
        Some(kind.clone())
    });
    Problem::new(
        Code::Internal,
        format!(
            "the gateway answered with {}, which was not asked for",
            kind.unwrap_or_default()
        ),
    )
    .remedy("gateway and agent must be of the same version")
}
