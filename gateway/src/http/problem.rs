//! Problem documents (RFC 9457).

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use fleet_protocol::Problem;
use fleet_protocol::api::PROBLEM_JSON;
use fleet_protocol::problem::Code;
use serde_json::{Value, json};

use crate::db;
use crate::execute::Stop;

/// A refusal as an HTTP response.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) Problem);

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Stop::Database(error).into()
    }
}

impl From<Stop> for Failure {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Refused(problem) => Self(*problem),
            Stop::Database(e) if db::is_transient(&e) => {
                tracing::warn!(error = %e, "the register cannot be reached");
                Self(
                    Problem::new(Code::Unavailable, "the register cannot be reached now")
                        .remedy("send the same request again"),
                )
            }
            Stop::Database(e) => {
                tracing::error!(error = %e, "a statement failed");
                Self(Problem::new(
                    Code::Internal,
                    "a fault of the gateway's own; nothing was changed",
                ))
            }
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.0.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, document(&self.0, status).to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if matches!(self.0.code, Code::Busy | Code::Unavailable) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if self.0.code == Code::Unauthenticated {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// The standard's members beside the problem's own.
fn document(problem: &Problem, status: StatusCode) -> Value {
    let mut document = json!({
        "type": format!("urn:fleet:problem:{}", problem.code.as_str()),
        "title": title(status),
        "status": status.as_u16(),
    });
    // A problem is an object of strings: it always encodes.
    if let (Some(all), Ok(Value::Object(own))) =
        (document.as_object_mut(), serde_json::to_value(problem))
    {
        all.extend(own);
    }
    document
}

fn title(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or("Problem")
}
