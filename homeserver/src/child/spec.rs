//! What to start.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

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
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "INT",
            Self::Quit => "QUIT",
            Self::Terminate => "TERM",
            Self::Kill => "KILL",
        }
    }

    pub(super) fn number(self) -> rustix::process::Signal {
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
