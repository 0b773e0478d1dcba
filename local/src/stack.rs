//! PostgreSQL, a homeserver and the caller's services as one thing that starts and stops.
//!
//! [`Stack::start`] brings up what every service needs; the caller then makes accounts and tokens
//! with what the stack tells, and adds its services one by one with [`Stack::run`]. A second start
//! on the same folder goes on where the first ended.

mod programs;
mod settings;

use std::net::SocketAddr;
use std::sync::Arc;

use fleet_homeserver::Secret;
use fleet_homeserver::child::{Output, Signal};
use fleet_homeserver::config::Settings;
use fleet_homeserver::health;
use fleet_homeserver::process::{HomeserverSettings, PreparedHomeserver};
use tokio::time::Instant;

use crate::data_folder::DataFolder;
use crate::postgres::{ClusterSettings, PreparedCluster, Source};
use crate::supervisor::{Policy, Supervisor};

pub use settings::{
    Database, HomeserverAccess, HomeserverChoice, Progress, ProgressState, Report, ServiceSpec,
    StackError, StackSettings,
};

use programs::HttpService;

/// The name PostgreSQL has in the supervisor and in [`Progress::step`].
pub const POSTGRES: &str = "postgres";
/// The name the homeserver has there.
pub const HOMESERVER: &str = "homeserver";

/// The homeserver's port if nothing else is wanted.
const HOMESERVER_PORT: u16 = 8008;

/// A running stack. Dropping it stops all, but without waiting: use [`Stack::stop`].
pub struct Stack {
    // Before `folder`: the children end before the folder's lock is given up.
    supervisor: Supervisor,
    database_url: Secret,
    homeserver: HomeserverAccess,
    http: reqwest::Client,
    report: Report,
    folder: DataFolder,
}

impl Stack {
    /// Opens the folder, starts PostgreSQL and the homeserver (or checks the given ones).
    ///
    /// # Errors
    /// [`StackError`]; what was started is stopped again.
    pub async fn start(settings: StackSettings, report: Report) -> Result<Self, StackError> {
        let supervisor = Supervisor::new();
        match Self::bring_up(settings, &supervisor, &report).await {
            Ok((folder, database_url, homeserver, http)) => Ok(Self {
                supervisor,
                database_url,
                homeserver,
                http,
                report,
                folder,
            }),
            Err(error) => {
                supervisor.shutdown().await;
                Err(error)
            }
        }
    }

    async fn bring_up(
        settings: StackSettings,
        supervisor: &Supervisor,
        report: &Report,
    ) -> Result<(DataFolder, Secret, HomeserverAccess, reqwest::Client), StackError> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(Policy::default().grace)
            .build()?;
        let telling = Telling::begin(report, "folder", &settings.folder.display().to_string());
        let folder = telling.end(DataFolder::open(&settings.folder))?;
        let database_url = match &settings.database {
            Database::Url(url) => url.clone(),
            Database::Embedded(source) => {
                let telling = Telling::begin(report, POSTGRES, "");
                let throwaway = settings.throwaway;
                let started =
                    start_postgres(supervisor, &folder, source, throwaway, &|line: &str| {
                        telling.line(line)
                    })
                    .await;
                telling.end(started)?
            }
        };
        let telling = Telling::begin(report, HOMESERVER, "");
        let choice = &settings.homeserver;
        let started = start_homeserver(
            supervisor,
            &folder,
            choice,
            settings.throwaway,
            &|line: &str| telling.line(line),
        )
        .await;
        let homeserver = telling.end(started)?;
        Ok((folder, database_url, homeserver, http))
    }

    /// Starts a service of the caller's; returns its process id when it is ready. From then on it
    /// is kept running.
    ///
    /// # Errors
    /// [`StackError::Supervisor`] with the end of its log.
    pub async fn run(&self, service: ServiceSpec) -> Result<u32, StackError> {
        let name = service.name.clone();
        let child = service.child.output(Output::Log(self.folder.log(&name)));
        let program = HttpService {
            child,
            ready_url: service.ready_url,
            http: self.http.clone(),
        };
        let telling = Telling::begin(&self.report, &name, "");
        telling.end(
            self.supervisor
                .start(&name, Arc::new(program), Policy::default())
                .await,
        )
    }

    /// The database's address for its owner: for migrations, and to make other users.
    #[must_use]
    pub fn database_url(&self) -> &Secret {
        &self.database_url
    }

    /// The homeserver.
    #[must_use]
    pub fn homeserver(&self) -> &HomeserverAccess {
        &self.homeserver
    }

    /// The data folder: secrets, ports, places.
    #[must_use]
    pub fn folder(&self) -> &DataFolder {
        &self.folder
    }

    /// The processes by name: [`POSTGRES`], [`HOMESERVER`], and the services.
    #[must_use]
    pub fn processes(&self) -> &Supervisor {
        &self.supervisor
    }

    /// Stops all, the last one started first; gives back the folder, still locked, for a caller
    /// that wants to remove it.
    pub async fn stop(self) -> DataFolder {
        self.supervisor.shutdown().await;
        self.folder
    }
}

impl std::fmt::Debug for Stack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stack")
            .field("folder", &self.folder)
            .field("homeserver", &self.homeserver)
            .finish_non_exhaustive()
    }
}

async fn start_postgres(
    supervisor: &Supervisor,
    folder: &DataFolder,
    source: &Source,
    throwaway: bool,
    line: &(dyn Fn(&str) + Send + Sync),
) -> Result<Secret, StackError> {
    let settings = ClusterSettings {
        log: folder.log(POSTGRES),
        source: source.clone(),
        throwaway,
        ..ClusterSettings::new(folder.postgres()?)
    };
    let cluster = PreparedCluster::prepare(settings, line).await?;
    line(&format!("starting PostgreSQL {}", cluster.major()));
    let url = Secret::new(cluster.owner_url());
    // Fast shutdown; a throw-away cluster too: its caller may start it again.
    let policy = Policy {
        stop_signal: Signal::Interrupt,
        ..Policy::default()
    };
    supervisor
        .start(POSTGRES, Arc::new(cluster), policy)
        .await?;
    Ok(url)
}

async fn start_homeserver(
    supervisor: &Supervisor,
    folder: &DataFolder,
    choice: &HomeserverChoice,
    throwaway: bool,
    line: &(dyn Fn(&str) + Send + Sync),
) -> Result<HomeserverAccess, StackError> {
    let (software, server_name, ip, port, public_url, fast_hashing) = match choice {
        HomeserverChoice::Existing { url, registration } => {
            let found = health::probe(url).await?;
            line(&format!("{:?} at {url}", found.kind));
            return Ok(HomeserverAccess {
                url: url.clone(),
                registration: registration.clone(),
            });
        }
        HomeserverChoice::Embedded {
            software,
            server_name,
            ip,
            port,
            public_url,
            fast_hashing,
        } => (software, server_name, ip, port, public_url, fast_hashing),
    };
    // Throw-away stacks start in numbers, as in tests: they do not race for one port.
    let default = if throwaway { 0 } else { HOMESERVER_PORT };
    let port = folder.port(HOMESERVER, *ip, *port, default).await?;
    let settings = HomeserverSettings {
        config: Settings {
            server_name: server_name.clone(),
            listen: SocketAddr::new(*ip, port),
            public_url: public_url.clone(),
            data: folder.homeserver(),
            registration_secret: folder.secret("homeserver-registration")?,
            fast_hashing: *fast_hashing,
        },
        software: software.clone(),
        log: folder.log(HOMESERVER),
        cache: None,
    };
    let homeserver = PreparedHomeserver::prepare(settings, line).await?;
    line(&format!("starting {}", homeserver.software()));
    let access = HomeserverAccess {
        url: homeserver.base_url().parse()?,
        registration: Some(homeserver.registration()),
    };
    supervisor
        .start(HOMESERVER, Arc::new(homeserver), Policy::default())
        .await?;
    Ok(access)
}

/// A step under way: reports its begin, words on the way, and end.
struct Telling<'a> {
    report: &'a Report,
    name: &'a str,
    begun: Instant,
}

impl<'a> Telling<'a> {
    fn begin(report: &'a Report, name: &'a str, detail: &str) -> Self {
        let telling = Self {
            report,
            name,
            begun: Instant::now(),
        };
        telling.tell(ProgressState::Started, detail);
        telling
    }

    fn tell(&self, state: ProgressState, detail: &str) {
        (self.report)(Progress {
            step: self.name.to_owned(),
            state,
            detail: detail.to_owned(),
        });
    }

    fn line(&self, line: &str) {
        self.tell(ProgressState::Working, line);
    }

    fn end<T, E: Into<StackError>>(self, result: Result<T, E>) -> Result<T, StackError> {
        let result = result.map_err(Into::into);
        match &result {
            Ok(_) => {
                let ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
                self.tell(ProgressState::Done { ms }, "");
            }
            Err(error) => self.tell(ProgressState::Failed, &error.to_string()),
        }
        result
    }
}
