//! A throw-away cluster for tests: its own folder, fast, gone afterwards.

use std::fs::File;
use std::io;
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use fleet_homeserver::python::Progress;

use super::{Cluster, ClusterSettings, PostgresError, Source};

const PREFIX: &str = "fleet-postgres-";
const LOCK: &str = "lock";

/// A running cluster in a folder of its own under the system's temporary folder.
///
/// The folder is removed when this is dropped. A cluster in a `static` is never dropped, nor is
/// one whose process was killed: PostgreSQL ends all the same, and the folder is removed by the
/// next throw-away cluster that starts (it sees that nobody holds the folder's lock).
#[derive(Debug)]
pub struct TemporaryCluster {
    cluster: Cluster,
    folder: PathBuf,
    _lock: File,
}

impl TemporaryCluster {
    /// Starts one with room for `max_connections`, of the programs that [`Source::of_tests`] names.
    ///
    /// # Errors
    /// [`PostgresError`].
    pub async fn start(
        max_connections: u16,
        progress: Progress<'_>,
    ) -> Result<Self, PostgresError> {
        let source = Source::of_tests()?;
        let root = std::env::temp_dir();
        let io = |source| PostgresError::Io {
            action: "make a folder in",
            path: root.clone(),
            source,
        };
        remove_abandoned(&root);
        let (folder, lock) = new_folder(&root).map_err(io)?;
        let settings = ClusterSettings {
            source,
            max_connections,
            throwaway: true,
            ..ClusterSettings::new(folder.join("data"))
        };
        let started = Cluster::start(settings, progress).await;
        if started.is_err() {
            remove(&folder);
        }
        Ok(Self {
            cluster: started?,
            folder,
            _lock: lock,
        })
    }
}

impl Deref for TemporaryCluster {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        &self.cluster
    }
}

impl DerefMut for TemporaryCluster {
    fn deref_mut(&mut self) -> &mut Cluster {
        &mut self.cluster
    }
}

impl Drop for TemporaryCluster {
    /// The postmaster gets its signal when `cluster` is dropped, just after this; it also ends by
    /// itself when it finds its folder gone.
    fn drop(&mut self) {
        remove(&self.folder);
    }
}

/// Mode 0711: PostgreSQL's own user must be able to pass.
fn new_folder(root: &Path) -> io::Result<(PathBuf, File)> {
    let folder = root.join(format!("{PREFIX}{:016x}", rand::random::<u64>()));
    std::fs::create_dir(&folder)?;
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o711))?;
    let lock = File::create(folder.join(LOCK))?;
    lock.lock()?;
    Ok((folder, lock))
}

fn remove_abandoned(root: &Path) {
    for entry in std::fs::read_dir(root).into_iter().flatten().flatten() {
        let ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        let abandoned =
            || File::open(entry.path().join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok());
        if ours && abandoned() {
            remove(&entry.path());
        }
    }
}

fn remove(folder: &Path) {
    if let Err(error) = std::fs::remove_dir_all(folder) {
        tracing::debug!(folder = %folder.display(), %error, "not removed in full");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_whose_owner_is_gone_are_removed() {
        let root = tempfile::tempdir().unwrap();
        let (held, lock) = new_folder(root.path()).unwrap();
        let (abandoned, gone) = new_folder(root.path()).unwrap();
        let other = root.path().join("other");
        std::fs::create_dir(&other).unwrap();
        drop(gone);
        remove_abandoned(root.path());
        assert!(held.exists() && other.exists() && !abandoned.exists());
        drop(lock);
        remove_abandoned(root.path());
        assert!(!held.exists());
    }
}
