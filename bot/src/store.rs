//! The bot's folder: used by one process at a time, and by the same holder of the lease for ever.

use std::fs::{self, File, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::BotError;

/// Tries to lock the folder; a process that was killed a moment ago may still be going.
const TRIES: u32 = 50;
/// Pause between them.
const PAUSE: Duration = Duration::from_millis(100);

/// A folder that no other process uses, as long as this value lives.
#[derive(Debug)]
pub(crate) struct Store {
    _lock: File,
}

impl Store {
    /// Makes the folder where it is missing, and locks it. `None` when asked to stop meanwhile.
    ///
    /// # Errors
    /// [`BotError::StoreInUse`], [`BotError::Store`].
    pub(crate) async fn lock(
        folder: &Path,
        stop: &CancellationToken,
    ) -> Result<Option<Self>, BotError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|e| BotError::store(folder, e))?;
        let path = folder.join("lock");
        let file = private()
            .create(true)
            .open(&path)
            .map_err(|e| BotError::store(&path, e))?;
        for _ in 0..TRIES {
            match file.try_lock() {
                Ok(()) => return Ok(Some(Self { _lock: file })),
                Err(TryLockError::Error(e)) => return Err(BotError::store(&path, e)),
                Err(TryLockError::WouldBlock) => {}
            }
            if stop
                .run_until_cancelled(tokio::time::sleep(PAUSE))
                .await
                .is_none()
            {
                return Ok(None);
            }
        }
        Err(BotError::StoreInUse {
            path: folder.to_owned(),
        })
    }

    /// The id under which the account's lease is held: kept in the folder, so that a bot that was killed
    /// need not wait until its own lease has run out. `new` is taken when the folder has none.
    ///
    /// # Errors
    /// [`BotError::Store`], [`BotError::Session`].
    pub(crate) fn holder(&self, folder: &Path, new: Uuid) -> Result<Uuid, BotError> {
        let path = folder.join("holder");
        match fs::read_to_string(&path) {
            Ok(text) => text.trim().parse().map_err(|_| BotError::Session {
                path,
                detail: "it should hold an id".to_owned(),
            }),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                let written = private()
                    .create_new(true)
                    .open(&path)
                    .and_then(|mut file| writeln!(file, "{new}").and_then(|()| file.sync_all()));
                written.map(|()| new).map_err(|e| BotError::store(&path, e))
            }
            Err(e) => Err(BotError::store(&path, e)),
        }
    }
}

fn private() -> fs::OpenOptions {
    let mut options = fs::OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_second_process_does_not_get_the_folder_and_a_later_one_holds_the_same_lease() {
        let (folder, stop) = (tempfile::tempdir().unwrap(), CancellationToken::new());
        let first = Store::lock(folder.path(), &stop).await.unwrap().unwrap();
        let holder = first.holder(folder.path(), Uuid::from_u128(1)).unwrap();
        assert_eq!(holder, Uuid::from_u128(1));
        // Locks are of open files, so that a second one of this process is a second bot.
        let second = Store::lock(folder.path(), &stop).await;
        assert!(
            matches!(second, Err(BotError::StoreInUse { .. })),
            "{second:?}"
        );
        drop(first);
        let later = Store::lock(folder.path(), &stop).await.unwrap().unwrap();
        let holder = later.holder(folder.path(), Uuid::from_u128(2)).unwrap();
        assert_eq!(holder, Uuid::from_u128(1));
    }

    #[tokio::test]
    async fn a_holder_that_is_none_is_told() {
        let (folder, stop) = (tempfile::tempdir().unwrap(), CancellationToken::new());
        let store = Store::lock(folder.path(), &stop).await.unwrap().unwrap();
        fs::write(folder.path().join("holder"), "nobody").unwrap();
        let error = store.holder(folder.path(), Uuid::from_u128(1)).unwrap_err();
        assert!(error.to_string().contains("should hold an id"), "{error}");
    }
}
