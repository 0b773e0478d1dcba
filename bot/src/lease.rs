//! One live bot per Matrix account (architecture.md, "Way out" 5).

use std::sync::Arc;
use std::time::Duration;

use fleet_client::{ClientError, Gateway};
use fleet_protocol::api::{LeaseGrant, LeaseRequest};
use fleet_protocol::envelope::BotLease;
use fleet_protocol::scalar::UserId;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::BotError;
use crate::verdict::{Verdict, verdict};

/// How often a second bot asks whether the account has become free.
const ASK: Duration = Duration::from_secs(1);

/// The lease as it is now.
#[derive(Debug, Clone)]
struct Held {
    epoch: u64,
    until: Instant,
    /// Seconds it was granted for.
    term: Duration,
}

/// The right to act for an account, kept by [`Lease::keep`].
#[derive(Debug, Clone)]
pub(crate) struct Lease {
    account: UserId,
    holder: Uuid,
    held: Arc<watch::Sender<Held>>,
}

impl Lease {
    /// Waits until the account is free. `None` when asked to stop.
    ///
    /// # Errors
    /// [`BotError::Gateway`] when the gateway does not accept the token.
    pub(crate) async fn acquire(
        gateway: &Gateway,
        account: UserId,
        holder: Uuid,
        stop: &CancellationToken,
    ) -> Result<Option<Self>, BotError> {
        let mut told = false;
        loop {
            let asked = Instant::now();
            match gateway
                .bot_lease(&request(&account, holder, None, false))
                .await
            {
                Ok(grant) => {
                    let (held, _) = watch::channel(Held::since(asked, &grant));
                    tracing::info!(account = %account, epoch = grant.lease.epoch, "this bot now acts for the account");
                    return Ok(Some(Self {
                        account,
                        holder,
                        held: Arc::new(held),
                    }));
                }
                Err(error) => wait_for_lease(error, &mut told)?,
            }
            if stop
                .run_until_cancelled(tokio::time::sleep(ASK))
                .await
                .is_none()
            {
                return Ok(None);
            }
        }
    }

    /// What every write names.
    pub(crate) fn claim(&self) -> BotLease {
        BotLease {
            account: self.account.clone(),
            epoch: self.held.borrow().epoch,
        }
    }

    /// Waits while the lease may have run out: another bot could be sending by now. Until when it
    /// surely lasts.
    pub(crate) async fn live(&self) -> Instant {
        let mut held = self.held.subscribe();
        match held.wait_for(|held| Instant::now() < held.until).await {
            Ok(held) => held.until,
            // The sender is gone, and `self` holds one.
            Err(_) => Instant::now(),
        }
    }

    /// Whether the lease has not run out.
    pub(crate) fn is_live(&self) -> bool {
        Instant::now() < self.held.borrow().until
    }

    /// Renews it every third of its term until stopped.
    ///
    /// # Errors
    /// [`BotError::LeaseLost`] when another bot has it now; [`BotError::Gateway`].
    pub(crate) async fn keep(
        self,
        gateway: Gateway,
        stop: CancellationToken,
    ) -> Result<(), BotError> {
        let mut pause = self.held.borrow().term / 3;
        loop {
            if stop
                .run_until_cancelled(tokio::time::sleep(pause))
                .await
                .is_none()
            {
                return Ok(());
            }
            let epoch = self.held.borrow().epoch;
            let asked = Instant::now();
            match gateway
                .bot_lease(&request(&self.account, self.holder, Some(epoch), false))
                .await
            {
                Ok(grant) if grant.lease.epoch == epoch => {
                    let held = Held::since(asked, &grant);
                    pause = held.term / 3;
                    self.held.send_replace(held);
                }
                // Granted anew: somebody may have acted in between, so nothing in memory counts.
                Ok(_) => return Err(self.lost()),
                Err(error) => match verdict(&error) {
                    Verdict::LeaseLost | Verdict::Conflict => return Err(self.lost()),
                    Verdict::Denied => return Err(BotError::Gateway(error)),
                    Verdict::Retry | Verdict::Refused => {
                        tracing::warn!(%error, "the lease could not be renewed yet");
                        pause = ASK;
                    }
                },
            }
        }
    }

    /// Gives it back, so that another bot need not wait.
    pub(crate) async fn release(&self, gateway: &Gateway) {
        let epoch = self.held.borrow().epoch;
        if let Err(error) = gateway
            .bot_lease(&request(&self.account, self.holder, Some(epoch), true))
            .await
        {
            tracing::warn!(%error, "the lease could not be given back; it runs out by itself");
        }
    }

    /// The error that ends a bot without lease.
    pub(crate) fn lost(&self) -> BotError {
        BotError::LeaseLost {
            account: self.account.to_string(),
        }
    }
}

impl Held {
    /// The term runs from before the question: the register's began later, so the bot is never the
    /// last to know that it ended, however long the answer took.
    fn since(asked: Instant, grant: &LeaseGrant) -> Self {
        let term = Duration::from_secs(grant.expires_in.into());
        Self {
            epoch: grant.lease.epoch,
            until: asked + term,
            term,
        }
    }
}

fn request(account: &UserId, holder: Uuid, epoch: Option<u64>, release: bool) -> LeaseRequest {
    LeaseRequest {
        account: account.clone(),
        holder,
        epoch,
        release,
    }
}

/// Tells once why there is no lease yet; an error if there will never be one.
fn wait_for_lease(error: ClientError, told: &mut bool) -> Result<(), BotError> {
    match verdict(&error) {
        Verdict::Denied => return Err(BotError::Gateway(error)),
        _ if *told => tracing::debug!(%error, "still waiting for the account's lease"),
        _ => tracing::info!(%error, "waiting for the account's lease"),
    }
    *told = true;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_took_long_shortens_what_is_left() {
        let asked = Instant::now();
        let grant = LeaseGrant {
            lease: BotLease {
                account: "@fleet:example.org".parse().unwrap(),
                epoch: 3,
            },
            expires_at: fleet_protocol::Timestamp::from_millis(0),
            expires_in: 30,
        };
        let held = Held::since(asked, &grant);
        assert_eq!(held.until, asked + Duration::from_secs(30));
        assert_eq!((held.epoch, held.term), (3, Duration::from_secs(30)));
    }
}
