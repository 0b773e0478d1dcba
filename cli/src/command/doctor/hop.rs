//! One hop of the way, and what was found at it.

use std::time::Duration;

use serde::Serialize;

use crate::exit::Exit;

/// What a look at a hop came to. Not knowing is not the same as being well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// As it should be.
    Ok,
    /// Not as it should be.
    Broken,
    /// It could not be looked at.
    Unknown,
}

/// A stretch of the way that was timed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Stretch {
    /// From where to where.
    pub(super) stretch: &'static str,
    /// Milliseconds.
    pub(super) ms: u64,
}

/// One hop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Hop {
    pub(super) hop: &'static str,
    pub(super) ok: bool,
    pub(super) state: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ms: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) stretches: Vec<Stretch>,
    pub(super) found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) remedy: Option<String>,
    #[serde(skip)]
    pub(super) exit: Exit,
}

impl Hop {
    pub(super) fn good(hop: &'static str, found: impl Into<String>) -> Self {
        Self {
            hop,
            ok: true,
            state: State::Ok,
            ms: None,
            stretches: Vec::new(),
            found: found.into(),
            remedy: None,
            exit: Exit::Done,
        }
    }

    pub(super) fn bad(
        hop: &'static str,
        exit: Exit,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            ok: false,
            state: State::Broken,
            remedy: Some(remedy.into()),
            exit,
            ..Self::good(hop, found)
        }
    }

    pub(super) fn unknown(
        hop: &'static str,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            state: State::Unknown,
            ..Self::bad(hop, Exit::Unknown, found, remedy)
        }
    }

    pub(super) fn took(mut self, time: Duration) -> Self {
        self.ms = Some(millis(time));
        self
    }

    /// The line, or the two lines, that a person reads.
    pub(super) fn line(&self) -> String {
        let mark = match self.state {
            State::Ok => "ok     ",
            State::Broken => "BROKEN ",
            State::Unknown => "UNKNOWN",
        };
        let ms = self.ms.map(|ms| format!(" ({ms} ms)")).unwrap_or_default();
        let stretches: String = self
            .stretches
            .iter()
            .map(|s| format!("\n          {:>5} ms  {}", s.ms, s.stretch))
            .collect();
        let remedy = self
            .remedy
            .as_deref()
            .map(|r| format!("\n          what to do: {r}"))
            .unwrap_or_default();
        format!("{mark} {}: {}{ms}{stretches}{remedy}", self.hop, self.found)
    }
}

/// The exit of a walk: that of the first broken hop; if none is broken but one is unknown, that.
pub(super) fn exit(hops: &[Hop]) -> Exit {
    let first = |state| hops.iter().find(|h| h.state == state).map(|h| h.exit);
    first(State::Broken)
        .or_else(|| first(State::Unknown))
        .unwrap_or(Exit::Done)
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unknown_is_not_well_and_what_is_broken_comes_first() {
        let good = Hop::good("homeserver", "there");
        let unknown = Hop::unknown("bot", "not asked", "say where it listens");
        let bad = Hop::bad("register", Exit::Register, "gone", "start it");
        assert!(!unknown.ok);
        assert_eq!(exit(std::slice::from_ref(&good)), Exit::Done);
        assert_eq!(exit(&[good.clone(), unknown.clone()]), Exit::Unknown);
        assert_eq!(exit(&[good, unknown, bad]), Exit::Register);
    }

    #[test]
    fn a_person_reads_where_the_time_went_and_what_to_do() {
        let mut hop = Hop::bad("command", Exit::Bot, "slow", "look at it");
        hop.stretches.push(Stretch {
            stretch: "to the homeserver",
            ms: 12,
        });
        let hop = hop.took(Duration::from_millis(40));
        assert_eq!(
            hop.line(),
            "BROKEN  command: slow (40 ms)\n             12 ms  to the homeserver\n          what to do: look at it"
        );
    }
}
