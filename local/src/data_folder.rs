//! One folder with all a stack keeps: removing it removes the stack.
//!
//! | path | content |
//! |---|---|
//! | `lock` | held while a stack runs on the folder; the process id of its holder |
//! | `secrets/` | one secret each, mode 0600, made once |
//! | `ports/` | the port each service had last |
//! | `postgres/` | the cluster (`postgres.path` names its place if it cannot be here) |
//! | `homeserver/`, `bot/` | what these services keep |
//! | `logs/` | one log for each process |

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use fleet_homeserver::Secret;
use tokio::time::Instant;

use crate::ports::{self, PortError, PortWish};
use crate::postgres::Account;

/// Where clusters are when PostgreSQL's user cannot enter the data folder (root's home, say).
const ELSEWHERE: &str = "/var/lib/mosaic-fleet";

/// How long the port of the last start is waited for, and how often it is tried: a socket that
/// is closed by another process is no event for us.
const PORT_PATIENCE: Duration = Duration::from_secs(5);
const PORT_LOOK: Duration = Duration::from_millis(50);

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataFolderError {
    /// Another stack runs on it.
    #[error(
        "{folder} is in use by process {holder}; stop that one first, or choose another folder"
    )]
    InUse {
        /// The folder.
        folder: PathBuf,
        /// The holder's process id, as it wrote it.
        holder: String,
    },
    /// A secret's name must be a plain file name.
    #[error("`{0}` is not a name for a file in the data folder")]
    BadName(String),
    /// A secret's file is empty or not text.
    #[error("the secret in {0} is damaged; remove the file to have a new one made")]
    DamagedSecret(PathBuf),
    /// No port.
    #[error(transparent)]
    Port(#[from] PortError),
    /// A file could not be used.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
}

/// An opened data folder; nobody else can open it until this is dropped.
#[derive(Debug)]
pub struct DataFolder {
    root: PathBuf,
    _lock: File,
}

impl DataFolder {
    /// Opens the folder, made with its parts if absent.
    ///
    /// # Errors
    /// [`DataFolderError::InUse`] when a stack runs on it.
    pub fn open(root: &Path) -> Result<Self, DataFolderError> {
        make_folder(root)?;
        let root = root.canonicalize().map_err(io_error("find", root))?;
        let lock = lock(&root)?;
        // PostgreSQL never runs as root: its own user must be able to pass, not to look around.
        let passable = rustix::process::geteuid().is_root();
        restrict(&root, if passable { 0o711 } else { 0o700 })?;
        for part in ["secrets", "ports", "homeserver", "bot", "logs"] {
            let path = root.join(part);
            make_folder(&path)?;
            restrict(&path, 0o700)?;
        }
        Ok(Self { root, _lock: lock })
    }

    /// The folder itself, absolute.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// The homeserver's part.
    #[must_use]
    pub fn homeserver(&self) -> PathBuf {
        self.root.join("homeserver")
    }

    /// The bot's part.
    #[must_use]
    pub fn bot(&self) -> PathBuf {
        self.root.join("bot")
    }

    /// The log of a process.
    #[must_use]
    pub fn log(&self, name: &str) -> PathBuf {
        self.root.join("logs").join(format!("{name}.log"))
    }

    /// The file a secret is in (for services that read secrets from files).
    ///
    /// # Errors
    /// [`DataFolderError::BadName`].
    pub fn secret_file(&self, name: &str) -> Result<PathBuf, DataFolderError> {
        Ok(self.root.join("secrets").join(plain(name)?))
    }

    /// A secret: 256 random bits in hexadecimal, made at the first call.
    ///
    /// # Errors
    /// [`DataFolderError`].
    pub fn secret(&self, name: &str) -> Result<Secret, DataFolderError> {
        if let Some(secret) = self.stored_secret(name)? {
            return Ok(secret);
        }
        let text: String = rand::random::<[u8; 32]>()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let secret = Secret::new(text);
        self.store_secret(name, &secret)?;
        Ok(secret)
    }

    /// A secret stored earlier.
    ///
    /// # Errors
    /// [`DataFolderError::DamagedSecret`] when it is empty or not text.
    pub fn stored_secret(&self, name: &str) -> Result<Option<Secret>, DataFolderError> {
        let path = self.secret_file(name)?;
        match fs::read_to_string(&path) {
            Ok(text) if !text.trim().is_empty() => Ok(Some(Secret::new(text.trim()))),
            Ok(_) => Err(DataFolderError::DamagedSecret(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                Err(DataFolderError::DamagedSecret(path))
            }
            Err(error) => Err(io_error("read", &path)(error)),
        }
    }

    /// Stores a secret made elsewhere (a token, a session), in place of an older one.
    ///
    /// # Errors
    /// [`DataFolderError`].
    pub fn store_secret(&self, name: &str, secret: &Secret) -> Result<(), DataFolderError> {
        replace(&self.secret_file(name)?, secret.expose())
    }

    /// A port for a service: exactly the configured one; or the one of the last start if it is
    /// free; or `default` if it is free; or any.
    ///
    /// If it is the port of the last start and taken, it is waited for a little: what a killed
    /// stack left may still be going down, and clients know the old address.
    ///
    /// # Errors
    /// [`DataFolderError::Port`] when the configured one is taken.
    pub async fn port(
        &self,
        service: &str,
        ip: IpAddr,
        configured: Option<u16>,
        default: u16,
    ) -> Result<u16, DataFolderError> {
        let path = self.root.join("ports").join(plain(service)?);
        let last = fs::read_to_string(&path)
            .ok()
            .and_then(|text| text.trim().parse().ok());
        let wish = match configured {
            Some(port) => PortWish::Exactly(port),
            None => PortWish::Rather(last.unwrap_or(default)),
        };
        let (PortWish::Exactly(wanted) | PortWish::Rather(wanted)) = wish;
        let deadline = Instant::now() + PORT_PATIENCE;
        while last == Some(wanted) && Instant::now() < deadline {
            match ports::choose(service, ip, PortWish::Exactly(wanted)) {
                Err(PortError::Taken { .. }) => tokio::time::sleep(PORT_LOOK).await,
                _ => break,
            }
        }
        let port = ports::choose(service, ip, wish)?;
        if last != Some(port) {
            replace(&path, &format!("{port}\n"))?;
        }
        Ok(port)
    }

    /// The cluster's place: `postgres` in the folder, or, when PostgreSQL's user cannot enter it,
    /// a folder of its own elsewhere whose path is kept in `postgres.path`.
    ///
    /// # Errors
    /// [`DataFolderError`].
    pub fn postgres(&self) -> Result<PathBuf, DataFolderError> {
        let here = self.root.join("postgres");
        let note = self.root.join("postgres.path");
        match fs::read_to_string(&note) {
            Ok(text) => return Ok(PathBuf::from(text.trim_end())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(io_error("read", &note)(error)),
        }
        let account = Account::for_cluster().map_err(io_error("find a user for", &here))?;
        if account.barrier(&self.root).is_none() {
            return Ok(here);
        }
        let elsewhere = Path::new(ELSEWHERE);
        fs::create_dir_all(elsewhere).map_err(io_error("make", elsewhere))?;
        let folder = elsewhere.join(format!("{:016x}", rand::random::<u64>()));
        fs::DirBuilder::new()
            .mode(0o711)
            .create(&folder)
            .map_err(io_error("make", &folder))?;
        restrict(&folder, 0o711)?;
        let place = folder.join("postgres");
        replace(&note, &format!("{}\n", place.display()))?;
        Ok(place)
    }

    /// Removes the folder and, if the cluster is elsewhere, that too.
    ///
    /// # Errors
    /// [`DataFolderError::Io`].
    pub fn remove(self) -> Result<(), DataFolderError> {
        let cluster = self.postgres()?;
        if let Some(folder) = cluster
            .parent()
            .filter(|folder| *folder != self.root && folder.exists())
        {
            fs::remove_dir_all(folder).map_err(io_error("remove", folder))?;
        }
        fs::remove_dir_all(&self.root).map_err(io_error("remove", &self.root))
    }
}

fn io_error(action: &'static str, path: &Path) -> impl Fn(io::Error) -> DataFolderError + use<> {
    let path = path.to_owned();
    move |source| DataFolderError::Io {
        action,
        path: path.clone(),
        source,
    }
}

fn make_folder(path: &Path) -> Result<(), DataFolderError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(io_error("make", path))
}

fn restrict(path: &Path, mode: u32) -> Result<(), DataFolderError> {
    fs::set_permissions(path, Permissions::from_mode(mode))
        .map_err(io_error("set the mode of", path))
}

fn lock(root: &Path) -> Result<File, DataFolderError> {
    let path = root.join("lock");
    let failed = io_error("lock", &path);
    let mut options = OpenOptions::new();
    let mut file = options
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(&failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => {
            let mut holder = String::new();
            file.read_to_string(&mut holder).map_err(failed)?;
            return Err(DataFolderError::InUse {
                folder: root.to_owned(),
                holder: holder.trim().to_owned(),
            });
        }
        Err(fs::TryLockError::Error(error)) => return Err(failed(error)),
    }
    file.set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(failed)?;
    Ok(file)
}

fn plain(name: &str) -> Result<&str, DataFolderError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
        return Err(DataFolderError::BadName(name.to_owned()));
    }
    Ok(name)
}

/// Whole or not at all, mode 0600.
fn replace(path: &Path, text: &str) -> Result<(), DataFolderError> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let write = || -> io::Result<()> {
        let mut options = OpenOptions::new();
        let mut file = options
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    write().map_err(io_error("write", path))
}

#[cfg(test)]
mod tests;
