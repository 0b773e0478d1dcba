//! Proposals and ballots as people read them.
