//! The tools: verbs of the language that an agent uses, one tool each, generated from the verbs'
//! own types.

use std::sync::Arc;

use fleet_protocol::language::{self, Verb};
use fleet_protocol::{Reply, Request, event};
use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema as _, SchemaGenerator};
use serde_json::{Value, json};

/// What a client may assume of a tool besides that it reads or writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// Said again it does something again.
    Adds,
    /// Said again it changes nothing more.
    Settles,
    /// It ends or takes back something; said again it changes nothing more.
    Ends,
}

use Effect::{Adds, Ends, Settles};

/// The verbs that are tools, what they do, and the kind of their answer. Administration is none of
/// them: an agent works, reports and votes.
const TOOLS: &[(&str, Effect, &str)] = &[
    ("whoami", Settles, "who_am_i"),
    ("status", Settles, "status"),
    ("ps", Settles, "ps"),
    ("queue", Settles, "queue"),
    ("task.list", Settles, "tasks"),
    ("task.show", Settles, "task"),
    ("task.claim", Adds, "task"),
    ("task.renew", Settles, "task"),
    ("task.progress", Settles, "task"),
    ("task.check", Settles, "task"),
    ("task.complete", Settles, "task"),
    ("task.release", Ends, "task"),
    ("task.escalate", Settles, "task"),
    ("task.fail", Ends, "task"),
    ("task.block", Settles, "task"),
    ("task.unblock", Settles, "task"),
    ("agent.heartbeat", Settles, "agent"),
    ("agent.next", Settles, "items"),
    ("agent.inbox", Settles, "items"),
    ("agent.ack", Settles, "items"),
    ("agent.send", Adds, "item"),
    ("agent.reply", Adds, "item"),
    ("agent.broadcast", Adds, "items"),
    ("agent.delegate", Adds, "item"),
    ("mission.list", Settles, "missions"),
    ("mission.show", Settles, "mission"),
    ("spend.report", Settles, "spend"),
    ("spend.top-up", Adds, "granted"),
    ("budget.status", Settles, "budgets"),
    ("budget.explain", Settles, "explained"),
    ("report.spend", Settles, "spend_report"),
    ("board.list", Settles, "proposals"),
    ("board.mine", Settles, "proposals"),
    ("board.show", Settles, "proposal"),
    ("board.propose", Adds, "proposal"),
    ("board.vote", Settles, "ballot"),
    ("board.withdraw", Ends, "ballot"),
    ("alert.list", Settles, "alerts"),
];

/// The name of a verb's tool: clients take letters, digits and underscores.
fn tool_name(verb: &str) -> String {
    verb.replace(['.', '-'], "_")
}

/// Every tool.
pub(super) fn tools() -> Vec<Tool> {
    let settings = SchemaSettings::draft2020_12().with(|s| s.inline_subschemas = true);
    let mut schemas = settings.into_generator();
    let answers = answers(&mut schemas);
    TOOLS
        .iter()
        .filter_map(|(name, effect, answer)| {
            let verb = language::verb(name)?;
            Some(tool(verb, *effect, answers.get(*answer), &mut schemas))
        })
        .collect()
}

fn tool(
    verb: &Verb,
    effect: Effect,
    answer: Option<&Value>,
    schemas: &mut SchemaGenerator,
) -> Tool {
    let about = (verb.augment)(clap::Command::new(verb.name))
        .get_about()
        .map(ToString::to_string);
    let about = about.unwrap_or_default();
    let mut input = object((verb.schema)(schemas).to_value());
    // Some clients refuse an object without properties.
    input.entry("properties").or_insert_with(|| json!({}));
    let annotations = ToolAnnotations::with_title(verb.name.replace('.', " "))
        .read_only(!verb.writes)
        .destructive(verb.writes && effect == Ends)
        .idempotent(effect != Adds)
        .open_world(false);
    let tool = Tool::new(tool_name(verb.name), about, input).with_annotations(annotations);
    match answer {
        Some(schema) => tool.with_raw_output_schema(Arc::new(object(schema.clone()))),
        None => tool,
    }
}

/// The schemas of the answers, by kind: the alternatives of [`Reply`].
fn answers(schemas: &mut SchemaGenerator) -> JsonObject {
    let all = Reply::json_schema(schemas).to_value();
    let alternatives = all.get("oneOf").and_then(Value::as_array);
    let kind = |schema: &Value| schema.pointer("/required/0")?.as_str().map(str::to_owned);
    alternatives
        .into_iter()
        .flatten()
        .filter_map(|schema| Some((kind(schema)?, schema.clone())))
        .collect()
}

fn object(value: Value) -> JsonObject {
    match value {
        Value::Object(object) => object,
        _ => JsonObject::new(),
    }
}

/// The request that a call of a tool means; `None` when there is no such tool.
pub(super) fn request(
    tool: &str,
    arguments: JsonObject,
) -> Option<Result<Request, fleet_protocol::Problem>> {
    let (verb, ..) = TOOLS.iter().find(|(verb, ..)| tool_name(verb) == tool)?;
    Some(event::read_json(&json!({ *verb: arguments })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_verb_with_an_answer_of_the_language_and_makes_one_tool() {
        let tools = tools();
        assert_eq!(tools.len(), TOOLS.len());
        for (tool, (verb, ..)) in tools.iter().zip(TOOLS) {
            assert_eq!(tool.name, tool_name(verb));
            assert!(
                tool.name
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c == '_'),
                "{}",
                tool.name
            );
            assert!(!tool.description.as_deref().unwrap().is_empty());
            let answer = tool.output_schema.as_ref().unwrap();
            assert_eq!(answer["type"], "object", "{verb}");
            let read_only = tool.annotations.as_ref().unwrap().read_only_hint;
            assert_eq!(read_only, Some(!language::verb(verb).unwrap().writes));
        }
    }

    #[test]
    fn no_schema_refers_to_another() {
        for tool in tools() {
            let text = serde_json::to_string(&tool).unwrap();
            assert!(!text.contains("$ref"), "{}", tool.name);
        }
    }

    #[test]
    fn arguments_are_read_as_a_command_and_a_fault_has_its_path() {
        let arguments = |v: Value| object(v);
        let read = request(
            "task_progress",
            arguments(json!({ "task": "t1", "percent": 40 })),
        );
        assert_eq!(read.unwrap().unwrap().name(), "task.progress");
        let read = request("spend_top_up", arguments(json!({ "task": "t1" })));
        assert_eq!(read.unwrap().unwrap().name(), "spend.top-up");
        let fault = request(
            "task_progress",
            arguments(json!({ "task": "t1", "percent": 400 })),
        );
        let fault = fault.unwrap().unwrap_err();
        assert!(
            matches!(&fault.at, Some(fleet_protocol::problem::Place::Path(p)) if p.ends_with("percent")),
            "{fault:?}"
        );
        assert!(request("budget_set", JsonObject::new()).is_none());
        assert!(request("task.claim", JsonObject::new()).is_none());
    }
}
