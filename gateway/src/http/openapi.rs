//! The API's description (OpenAPI 3.1), made from the table of routes and the types' own schemas.

use fleet_protocol::api::{
    Attempts, BindRoom, LeaseGrant, LeaseRequest, Outbox, PROBLEM_JSON, ReportIncident, Rooms,
    Settlements,
};
use fleet_protocol::envelope::{Call, Receipt, Submit, Submitted};
use fleet_protocol::language::{Command, Query};
use fleet_protocol::{Problem, Reply};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::routes::{ROUTES, Route};

/// The OpenAPI description of the gateway.
pub fn openapi() -> Value {
    let mut generator = SchemaSettings::openapi3()
        .with(|s| s.definitions_path = "/components/schemas".into())
        .into_generator();
    let bodies = bodies(&mut generator);
    let mut schemas: Map<String, Value> = generator.take_definitions(true).into_iter().collect();
    schemas.extend(bodies);
    let mut paths = Map::new();
    for route in ROUTES {
        let entry = paths.entry(route.path).or_insert_with(|| json!({}));
        entry[route.method] = operation(route);
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Mosaic Fleet gateway", "version": env!("CARGO_PKG_VERSION") },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
    })
}

fn bodies(generator: &mut SchemaGenerator) -> Vec<(String, Value)> {
    fn of<T: JsonSchema>(generator: &mut SchemaGenerator, name: &str) -> (String, Value) {
        // The root's own schema, so that `$ref`s to the name the route gives resolve.
        (name.to_owned(), T::json_schema(generator).into())
    }
    vec![
        of::<Submit>(generator, "Submit"),
        of::<Submitted>(generator, "Submitted"),
        of::<Call<Command>>(generator, "CallCommand"),
        of::<Call<Query>>(generator, "CallQuery"),
        of::<Receipt>(generator, "Receipt"),
        of::<Reply>(generator, "Reply"),
        of::<Outbox>(generator, "Outbox"),
        of::<Attempts>(generator, "Attempts"),
        of::<Settlements>(generator, "Settlements"),
        of::<LeaseRequest>(generator, "LeaseRequest"),
        of::<LeaseGrant>(generator, "LeaseGrant"),
        of::<Rooms>(generator, "Rooms"),
        of::<BindRoom>(generator, "BindRoom"),
        of::<ReportIncident>(generator, "ReportIncident"),
        of::<Problem>(generator, "Problem"),
    ]
}

fn operation(route: &Route) -> Value {
    let schema = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
    let mut responses = json!({
        "default": { "description": "A problem document (RFC 9457)", "content": { PROBLEM_JSON: { "schema": schema("Problem") } } },
    });
    match route.answer {
        Some(name) => {
            responses["200"] = json!({ "description": "Done", "content": { "application/json": { "schema": schema(name) } } })
        }
        None if route.body.is_some() => responses["204"] = json!({ "description": "Done" }),
        None => {
            responses["200"] =
                json!({ "description": "Done", "content": { "application/json": {} } })
        }
    }
    let mut operation = json!({ "summary": route.summary, "responses": responses });
    if let Some(name) = route.body {
        operation["requestBody"] = json!({ "required": true, "content": { "application/json": { "schema": schema(name) } } });
    }
    if !route.scopes.is_empty() {
        operation["security"] = json!([{ "token": route.scopes }]);
    }
    let parameters = parameters(route);
    if !parameters.is_empty() {
        operation["parameters"] = Value::Array(parameters);
    }
    operation
}

fn parameters(route: &Route) -> Vec<Value> {
    use fleet_protocol::api::{IDEMPOTENCY_KEY, path};
    match route.path {
        path::COMMANDS => vec![
            json!({ "in": "header", "name": IDEMPOTENCY_KEY, "required": true, "schema": { "type": "string", "minLength": 1, "maxLength": 128 } }),
        ],
        path::OUTBOX => vec![
            json!({ "in": "query", "name": "wait", "schema": { "type": "integer", "minimum": 0, "maximum": 25 } }),
        ],
        path::ROOM => vec![
            json!({ "in": "path", "name": "room_id", "required": true, "schema": { "type": "string" } }),
        ],
        _ => Vec::new(),
    }
}
