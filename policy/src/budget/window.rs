//! Windows of a series: succession and resets (budget.md, "Series and windows").

use fleet_protocol::Timestamp;
use jiff::SignedDuration;

/// A window: from `starts_at`, included, to `resets_at`, excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// When it begins.
    pub starts_at: Timestamp,
    /// When it ends; none for a cap without an end.
    pub resets_at: Option<Timestamp>,
}

impl Window {
    /// Whether an instant lies in it.
    pub fn contains(self, at: Timestamp) -> bool {
        self.starts_at <= at && self.resets_at.is_none_or(|end| at < end)
    }

    /// Whether two windows share an instant.
    pub fn overlaps(self, other: Self) -> bool {
        let before = |a: Self, b: Self| a.resets_at.is_some_and(|end| end <= b.starts_at);
        !before(self, other) && !before(other, self)
    }
}

/// The window after `last` that contains `at`; none when `at` is not after it.
///
/// Windows of a fixed length follow each other without a gap. A series whose length nobody stated
/// goes on with a cap without an end: conservative, and visible, until somebody says when it resets.
pub fn containing(last: Window, every: Option<SignedDuration>, at: Timestamp) -> Option<Window> {
    let anchor = last.resets_at.filter(|end| *end <= at)?;
    let Some(every) = every.filter(|e| e.as_secs() > 0) else {
        return Some(Window {
            starts_at: anchor,
            resets_at: None,
        });
    };
    let passed = at.0.duration_since(anchor.0).as_secs() / every.as_secs();
    let starts = anchor
        .0
        .checked_add(SignedDuration::from_secs(
            passed.checked_mul(every.as_secs())?,
        ))
        .ok()?;
    let ends = starts.checked_add(every).ok()?;
    Some(Window {
        starts_at: Timestamp(starts),
        resets_at: Some(Timestamp(ends)),
    })
}
