//! Roster and role files.
