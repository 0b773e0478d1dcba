//! The API's edges: tokens, keys, bodies, routes.

use fleet_protocol::Receipt;
use fleet_protocol::api::path;
use fleet_protocol::envelope::Outcome;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::stage::{Stage, read, refused};

fn task(title: &str) -> serde_json::Value {
    json!({ "task.add": { "title": title } })
}

#[tokio::test]
async fn a_command_runs_once_under_its_key() {
    let stage = Stage::new().await;
    let first: Receipt = read(stage.command("k1", task("one")).await).await;
    assert_eq!(first.outcome, Outcome::Done, "{first:?}");
    let again: Receipt = read(stage.command("k1", task("one")).await).await;
    assert!(again.replayed && !first.replayed);
    assert_eq!((again.id, &again.reply), (first.id, &first.reply));
    assert_eq!(
        refused(stage.command("k1", task("two")).await).await,
        (409, "key.reused".into())
    );
    assert_eq!(
        stage
            .database
            .count("SELECT count(*) FROM fleet.tasks")
            .await,
        1
    );
    stage.stop().await;
}

#[tokio::test]
async fn the_same_key_at_once_runs_once() {
    let stage = Stage::new().await;
    let calls =
        (0..12).map(|_| async { read::<Receipt>(stage.command("same", task("one")).await).await });
    let receipts = futures_util::future::join_all(calls).await;
    assert!(
        receipts
            .iter()
            .all(|r| r.id == receipts[0].id && r.outcome == Outcome::Done),
        "{receipts:?}"
    );
    assert_eq!(receipts.iter().filter(|r| !r.replayed).count(), 1);
    assert_eq!(
        stage
            .database
            .count("SELECT count(*) FROM fleet.tasks")
            .await,
        1
    );
}

#[tokio::test]
async fn a_write_needs_a_key() {
    let stage = Stage::new().await;
    let body = json!({ "request": task("one") });
    let response = stage
        .send(Method::POST, path::COMMANDS, &stage.operator, &body)
        .await;
    assert_eq!(refused(response).await, (400, "key.missing".into()));
    assert_eq!(
        refused(stage.command("two words", task("one")).await).await,
        (400, "key.missing".into())
    );
    assert_eq!(
        refused(stage.command(&"k".repeat(129), task("one")).await).await,
        (400, "key.missing".into())
    );
}

#[tokio::test]
async fn a_token_is_good_for_its_scopes_only() {
    let stage = Stage::new().await;
    let body = json!({ "request": { "status": {} } });
    for token in [
        "",
        "nonsense",
        "msvc_0000000000000000000000000000000000000000000000000000000000000000",
    ] {
        let response = stage.send(Method::POST, path::QUERIES, token, &body).await;
        assert_eq!(
            refused(response).await,
            (401, "auth.unauthenticated".into()),
            "{token}"
        );
    }
    let bare = stage
        .http
        .post(format!("{}{}", stage.url, path::QUERIES))
        .json(&body)
        .send()
        .await
        .unwrap();
    assert_eq!(refused(bare).await, (401, "auth.unauthenticated".into()));
    assert_eq!(
        refused(
            stage
                .send(Method::POST, path::QUERIES, &stage.bot, &body)
                .await
        )
        .await,
        (403, "auth.wrong_scope".into())
    );
    assert_eq!(
        refused(stage.get(path::OUTBOX, &stage.operator).await).await,
        (403, "auth.wrong_scope".into())
    );
    assert_eq!(
        refused(stage.get("/metrics", &stage.bot).await).await,
        (403, "auth.wrong_scope".into())
    );
    assert_eq!(
        stage
            .send(Method::POST, path::QUERIES, &stage.operator, &body)
            .await
            .status(),
        StatusCode::OK
    );
    assert_eq!(
        stage.get("/metrics", &stage.operator).await.status(),
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_revoked_token_stops_working() {
    let stage = Stage::new().await;
    let body = json!({ "request": { "whoami": {} } });
    assert_eq!(
        stage
            .send(Method::POST, path::QUERIES, &stage.operator, &body)
            .await
            .status(),
        StatusCode::OK
    );
    stage.database.count("WITH gone AS (UPDATE fleet.tokens SET revoked_at = now() RETURNING 1) SELECT count(*) FROM gone").await;
    stage.clock.advance(6);
    let response = stage
        .send(Method::POST, path::QUERIES, &stage.operator, &body)
        .await;
    assert_eq!(
        refused(response).await,
        (401, "auth.unauthenticated".into())
    );
}

#[tokio::test]
async fn bad_bodies_and_routes_get_a_problem_document() {
    let stage = Stage::with(|s| s.body_limit = 2_000).await;
    let big = json!({ "request": task(&"x".repeat(3_000)) });
    assert_eq!(
        refused(
            stage
                .send(Method::POST, path::QUERIES, &stage.operator, &big)
                .await
        )
        .await,
        (413, "http.too_large".into())
    );
    assert_eq!(
        refused(stage.get("/v1/nothing", &stage.operator).await).await,
        (404, "http.no_route".into())
    );
    assert_eq!(
        refused(stage.get(path::COMMANDS, &stage.operator).await).await,
        (404, "http.no_route".into())
    );
    let response = stage
        .command(
            "k",
            json!({ "task.add": { "title": "x", "priority": 1.5 } }),
        )
        .await;
    let problem: serde_json::Value = response.json().await.unwrap();
    assert_eq!(problem["code"], "event.malformed");
    assert!(
        problem["at"]["path"].as_str().unwrap().contains("priority"),
        "{problem}"
    );
    assert_eq!(
        refused(stage.command("k", json!({ "nonsense": {} })).await).await,
        (400, "event.malformed".into())
    );
}

#[tokio::test]
async fn a_refused_command_writes_nothing_but_its_refusal() {
    let stage = Stage::new().await;
    let receipt: Receipt = read(
        stage
            .command("k", json!({ "task.cancel": { "task": "t99" } }))
            .await,
    )
    .await;
    assert_eq!(receipt.outcome, Outcome::Refused);
    let problem = receipt.problem.unwrap();
    assert_eq!(problem.code.as_str(), "register.not_found");
    let reference = problem.reference.unwrap();
    assert!(receipt.id.simple().to_string().ends_with(&reference) && reference.len() == 8);
    assert_eq!(
        stage
            .database
            .count("SELECT count(*) FROM fleet.admitted WHERE outcome = 'refused'")
            .await,
        1
    );
    assert_eq!(
        stage
            .database
            .count("SELECT count(*) FROM fleet.outbox")
            .await,
        0
    );
}

#[tokio::test]
async fn liveness_and_readiness_tell_apart_the_process_and_the_register() {
    let stage = Stage::new().await;
    assert_eq!(stage.get("/live", "").await.status(), StatusCode::OK);
    assert_eq!(stage.get("/ready", "").await.status(), StatusCode::OK);
    crate::stage::on(
        &stage.database.owner,
        "DELETE FROM fleet._sqlx_migrations WHERE version = 1",
    )
    .await;
    assert_eq!(
        refused(stage.get("/ready", "").await).await,
        (503, "register.unavailable".into())
    );
    assert_eq!(stage.get("/live", "").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn too_many_requests_are_told_to_come_back() {
    let stage = Stage::with(|s| s.max_in_flight = 0).await;
    let response = stage.get(path::OUTBOX, &stage.bot).await;
    assert_eq!(response.headers()["retry-after"], "1");
    assert_eq!(refused(response).await, (503, "http.busy".into()));
    assert_eq!(stage.get("/live", "").await.status(), StatusCode::OK);
}

#[test]
fn the_description_names_every_route_and_resolves() {
    let api = fleet_gateway::openapi();
    let routes: Vec<String> = api["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            methods
                .as_object()
                .unwrap()
                .keys()
                .map(move |m| format!("{m} {path}"))
        })
        .collect();
    insta::assert_json_snapshot!("openapi_routes", routes);
    let mut references = Vec::new();
    gather(&api, &mut references);
    assert!(references.len() > 50);
    for reference in references {
        assert!(
            api.pointer(reference.trim_start_matches('#')).is_some(),
            "{reference} points at nothing"
        );
    }
}

fn gather(value: &serde_json::Value, references: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(map) => {
            if let Some(serde_json::Value::String(r)) = map.get("$ref") {
                references.push(r.clone());
            }
            map.values().for_each(|v| gather(v, references));
        }
        serde_json::Value::Array(all) => all.iter().for_each(|v| gather(v, references)),
        _ => {}
    }
}
