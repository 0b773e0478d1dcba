//! Claims that wait at the same time share a transaction (ADR 0034).
//!
//! Claims of a tenant come one after the other: each looks at the fleet's switches and at the limits that the one
//! before it changed. Alone, each also waits for its own commit to reach the disk. What waits at this process is
//! therefore taken together: one transaction, read and written as a set where it is plain, each with its own journal row, one
//! commit. When anything is wrong with the shared transaction, each is done alone, as it would have been.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use fleet_protocol::envelope::{Call, Receipt};
use fleet_protocol::language::Command;
use fleet_protocol::scalar::Name;
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::calls;
use crate::db::{self, Tx};
use crate::execute::{Stop, task};
use crate::http::Caller;
use crate::run::Core;

/// Claims of one transaction at most: its locks are held until the last one is done.
const MOST: usize = 64;
/// Claims that may wait; beyond it callers wait until there is room.
const WAITING: usize = 256;

/// A claim that waits for its turn.
struct Waiting {
    caller: Caller,
    key: String,
    call: Call<Command>,
    answer: oneshot::Sender<Result<Receipt, Stop>>,
}

/// Where claims wait.
#[derive(Clone)]
pub(crate) struct Combiner(mpsc::Sender<Waiting>);

/// What [`run`] takes them from.
pub(crate) struct Queue(mpsc::Receiver<Waiting>);

/// A place to wait, and its queue.
pub(crate) fn new() -> (Combiner, Queue) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (Combiner(sender), Queue(receiver))
}

impl Combiner {
    /// Executes a claim once under its key, with those that wait at the same time; none when nobody takes them
    /// any more.
    pub(crate) async fn claim(
        &self,
        caller: &Caller,
        key: &str,
        call: &Call<Command>,
    ) -> Option<Result<Receipt, Stop>> {
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting {
            caller: caller.clone(),
            key: key.to_owned(),
            call: call.clone(),
            answer,
        };
        self.0.send(waiting).await.ok()?;
        answered.await.ok()
    }
}

/// Takes what waits, again and again, until told to stop.
pub(crate) async fn run(core: Arc<Core>, mut queue: Queue, stop: CancellationToken) {
    let mut taken = Vec::with_capacity(MOST);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            n = queue.0.recv_many(&mut taken, MOST) => if n == 0 { return },
        }
        let tenants: BTreeSet<Name> = taken.iter().map(|w| w.caller.tenant.clone()).collect();
        let opened = join_all(tenants.iter().map(|tenant| open(&core, tenant))).await;
        // While the tenants were waited for, more came.
        while taken.len() < MOST
            && let Ok(waiting) = queue.0.try_recv()
        {
            taken.push(waiting);
        }
        let mut claims: BTreeMap<Name, Vec<Waiting>> = BTreeMap::new();
        for waiting in taken.drain(..) {
            let tenant = waiting.caller.tenant.clone();
            claims.entry(tenant).or_default().push(waiting);
        }
        let mut opened: BTreeMap<Name, Tx> = tenants
            .into_iter()
            .zip(opened)
            .filter_map(|(tenant, tx)| Some((tenant, tx?)))
            .collect();
        let all = claims.into_iter().map(|(tenant, claims)| {
            let tx = opened.remove(&tenant);
            of_tenant(&core, tenant, tx, claims)
        });
        join_all(all).await;
    }
}

/// A transaction in which it is a tenant's turn.
async fn open(core: &Core, tenant: &Name) -> Option<Tx> {
    let opened = async {
        let mut tx = db::begin(&core.pool, tenant).await?;
        task::take_turn(&mut tx, tenant).await?;
        Ok::<Tx, sqlx::Error>(tx)
    };
    // Why not, each claim is told when it is done alone.
    opened.await.ok()
}

/// Does the claims of one tenant, and answers each.
async fn of_tenant(core: &Core, tenant: Name, tx: Option<Tx>, claims: Vec<Waiting>) {
    let mut keys = BTreeSet::new();
    // A key that comes twice is a repetition of the first, and looks at what became of that.
    let (firsts, again): (Vec<_>, Vec<_>) = claims
        .into_iter()
        .partition(|w| keys.insert(journal_key(w)));
    metrics::histogram!("fleet_claims_together").record(u32::try_from(firsts.len()).unwrap_or(0));
    let mut left = match together(core, tx, &firsts).await {
        Some(receipts) => {
            for (waiting, receipt) in firsts.into_iter().zip(receipts) {
                answer(waiting, receipt);
            }
            Vec::new()
        }
        None => {
            tracing::warn!(%tenant, claims = firsts.len(), "claims are done one by one");
            firsts
        }
    };
    left.extend(again);
    for waiting in left {
        let Waiting {
            caller, key, call, ..
        } = &waiting;
        let done = calls::alone(core, caller, key, call).await;
        answer(waiting, done);
    }
}

fn journal_key(waiting: &Waiting) -> String {
    crate::journal::key_of(waiting.caller.principal(), &waiting.key)
}

fn answer(waiting: Waiting, receipt: Result<Receipt, Stop>) {
    // A caller that went away asks again under its key.
    let _ = waiting.answer.send(receipt);
}

/// One transaction for all of them; none when something is wrong with it, and each must be done alone.
async fn together(
    core: &Core,
    tx: Option<Tx>,
    claims: &[Waiting],
) -> Option<Vec<Result<Receipt, Stop>>> {
    let mut tx = tx?;
    let asked: Vec<_> = claims
        .iter()
        .map(|w| (&w.caller, w.key.as_str(), &w.call))
        .collect();
    let done = async {
        let done = calls::together(core, &mut tx, &asked).await?;
        tx.commit().await?;
        Ok::<_, sqlx::Error>(done)
    };
    // A panic in the middle of it must not be the end of all claims.
    let done = match AssertUnwindSafe(done).catch_unwind().await {
        Ok(Ok(done)) => done,
        Ok(Err(error)) => {
            tracing::warn!(%error, "claims that were taken together failed");
            return None;
        }
        Err(_) => return None,
    };
    let told = done.into_iter().map(|done| done.map(|d| d.told(core)));
    Some(told.collect())
}
