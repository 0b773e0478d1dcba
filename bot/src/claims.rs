//! Which rows are on their way: a row is sent by one task at a time, and not again after it is settled.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

/// Settled rows remembered: an answer of the gateway that was under way may still list them.
const REMEMBERED: usize = 8_192;

/// Rows on their way and rows settled of late.
#[derive(Debug, Clone, Default)]
pub(crate) struct Claims(Arc<Mutex<Rows>>);

#[derive(Debug, Default)]
struct Rows {
    on_their_way: HashSet<Uuid>,
    settled: HashSet<Uuid>,
    order: VecDeque<Uuid>,
}

impl Claims {
    /// Claims a row; false if somebody has it or it is settled.
    pub(crate) fn claim(&self, row: Uuid) -> bool {
        let mut rows = self.rows();
        !rows.settled.contains(&row) && rows.on_their_way.insert(row)
    }

    /// Gives a row back unsent; the next poll brings it again.
    pub(crate) fn give_back(&self, row: Uuid) {
        self.rows().on_their_way.remove(&row);
    }

    /// The gateway knows what became of the row.
    pub(crate) fn settled(&self, row: Uuid) {
        let mut rows = self.rows();
        rows.on_their_way.remove(&row);
        if rows.settled.insert(row) {
            rows.order.push_back(row);
        }
        if rows.order.len() > REMEMBERED
            && let Some(oldest) = rows.order.pop_front()
        {
            rows.settled.remove(&oldest);
        }
    }

    /// A parked row is settled only until its room is joined: it may come again.
    pub(crate) fn parked(&self, row: Uuid) {
        self.give_back(row);
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        // The sets are consistent after every statement, so a panic elsewhere does not spoil them.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_claimed_once_and_not_after_it_is_settled() {
        let (claims, row) = (Claims::default(), Uuid::from_u128(1));
        assert!(claims.claim(row) && !claims.claim(row));
        claims.give_back(row);
        assert!(claims.claim(row));
        claims.settled(row);
        assert!(!claims.claim(row));
    }

    #[test]
    fn a_parked_row_may_come_again() {
        let (claims, row) = (Claims::default(), Uuid::from_u128(1));
        assert!(claims.claim(row));
        claims.parked(row);
        assert!(claims.claim(row));
    }

    #[test]
    fn settled_rows_are_forgotten_in_time() {
        let claims = Claims::default();
        for n in 0..REMEMBERED as u128 + 5 {
            claims.settled(Uuid::from_u128(n));
        }
        assert_eq!(claims.rows().settled.len(), REMEMBERED);
        assert!(claims.claim(Uuid::from_u128(0)));
    }
}
