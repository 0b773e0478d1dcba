//! The chain of entries: each is bound to the one before, and the first to the proposal, so that none
//! can be changed, left out or put in later without the head showing it.

use fleet_protocol::record::{Act, Entry, Statement};
use sha2::{Digest as _, Sha256};

use super::canonical::{canonical_form, digest, hex};

/// Hash of an entry: over the hash before it (the proposal's for the first) and its canonical form
/// without the statement, for which its own hash stands. So a text can be dropped and the chain holds.
///
/// # Errors
/// When the entry cannot be written as JSON, which no entry causes.
pub fn link(previous: &[u8], entry: &Entry) -> Result<[u8; 32], serde_json::Error> {
    let mut bare = entry.clone();
    if let Act::Cast(ballot) = &mut bare.act {
        ballot.statement = None;
    }
    let mut hasher = Sha256::new();
    hasher.update(previous);
    hasher.update(canonical_form(&bare)?.as_bytes());
    Ok(hasher.finalize().into())
}

/// Hash of what a voter wrote, hex.
///
/// # Errors
/// As [`link`].
pub fn statement_hash(statement: &Statement) -> Result<String, serde_json::Error> {
    Ok(hex(&digest(canonical_form(statement)?.as_bytes())))
}
