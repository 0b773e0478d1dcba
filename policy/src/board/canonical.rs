//! The canonical form of a record's parts: what their hashes are taken over.

use std::fmt::Write as _;

use fleet_protocol::record::Content;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// A value as canonical JSON: UTF-8, no white space, the keys of every object in order, so that the
/// same value always has the same bytes.
///
/// # Errors
/// When the value cannot be written as JSON, which no part of a record causes.
pub fn canonical_form(value: &impl Serialize) -> Result<String, serde_json::Error> {
    let mut out = String::new();
    write(&serde_json::to_value(value)?, &mut out)?;
    Ok(out)
}

/// SHA-256 over the canonical form of what is voted on.
///
/// # Errors
/// As [`canonical_form`].
pub fn hash(content: &Content) -> Result<[u8; 32], serde_json::Error> {
    Ok(digest(canonical_form(content)?.as_bytes()))
}

/// SHA-256 over bytes.
pub fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Bytes as lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        // Writing to a string cannot fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
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
