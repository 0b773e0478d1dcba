//! An embedded PostgreSQL cluster: found, initialised, started as a child, stopped, restarted.
//!
//! It is reached through a socket in a folder closed to other users and listens on no network
//! address. [`Cluster`] runs one by itself (tests, tools); [`PreparedCluster`] is the same for a
//! supervisor that owns the process.

mod account;
mod binaries;
mod error;
mod init;
mod pid_file;
mod settings;
mod temporary;

use std::path::{Path, PathBuf};
use std::time::Duration;

use fleet_homeserver::child::{self, Child, ChildSpec, Output, Signal};
use fleet_homeserver::python::Progress;
use sha2::{Digest as _, Sha256};
use url::Url;

pub use account::Account;
pub use binaries::{Binaries, OLDEST, Source, WHEEL};
pub use error::PostgresError;
pub use settings::ClusterSettings;
pub use temporary::TemporaryCluster;

use pid_file::PidFile;

/// The cluster's superuser and the owner of the database. Not named like the schema: a user
/// named `fleet` would find `fleet` first in its search path.
pub const OWNER: &str = "fleet_owner";

/// How long a start, or the end of a process that is still going down, may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often `postmaster.pid` is looked at: PostgreSQL offers no event for it.
const LOOK: Duration = Duration::from_millis(20);

/// Speed for safety against a crash of the machine. A commit is still written before it is answered:
/// with `synchronous_commit=off` a killed server forgets what it has confirmed.
const THROWAWAY: [&str; 8] = [
    "-c",
    "fsync=off",
    "-c",
    "full_page_writes=off",
    "-c",
    "wal_level=minimal",
    "-c",
    "max_wal_senders=0",
];

/// A Unix socket's whole path must fit 107 bytes; this is what follows the folder.
const SOCKET_NAME: &str = "/.s.PGSQL.5432";

/// A cluster that can be started: programs found, data folder initialised, socket folder made.
#[derive(Debug, Clone)]
pub struct PreparedCluster {
    settings: ClusterSettings,
    binaries: Binaries,
    account: Account,
    socket: PathBuf,
}

impl PreparedCluster {
    /// Finds the programs and makes what is missing.
    ///
    /// # Errors
    /// [`PostgresError`]; nothing half-made is left that a later start would take for complete.
    pub async fn prepare(
        settings: ClusterSettings,
        progress: Progress<'_>,
    ) -> Result<Self, PostgresError> {
        check_name(&settings.database)?;
        let account = Account::for_cluster().map_err(PostgresError::NoAccount)?;
        let made_by = init::made_by(&settings.data)?;
        let binaries = Binaries::find(&settings.source, made_by, &account, progress).await?;
        if let Some(barrier) = account.barrier(settings.data.parent().unwrap_or(&settings.data)) {
            return Err(PostgresError::Unreachable {
                path: settings.data,
                barrier,
                user: account.label(),
            });
        }
        let major = binaries.major;
        match made_by {
            Some(made_by) if made_by != major => {
                return Err(PostgresError::WrongMajor {
                    data: settings.data,
                    made_by,
                    major,
                });
            }
            Some(_) => {}
            None => {
                progress(&format!("initialising PostgreSQL {major}"));
                init::make(
                    &binaries,
                    &account,
                    &settings.data,
                    &settings.database,
                    settings.throwaway,
                )
                .await?;
            }
        }
        let socket = socket_folder(&settings.data);
        account
            .private_folder(&socket)
            .map_err(|source| PostgresError::Io {
                action: "use",
                path: socket.clone(),
                source,
            })?;
        Ok(Self {
            settings,
            binaries,
            account,
            socket,
        })
    }

    /// The major version, e.g. 18.
    #[must_use]
    pub fn major(&self) -> u32 {
        self.binaries.major
    }

    /// The log file.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.settings.log
    }

    /// The address for [`OWNER`], the superuser.
    #[must_use]
    pub fn owner_url(&self) -> String {
        self.url(OWNER, &self.settings.database)
    }

    /// The address for another user or database. No password is asked for: who may enter the
    /// socket's folder is trusted.
    #[must_use]
    pub fn url(&self, user: &str, database: &str) -> String {
        let host = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("host", &self.socket.to_string_lossy())
            .finish();
        let mut url = format!("postgres://localhost/?{host}");
        // Set by parts, so that a name with special characters is encoded.
        if let Ok(mut parsed) = Url::parse(&url) {
            parsed.set_path(database);
            if parsed.set_username(user).is_ok() {
                url = parsed.into();
            }
        }
        url
    }

    /// The process to run.
    #[must_use]
    pub fn spec(&self) -> ChildSpec {
        let settings = &self.settings;
        let mut spec = ChildSpec::new(self.binaries.program("postgres"))
            .args([
                "-D".as_ref(),
                settings.data.as_os_str(),
                "-k".as_ref(),
                self.socket.as_os_str(),
            ])
            .args([
                "-c",
                "listen_addresses=",
                "-c",
                "unix_socket_permissions=0700",
                "-c",
                "port=5432",
            ])
            .args([
                "-c",
                "timezone=UTC",
                "-c",
                "log_timezone=UTC",
                "-c",
                "logging_collector=off",
                // A new register is planned for as it is soon after its first rows, not a minute later.
                "-c",
                "autovacuum_naptime=2s",
            ])
            .args([
                "-c".to_owned(),
                format!("max_connections={}", settings.max_connections),
            ])
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .output(Output::Log(settings.log.clone()));
        if settings.throwaway {
            spec = spec.args(THROWAWAY);
        }
        spec.inherit_env = false;
        spec.current_dir = Some(PathBuf::from("/"));
        spec.run_as = self.account.run_as();
        spec.death_signal = if settings.throwaway {
            Signal::Quit
        } else {
            Signal::Interrupt
        };
        spec
    }

    /// Clears the way for a start: waits for a postmaster that is still going down (its parent
    /// was killed a moment ago), and removes a `postmaster.pid` whose number now belongs to a
    /// process of somebody else.
    ///
    /// # Errors
    /// [`PostgresError::StillRunning`] when that postmaster does not end.
    pub async fn clear(&self) -> Result<(), PostgresError> {
        let data = &self.settings.data;
        let io = |action| {
            move |source| PostgresError::Io {
                action,
                path: data.join("postmaster.pid"),
                source,
            }
        };
        let Some(file) = PidFile::read(data).map_err(io("read"))? else {
            return Ok(());
        };
        let gone = async {
            while file.is_its_postmaster(data) {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(PATIENCE, gone)
            .await
            .map_err(|_| PostgresError::StillRunning {
                pid: file.pid,
                data: data.clone(),
            })?;
        // Going down it removed the file itself. Of a dead process PostgreSQL removes it.
        if file.is_alive() && PidFile::read(data).map_err(io("read"))? == Some(file) {
            std::fs::remove_file(data.join("postmaster.pid")).map_err(io("remove"))?;
        }
        Ok(())
    }

    /// Waits until the process `pid` accepts connections. Does not end by itself: the caller has
    /// the deadline and notices the process's end.
    ///
    /// # Errors
    /// [`PostgresError::Io`] when `postmaster.pid` cannot be read.
    pub async fn ready(&self, pid: u32) -> Result<(), PostgresError> {
        let data = &self.settings.data;
        loop {
            let file = PidFile::read(data).map_err(|source| PostgresError::Io {
                action: "read",
                path: data.join("postmaster.pid"),
                source,
            })?;
            if file == Some(PidFile { pid, ready: true }) {
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn launch(&self) -> Result<Child, PostgresError> {
        let log = self.settings.log.clone();
        let attempts = async {
            loop {
                self.clear().await?;
                let child = child::spawn(&self.spec()).await?;
                let status = tokio::select! {
                    ready = self.ready(child.pid()) => return ready.map(|()| child),
                    status = child.exited() => status,
                };
                let tail = child::log_tail(&log, 12);
                // After SIGKILL of the postmaster its backends hold the old memory for a moment.
                if !tail.contains("pre-existing shared memory block") {
                    let status = status.map_or_else(|| "unknown".to_owned(), |s| s.to_string());
                    return Err(PostgresError::Ended {
                        status,
                        log: log.clone(),
                        tail,
                    });
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        match tokio::time::timeout(PATIENCE, attempts).await {
            Ok(result) => result,
            Err(_) => Err(PostgresError::NotReady { log }),
        }
    }
}

/// A running cluster. Dropping it stops PostgreSQL.
#[derive(Debug)]
pub struct Cluster {
    prepared: PreparedCluster,
    child: Child,
}

impl Cluster {
    /// Prepares and starts a cluster; returns when it accepts connections.
    ///
    /// # Errors
    /// [`PostgresError`].
    pub async fn start(
        settings: ClusterSettings,
        progress: Progress<'_>,
    ) -> Result<Self, PostgresError> {
        let prepared = PreparedCluster::prepare(settings, progress).await?;
        let child = prepared.launch().await?;
        Ok(Self { prepared, child })
    }

    /// Addresses, version and log.
    #[must_use]
    pub fn prepared(&self) -> &PreparedCluster {
        &self.prepared
    }

    /// The address for [`OWNER`], the superuser.
    #[must_use]
    pub fn owner_url(&self) -> String {
        self.prepared.owner_url()
    }

    /// The postmaster's process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// SIGKILL to the postmaster; returns when it is dead. The data recovers at the next start.
    pub async fn kill(&self) {
        self.child.kill().await;
    }

    /// Starts again after [`Cluster::kill`], or stops and starts.
    ///
    /// # Errors
    /// [`PostgresError`].
    pub async fn restart(&mut self) -> Result<(), PostgresError> {
        self.halt().await;
        self.child = self.prepared.launch().await?;
        Ok(())
    }

    /// Disconnects everybody, writes all to disk, ends.
    pub async fn stop(self) {
        self.halt().await;
    }

    async fn halt(&self) {
        self.child
            .stop(self.prepared.spec().death_signal, PATIENCE)
            .await;
    }
}

/// A name that needs no quoting anywhere.
fn check_name(database: &str) -> Result<(), PostgresError> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if database.is_empty() || database.len() > 63 || !database.chars().all(plain) {
        return Err(PostgresError::BadName(database.to_owned()));
    }
    Ok(())
}

/// Beside the data, unless that path is too long for a socket.
fn socket_folder(data: &Path) -> PathBuf {
    let beside = init::with_suffix(data, ".sock");
    if beside.as_os_str().len() + SOCKET_NAME.len() <= 100 {
        return beside;
    }
    let digest = Sha256::digest(data.as_os_str().as_encoded_bytes());
    let name: String = digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    PathBuf::from(format!("/tmp/fleet-{name}.sock"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_path_gets_a_short_socket_of_its_own() {
        assert_eq!(
            socket_folder(Path::new("/srv/fleet/postgres")),
            Path::new("/srv/fleet/postgres.sock")
        );
        let long = |last: &str| PathBuf::from(format!("/srv/{}/{last}", "x".repeat(100)));
        let (one, two) = (socket_folder(&long("a")), socket_folder(&long("b")));
        assert!(one.as_os_str().len() < 40 && one != two, "{one:?} {two:?}");
    }
}
