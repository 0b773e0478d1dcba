//! The gateway as a service.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::hub::Hub;
use crate::run::Core;
use crate::{Clock, Ids, Settings, combine, db, http, sweep};

/// How long requests may go on after the gateway was told to stop.
const GRACE: Duration = Duration::from_secs(20);

/// Why the gateway does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is taken or not ours.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// The database's address cannot be read.
    #[error("the register's address: {0}")]
    Database(#[from] sqlx::Error),
    /// The server ended.
    #[error("the server ended: {0}")]
    Server(#[source] std::io::Error),
}

/// Serves until told to stop; then running requests are finished, for at most 20 s.
///
/// The register need not be up: until it is, calls are answered 503, and `/ready` says so.
///
/// # Errors
/// [`ServeError`].
pub async fn serve(
    settings: Settings,
    clock: impl Clock,
    ids: impl Ids,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    let address = settings.listen;
    let listener = TcpListener::bind(address)
        .await
        .map_err(|source| ServeError::Listen { address, source })?;
    serve_on(listener, settings, clock, ids, shutdown).await
}

/// [`serve`] on a socket that listens already.
///
/// # Errors
/// [`ServeError`].
pub async fn serve_on(
    listener: TcpListener,
    settings: Settings,
    clock: impl Clock,
    ids: impl Ids,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    let pool = db::pool(settings.database_url.reveal(), settings.pool_size)?;
    let (combiner, claims) = combine::new();
    let core = Arc::new(Core {
        pool: pool.clone(),
        clock: Box::new(clock),
        ids: Box::new(ids),
        hub: Hub::new(),
        combiner: Some(combiner),
    });
    let router = http::router(core.clone(), &settings, recorder(), shutdown.clone());
    let background = shutdown.child_token();
    let mut tasks = JoinSet::new();
    tasks.spawn(sweep::run(core.clone(), background.clone()));
    tasks.spawn(combine::run(core.clone(), claims, background.clone()));
    tasks.spawn({
        let (core, pool, stop) = (core.clone(), pool.clone(), background.clone());
        async move { core.hub.tell(pool, stop).await }
    });
    tasks.spawn({
        let (pool, stop) = (pool.clone(), background.clone());
        async move { core.hub.listen(pool, stop).await }
    });
    tracing::info!(listen = %settings.listen, "the gateway listens");
    let stopping = shutdown.clone();
    let server = axum::serve(listener, router)
        .with_graceful_shutdown(async move { stopping.cancelled().await });
    let ended = tokio::select! {
        ended = server.into_future() => ended.map_err(ServeError::Server),
        () = async { shutdown.cancelled().await; tokio::time::sleep(GRACE).await } => {
            tracing::warn!("some requests did not end in time");
            Ok(())
        }
    };
    background.cancel();
    while let Some(joined) = tasks.join_next().await {
        if let Err(e) = joined {
            tracing::error!(error = %e, "a background task ended badly");
        }
    }
    pool.close().await;
    ended
}

/// The process's one recorder of metrics: there can be only one, however many gateways it runs.
fn recorder() -> PrometheusHandle {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    RECORDER
        .get_or_init(|| {
            let recorder = PrometheusBuilder::new().build_recorder();
            let handle = recorder.handle();
            if metrics::set_global_recorder(recorder).is_err() {
                tracing::warn!("another recorder of metrics is installed; /metrics stays empty");
            }
            handle
        })
        .clone()
}
