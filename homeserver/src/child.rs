//! Child processes that die with us.
//!
//! Linux tells a child of its parent's death by `prctl(PR_SET_PDEATHSIG)`. Setting it between
//! fork and exec needs unsafe code, which this workspace forbids, so the program is started
//! through `setpriv --pdeathsig` (util-linux): it sets the signal and then *becomes* the program,
//! so the process id is the program's. Without `setpriv` children still stop with us in an
//! orderly end, but outlive a SIGKILL; [`dies_with_parent`] tells.
//!
//! The kernel's "parent" is the **thread** that forked, not the process. All children are
//! therefore started, and waited for, by one thread of this process that never ends; a runtime
//! may come and go (as in tests) without killing what it started.
//!
//! Each child has its own process group: Ctrl-C in a terminal reaches us alone, and we stop the
//! children in the right order.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

/// A log larger than this is moved to `<name>.1` before the next start of its child.
const LOG_LIMIT: u64 = 8 * 1024 * 1024;

/// How long a child whose handle was dropped may take to end before it is killed.
pub const DROP_GRACE: Duration = Duration::from_secs(10);

/// Why a child could not be started.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// The program could not be executed.
    #[error("cannot start {program}: {source}")]
    Spawn {
        /// The program's path.
        program: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The log file could not be opened.
    #[error("cannot write the log {path}: {source}")]
    Log {
        /// The log's path.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The thread that owns children is not there (out of threads at its start).
    #[error("the thread that starts child processes could not be made: {0}")]
    Host(String),
}

/// A signal a child understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT: PostgreSQL's fast shutdown.
    Interrupt,
    /// SIGQUIT: PostgreSQL's immediate shutdown (recovers at the next start).
    Quit,
    /// SIGTERM: the usual request to end.
    Terminate,
    /// SIGKILL: ends at once.
    Kill,
}

impl Signal {
    fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "INT",
            Self::Quit => "QUIT",
            Self::Terminate => "TERM",
            Self::Kill => "KILL",
        }
    }

    fn number(self) -> rustix::process::Signal {
        match self {
            Self::Interrupt => rustix::process::Signal::INT,
            Self::Quit => rustix::process::Signal::QUIT,
            Self::Terminate => rustix::process::Signal::TERM,
            Self::Kill => rustix::process::Signal::KILL,
        }
    }
}

/// Where a child's standard output and error go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Appended to this file (mode 0600 when it is new).
    Log(PathBuf),
    /// To ours.
    Inherit,
    /// Nowhere.
    Discard,
}

/// A user and group to run as (only possible for root).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunAs {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// What to start. Secrets belong in `env` or in a file named by it, never in `args`, which every
/// user of the machine can read.
#[derive(Clone)]
pub struct ChildSpec {
    /// The program; without a slash it is looked for on `PATH`.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Environment variables to set.
    pub env: BTreeMap<String, OsString>,
    /// Whether the child also gets our own environment.
    pub inherit_env: bool,
    /// Working folder; ours when `None`.
    pub current_dir: Option<PathBuf>,
    /// User and group; ours when `None`.
    pub run_as: Option<RunAs>,
    /// Standard output and error.
    pub output: Output,
    /// What the child gets when we die (from the kernel) or drop its handle.
    pub death_signal: Signal,
}

impl ChildSpec {
    /// A child with our environment and user, no arguments, discarded output, and SIGTERM as
    /// its death signal.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: BTreeMap::new(),
            inherit_env: true,
            current_dir: None,
            run_as: None,
            output: Output::Discard,
            death_signal: Signal::Terminate,
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<I, A>(mut self, args: I) -> Self
    where
        I: IntoIterator<Item = A>,
        A: Into<OsString>,
    {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<OsString>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// Sets where standard output and error go.
    #[must_use]
    pub fn output(mut self, output: Output) -> Self {
        self.output = output;
        self
    }
}

impl fmt::Debug for ChildSpec {
    /// Environment variables are shown by name only: their values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildSpec")
            .field("program", &self.program)
            .field("args", &self.args)
            .field("env", &self.env.keys().collect::<Vec<_>>())
            .field("run_as", &self.run_as)
            .field("output", &self.output)
            .finish_non_exhaustive()
    }
}

/// A running child. Dropping it sends the death signal, and SIGKILL [`DROP_GRACE`] later.
#[derive(Debug)]
pub struct Child {
    pid: u32,
    exit: watch::Receiver<Option<ExitStatus>>,
    signals: mpsc::Sender<Signal>,
}

impl Child {
    /// The process id (the program's own: see the module's text).
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The exit status if it has ended.
    #[must_use]
    pub fn exit_status(&self) -> Option<ExitStatus> {
        *self.exit.borrow()
    }

    /// Sends a signal; does nothing when the child has ended (its id may be somebody else's).
    pub async fn signal(&self, signal: Signal) {
        if self.signals.send(signal).await.is_err() {
            tracing::debug!(pid = self.pid, ?signal, "not sent: the process has ended");
        }
    }

    /// Waits for the end. `None` only if the owner thread itself was lost.
    pub async fn exited(&self) -> Option<ExitStatus> {
        let mut exit = self.exit.clone();
        match exit.wait_for(Option::is_some).await {
            Ok(status) => *status,
            Err(_) => None,
        }
    }

    /// Sends `signal`, waits up to `grace`, then sends SIGKILL. Returns how it ended.
    pub async fn stop(&self, signal: Signal, grace: Duration) -> Option<ExitStatus> {
        self.signal(signal).await;
        if let Ok(status) = tokio::time::timeout(grace, self.exited()).await {
            return status;
        }
        tracing::warn!(
            pid = self.pid,
            ?signal,
            ?grace,
            "did not stop in time: killed"
        );
        self.signal(Signal::Kill).await;
        self.exited().await
    }
}

/// Whether children are told of our death by the kernel (`setpriv` is installed).
#[must_use]
pub fn dies_with_parent() -> bool {
    setpriv().is_some()
}

/// Starts a child.
///
/// # Errors
/// [`ChildError`] when the program or its log cannot be used.
pub async fn spawn(spec: &ChildSpec) -> Result<Child, ChildError> {
    // Through `setpriv` an absent program would be an exit code, not an error of the start.
    let found = if spec.program.components().count() > 1 {
        is_executable(&spec.program)
    } else {
        spec.program.to_str().and_then(find_program).is_some()
    };
    if !found {
        let source = io::Error::new(
            io::ErrorKind::NotFound,
            "no such program, or not executable",
        );
        return Err(ChildError::Spawn {
            program: spec.program.clone(),
            source,
        });
    }
    let command = command(spec)?;
    let (reply, started) = oneshot::channel();
    let death_signal = spec.death_signal;
    let lost = || ChildError::Host("it has ended".to_owned());
    host()?
        .send(Job {
            command,
            death_signal,
            reply,
        })
        .await
        .map_err(|_| lost())?;
    started
        .await
        .map_err(|_| lost())?
        .map_err(|source| ChildError::Spawn {
            program: spec.program.clone(),
            source,
        })
}

/// The last `lines` lines of a log, for an error message. Empty if it cannot be read.
#[must_use]
pub fn log_tail(path: &Path, lines: usize) -> String {
    use std::io::{Read as _, Seek as _, SeekFrom};
    const WINDOW: u64 = 16 * 1024;
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let start = file.metadata()?.len().saturating_sub(WINDOW);
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.take(WINDOW).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// A program on `PATH` (or in the usual folders, for services started with a bare environment).
#[must_use]
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/local/bin", "/usr/bin", "/bin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_absolute() && is_executable(candidate))
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata()
        .is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

fn setpriv() -> Option<&'static Path> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOUND
        .get_or_init(|| {
            let found = find_program("setpriv");
            if found.is_none() {
                tracing::warn!(
                    "`setpriv` (util-linux) not found: children outlive a SIGKILL of this process"
                );
            }
            found
        })
        .as_deref()
}

fn command(spec: &ChildSpec) -> Result<Command, ChildError> {
    let mut command = match setpriv() {
        Some(setpriv) => {
            let mut command = Command::new(setpriv);
            command
                .arg("--pdeathsig")
                .arg(spec.death_signal.name())
                .arg("--")
                .arg(&spec.program);
            command
        }
        None => Command::new(&spec.program),
    };
    command.args(&spec.args);
    if !spec.inherit_env {
        command.env_clear();
        command.env(
            "PATH",
            std::env::var_os("PATH").unwrap_or_else(|| OsStr::new("/usr/bin:/bin").to_owned()),
        );
    }
    command.envs(&spec.env);
    if let Some(folder) = &spec.current_dir {
        command.current_dir(folder);
    }
    if let Some(RunAs { uid, gid }) = spec.run_as {
        command.uid(uid).gid(gid);
    }
    command.process_group(0).stdin(Stdio::null());
    match &spec.output {
        Output::Inherit => {}
        Output::Discard => {
            command.stdout(Stdio::null()).stderr(Stdio::null());
        }
        Output::Log(path) => {
            let failed = |source| ChildError::Log {
                path: path.clone(),
                source,
            };
            let file = open_log(path).map_err(failed)?;
            command
                .stdout(file.try_clone().map_err(failed)?)
                .stderr(file);
        }
    }
    Ok(command)
}

fn open_log(path: &Path) -> io::Result<File> {
    if path.metadata().is_ok_and(|m| m.len() > LOG_LIMIT) {
        let mut old = path.as_os_str().to_owned();
        old.push(".1");
        std::fs::rename(path, old)?;
    }
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
}

struct Job {
    command: Command,
    death_signal: Signal,
    reply: oneshot::Sender<io::Result<Child>>,
}

/// The thread that owns all children of this process, started on first use.
fn host() -> Result<&'static mpsc::Sender<Job>, ChildError> {
    static HOST: OnceLock<Result<mpsc::Sender<Job>, String>> = OnceLock::new();
    HOST.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| e.to_string())?;
        let (jobs, queue) = mpsc::channel(16);
        std::thread::Builder::new()
            .name("children".to_owned())
            .spawn(move || runtime.block_on(own_children(queue)))
            .map_err(|e| e.to_string())?;
        Ok(jobs)
    })
    .as_ref()
    .map_err(|why| ChildError::Host(why.clone()))
}

async fn own_children(mut queue: mpsc::Receiver<Job>) {
    let mut children = JoinSet::new();
    loop {
        tokio::select! {
            job = queue.recv() => match job {
                Some(job) => start(job, &mut children),
                None => return, // the sender lives in a static: not while the process lives
            },
            Some(ended) = children.join_next() => if let Err(error) = ended {
                tracing::error!(%error, "the task that waits for a child failed");
            },
        }
    }
}

fn start(mut job: Job, children: &mut JoinSet<()>) {
    let spawned = job.command.kill_on_drop(true).spawn();
    let result = spawned.and_then(|process| {
        let pid = process
            .id()
            .ok_or_else(|| io::Error::other("ended at once"))?;
        let (exit_sender, exit) = watch::channel(None);
        let (signals, signal_queue) = mpsc::channel(8);
        children.spawn(own_child(
            process,
            job.death_signal,
            signal_queue,
            exit_sender,
        ));
        Ok(Child { pid, exit, signals })
    });
    // A caller that has gone away drops the handle, and with it the child.
    drop(job.reply.send(result));
}

/// Signals and reaping are in one task, so a signal never goes to an id that was reaped and
/// given to another process.
async fn own_child(
    mut process: tokio::process::Child,
    death_signal: Signal,
    mut signals: mpsc::Receiver<Signal>,
    exit: watch::Sender<Option<ExitStatus>>,
) {
    let status = loop {
        tokio::select! {
            status = process.wait() => break status,
            signal = signals.recv() => match signal {
                Some(signal) => send(&process, signal),
                None => {
                    send(&process, death_signal);
                    match tokio::time::timeout(DROP_GRACE, process.wait()).await {
                        Ok(status) => break status,
                        Err(_) => send(&process, Signal::Kill),
                    }
                    break process.wait().await;
                }
            },
        }
    };
    match status {
        Ok(status) => drop(exit.send_replace(Some(status))),
        Err(error) => tracing::error!(%error, "lost the exit status of a child"),
    }
}

fn send(process: &tokio::process::Child, signal: Signal) {
    let Some(pid) = process.id().and_then(pid_of) else {
        return;
    };
    if let Err(error) = rustix::process::kill_process(pid, signal.number()) {
        tracing::warn!(%error, ?signal, "signal not delivered");
    }
}

fn pid_of(id: u32) -> Option<rustix::process::Pid> {
    i32::try_from(id)
        .ok()
        .and_then(rustix::process::Pid::from_raw)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt as _;

    fn shell(script: &str) -> ChildSpec {
        ChildSpec::new("/bin/sh").args(["-c", script])
    }

    #[tokio::test]
    async fn the_exit_status_and_output_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let spec = shell("echo one; echo \"$WORD\" >&2; exit 7")
            .env("WORD", "two")
            .output(Output::Log(log.clone()));
        let child = spawn(&spec).await.unwrap();
        assert_eq!(child.exited().await.unwrap().code(), Some(7));
        assert_eq!(log_tail(&log, 10), "one\ntwo");
        assert_eq!(log_tail(&log, 1), "two");
    }

    #[tokio::test]
    async fn stop_asks_first_and_kills_when_not_heard() {
        let polite = spawn(&shell("exec sleep 1000")).await.unwrap();
        let status = polite
            .stop(Signal::Terminate, Duration::from_secs(20))
            .await
            .unwrap();
        assert_eq!(status.signal(), Some(15));

        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let deaf = shell("trap '' TERM; echo deaf; while :; do sleep 1000; done")
            .output(Output::Log(log.clone()));
        let deaf = spawn(&deaf).await.unwrap();
        while log_tail(&log, 1) != "deaf" {
            tokio::task::yield_now().await;
        }
        let status = deaf
            .stop(Signal::Terminate, Duration::from_millis(50))
            .await
            .unwrap();
        assert_eq!(status.signal(), Some(9));
    }

    #[tokio::test]
    async fn a_dropped_handle_ends_the_child() {
        let child = spawn(&shell("exec sleep 1000")).await.unwrap();
        let mut exit = child.exit.clone();
        drop(child);
        let status = exit.wait_for(Option::is_some).await.unwrap().unwrap();
        assert_eq!(status.signal(), Some(15));
    }

    #[test]
    fn a_child_outlives_the_runtime_that_started_it() {
        let runtime = || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap()
        };
        let child = std::thread::spawn(move || {
            runtime()
                .block_on(spawn(&shell("exec sleep 1000")))
                .unwrap()
        })
        .join()
        .unwrap();
        let status = runtime().block_on(child.stop(Signal::Interrupt, Duration::from_secs(20)));
        assert_eq!(
            status.unwrap().signal(),
            Some(2),
            "ended by our signal, not by the first thread's death"
        );
    }

    #[tokio::test]
    async fn an_absent_program_is_named() {
        let error = spawn(&ChildSpec::new("/no/such/program"))
            .await
            .unwrap_err();
        assert!(error.to_string().contains("/no/such/program"), "{error}");
    }

    #[test]
    fn debug_shows_no_environment_value() {
        let shown = format!("{:?}", shell("true").env("TOKEN", "open sesame"));
        assert!(
            shown.contains("TOKEN") && !shown.contains("sesame"),
            "{shown}"
        );
    }
}
