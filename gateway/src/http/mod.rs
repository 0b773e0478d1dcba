//! The HTTP API: one table of routes, from which both the router and its description are made.

mod auth;
mod handlers;
mod openapi;
mod problem;
mod routes;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use fleet_protocol::Problem;
use fleet_protocol::api::path;
use fleet_protocol::problem::Code;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::request_id::{
    MakeRequestId, PropagateRequestIdLayer, RequestId, SetRequestIdLayer,
};

pub(crate) use auth::Caller;
pub use openapi::openapi;
use problem::Failure;

use crate::Settings;
use crate::run::Core;

/// What every handler sees.
#[derive(Clone)]
pub(crate) struct App {
    core: Arc<Core>,
    tokens: Arc<auth::Tokens>,
    metrics: PrometheusHandle,
    places: Arc<Semaphore>,
    timeout: Duration,
    body_limit: usize,
    /// Cancelled when the gateway stops, so that waits end.
    stopping: CancellationToken,
}

/// Makes ids of requests from the passed-in source.
#[derive(Clone)]
struct RequestIds(Arc<Core>);

impl MakeRequestId for RequestIds {
    fn make_request_id<B>(&mut self, _: &axum::http::Request<B>) -> Option<RequestId> {
        self.0
            .ids
            .next()
            .to_string()
            .parse()
            .ok()
            .map(RequestId::new)
    }
}

/// The whole API over a core.
pub(crate) fn router(
    core: Arc<Core>,
    settings: &Settings,
    metrics: PrometheusHandle,
    stopping: CancellationToken,
) -> Router {
    let app = App {
        core: core.clone(),
        tokens: Arc::new(auth::Tokens::default()),
        metrics,
        places: Arc::new(Semaphore::new(settings.max_in_flight)),
        timeout: settings.request_timeout,
        body_limit: settings.body_limit,
        stopping,
    };
    let busy = middleware::from_fn_with_state(app.clone(), admit);
    routes::routed()
        .route_layer(busy)
        .merge(routes::operations())
        .fallback(|| async { no_route() })
        .method_not_allowed_fallback(|| async { no_route() })
        .layer(DefaultBodyLimit::disable())
        .layer(CatchPanicLayer::custom(
            |_: Box<dyn std::any::Any + Send>| {
                tracing::error!("a handler panicked");
                Failure(Problem::new(
                    Code::Internal,
                    "a fault of the gateway's own; nothing was changed",
                ))
                .into_response()
            },
        ))
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(SetRequestIdLayer::x_request_id(RequestIds(core)))
        .with_state(app)
}

fn no_route() -> Failure {
    Failure(
        Problem::new(Code::NoRoute, "there is no such route or method")
            .remedy("see /v1/openapi.json"),
    )
}

/// Bounds how many requests run at once and how long each may take; counts and measures them.
async fn admit(State(app): State<App>, request: Request, next: Next) -> Response {
    let Ok(_place) = app.places.clone().try_acquire_owned() else {
        return Failure(
            Problem::new(Code::Busy, "too many requests are running")
                .remedy("try again in a second, with the same key"),
        )
        .into_response();
    };
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(String::new, |p| p.as_str().to_owned());
    #[expect(clippy::disallowed_methods, reason = "measures an elapsed time")]
    let began = std::time::Instant::now();
    // A wait for the outbox or an inbox is asked for, and has its own bound.
    let patience = app.timeout
        + if matches!(route.as_str(), path::OUTBOX | path::QUERIES) {
            handlers::LONGEST_WAIT
        } else {
            Duration::ZERO
        };
    let response = match tokio::time::timeout(patience, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Failure(
            Problem::new(
                Code::Unavailable,
                "the request took too long; whether it ran is kept under its key",
            )
            .remedy("send it again with the same key"),
        )
        .into_response(),
    };
    metrics::histogram!("fleet_http_seconds", "route" => route, "status" => response.status().as_u16().to_string()).record(began.elapsed());
    response
}
