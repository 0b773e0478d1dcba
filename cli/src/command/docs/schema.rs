//! The pages of events, of data files and of the HTTP API: their JSON schemas.

use std::fmt::Write as _;

use fleet_protocol::event::{
    COMMAND, CommandContent, RECEIPT, ROOM, ReceiptContent, RoomContent, SaidContent, TWIN,
};
use fleet_protocol::problem::Code;
use fleet_protocol::role::{Profile, Role};
use fleet_protocol::roster::Roster;
use fleet_protocol::template::{Persona, Template};
use schemars::{JsonSchema, schema_for};
use serde_json::Value;

use super::cell;
use crate::error::CliError;

pub(super) fn events() -> String {
    let mut page = format!(
        "# Events\n\nGenerated from the types by `fleet docs`.\n\n\
         Integers only, at most 2^53 - 1. A message that people read carries its machine-readable twin under the\n\
         key `{TWIN}`.\n"
    );
    section::<CommandContent>(&mut page, COMMAND, "A structured command: agent to fleet.");
    section::<ReceiptContent>(
        &mut page,
        RECEIPT,
        "Its answer: fleet to agent; it refers to the command by `m.reference`.",
    );
    section::<RoomContent>(&mut page, ROOM, "State of a room of the fleet.");
    section::<SaidContent>(
        &mut page,
        TWIN,
        "Under this key in an `m.room.message` of an agent that says something to another.",
    );
    page.push_str("\n## Codes of problems\n\n| code | HTTP status |\n|---|---|\n");
    for code in Code::ALL {
        // Writing to a String cannot fail.
        let _ = writeln!(page, "| `{}` | {} |", code.as_str(), code.status());
    }
    page
}

/// The page of data files.
pub(super) fn files() -> String {
    let mut page = String::from(
        "# Data files\n\nGenerated from the types by `fleet docs`. All are YAML; unknown keys are refused with their path.\n",
    );
    section::<Roster>(
        &mut page,
        "roster.yaml",
        "What the fleet should be; `fleet provision` brings it there.",
    );
    section::<Role>(
        &mut page,
        "roles/NAME.yaml",
        "A role; `fleet role show` shows one.",
    );
    section::<Profile>(
        &mut page,
        "profiles/NAME.yaml",
        "Which roles a kind of fleet has.",
    );
    section::<Template>(
        &mut page,
        "templates/NAME.yaml",
        "Rule and seats of a kind of proposal.",
    );
    section::<Persona>(
        &mut page,
        "personas/NAME.yaml",
        "What a seat of the board looks at.",
    );
    page
}

fn section<T: JsonSchema>(page: &mut String, event_type: &str, meaning: &str) {
    let schema = schema_for!(T).to_value();
    let _ = write!(
        page,
        "\n## `{event_type}`\n\n{meaning}\n\n| key | meaning |\n|---|---|\n"
    );
    let properties = schema.get("properties").and_then(Value::as_object);
    for (key, property) in properties.into_iter().flatten() {
        let meaning = property
            .get("description")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let _ = writeln!(page, "| `{key}` | {} |", cell(meaning));
    }
    let text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    let _ = write!(
        page,
        "\n<details><summary>JSON schema</summary>\n\n```json\n{text}\n```\n\n</details>\n"
    );
}

pub(super) fn api() -> Result<String, CliError> {
    let description = crate::command::gateway::openapi();
    let mut page = String::from(
        "# API\n\nGenerated from the types by `fleet docs`.\n\n\
         The gateway describes itself at `/v1/openapi.json`. Writes need the header `Idempotency-Key`; errors are\n\
         problem documents (RFC 9457) with a stable `code`.\n\n| method | path | meaning |\n|---|---|---|\n",
    );
    let paths = description.get("paths").and_then(Value::as_object);
    for (path, item) in paths.into_iter().flatten() {
        for (method, operation) in item.as_object().into_iter().flatten() {
            let meaning = operation
                .get("summary")
                .or_else(|| operation.get("description"))
                .and_then(Value::as_str);
            let _ = writeln!(
                page,
                "| {} | `{path}` | {} |",
                method.to_uppercase(),
                cell(meaning.unwrap_or_default())
            );
        }
    }
    let text = serde_json::to_string_pretty(&description)
        .map_err(|e| CliError::Internal(format!("the API's description is no JSON: {e}")))?;
    let _ = write!(
        page,
        "\n<details><summary>OpenAPI</summary>\n\n```json\n{text}\n```\n\n</details>\n"
    );
    Ok(page)
}
