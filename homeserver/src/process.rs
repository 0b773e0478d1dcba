//! A homeserver of our own: configured, started as a child, stopped, restarted.
//!
//! [`Homeserver`] runs one by itself (tests, tools); [`PreparedHomeserver`] is the same for a
//! supervisor that owns the process.

mod error;

use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use url::Url;

use crate::accounts::Registration;
use crate::child::{self, Child, ChildSpec, Output, Signal};
use crate::config::{self, ConfigFile, Settings};
use crate::python::{self, Progress, Requirements};

pub use error::HomeserverError;

/// Synapse and all it depends on.
pub const SYNAPSE: Requirements = Requirements {
    name: "synapse",
    lock: include_str!("../requirements/synapse.txt"),
};

/// How long a start may take (Synapse's first one makes its database).
const PATIENCE: Duration = Duration::from_secs(90);
/// How long the homeserver may take to write everything and end.
const GRACE: Duration = Duration::from_secs(20);
/// How often a starting homeserver is asked whether it answers.
const LOOK: Duration = Duration::from_millis(50);

/// Which homeserver to run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Software {
    /// What the data folder was made by; for a new one Conduit if it is on `PATH`, else Synapse.
    #[default]
    Auto,
    /// This Conduit binary.
    Conduit(PathBuf),
    /// Synapse in a private Python environment.
    Synapse,
}

/// What homeserver to run.
#[derive(Debug, Clone)]
pub struct HomeserverSettings {
    /// Its configuration.
    pub config: Settings,
    /// Which software.
    pub software: Software,
    /// The log of standard output and error.
    pub log: PathBuf,
    /// Folder of Python environments; `None` for [`python::default_cache`].
    pub cache: Option<PathBuf>,
}

/// What will run.
#[derive(Debug, Clone)]
enum Program {
    Conduit(PathBuf),
    Synapse { python: PathBuf },
}

/// A homeserver that can be started: software found, configuration written.
#[derive(Debug, Clone)]
pub struct PreparedHomeserver {
    settings: HomeserverSettings,
    program: Program,
    http: reqwest::Client,
}

impl PreparedHomeserver {
    /// Finds or makes the software and writes its configuration (mode 0600).
    ///
    /// # Errors
    /// [`HomeserverError`].
    pub async fn prepare(
        settings: HomeserverSettings,
        progress: Progress<'_>,
    ) -> Result<Self, HomeserverError> {
        let program = choose(&settings, progress).await?;
        let data = &settings.config.data;
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(data)
            .map_err(|source| HomeserverError::Io {
                action: "make",
                path: data.clone(),
                source,
            })?;
        match &program {
            Program::Conduit(_) => write(data, &config::conduit::render(&settings.config)?)?,
            Program::Synapse { python } => {
                for file in config::synapse::render(&settings.config)? {
                    write(data, &file)?;
                }
                if !data.join(config::synapse::SIGNING_KEY).exists() {
                    progress("making the homeserver's signing key");
                    generate_signing_key(python, &settings).await?;
                }
            }
        }
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(5))
            .no_proxy()
            .build()
            .map_err(HomeserverError::Http)?;
        Ok(Self {
            settings,
            program,
            http,
        })
    }

    /// `Conduit` or `Synapse`.
    #[must_use]
    pub fn software(&self) -> &'static str {
        match self.program {
            Program::Conduit(_) => "Conduit",
            Program::Synapse { .. } => "Synapse",
        }
    }

    /// The log of standard output and error.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.settings.log
    }

    /// The address for clients on this machine.
    #[must_use]
    pub fn base_url(&self) -> String {
        self.settings.config.local_url()
    }

    /// How accounts are made on it.
    #[must_use]
    pub fn registration(&self) -> Registration {
        let secret = self.settings.config.registration_secret.clone();
        match self.program {
            Program::Conduit(_) => Registration::Token(secret),
            Program::Synapse { .. } => Registration::SharedSecret {
                secret,
                admin: false,
            },
        }
    }

    /// The process to run.
    #[must_use]
    pub fn spec(&self) -> ChildSpec {
        let data = &self.settings.config.data;
        let spec = match &self.program {
            Program::Conduit(binary) => {
                ChildSpec::new(binary).env("CONDUIT_CONFIG", data.join(config::conduit::FILE))
            }
            Program::Synapse { python } => synapse(python, data),
        };
        ChildSpec {
            current_dir: Some(data.clone()),
            ..spec
        }
        .output(Output::Log(self.settings.log.clone()))
    }

    /// Waits until `/_matrix/client/versions` is answered, and by the process `pid`. Does not end
    /// by itself: the caller has the deadline and notices the process's end.
    pub async fn ready(&self, pid: u32) {
        let port = self.settings.config.listen.port();
        let url = format!("{}_matrix/client/versions", self.base_url());
        let answers = async || {
            self.http
                .get(&url)
                .send()
                .await
                .is_ok_and(|a| a.status().is_success())
        };
        while !(child::listens_on(pid, port) && answers().await) {
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn launch(&self) -> Result<Child, HomeserverError> {
        let child = child::spawn(&self.spec()).await?;
        let log = self.settings.log.clone();
        tokio::select! {
            () = self.ready(child.pid()) => Ok(child),
            status = child.exited() => {
                let status = status.map_or_else(|| "unknown".to_owned(), |s| s.to_string());
                let tail = child::log_tail(&log, 15);
                Err(HomeserverError::Ended { status, log, tail })
            }
            () = tokio::time::sleep(PATIENCE) => Err(HomeserverError::NotReady { log }),
        }
    }
}

/// A running homeserver. Dropping it stops the process.
#[derive(Debug)]
pub struct Homeserver {
    prepared: PreparedHomeserver,
    child: Child,
}

impl Homeserver {
    /// Prepares and starts one; returns when it answers.
    ///
    /// # Errors
    /// [`HomeserverError`].
    pub async fn start(
        settings: HomeserverSettings,
        progress: Progress<'_>,
    ) -> Result<Self, HomeserverError> {
        let prepared = PreparedHomeserver::prepare(settings, progress).await?;
        progress(&format!("starting {}", prepared.software()));
        let child = prepared.launch().await?;
        Ok(Self { prepared, child })
    }

    /// Address, software, how accounts are made.
    #[must_use]
    pub fn prepared(&self) -> &PreparedHomeserver {
        &self.prepared
    }

    /// The address for clients on this machine.
    ///
    /// # Errors
    /// Never for a socket address; the type asks.
    pub fn base_url(&self) -> Result<Url, url::ParseError> {
        self.prepared.base_url().parse()
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// SIGKILL; returns when it is dead.
    pub async fn kill(&self) {
        self.child.kill().await;
    }

    /// Starts again after [`Homeserver::kill`], or stops and starts.
    ///
    /// # Errors
    /// [`HomeserverError`].
    pub async fn restart(&mut self) -> Result<(), HomeserverError> {
        self.child.stop(Signal::Terminate, GRACE).await;
        self.child = self.prepared.launch().await?;
        Ok(())
    }

    /// SIGTERM, and SIGKILL when that is not heard.
    pub async fn stop(self) {
        self.child.stop(Signal::Terminate, GRACE).await;
    }
}

/// The data folder's maker, by the configuration we left there.
fn made_by(data: &Path) -> Option<&'static str> {
    if data.join(config::synapse::FILE).exists() {
        Some("Synapse")
    } else if data.join(config::conduit::FILE).exists() {
        Some("Conduit")
    } else {
        None
    }
}

async fn choose(
    settings: &HomeserverSettings,
    progress: Progress<'_>,
) -> Result<Program, HomeserverError> {
    let data = &settings.config.data;
    let on_path =
        || child::find_program("conduit").or_else(|| child::find_program("matrix-conduit"));
    let conduit = match (&settings.software, made_by(data)) {
        (Software::Conduit(_), Some(made_by @ "Synapse"))
        | (Software::Synapse, Some(made_by @ "Conduit")) => {
            return Err(HomeserverError::OtherSoftware {
                data: data.clone(),
                made_by,
            });
        }
        (Software::Conduit(binary), _) => Some(binary.clone()),
        (Software::Synapse, _) | (Software::Auto, Some("Synapse")) => None,
        (Software::Auto, Some(_)) => {
            Some(on_path().ok_or_else(|| HomeserverError::NoConduit { data: data.clone() })?)
        }
        (Software::Auto, None) => on_path(),
    };
    if let Some(binary) = conduit {
        return Ok(Program::Conduit(binary));
    }
    let cache = match &settings.cache {
        Some(cache) => cache.clone(),
        None => python::default_cache()?,
    };
    let environment = python::environment(&SYNAPSE, &cache, progress).await?;
    Ok(Program::Synapse {
        python: environment.python(),
    })
}

fn synapse(python: &Path, data: &Path) -> ChildSpec {
    ChildSpec::new(python)
        .args(["-m", "synapse.app.homeserver", "-c"])
        .args([data.join(config::synapse::FILE)])
        .env("PYTHONUNBUFFERED", "1")
}

async fn generate_signing_key(
    python: &Path,
    settings: &HomeserverSettings,
) -> Result<(), HomeserverError> {
    let spec = synapse(python, &settings.config.data)
        .args(["--generate-keys"])
        .output(Output::Log(settings.log.clone()));
    let child = child::spawn(&spec).await?;
    let status = child.exited().await;
    if status.is_some_and(|status| status.success()) {
        return Ok(());
    }
    Err(HomeserverError::Ended {
        status: status.map_or_else(|| "unknown".to_owned(), |s| s.to_string()),
        log: settings.log.clone(),
        tail: child::log_tail(&settings.log, 15),
    })
}

/// Written anew at each start: the settings are the truth, the file a rendering of them. The new
/// file replaces the old one whole, so a start that is killed leaves one or the other.
fn write(data: &Path, file: &ConfigFile) -> Result<(), HomeserverError> {
    use std::io::Write as _;
    let path = data.join(file.name);
    let new = data.join(format!("{}.new", file.name));
    let written = std::fs::OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&new)
        .and_then(|mut opened| opened.write_all(file.text.expose().as_bytes()))
        .and_then(|()| std::fs::rename(&new, &path));
    written.map_err(|source| HomeserverError::Io {
        action: "write",
        path,
        source,
    })
}

#[cfg(test)]
mod tests;
