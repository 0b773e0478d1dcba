//! What a comparison of the rooms with their plan has found.

use std::collections::BTreeSet;

use fleet_protocol::api::OpenIncident;

use crate::BotError;
use crate::context::Context;
use crate::refusal::Refusal;

/// The rule of an incident: something about a room is not as planned, and cannot be made so.
pub(crate) const NOT_MENDED: &str = "room.not_mended";

/// What a comparison has found, by room or alias.
#[derive(Debug, Default)]
pub(crate) struct Pass {
    failed: BTreeSet<String>,
    passed: BTreeSet<String>,
}

impl Pass {
    /// Whether nothing is left to be done.
    pub(crate) fn is_whole(&self) -> bool {
        self.failed.is_empty()
    }

    /// Whether an open incident is over.
    pub(crate) fn has_mended(&self, open: &OpenIncident) -> bool {
        let is_over = self.is_whole() || self.passed.contains(&open.subject);
        open.rule.as_str() == NOT_MENDED && is_over && !self.failed.contains(&open.subject)
    }

    /// It is as planned, unless something about it fails.
    pub(crate) fn passed(&mut self, subject: &str) {
        self.passed.insert(subject.to_owned());
    }

    /// It is not as planned.
    pub(crate) fn failed(&mut self, subject: &str) {
        self.failed.insert(subject.to_owned());
    }

    /// Something about a room does not work: an incident if the homeserver refuses, patience otherwise.
    ///
    /// # Errors
    /// [`BotError::SignedOut`].
    pub(crate) fn cannot(
        &mut self,
        context: &Context,
        subject: &str,
        what: &str,
        refusal: Refusal,
    ) -> Result<(), BotError> {
        self.failed(subject);
        let detail = match refusal {
            Refusal::SignedOut => return Err(context.signed_out()),
            Refusal::Limited(_) | Refusal::Passing(_) => {
                tracing::warn!(subject, what, ?refusal, "is tried again");
                return Ok(());
            }
            Refusal::Forbidden(why) | Refusal::NotFound(why) | Refusal::Final(why) => format!(
                "{subject} cannot {what}: {why}. Give {} the right to (power level 100), or do it by hand",
                context.user
            ),
            Refusal::TooLarge => format!("{subject} cannot {what}: too large"),
        };
        context.incident(NOT_MENDED, subject, detail);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incident_is_over_when_its_room_is_whole_or_all_are() {
        let open = |rule: &str, subject: &str| OpenIncident {
            rule: rule.parse().unwrap(),
            subject: subject.to_owned(),
        };
        let mut pass = Pass::default();
        pass.passed("!a");
        pass.passed("!b");
        pass.failed("!b");
        assert!(pass.has_mended(&open(NOT_MENDED, "!a")));
        assert!(!pass.has_mended(&open(NOT_MENDED, "!b")));
        assert!(
            !pass.has_mended(&open(NOT_MENDED, "!gone")),
            "not looked at"
        );
        assert!(!pass.has_mended(&open("room.not_followed", "!a")));
        assert!(Pass::default().has_mended(&open(NOT_MENDED, "!gone")));
    }
}
