//! The bot's login: one device, kept together with the SDK's store.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use fleet_homeserver::accounts::{AccountError, Accounts};
use matrix_sdk::authentication::matrix::MatrixSession;
use matrix_sdk::config::RequestConfig;
use matrix_sdk::encryption::EncryptionSettings;
use matrix_sdk::ruma::{OwnedDeviceId, OwnedUserId};
use matrix_sdk::{Client, SessionMeta, SessionTokens};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::refusal::{Refusal, refusal_of};
use crate::{BotError, Settings};

/// Longest time a request other than sync may take.
const REQUEST: Duration = Duration::from_secs(30);
/// Pause between tries while the homeserver cannot be reached at start.
const PAUSE: Duration = Duration::from_secs(1);

/// The session file.
#[derive(Serialize, Deserialize)]
struct Saved {
    user_id: OwnedUserId,
    device_id: OwnedDeviceId,
    access_token: String,
}

/// Opens the bot's session: the saved one with its store, or a new device with a new store. The
/// folder is there and locked ([`crate::store::Store`]).
///
/// A store without session, or a session without store, is of no use to anybody: the store is put
/// aside and a new device is made.
///
/// # Errors
/// [`BotError::SignedOut`] when the homeserver no longer knows the session; `None` when asked to
/// stop while waiting for the homeserver.
pub(crate) async fn open(
    settings: &Settings,
    stop: &CancellationToken,
) -> Result<Option<Client>, BotError> {
    let folder = &settings.store;
    let file = folder.join("session.json");
    let sdk = folder.join("sdk");
    let saved = match read(&file)? {
        Some(saved) if sdk.exists() => saved,
        _ => {
            put_aside(&sdk)?;
            let Some(saved) = login(settings, stop).await? else {
                return Ok(None);
            };
            // First the store, then the file that says it is complete.
            fs::DirBuilder::new()
                .mode(0o700)
                .create(&sdk)
                .map_err(|e| BotError::store(&sdk, e))?;
            write(&file, &saved)?;
            saved
        }
    };
    let client = client(settings, &sdk).await?;
    let meta = SessionMeta {
        user_id: saved.user_id,
        device_id: saved.device_id,
    };
    let tokens = SessionTokens {
        access_token: saved.access_token,
        refresh_token: None,
    };
    client
        .restore_session(MatrixSession { meta, tokens })
        .await?;
    known(&client, stop)
        .await
        .map(|known| known.then_some(client))
}

/// The SDK's client, with its own retry off: this bot decides what is worth repeating.
async fn client(settings: &Settings, sdk: &Path) -> Result<Client, BotError> {
    let encryption = EncryptionSettings {
        auto_enable_cross_signing: false,
        ..EncryptionSettings::default()
    };
    let client = Client::builder()
        .homeserver_url(settings.homeserver_url.as_str())
        .respect_login_well_known(false)
        .request_config(RequestConfig::new().disable_retry().timeout(REQUEST))
        .with_encryption_settings(encryption)
        .sqlite_store(sdk, None)
        .build()
        .await?;
    Ok(client)
}

/// Waits for the homeserver and asks it whether it knows the session.
async fn known(client: &Client, stop: &CancellationToken) -> Result<bool, BotError> {
    loop {
        match client.whoami().await {
            Ok(_) => return Ok(true),
            Err(error) => match refusal_of(&error) {
                Refusal::SignedOut => {
                    let user = client
                        .user_id()
                        .map(ToString::to_string)
                        .unwrap_or_default();
                    return Err(BotError::SignedOut { user });
                }
                why => tracing::warn!(%error, ?why, "the homeserver does not answer yet"),
            },
        }
        if stop
            .run_until_cancelled(tokio::time::sleep(PAUSE))
            .await
            .is_none()
        {
            return Ok(false);
        }
    }
}

async fn login(settings: &Settings, stop: &CancellationToken) -> Result<Option<Saved>, BotError> {
    let account = &settings.account;
    let accounts = Accounts::new(settings.homeserver_url.clone())?;
    loop {
        let session = match &account.registration {
            Some(how) => {
                accounts
                    .ensure_account(
                        how,
                        &account.localpart,
                        &account.password,
                        None,
                        &settings.device_name,
                    )
                    .await
            }
            None => {
                accounts
                    .login(
                        &account.localpart,
                        &account.password,
                        None,
                        &settings.device_name,
                    )
                    .await
            }
        };
        match session {
            Ok(session) => return saved(settings, session).map(Some),
            Err(error @ AccountError::Transport { .. }) => {
                tracing::warn!(%error, "the homeserver does not answer yet");
            }
            Err(error) => return Err(error.into()),
        }
        if stop
            .run_until_cancelled(tokio::time::sleep(PAUSE))
            .await
            .is_none()
        {
            return Ok(None);
        }
    }
}

fn saved(
    settings: &Settings,
    session: fleet_homeserver::accounts::Session,
) -> Result<Saved, BotError> {
    let user_id = session.user_id.try_into().map_err(|_| BotError::Session {
        path: settings.store.clone(),
        detail: "the homeserver answered the login with no user id".to_owned(),
    })?;
    Ok(Saved {
        user_id,
        device_id: session.device_id.into(),
        access_token: session.access_token.expose().to_owned(),
    })
}

fn read(file: &Path) -> Result<Option<Saved>, BotError> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(BotError::store(file, e)),
    };
    serde_json::from_str(&text)
        .map(Some)
        .map_err(|e| BotError::Session {
            path: file.to_owned(),
            // serde's message may quote the file, and the file holds a token: only the place is told.
            detail: format!("line {}, column {}", e.line(), e.column()),
        })
}

/// Writes the session so that it is there in whole or not at all.
fn write(file: &Path, saved: &Saved) -> Result<(), BotError> {
    let text = serde_json::to_vec(saved).map_err(|e| BotError::Session {
        path: file.to_owned(),
        detail: format!("cannot be written: {e}"),
    })?;
    let part = file.with_extension("part");
    let written = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&part)
        .and_then(|mut out| out.write_all(&text).and_then(|()| out.sync_all()))
        .and_then(|()| fs::rename(&part, file));
    written.map_err(|e| BotError::store(file, e))
}

/// Keeps a store whose device is unknown, under the first free name.
fn put_aside(sdk: &Path) -> Result<(), BotError> {
    if !sdk.exists() {
        return Ok(());
    }
    let free = (1..1_000)
        .map(|n| sdk.with_extension(format!("orphan-{n}")))
        .find(|path| !path.exists());
    let aside: PathBuf = free.unwrap_or_else(|| sdk.with_extension("orphan"));
    tracing::warn!(store = %sdk.display(), aside = %aside.display(), "a store without its session is put aside");
    fs::rename(sdk, &aside).map_err(|e| BotError::store(sdk, e))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn example() -> Saved {
        Saved {
            user_id: "@fleet:example.org".try_into().unwrap(),
            device_id: "DEVICE".into(),
            access_token: "opensesame".to_owned(),
        }
    }

    #[test]
    fn a_session_is_readable_by_its_owner_only_and_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("session.json");
        write(&file, &example()).unwrap();
        assert_eq!(
            fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(read(&file).unwrap().unwrap().access_token, "opensesame");
    }

    #[test]
    fn a_broken_session_file_does_not_leak_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("session.json");
        fs::write(&file, r#"{"access_token": "opensesame", "user_id": 5}"#).unwrap();
        let error = read(&file).err().unwrap().to_string();
        assert!(
            !error.contains("opensesame") && error.contains("line 1"),
            "{error}"
        );
    }

    #[test]
    fn a_store_without_session_is_kept_aside() {
        let folder = tempfile::tempdir().unwrap();
        let sdk = folder.path().join("sdk");
        for n in 1..=2 {
            fs::create_dir(&sdk).unwrap();
            put_aside(&sdk).unwrap();
            assert!(!sdk.exists());
            assert!(folder.path().join(format!("sdk.orphan-{n}")).exists());
        }
    }
}
