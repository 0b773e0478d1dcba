//! Which events of a batch are new: the pure part of the way in (architecture.md, "Way in" 1).
//!
//! A room is read up to its *head*. A batch in order that contains the head has no gap. Around the
//! head an order can still shift: a homeserver that handles several sends at once may show a later
//! event before an earlier one. So events shortly before the head that were never seen are new too;
//! submitting one twice is harmless, as the register admits each event once.

use std::collections::{HashSet, VecDeque};

use crate::event::Event;

/// How long before the head, by the homeserver's clock, an unseen event still counts as new.
const OVERLAP_MS: i64 = 15_000;
/// Event ids remembered per room; more than any batch holds.
const REMEMBERED: usize = 2_048;

/// How far a room has been read.
#[derive(Debug)]
pub(crate) struct Reading {
    head: String,
    head_ts: i64,
    seen: Seen,
}

/// An event to be handled.
#[derive(Debug, Clone)]
pub(crate) struct New {
    pub(crate) event: Event,
    /// It stands before the head: it must not move the mark back.
    pub(crate) late: bool,
    /// It was found by reading back, not brought by sync.
    pub(crate) recovered: bool,
}

/// What a batch is, seen from the head.
#[derive(Debug)]
pub(crate) enum Taken {
    /// The batch joins what was read; these are new, in the room's order.
    Joined(Vec<New>),
    /// Between the head and the batch something is missing.
    Gap,
}

impl Reading {
    /// A room read up to `head`.
    pub(crate) fn up_to(head: String, head_ts: i64) -> Self {
        let mut seen = Seen::default();
        seen.note(&head);
        Self {
            head,
            head_ts,
            seen,
        }
    }

    /// The newest event read.
    pub(crate) fn head(&self) -> &str {
        &self.head
    }

    /// The homeserver's clock at the head.
    pub(crate) fn head_ts(&self) -> i64 {
        self.head_ts
    }

    /// Takes what is new from a batch in the room's order. `whole` says that the homeserver promises
    /// no gap before it. On [`Taken::Gap`] nothing is taken.
    pub(crate) fn take(&mut self, batch: Vec<Event>, whole: bool, own: &str) -> Taken {
        let at = batch.iter().rposition(|event| event.id == self.head);
        if at.is_none() && !whole {
            return if batch.is_empty() {
                Taken::Joined(Vec::new())
            } else {
                Taken::Gap
            };
        }
        let first = at.map_or(0, |at| self.first_in_overlap(&batch, at, own));
        let mut new = Vec::new();
        for (index, event) in batch.into_iter().enumerate().skip(first) {
            if !self.seen.note(&event.id) {
                continue;
            }
            let late = at.is_some_and(|at| index < at);
            if !late {
                self.head.clone_from(&event.id);
                self.head_ts = self.head_ts.max(event.ts);
            }
            new.push(New {
                event,
                late,
                recovered: false,
            });
        }
        Taken::Joined(new)
    }

    /// Goes on from the newest event, when the head cannot be found any more.
    pub(crate) fn jump(&mut self, newest: &Event) {
        self.seen.note(&newest.id);
        self.head.clone_from(&newest.id);
        self.head_ts = newest.ts;
    }

    /// Where the overlap before the head begins: not before the bot's own membership, and not long ago.
    fn first_in_overlap(&self, batch: &[Event], at: usize, own: &str) -> usize {
        let floor = self.head_ts.saturating_sub(OVERLAP_MS);
        if batch.get(at).is_some_and(|head| head.is_membership_of(own)) {
            return at;
        }
        let before = batch.get(..at).unwrap_or_default();
        before
            .iter()
            .rposition(|event| event.ts < floor || event.is_membership_of(own))
            .map_or(0, |last_outside| last_outside + 1)
    }
}

/// The last event ids, to tell new from repeated.
#[derive(Debug, Default)]
struct Seen {
    set: HashSet<String>,
    order: VecDeque<String>,
}

impl Seen {
    /// Whether the id was not known; remembers it.
    fn note(&mut self, id: &str) -> bool {
        if !self.set.insert(id.to_owned()) {
            return false;
        }
        self.order.push_back(id.to_owned());
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.set.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "@fleet:example.org";

    fn event(id: &str, ts: i64) -> Event {
        Event {
            id: id.to_owned(),
            sender: "@someone:example.org".to_owned(),
            ts,
            kind: "m.room.message".to_owned(),
            state_key: None,
            redacts: None,
            content: serde_json::Value::Null,
            locked: None,
        }
    }

    fn batch(ids: &str) -> Vec<Event> {
        ids.chars()
            .map(|c| {
                let mut event = event(&c.to_string(), 1_000_000 + i64::from(u32::from(c)));
                if c == 'J' {
                    event.kind = "m.room.member".to_owned();
                    event.state_key = Some(OWN.to_owned());
                }
                event
            })
            .collect()
    }

    fn taken(reading: &mut Reading, ids: &str, whole: bool) -> Option<String> {
        match reading.take(batch(ids), whole, OWN) {
            Taken::Joined(new) => Some(
                new.into_iter()
                    .map(|n| {
                        if n.late {
                            format!("({})", n.event.id)
                        } else {
                            n.event.id
                        }
                    })
                    .collect(),
            ),
            Taken::Gap => None,
        }
    }

    /// (head, batches with whether the homeserver promises no gap, what is taken of each, head after)
    type Case = (
        &'static str,
        &'static [(&'static str, bool, Option<&'static str>)],
        &'static str,
    );

    const CASES: &[Case] = &[
        // Ordinary sync: everything is new, once.
        (
            "a",
            &[("bc", true, Some("bc")), ("d", true, Some("d"))],
            "d",
        ),
        // A repeated batch brings nothing.
        (
            "a",
            &[("bc", true, Some("bc")), ("bc", true, Some(""))],
            "c",
        ),
        // Always limited (Conduit), but the batch contains the head: no gap.
        (
            "c",
            &[
                ("abcde", false, Some("(a)(b)de")),
                ("bcdef", false, Some("f")),
            ],
            "f",
        ),
        // Limited without the head: a gap, and nothing is taken.
        ("a", &[("xyz", false, None)], "a"),
        // An empty limited batch is no gap.
        ("a", &[("", false, Some(""))], "a"),
        // An event shown late, before one already read.
        (
            "a",
            &[("abd", false, Some("bd")), ("abcd", false, Some("(c)"))],
            "d",
        ),
        // Nothing before the bot's own join ever counts.
        ("b", &[("aJxbc", false, Some("(x)c"))], "c"),
        ("J", &[("abJc", false, Some("c"))], "c"),
    ];

    #[test]
    fn batches_are_joined_or_show_a_gap() {
        for (head, batches, after) in CASES {
            let mut reading = Reading::up_to((*head).to_owned(), 1_000_100);
            for (ids, whole, expected) in *batches {
                assert_eq!(
                    taken(&mut reading, ids, *whole).as_deref(),
                    *expected,
                    "{head} then {ids}"
                );
            }
            assert_eq!(reading.head(), *after, "{head} {batches:?}");
        }
    }

    #[test]
    fn what_is_long_before_the_head_is_history() {
        let mut reading = Reading::up_to("h".to_owned(), 500_000);
        let old = vec![
            event("o", 500_000 - OVERLAP_MS - 1),
            event("r", 499_000),
            event("h", 500_000),
        ];
        let Taken::Joined(new) = reading.take(old, false, OWN) else {
            panic!("the batch contains the head")
        };
        assert_eq!(
            new.iter().map(|n| n.event.id.as_str()).collect::<Vec<_>>(),
            ["r"]
        );
    }

    #[test]
    fn memory_is_bounded_and_forgets_the_oldest() {
        let mut seen = Seen::default();
        for n in 0..REMEMBERED + 10 {
            assert!(seen.note(&n.to_string()));
        }
        assert_eq!((seen.set.len(), seen.order.len()), (REMEMBERED, REMEMBERED));
        assert!(seen.note("3") && !seen.note(&(REMEMBERED + 9).to_string()));
    }
}
