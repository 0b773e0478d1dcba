//! The board: seats, quorum, tally, outcome.
