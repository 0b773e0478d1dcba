//! Time and ids for the commands: from the one place that reads the machine's clock.

use std::sync::Arc;

use fleet_gateway::{Clock as _, Ids as _, SystemClock, UuidIds};
use fleet_protocol::Timestamp;
use uuid::Uuid;

/// The clock of this machine, as the bot wants it.
pub(crate) fn clock() -> Arc<dyn Fn() -> Timestamp + Send + Sync> {
    Arc::new(|| SystemClock.now())
}

/// A new id, ordered by time.
pub(crate) fn id() -> Uuid {
    UuidIds.next()
}
