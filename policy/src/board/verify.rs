//! Checking a record offline: the hashes, the sequence, and the outcome tallied anew.

use fleet_protocol::record::{Act, Decided, EndedBy, Entry, Export, FORMAT, Outcome};

use super::{canonical, chain, outcome, settled, stand, tally};

/// What a record proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Entries checked.
    pub entries: u64,
    /// The head; the decision in the room must show the same.
    pub head: String,
    /// How it ended; none while it is open.
    pub decided: Option<Decided>,
}

/// Why a record is not what it says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Another format.
    #[error("the format is {0}; this reads {FORMAT}")]
    Format(String),
    /// A part cannot be hashed.
    #[error("a part of the record cannot be written as JSON: {0}")]
    Json(String),
    /// The content was changed.
    #[error("the proposal's hash is {found}, the record says {said}: its content was changed")]
    Content {
        /// Computed.
        found: String,
        /// Stated.
        said: String,
    },
    /// An entry is missing or in the wrong place.
    #[error("entry {found} stands where entry {expected} belongs")]
    Sequence {
        /// The place.
        expected: u64,
        /// What stands there.
        found: u64,
    },
    /// An entry was changed.
    #[error(
        "the hash of entry {sequence} is {found}, the record says {said}: it or one before it was changed"
    )]
    Entry {
        /// Its place.
        sequence: u64,
        /// Computed.
        found: String,
        /// Stated.
        said: String,
    },
    /// What a voter wrote was changed.
    #[error("the text of entry {0} is not what was cast")]
    Statement(u64),
    /// The head is not the last hash.
    #[error("the head is {found}, the record says {said}")]
    Head {
        /// Computed.
        found: String,
        /// Stated.
        said: String,
    },
    /// The room shows another head.
    #[error("the record's head is {found}, the room shows {shown}: this is another record")]
    Shown {
        /// Computed.
        found: String,
        /// Given by the reader.
        shown: String,
    },
    /// Something follows the decision.
    #[error("entry {0} follows the decision")]
    AfterEnd(u64),
    /// The ballots come to something else.
    #[error("the ballots come to {tallied}, the record says {said}")]
    Outcome {
        /// Tallied anew.
        tallied: String,
        /// Stated.
        said: String,
    },
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error.to_string())
    }
}

/// Checks a record, and its head against the one that the room shows, if that is given.
///
/// # Errors
/// The first [`Fault`].
pub fn verify(export: &Export, shown: Option<&str>) -> Result<Verified, Fault> {
    if export.format != FORMAT {
        return Err(Fault::Format(export.format.clone()));
    }
    let mut head = canonical::hash(&export.proposal)?;
    let found = canonical::hex(&head);
    if found != export.hash {
        return Err(Fault::Content {
            found,
            said: export.hash.clone(),
        });
    }
    for (expected, linked) in (1..).zip(&export.entries) {
        let entry = &linked.entry;
        if entry.sequence != expected {
            return Err(Fault::Sequence {
                expected,
                found: entry.sequence,
            });
        }
        head = chain::link(&head, entry)?;
        let found = canonical::hex(&head);
        if found != linked.hash {
            return Err(Fault::Entry {
                sequence: expected,
                found,
                said: linked.hash.clone(),
            });
        }
        statement(entry)?;
    }
    let found = canonical::hex(&head);
    if found != export.head {
        return Err(Fault::Head {
            found,
            said: export.head.clone(),
        });
    }
    if let Some(shown) = shown.filter(|shown| *shown != found) {
        return Err(Fault::Shown {
            found,
            shown: shown.to_owned(),
        });
    }
    Ok(Verified {
        entries: export.entries.len() as u64,
        head: found,
        decided: decided(export)?,
    })
}

/// Whether what a voter wrote is what was cast; a text that was dropped leaves its hash.
fn statement(entry: &Entry) -> Result<(), Fault> {
    let Act::Cast(ballot) = &entry.act else {
        return Ok(());
    };
    let Some(statement) = &ballot.statement else {
        return Ok(());
    };
    let hash = chain::statement_hash(statement)?;
    let reasoned = statement.reason.is_some() == ballot.reasoned;
    if ballot.statement_hash.as_ref() == Some(&hash) && reasoned {
        Ok(())
    } else {
        Err(Fault::Statement(entry.sequence))
    }
}

/// Tallies the record anew and compares with its decision.
fn decided(export: &Export) -> Result<Option<Decided>, Fault> {
    let entries: Vec<Entry> = export.entries.iter().map(|l| l.entry.clone()).collect();
    let Some(end) = entries.iter().position(|e| matches!(e.act, Act::Decide(_))) else {
        return Ok(None);
    };
    if let Some(after) = entries.get(end + 1) {
        return Err(Fault::AfterEnd(after.sequence));
    }
    let Some(Act::Decide(said)) = entries.get(end).map(|e| &e.act) else {
        return Ok(None);
    };
    let content = &export.proposal;
    let before = &entries[..end];
    let tallied = tally(&content.seats, &stand(&content.seats, before));
    let ended = outcome(&tallied, &content.rule, said.human_required);
    let (tallied, agrees) = match said.ended_by {
        EndedBy::Amended => (Outcome::Superseded, true),
        EndedBy::Settled => {
            let settled = settled(&tallied, &content.rule, said.human_required);
            (ended.outcome, settled == Some(ended.outcome))
        }
        EndedBy::Time | EndedBy::Operator => (ended.outcome, true),
    };
    let by_default = said.ended_by != EndedBy::Amended && ended.by_default;
    if agrees && tallied == said.outcome && by_default == said.by_default {
        return Ok(Some(said.clone()));
    }
    Err(Fault::Outcome {
        tallied: tallied.words(),
        said: said.outcome.words(),
    })
}
