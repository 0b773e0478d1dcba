//! The table of routes.

use axum::Router;
use axum::routing::{get, post, put};
use fleet_protocol::api::path;

use super::{App, handlers};

/// A route of the API, as its description needs it.
pub(super) struct Route {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    /// One line on what it does.
    pub(super) summary: &'static str,
    /// Scopes of which a token needs one; none for routes without a token.
    pub(super) scopes: &'static [&'static str],
    /// Names of the schemas of the body and of the answer.
    pub(super) body: Option<&'static str>,
    pub(super) answer: Option<&'static str>,
}

macro_rules! routes {
    ($($verb:ident $path:expr, $handler:path, $summary:literal, [$($scope:literal),*], $body:expr, $answer:expr;)*) => {
        /// Every route under `/v1`.
        pub(super) const ROUTES: &[Route] = &[$(Route {
            method: stringify!($verb), path: $path, summary: $summary, scopes: &[$($scope),*], body: $body, answer: $answer,
        },)*];

        /// The router of them.
        pub(super) fn routed() -> Router<App> {
            Router::new()$(.route($path, $verb($handler)))*
        }
    };
}

routes! {
    post path::SUBMIT, handlers::submit, "Admit events of one room, in order, each exactly once", ["bot"], Some("Submit"), Some("Submitted");
    post path::COMMANDS, handlers::commands, "Execute a command once under its Idempotency-Key", ["operator", "agent"], Some("CallCommand"), Some("Receipt");
    post path::QUERIES, handlers::queries, "Answer a query", ["operator", "agent"], Some("CallQuery"), Some("Reply");
    get path::OUTBOX, handlers::outbox, "Rows that can be sent now; waits up to `wait` seconds (at most 25) for the first", ["bot"], None, Some("Outbox");
    post path::ATTEMPTS, handlers::attempts, "Say that a device is about to send rows", ["bot"], Some("Attempts"), None;
    post path::SETTLEMENTS, handlers::settlements, "Say what became of rows", ["bot"], Some("Settlements"), None;
    post path::BOT_LEASE, handlers::lease, "Ask for, keep or give back the right to act for a Matrix account", ["bot"], Some("LeaseRequest"), Some("LeaseGrant");
    get path::ROOMS, handlers::list_rooms, "The rooms as they should be and as they are", ["bot"], None, Some("Rooms");
    put path::ROOM, handlers::bind_room, "Say which Matrix room a plan has become", ["bot"], Some("BindRoom"), None;
    post path::INCIDENTS, handlers::incidents, "Report what a person must know", ["bot"], Some("ReportIncident"), None;
    get path::OPENAPI, handlers::openapi, "This description", [], None, None;
}

/// Routes for whoever runs the gateway; they do not wait in line with calls.
pub(super) fn operations() -> Router<App> {
    Router::new()
        .route("/live", get(handlers::live))
        .route("/ready", get(handlers::ready))
        .route("/metrics", get(handlers::metrics))
}
