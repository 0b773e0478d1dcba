//! The gateway without its sockets: the same calls in this process, at a clock of the caller's.
//!
//! What is simulated goes through it, so that it is the real decision and the real SQL that are tried.

use fleet_protocol::envelope::{Call, Receipt};
use fleet_protocol::language::{Command, Query};
use fleet_protocol::scalar::{Name, UserId};
use fleet_protocol::{Problem, Reply};

use crate::execute::Stop;
use crate::http::Caller;
use crate::hub::Hub;
use crate::run::Core;
use crate::{Clock, Ids, Settings, calls, db, sweep};

/// Why a call through the door was not done.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// For a reason of the domain or of authority.
    #[error("{}", .0.detail)]
    Refused(Box<Problem>),
    /// For a fault of the database.
    #[error("the register: {0}")]
    Database(#[from] sqlx::Error),
}

impl From<Stop> for DoorError {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Refused(problem) => Self::Refused(problem),
            Stop::Database(error) => Self::Database(error),
        }
    }
}

/// A door for the people and agents of one tenant.
pub struct Door {
    core: Core,
    tenant: Name,
}

impl Door {
    /// Opens it; the register is connected to when first needed.
    ///
    /// # Errors
    /// When the register's address cannot be read.
    pub fn open(
        settings: &Settings,
        tenant: Name,
        clock: impl Clock,
        ids: impl Ids,
    ) -> Result<Self, DoorError> {
        let core = Core {
            pool: db::pool(settings.database_url.reveal(), settings.pool_size)?,
            clock: Box::new(clock),
            ids: Box::new(ids),
            hub: Hub::new(),
            combiner: None,
        };
        Ok(Self { core, tenant })
    }

    /// A command of a user, once under its key.
    ///
    /// # Errors
    /// [`DoorError`]; a command that was admitted and refused is a receipt.
    pub async fn command(
        &self,
        user: &UserId,
        key: &str,
        call: &Call<Command>,
    ) -> Result<Receipt, DoorError> {
        let caller = Caller::of_user(self.tenant.clone(), user.clone());
        Ok(calls::command(&self.core, &caller, key, call).await?)
    }

    /// A query of a user.
    ///
    /// # Errors
    /// [`DoorError`].
    pub async fn query(&self, user: &UserId, call: &Call<Query>) -> Result<Reply, DoorError> {
        let caller = Caller::of_user(self.tenant.clone(), user.clone());
        Ok(calls::query(&self.core, &caller, call).await?.reply)
    }

    /// Sets how many workers may hold leases at the same time: in the fleet, and of one role.
    ///
    /// # Errors
    /// [`DoorError::Database`].
    pub async fn bound_workers(&self, fleet: u16, role: u16) -> Result<(), DoorError> {
        let mut tx = db::begin(&self.core.pool, &self.tenant).await?;
        sqlx::query!(
            "UPDATE fleet.settings SET workers_fleet = $2, workers_role = $3 WHERE tenant_id = $1",
            self.tenant.as_str(),
            i32::from(fleet),
            i32::from(role)
        )
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }

    /// Does what is due at the present of the clock, as the gateway does every second; whether an inbox got
    /// something by it.
    ///
    /// # Errors
    /// [`DoorError::Database`] when the register cannot be looked at.
    pub async fn sweep(&self) -> Result<bool, DoorError> {
        Ok(sweep::look(&self.core).await?)
    }
}
