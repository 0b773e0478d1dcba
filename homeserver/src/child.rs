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

mod owner;
mod sockets;
mod spec;

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::{mpsc, oneshot, watch};

use owner::{Job, host};

pub use sockets::listens_on;
pub use spec::{ChildSpec, Output, RunAs, Signal};

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
        self.kill().await
    }

    /// Sends SIGKILL. Returns how it ended.
    pub async fn kill(&self) -> Option<ExitStatus> {
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

#[cfg(test)]
mod tests;
