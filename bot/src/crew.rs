//! The bot's tasks: each is watched, and the first that fails ends the bot.

use std::future::Future;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::BotError;

/// Starts tasks, and tells of the first failure or panic among them.
#[derive(Debug, Clone)]
pub(crate) struct Crew {
    tracker: TaskTracker,
    failed: mpsc::Sender<BotError>,
    /// Asks every task to stop reading and finish.
    pub(crate) stop: CancellationToken,
}

impl Crew {
    /// A crew, and where its first failure arrives.
    pub(crate) fn new(stop: CancellationToken) -> (Self, mpsc::Receiver<BotError>) {
        let (failed, failure) = mpsc::channel(1);
        (
            Self {
                tracker: TaskTracker::new(),
                failed,
                stop,
            },
            failure,
        )
    }

    /// Starts a part of the bot; `part` names it in the error.
    pub(crate) fn spawn<F>(&self, part: impl Into<String>, work: F)
    where
        F: Future<Output = Result<(), BotError>> + Send + 'static,
    {
        let (part, failed) = (part.into(), self.failed.clone());
        let work = self.tracker.spawn(work);
        self.tracker.spawn(async move {
            let error = match work.await {
                Ok(Ok(())) => return,
                Ok(Err(error)) => error,
                Err(panic) => BotError::Crashed {
                    part,
                    detail: panic.to_string(),
                },
            };
            // A full channel means that an earlier failure ends the bot already.
            if let Err(unsent) = failed.try_send(error) {
                tracing::warn!(error = %unsent, "a second part of the bot failed");
            }
        });
    }

    /// Waits until every task has ended, but not for ever.
    pub(crate) async fn ended(&self, patience: Duration) -> bool {
        self.tracker.close();
        tokio::time::timeout(patience, self.tracker.wait())
            .await
            .is_ok()
    }
}
