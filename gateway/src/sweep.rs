//! Work that time causes: leases that run out, votes that end, queued work that fits now, items that nobody
//! acknowledges, tasks kept for who is gone, idle agents for whom work is ready, a budget's day, the cards of roles. Rows in the register, so that any
//! gateway may do them, each once, in its own transaction.

use std::sync::Arc;
use std::time::Duration;

use fleet_protocol::Reply;
use fleet_protocol::scalar::{Name, ScalarError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::execute::{Actor, Exec, Place, Stop, board, budget, card, inbox, task};
use crate::hub::Hub;
use crate::run::{self, Core, Ended, Job};
use crate::{Clock, Ids, Secret, ServeError, db, journal, outbox};

mod withheld;

use withheld::Withheld;

/// How often it looks.
const EVERY: Duration = Duration::from_secs(1);
/// Rows of a kind in one look.
const MOST: i32 = 100;

/// Of which kind it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Lease,
    Proposal,
    Item,
    Reservation,
    Wake,
    Stale,
    Queue,
    BudgetDay,
    Cards,
}

impl Kind {
    fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "lease" => Self::Lease,
            "proposal" => Self::Proposal,
            "item" => Self::Item,
            "reservation" => Self::Reservation,
            "wake" => Self::Wake,
            "stale" => Self::Stale,
            "queue" => Self::Queue,
            "day" => Self::BudgetDay,
            "cards" => Self::Cards,
            _ => return None,
        })
    }
}

/// What is due.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    tenant: Name,
    kind: Kind,
    /// Nil for a queue, a waking, a day and cards: they are their tenant's, nothing else names them.
    id: Uuid,
}

/// Sweeps until cancelled. A fault is logged and tried again with the next look.
pub(crate) async fn run(core: Arc<Core>, stop: CancellationToken) {
    let mut withheld = Withheld::default();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        if let Err(e) = once(&core, &mut withheld).await {
            tracing::warn!(error = %e, "the sweep could not look; it looks again in a second");
        }
    }
}

/// Does what time causes when it is asked to: for who moves a clock by hand, as a simulator does. A
/// gateway that serves does it by itself.
pub struct Sweeper {
    core: Core,
}

impl Sweeper {
    /// A sweeper of a register.
    ///
    /// # Errors
    /// [`ServeError::Database`] when the address cannot be read.
    pub fn new(database: &Secret, clock: impl Clock, ids: impl Ids) -> Result<Self, ServeError> {
        Ok(Self {
            core: Core {
                pool: db::pool(database.reveal(), 2)?,
                clock: Box::new(clock),
                ids: Box::new(ids),
                hub: Hub::new(),
                combiner: None,
            },
        })
    }

    /// One look over all tenants.
    ///
    /// # Errors
    /// [`ServeError::Database`].
    pub async fn once(&self) -> Result<(), ServeError> {
        Ok(look(&self.core).await.map(drop)?)
    }
}

/// One look over all tenants by who looks when they like; whether an inbox got something by it.
pub(crate) async fn look(core: &Core) -> Result<bool, sqlx::Error> {
    once(core, &mut Withheld::default()).await
}

/// One look over all tenants; whether an inbox got something by it.
async fn once(core: &Core, withheld: &mut Withheld) -> Result<bool, sqlx::Error> {
    let now = Instant::now();
    let found = find(core, withheld.len()).await?;
    let mut fills = false;
    for due in withheld.tried(found, now) {
        match one(core, &due).await {
            Ok(filled) => {
                fills |= filled;
                withheld.done(&due);
            }
            Err(error) => {
                let (tenant, id, kind) = (due.tenant.clone(), due.id, due.kind);
                let pause = withheld.failed(due, now).as_secs();
                tracing::error!(%tenant, %id, ?kind, %error, pause, "what is due could not be done; it is tried again after a pause");
            }
        }
    }
    Ok(fills)
}

/// What is due of every kind, with room for what is withheld.
async fn find(core: &Core, withheld: usize) -> Result<Vec<Due>, sqlx::Error> {
    let now = core.clock.now();
    let rows = sqlx::query!(
        r#"SELECT kind AS "kind!", tenant_id AS "tenant!", id FROM fleet.due($1, $2, $3, $4, $5, $6)"#,
        db::time(now) as _,
        db::time(card::due_before(now)) as _,
        db::time(task::lost_before(now)) as _,
        db::time(inbox::listening_since(now)) as _,
        db::time(inbox::again_before(now)) as _,
        MOST.saturating_add(i32::try_from(withheld).unwrap_or(i32::MAX))
    )
    .fetch_all(&core.pool)
    .await?;
    let unknown =
        |word: &str| sqlx::Error::Decode(format!("nothing is due of the kind {word}").into());
    rows.into_iter()
        .map(|r| {
            Ok(Due {
                tenant: r
                    .tenant
                    .parse()
                    .map_err(|e: ScalarError| sqlx::Error::Decode(e.into()))?,
                kind: Kind::from_word(&r.kind).ok_or_else(|| unknown(&r.kind))?,
                id: r.id.unwrap_or_default(),
            })
        })
        .collect()
}

/// Why something that is due was not done.
#[derive(Debug, thiserror::Error)]
enum Undone {
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error("refused ({reference}): {detail}")]
    Refused { reference: String, detail: String },
}

/// Does what is due; whether an inbox got something by it.
async fn one(core: &Core, due: &Due) -> Result<bool, Undone> {
    let tenant = &due.tenant;
    let mut tx = db::begin(&core.pool, tenant).await?;
    let zone = sqlx::query_scalar!(
        "SELECT zone FROM fleet.tenants WHERE tenant_id = $1",
        tenant.as_str()
    )
    .fetch_one(&mut *tx)
    .await?;
    let (zone, place) = (run::zone(&zone)?, Place::default());
    let actor = Actor {
        principal: "fleet".to_owned(),
        user: None,
        roles: Vec::new(),
        agent: None,
        lease: None,
        identity: None,
        chain: None,
        power_level: None,
        may_command: Vec::new(),
    };
    let (admission, now) = (core.ids.next(), core.clock.now());
    let job = Job {
        tenant,
        zone: &zone,
        actor: &actor,
        place: &place,
        admission,
        now,
    };
    let ended = run::settle(
        &mut tx,
        &job,
        core.ids.as_ref(),
        async |exec: &mut Exec<'_>| act(exec, due).await,
    )
    .await?;
    let Ended {
        rows,
        problem,
        woken,
        ..
    } = ended;
    if let Some(problem) = problem {
        tx.rollback().await?;
        return Err(Undone::Refused {
            reference: journal::reference(admission),
            detail: problem.detail,
        });
    }
    let source = outbox::Source {
        tenant,
        place: &place,
        cause: None,
        now,
        device: None,
    };
    outbox::write(&mut tx, &source, rows).await?;
    tx.commit().await?;
    core.hub.written();
    core.hub.filled(&woken);
    Ok(!woken.is_empty())
}

async fn act(exec: &mut Exec<'_>, due: &Due) -> Result<Option<Reply>, Stop> {
    match due.kind {
        Kind::Lease => task::expire(exec, due.id).await?,
        Kind::Proposal => board::due(exec, due.id).await?,
        Kind::Queue => task::look(exec).await?,
        Kind::Item => inbox::unanswered(exec, due.id).await?,
        Kind::Reservation => task::lost(exec, due.id).await?,
        Kind::Wake => inbox::wake(exec).await?,
        Kind::Stale => budget::day::stale(exec, due.id).await?,
        Kind::BudgetDay => budget::day::day(exec).await?,
        Kind::Cards => card::look(exec).await?,
    }
    Ok(None)
}
