//! The chain of ballots: each is bound to the proposal and to the ballot before it, so that none can
//! be changed, left out or put in later without the head showing it.

use fleet_protocol::Timestamp;
use fleet_protocol::verbs::board::Verdict;
use sha2::{Digest, Sha256};

/// One ballot as the chain sees it.
#[derive(Debug, Clone, Copy)]
pub struct Link<'a> {
    /// Hash of the proposal.
    pub proposal: &'a [u8],
    /// Hash of the ballot before; none for the first.
    pub previous: Option<&'a [u8]>,
    /// Place in the sequence, from 1.
    pub sequence: u64,
    /// Title of the seat.
    pub seat: &'a str,
    /// Who cast it.
    pub principal: &'a str,
    /// The verdict.
    pub verdict: Verdict,
    /// The reason given.
    pub reason: Option<&'a str>,
    /// Confidence in percent.
    pub confidence: Option<u8>,
    /// When it counts.
    pub cast_at: Timestamp,
}

/// Hash of a ballot. Every field is preceded by its length, so that no two ballots share their bytes.
pub fn link(ballot: &Link<'_>) -> [u8; 32] {
    let confidence = ballot.confidence.map(|c| c.to_string());
    let fields: [Option<&[u8]>; 9] = [
        Some(ballot.proposal),
        ballot.previous,
        Some(&ballot.sequence.to_be_bytes()),
        Some(ballot.seat.as_bytes()),
        Some(ballot.principal.as_bytes()),
        Some(ballot.verdict.as_str().as_bytes()),
        ballot.reason.map(str::as_bytes),
        confidence.as_deref().map(str::as_bytes),
        Some(&ballot.cast_at.as_millis().to_be_bytes()),
    ];
    let mut hasher = Sha256::new();
    for field in fields {
        match field {
            Some(bytes) => {
                hasher.update([1]);
                hasher.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
                hasher.update(bytes);
            }
            None => hasher.update([0]),
        }
    }
    hasher.finalize().into()
}
