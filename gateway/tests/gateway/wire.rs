//! What is sent to the gateway, and what comes back.

use fleet_protocol::Timestamp;
use fleet_protocol::envelope::{Body, BotLease, Context, Envelope, Mark, Provenance, Submit};
use reqwest::Response;
use serde::de::DeserializeOwned;

use crate::stage::{LOBBY, NOON, OPERATOR};

/// The body of an answer that must be good.
pub(crate) async fn read<T: DeserializeOwned>(response: Response) -> T {
    let status = response.status();
    let text = response.text().await.unwrap();
    assert!(status.is_success(), "{status}: {text}");
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

/// Status and code of an answer that must be a problem document.
pub(crate) async fn refused(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    let problem: serde_json::Value = response.json().await.unwrap();
    assert_eq!(problem["status"], status);
    assert!(
        problem["type"].is_string()
            && problem["title"].is_string()
            && problem["detail"].is_string(),
        "{problem}"
    );
    (status, problem["code"].as_str().unwrap().to_owned())
}

/// The operator's line in the lobby.
pub(crate) fn line(key: &str, request: serde_json::Value) -> Envelope {
    Envelope {
        key: key.to_owned(),
        sender: OPERATOR.parse().unwrap(),
        joined: true,
        power_level: 100,
        origin_ts: Timestamp::from_millis(NOON),
        provenance: Provenance::Live,
        digest: format!("digest of {key}"),
        context: Context::default(),
        body: Body::Line {
            line: "!...".into(),
            request: serde_json::from_value(request).unwrap(),
        },
    }
}

pub(crate) fn batch(lease: &BotLease, after: &str, envelopes: Vec<Envelope>) -> Submit {
    let last = envelopes
        .last()
        .map_or_else(|| after.to_owned(), |e| e.key.clone());
    Submit {
        lease: lease.clone(),
        device: "DEVICE".into(),
        room_id: LOBBY.into(),
        expected_mark: Some(after.to_owned()),
        envelopes,
        mark: Mark {
            event_id: last,
            read_up_to: Timestamp::from_millis(NOON),
        },
    }
}
