//! The canonical form of a proposal: what its hash, and so every ballot, is bound to.

use fleet_protocol::Timestamp;
use fleet_protocol::verbs::board::{Effect, ProposalKind, Seat};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::Rule;

/// Everything the voters vote on (board.md, "Proposal").
#[derive(Debug, Clone, Serialize)]
pub struct Content {
    /// The tenant's name.
    pub tenant: String,
    /// The register's key.
    pub id: uuid::Uuid,
    /// Title.
    pub title: String,
    /// Text in full.
    pub text: Option<String>,
    /// Kind.
    pub kind: ProposalKind,
    /// Who proposed it.
    pub proposer: String,
    /// The room of its card, by key.
    pub room: String,
    /// The effect, with resolved ids.
    pub effect: Option<Effect>,
    /// The frozen seats, in order.
    pub seats: Vec<Seat>,
    /// When voting ends.
    pub closes_at: Timestamp,
    /// What holds without a quorum.
    pub default: &'static str,
    /// How it is decided.
    #[serde(serialize_with = "rule")]
    pub rule: Rule,
}

fn rule<S: serde::Serializer>(rule: &Rule, serializer: S) -> Result<S::Ok, S::Error> {
    let threshold = match rule.threshold {
        super::Threshold::Majority => "majority".to_owned(),
        super::Threshold::AtLeast { of, out_of } => format!("{of}/{out_of}"),
    };
    [
        ("quorum", rule.quorum.to_string()),
        ("threshold", threshold),
    ]
    .into_iter()
    .collect::<std::collections::BTreeMap<_, _>>()
    .serialize(serializer)
}

/// The proposal as canonical JSON: UTF-8, no white space, the keys of every object in order, so that
/// the same proposal always has the same bytes.
///
/// # Errors
/// When the content cannot be written as JSON, which no valid content causes.
pub fn canonical_form(content: &Content) -> Result<String, serde_json::Error> {
    let mut out = String::new();
    write(&serde_json::to_value(content)?, &mut out)?;
    Ok(out)
}

/// SHA-256 over the canonical form.
///
/// # Errors
/// As [`canonical_form`].
pub fn hash(content: &Content) -> Result<[u8; 32], serde_json::Error> {
    Ok(Sha256::digest(canonical_form(content)?.as_bytes()).into())
}

/// Writes a value with sorted keys, whatever order the map type keeps.
fn write(value: &serde_json::Value, out: &mut String) -> Result<(), serde_json::Error> {
    use serde_json::Value;
    match value {
        Value::Object(map) => {
            let mut keys: Vec<_> = map.keys().collect();
            keys.sort_unstable();
            out.push('{');
            for (index, key) in keys.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(&serde_json::to_string(key)?);
                out.push(':');
                write(&map[key], out)?;
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(item, out)?;
            }
            out.push(']');
        }
        scalar => out.push_str(&serde_json::to_string(scalar)?),
    }
    Ok(())
}
