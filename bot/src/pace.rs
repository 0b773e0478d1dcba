//! Obeying 429 with the whole account: what must be heard goes before chatter.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fleet_protocol::outbox::{Attention, OutboxRow, Post};
use tokio::sync::watch;
use tokio::time::Instant;

/// How urgent a row is when the homeserver limits the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Urgency {
    /// Routine replies, edits, reactions.
    Chatter,
    /// Receipts that agents wait for, and what needs a person.
    Needed,
}

impl Urgency {
    /// Of a row.
    pub(crate) fn of(row: &OutboxRow) -> Self {
        match &row.post {
            Post::Receipt(_) => Self::Needed,
            Post::Message(message) | Post::Edit(message)
                if message.attention == Attention::Loud =>
            {
                Self::Needed
            }
            _ => Self::Chatter,
        }
    }
}

/// The gate through which every send of the account passes.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    closed_until: Arc<watch::Sender<Option<Instant>>>,
    needed: Arc<AtomicUsize>,
}

impl Pace {
    /// An open gate.
    pub(crate) fn open() -> Self {
        Self {
            closed_until: Arc::new(watch::channel(None).0),
            needed: Arc::new(AtomicUsize::new(0)),
        }
    }

    /// Closes the gate for this long, as the homeserver asked.
    pub(crate) fn close(&self, wait: Duration) {
        let until = Instant::now() + wait;
        self.closed_until
            .send_modify(|closed| *closed = Some(closed.map_or(until, |before| before.max(until))));
    }

    /// Whether the account is limited now.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed_until
            .borrow()
            .is_some_and(|until| Instant::now() < until)
    }

    /// Waits until the gate is open; while it is closed, what is needed queues before chatter.
    pub(crate) async fn pass(&self, urgency: Urgency) {
        if !self.is_closed() {
            return;
        }
        if urgency == Urgency::Needed {
            let waiting = Waiting::enter(&self.needed);
            self.opened().await;
            drop(waiting);
            return;
        }
        loop {
            self.opened().await;
            if self.needed.load(Ordering::Acquire) == 0 {
                return;
            }
            // Those who waited go first; they may close the gate again by their own sends.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn opened(&self) {
        loop {
            let until = *self.closed_until.borrow();
            match until {
                Some(until) if Instant::now() < until => tokio::time::sleep_until(until).await,
                _ => return,
            }
        }
    }
}

/// Counts a waiter, also when it is dropped while it waits.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn the_gate_opens_after_the_longest_wait_and_lets_the_needed_first() {
        let pace = Pace::open();
        let (start, longest) = (Instant::now(), Duration::from_millis(120));
        pace.close(longest);
        pace.close(Duration::from_millis(10));
        let (told, mut order) = mpsc::channel(2);
        let mut tasks = tokio::task::JoinSet::new();
        for (name, urgency) in [("chatter", Urgency::Chatter), ("needed", Urgency::Needed)] {
            let (pace, told) = (pace.clone(), told.clone());
            tasks.spawn(async move {
                pace.pass(urgency).await;
                told.send((name, start.elapsed() >= longest)).await.unwrap();
            });
        }
        assert_eq!(order.recv().await, Some(("needed", true)));
        assert_eq!(order.recv().await, Some(("chatter", true)));
        assert!(!pace.is_closed());
    }
}
