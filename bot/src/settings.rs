//! What a bot must be told.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fleet_client::Token;
use fleet_homeserver::Secret;
use fleet_homeserver::accounts::Registration;
use fleet_protocol::Timestamp;
use url::Url;
use uuid::Uuid;

/// The clock that is passed in: every decision that depends on the time asks it.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What a bot must be told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The homeserver's client-server address.
    pub homeserver_url: Url,
    /// The bot's Matrix account.
    pub account: AccountSource,
    /// Display name of a new device.
    pub device_name: String,
    /// Folder of the session file and the SDK's store; made 0700 when missing. The two belong
    /// together: a device without its keys cannot read encrypted rooms.
    pub store: PathBuf,
    /// The gateway's address.
    pub gateway_url: Url,
    /// The bot's token at the gateway (scope `bot`).
    pub gateway_token: Token,
    /// A new random id, under which the account's lease is held if the store has none yet.
    pub holder: Uuid,
    /// Where `/live`, `/ready` and `/metrics` are served; nowhere if none.
    pub listen: Option<SocketAddr>,
    /// What a reader of `/metrics` must send; without one nobody may read them.
    pub metrics_token: Option<Secret>,
    /// How often an active room is read back on a homeserver whose sync may skip events.
    pub reconcile_every: Duration,
}

/// The bot's Matrix account and how to come by it.
#[derive(Clone)]
pub struct AccountSource {
    /// Localpart of the user id.
    pub localpart: String,
    /// Its password.
    pub password: Secret,
    /// What makes the account when it does not exist; none on a homeserver where it does.
    pub registration: Option<Registration>,
}

impl fmt::Debug for AccountSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountSource")
            .field("localpart", &self.localpart)
            .finish_non_exhaustive()
    }
}
