//! Work that time causes: leases that run out, votes that end, queued work that fits now, items that nobody
//! acknowledges, a budget's day. Rows in the register, so that any
//! gateway may do them, each once, in its own transaction.

use std::sync::Arc;
use std::time::Duration;

use fleet_protocol::Reply;
use fleet_protocol::scalar::Name;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::execute::{Actor, Exec, Place, Stop, board, budget, inbox, task};
use crate::hub::Hub;
use crate::run::{self, Core, Ended, Job};
use crate::{Clock, Ids, Secret, ServeError, db, journal, outbox};

/// How often it looks.
const EVERY: Duration = Duration::from_secs(1);
/// Rows of a kind in one look.
const MOST: i32 = 100;

/// What is due.
#[derive(Clone, Copy)]
enum Due {
    Lease,
    Proposal,
    Queue,
    Item,
    Stale,
    BudgetDay,
}

/// Sweeps until cancelled. A fault is logged and tried again with the next look.
pub(crate) async fn run(core: Arc<Core>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        if let Err(e) = once(&core).await {
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
        Ok(once(&self.core).await?)
    }
}

/// One look over all tenants.
pub(crate) async fn once(core: &Core) -> Result<(), sqlx::Error> {
    let now = db::time(core.clock.now());
    let leases = sqlx::query!(
        r#"SELECT tenant AS "tenant!", id AS "id!" FROM fleet.expired_leases($1, $2) AS due (tenant, id)"#,
        now,
        MOST
    )
    .fetch_all(&core.pool)
    .await?;
    let proposals = sqlx::query!(
        r#"SELECT tenant AS "tenant!", id AS "id!" FROM fleet.due_proposals($1, $2) AS due (tenant, id)"#,
        now,
        MOST
    )
    .fetch_all(&core.pool)
    .await?;
    let queues = sqlx::query_scalar!(
        r#"SELECT tenant AS "tenant!" FROM fleet.due_queues($1, $2) AS due (tenant)"#,
        now,
        MOST
    )
    .fetch_all(&core.pool)
    .await?;
    let items = sqlx::query!(
        r#"SELECT tenant AS "tenant!", id AS "id!" FROM fleet.due_items($1, $2) AS due (tenant, id)"#,
        now,
        MOST
    )
    .fetch_all(&core.pool)
    .await?;
    let stale = sqlx::query!(
        r#"SELECT tenant AS "tenant!", id AS "id!" FROM fleet.stale_series($1, $2) AS due (tenant, id)"#,
        now,
        MOST
    )
    .fetch_all(&core.pool)
    .await?;
    let days = sqlx::query_scalar!(
        r#"SELECT tenant AS "tenant!" FROM fleet.due_budget_days($1, $2) AS due (tenant)"#,
        now,
        MOST
    )
    .fetch_all(&core.pool)
    .await?;
    let due = leases
        .into_iter()
        .map(|r| (r.tenant, r.id, Due::Lease))
        .chain(
            proposals
                .into_iter()
                .map(|r| (r.tenant, r.id, Due::Proposal)),
        )
        .chain(items.into_iter().map(|r| (r.tenant, r.id, Due::Item)))
        .chain(stale.into_iter().map(|r| (r.tenant, r.id, Due::Stale)))
        // A queue and a day are their tenant's: nothing else names them.
        .chain(queues.into_iter().map(|t| (t, Uuid::nil(), Due::Queue)))
        .chain(days.into_iter().map(|t| (t, Uuid::nil(), Due::BudgetDay)));
    for (tenant, id, what) in due {
        let tenant: Name = tenant
            .parse()
            .map_err(|e: fleet_protocol::scalar::ScalarError| sqlx::Error::Decode(e.into()))?;
        if let Err(e) = one(core, &tenant, id, what).await {
            tracing::warn!(%tenant, %id, error = %e, "what is due could not be done; it is tried again");
        }
    }
    Ok(())
}

async fn one(core: &Core, tenant: &Name, id: Uuid, what: Due) -> Result<(), sqlx::Error> {
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
        async |exec: &mut Exec<'_>| due(exec, id, what).await,
    )
    .await?;
    let Ended {
        rows,
        problem,
        woken,
        ..
    } = ended;
    if let Some(problem) = problem {
        tracing::error!(%tenant, %id, reference = journal::reference(admission), detail = problem.detail, "what is due was refused");
        return tx.rollback().await;
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
    Ok(())
}

async fn due(exec: &mut Exec<'_>, id: Uuid, what: Due) -> Result<Option<Reply>, Stop> {
    match what {
        Due::Lease => task::expire(exec, id).await?,
        Due::Proposal => board::due(exec, id).await?,
        Due::Queue => task::look(exec).await?,
        Due::Item => inbox::unanswered(exec, id).await?,
        Due::Stale => budget::day::stale(exec, id).await?,
        Due::BudgetDay => budget::day::day(exec).await?,
    }
    Ok(None)
}
