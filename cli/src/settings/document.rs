//! The configuration, described from its types.

use serde_json::Value;

use super::{Settings, variable};

/// One key.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Key {
    /// Path, for example `gateway.listen`.
    pub key: String,
    /// The environment variable.
    pub variable: String,
    /// What it means.
    pub meaning: String,
    /// Its value unless set; none: absent.
    pub default: Option<String>,
}

/// Every key, in the order of the sections.
pub fn keys() -> Vec<Key> {
    let schema = schemars::schema_for!(Settings).to_value();
    let defaults = serde_json::to_value(Settings::default()).unwrap_or_default();
    let mut all = Vec::new();
    walk(&schema, &schema, &defaults, "", &mut all);
    all
}

fn walk(root: &Value, schema: &Value, defaults: &Value, path: &str, all: &mut Vec<Key>) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return;
    };
    for (name, property) in properties {
        let key = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        let default = defaults.get(name).unwrap_or(&Value::Null);
        let inner = resolve(root, property);
        if inner.get("properties").is_some() {
            walk(root, inner, default, &key, all);
            continue;
        }
        let meaning = property
            .get("description")
            .or_else(|| inner.get("description"))
            .and_then(Value::as_str);
        let meaning = meaning.unwrap_or_default().replace('\n', " ");
        let default = match default {
            Value::Null => None,
            Value::String(s) => Some(s.clone()),
            other => Some(other.to_string()),
        };
        all.push(Key {
            variable: variable(&key),
            key,
            meaning,
            default,
        });
    }
}

/// Follows a reference within the schema.
fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let pointer = schema
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|r| r.strip_prefix('#'));
    pointer.and_then(|p| root.pointer(p)).unwrap_or(schema)
}
