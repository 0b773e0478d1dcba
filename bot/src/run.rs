//! Starting a bot, and stopping it without losing a word.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use fleet_client::Gateway;
use fleet_protocol::scalar::UserId;
use matrix_sdk::Client;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::claims::Claims;
use crate::context::Context;
use crate::crew::Crew;
use crate::dispatch::Dispatch;
use crate::health::Health;
use crate::lease::Lease;
use crate::reports::{self, Reports};
use crate::rooms::Housekeeper;
use crate::settle::Settler;
use crate::store::Store;
use crate::sync::Sync;
use crate::{BotError, Clock, Settings, health, poll, session, settle};

/// How long sends may take after the stop. What is left is sent after the next start.
const DRAIN: Duration = Duration::from_secs(5);
/// Rooms that wait for the housekeeper; those that do not fit ask again with their next event.
const ERRANDS: usize = 1_024;

/// Runs a bot until `shutdown` is cancelled or it cannot go on.
///
/// # Errors
/// [`BotError`]: the supervisor starts the process again, except after [`BotError::SignedOut`],
/// [`BotError::Gateway`] and [`BotError::Session`], which a person must mend.
pub async fn run(
    settings: Settings,
    clock: Clock,
    shutdown: CancellationToken,
) -> Result<(), BotError> {
    let health = Health::default();
    let stop = shutdown.child_token();
    let (crew, mut failure) = Crew::new(stop.clone());
    if let Some(address) = settings.listen {
        crew.spawn(
            "health server",
            health::serve(
                health.clone(),
                address,
                settings.metrics_token.clone(),
                stop.clone(),
            ),
        );
    }
    let works = start(settings, clock, crew.clone(), health);
    let (ended, parts) = tokio::select! {
        failed = failure.recv() => (failed.map_or(Ok(()), Err), None),
        started = works => match started {
            Ok(Some(parts)) => {
                let ended = tokio::select! {
                    failed = failure.recv() => failed.map_or(Ok(()), Err),
                    () = stop.cancelled() => Ok(()),
                };
                (ended, Some(parts))
            }
            Ok(None) => (Ok(()), None),
            Err(error) => (Err(error), None),
        },
    };
    stop.cancel();
    if let Some(Parts {
        dispatch,
        lease,
        gateway,
        store,
    }) = parts
    {
        dispatch.close();
        drop(dispatch);
        if !crew.ended(DRAIN).await {
            tracing::warn!("some sends were not finished; they go on after the next start");
        }
        if !matches!(ended, Err(BotError::LeaseLost { .. })) {
            lease.release(&gateway).await;
        }
        drop(store);
    }
    ended
}

/// What the end of a bot needs.
struct Parts {
    dispatch: Dispatch,
    lease: Lease,
    gateway: Gateway,
    store: Store,
}

/// Logs in, takes the lease and starts every part. `None` when stopped before.
async fn start(
    settings: Settings,
    clock: Clock,
    crew: Crew,
    health: Health,
) -> Result<Option<Parts>, BotError> {
    let gateway = Gateway::new(settings.gateway_url.clone(), settings.gateway_token.clone())
        .map_err(BotError::Gateway)?
        .without_retry();
    let Some(store) = Store::lock(&settings.store, &crew.stop).await? else {
        return Ok(None);
    };
    let holder = store.holder(&settings.store, settings.holder)?;
    let Some(client) = session::open(&settings, &crew.stop).await? else {
        return Ok(None);
    };
    let (user, device) = identity(&client, &settings)?;
    let Some(lease) = Lease::acquire(&gateway, user.clone(), holder, &crew.stop).await? else {
        return Ok(None);
    };
    health.note_lease(&lease);
    let (keys, keys_came) = watch::channel(0);
    let context = Context {
        client,
        gateway: gateway.clone(),
        user,
        device,
        lease: lease.clone(),
        clock,
        counters: health.counters(),
        crew: crew.clone(),
        keys: keys_came,
        synced: Arc::new(watch::channel(None).0),
        reports: Reports::default(),
        fitful: Arc::new(AtomicBool::new(false)),
        reconcile_every: settings.reconcile_every,
    };
    let (claims, flushed) = (Claims::default(), Arc::new(Notify::new()));
    let (settler, settlements) = Settler::new();
    let dispatch = Dispatch::new(claims.clone(), settler);
    let (errands, errand_box) = mpsc::channel(ERRANDS);
    let (marked, marks) = mpsc::channel(ERRANDS);

    crew.spawn(
        "lease",
        lease.clone().keep(gateway.clone(), crew.stop.clone()),
    );
    crew.spawn("reporter", reports::run(context.clone()));
    crew.spawn(
        "settler",
        settle::run(context.clone(), settlements, claims, Arc::clone(&flushed)),
    );
    crew.spawn(
        "outbox poll",
        poll::run(context.clone(), dispatch.clone(), flushed),
    );
    crew.spawn(
        "housekeeper",
        Housekeeper::new(context.clone(), errand_box, marked, health.clone()).run(),
    );
    crew.spawn(
        "sync",
        Sync::new(context, dispatch.clone(), errands, marks, keys, health).run(),
    );
    Ok(Some(Parts {
        dispatch,
        lease,
        gateway,
        store,
    }))
}

fn identity(client: &Client, settings: &Settings) -> Result<(UserId, String), BotError> {
    let user = client.user_id().and_then(|user| user.as_str().parse().ok());
    let device = client.device_id().map(ToString::to_string);
    user.zip(device).ok_or_else(|| BotError::Session {
        path: settings.store.clone(),
        detail: "the session names no user and device".to_owned(),
    })
}
