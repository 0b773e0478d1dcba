//! What each route does.

use std::time::Duration;

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequest, Path, Query as Params, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use fleet_protocol::api::{
    Attempts, BindRoom, IDEMPOTENCY_KEY, LeaseGrant, LeaseRequest, Outbox, ReportIncident, Rooms,
    Settlements,
};
use fleet_protocol::envelope::{Call, Receipt, Submit, Submitted};
use fleet_protocol::language::{Command, Query};
use fleet_protocol::problem::{Code, Place};
use fleet_protocol::{Problem, Reply};
use serde::de::DeserializeOwned;

use super::problem::Failure;
use super::{App, Caller};
use crate::execute::Stop;
use crate::{Scope, bot_lease, calls, db, inbox, incident, outbox, rooms, settle, submit};

/// The longest wait for the outbox.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(25);
/// How often a waiting call looks without being woken.
const LOOK: Duration = Duration::from_secs(1);
/// Rows in one report.
const MOST_ROWS: usize = 500;

/// A JSON body; what is wrong with it is named by its path.
pub(crate) struct Input<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<App> for Input<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &App) -> Result<Self, Failure> {
        let bytes = read(request.into_body(), app.body_limit).await?;
        let mut json = serde_json::Deserializer::from_slice(&bytes);
        let value = serde_path_to_error::deserialize(&mut json).map_err(|e| {
            let path = e.path().to_string();
            Problem::new(Code::Malformed, e.into_inner().to_string()).at(Place::Path(path))
        })?;
        json.end()
            .map_err(|e| Problem::new(Code::Malformed, e.to_string()))?;
        Ok(Self(value))
    }
}

async fn read(body: Body, limit: usize) -> Result<axum::body::Bytes, Problem> {
    to_bytes(body, limit).await.map_err(|_| {
        Problem::new(
            Code::TooLarge,
            format!("the body is larger than {limit} bytes, or ended early"),
        )
    })
}

type Answer<T> = Result<Json<T>, Failure>;

pub(crate) async fn submit(
    State(app): State<App>,
    caller: Caller,
    Input(asked): Input<Submit>,
) -> Answer<Submitted> {
    caller.needs(&[Scope::Bot])?;
    Ok(Json(
        submit::submit(&app.core, &caller.tenant, &asked).await?,
    ))
}

pub(crate) async fn commands(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Input(call): Input<Call<Command>>,
) -> Answer<Receipt> {
    caller.needs(&[Scope::Operator, Scope::Agent])?;
    let key = key(&headers)?;
    let done = calls::command(&app.core, &caller, key, &call).await;
    let refused = match &done {
        Ok(receipt) => receipt.problem.as_ref().map(|p| p.code),
        Err(stop) => stop.code(),
    };
    still_known(&app, &caller, refused).await?;
    Ok(Json(done?))
}

/// Who was revoked a moment ago, or while it waited, is told that, whatever the register lacks of it by now.
async fn still_known(app: &App, caller: &Caller, refused: Option<Code>) -> Result<(), Failure> {
    match refused {
        Some(Code::NotYourself | Code::NoGrant) => app.tokens.check(&app.core, caller).await,
        _ => Ok(()),
    }
}

fn key(headers: &HeaderMap) -> Result<&str, Problem> {
    let given = headers.get(IDEMPOTENCY_KEY).ok_or_else(|| {
        Problem::new(Code::KeyMissing, "a write needs the header Idempotency-Key").remedy(
            "send a new random key for each new command, and the same one when you repeat it",
        )
    })?;
    let visible =
        |k: &&str| (1..=128).contains(&k.len()) && k.bytes().all(|b| b.is_ascii_graphic());
    given.to_str().ok().filter(visible).ok_or_else(|| {
        Problem::new(
            Code::KeyMissing,
            "the Idempotency-Key must be 1 to 128 visible ASCII characters",
        )
    })
}

pub(crate) async fn queries(
    State(app): State<App>,
    caller: Caller,
    Input(call): Input<Call<Query>>,
) -> Answer<Reply> {
    caller.needs(&[Scope::Operator, Scope::Agent])?;
    if let Query::AgentNext(next) = &call.request {
        let wait = next
            .wait
            .map_or(LONGEST_WAIT, |s| Duration::from_secs(s.get()));
        let wait = wait.min(LONGEST_WAIT);
        let taken = inbox::wait(&app.core, &caller, &call, wait, &app.stopping).await;
        still_known(&app, &caller, taken.as_ref().err().and_then(Stop::code)).await?;
        return Ok(Json(taken?));
    }
    let answer = calls::query(&app.core, &caller, &call).await;
    still_known(&app, &caller, answer.as_ref().err().and_then(Stop::code)).await?;
    Ok(Json(answer?.reply))
}

/// How long to wait for rows.
#[derive(serde::Deserialize)]
pub(crate) struct Wait {
    #[serde(default)]
    wait: u64,
}

pub(crate) async fn outbox(
    State(app): State<App>,
    caller: Caller,
    asked: Result<Params<Wait>, QueryRejection>,
) -> Answer<Outbox> {
    caller.needs(&[Scope::Bot])?;
    let Params(asked) = asked.map_err(|e| {
        Problem::new(Code::Malformed, e.body_text())
            .remedy("wait is a number of seconds, for example ?wait=25")
    })?;
    let end = tokio::time::Instant::now() + LONGEST_WAIT.min(Duration::from_secs(asked.wait));
    // Before the first look, so that nothing committed after it is missed.
    let mut woken = app.core.hub.subscribe();
    loop {
        let mut tx = db::begin(&app.core.pool, &caller.tenant).await?;
        let rows = outbox::sendable(&mut tx, &caller.tenant, app.core.clock.now()).await?;
        tx.commit().await?;
        if !rows.is_empty() || tokio::time::Instant::now() >= end {
            return Ok(Json(Outbox { rows }));
        }
        tokio::select! {
            () = app.stopping.cancelled() => return Ok(Json(Outbox { rows })),
            _ = woken.changed() => {}
            () = tokio::time::sleep(LOOK) => {}
            () = tokio::time::sleep_until(end) => {}
        }
    }
}

pub(crate) async fn attempts(
    State(app): State<App>,
    caller: Caller,
    Input(asked): Input<Attempts>,
) -> Result<StatusCode, Failure> {
    caller.needs(&[Scope::Bot])?;
    few(asked.rows.len())?;
    let mut tx = db::begin(&app.core.pool, &caller.tenant).await?;
    bot_lease::check(&mut tx, &caller.tenant, &asked.lease).await?;
    settle::attempts(
        &mut tx,
        &caller.tenant,
        &asked.device,
        &asked.rows,
        app.core.clock.now(),
    )
    .await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn settlements(
    State(app): State<App>,
    caller: Caller,
    Input(asked): Input<Settlements>,
) -> Result<StatusCode, Failure> {
    caller.needs(&[Scope::Bot])?;
    few(asked.rows.len())?;
    let mut tx = db::begin(&app.core.pool, &caller.tenant).await?;
    bot_lease::check(&mut tx, &caller.tenant, &asked.lease).await?;
    settle::settle(
        &mut tx,
        &caller.tenant,
        app.core.ids.as_ref(),
        &asked.rows,
        app.core.clock.now(),
    )
    .await?;
    tx.commit().await?;
    // What waited for these rows can be sent now.
    app.core.hub.written();
    Ok(StatusCode::NO_CONTENT)
}

fn few(rows: usize) -> Result<(), Problem> {
    if rows <= MOST_ROWS {
        return Ok(());
    }
    Err(Problem::new(
        Code::TooLarge,
        format!("{rows} rows; at most {MOST_ROWS} at once"),
    ))
}

pub(crate) async fn lease(
    State(app): State<App>,
    caller: Caller,
    Input(asked): Input<LeaseRequest>,
) -> Answer<LeaseGrant> {
    caller.needs(&[Scope::Bot])?;
    let mut tx = db::begin(&app.core.pool, &caller.tenant).await?;
    let grant = bot_lease::request(&mut tx, &caller.tenant, &asked, app.core.clock.now()).await?;
    tx.commit().await?;
    Ok(Json(grant))
}

pub(crate) async fn list_rooms(State(app): State<App>, caller: Caller) -> Answer<Rooms> {
    caller.needs(&[Scope::Bot])?;
    let mut tx = db::begin(&app.core.pool, &caller.tenant).await?;
    Ok(Json(rooms::list(&mut tx, &caller.tenant).await?))
}

pub(crate) async fn bind_room(
    State(app): State<App>,
    caller: Caller,
    Path(room_id): Path<String>,
    Input(asked): Input<BindRoom>,
) -> Result<StatusCode, Failure> {
    caller.needs(&[Scope::Bot])?;
    let mut tx = db::begin(&app.core.pool, &caller.tenant).await?;
    bot_lease::check(&mut tx, &caller.tenant, &asked.lease).await?;
    rooms::bind(
        &mut tx,
        &caller.tenant,
        app.core.ids.as_ref(),
        &room_id,
        &asked,
    )
    .await?;
    tx.commit().await?;
    // Rows may have waited for the room.
    app.core.hub.written();
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn incidents(
    State(app): State<App>,
    caller: Caller,
    Input(asked): Input<ReportIncident>,
) -> Result<StatusCode, Failure> {
    caller.needs(&[Scope::Bot])?;
    if asked.subject.is_empty() {
        return Err(Problem::new(Code::Invalid, "an incident needs a subject")
            .at(Place::Path("subject".into()))
            .into());
    }
    let mut tx = db::begin(&app.core.pool, &caller.tenant).await?;
    bot_lease::check(&mut tx, &caller.tenant, &asked.lease).await?;
    incident::report(
        &mut tx,
        &caller.tenant,
        app.core.ids.as_ref(),
        app.core.clock.now(),
        &asked,
    )
    .await?;
    tx.commit().await?;
    app.core.hub.written();
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn openapi() -> Json<serde_json::Value> {
    Json(super::openapi())
}

pub(crate) async fn live() -> &'static str {
    "live\n"
}

/// Ready: the register answers, and has every migration that this gateway was built with.
pub(crate) async fn ready(State(app): State<App>) -> Result<&'static str, Failure> {
    let missing = db::missing_migrations(&app.core.pool).await?;
    if missing == 0 {
        return Ok("ready\n");
    }
    Err(Problem::new(
        Code::Unavailable,
        format!("the register lacks {missing} migrations"),
    )
    .remedy("run `fleet gateway init`")
    .into())
}

pub(crate) async fn metrics(State(app): State<App>, caller: Caller) -> Result<Response, Failure> {
    caller.needs(&[Scope::Metrics, Scope::Operator])?;
    Ok(app.metrics.render().into_response())
}
