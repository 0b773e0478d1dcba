//! Alerts: one open incident per series and rule, one message, edited as it worsens (budget.md).

/// What is to be done about an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Nothing changed.
    Keep,
    /// Open an incident and tell the room.
    Open(u64),
    /// Edit the message of the open incident: it got worse.
    Worsen(u64),
    /// Close the incident: what it was about is over.
    Resolve,
}

/// What to do, given how severe it is now, how severe the open incident was when it was last told, and
/// whether what it was about is over. An incident that is open does not flap: it gets worse or it is
/// resolved, and it is resolved only when its cause is gone.
pub fn act(now: Option<u64>, open: Option<u64>, is_over: bool) -> Action {
    match (now, open) {
        (None, None) => Action::Keep,
        (Some(severity), None) => Action::Open(severity),
        (_, Some(_)) if is_over => Action::Resolve,
        (Some(severity), Some(told)) if severity > told => Action::Worsen(severity),
        (_, Some(_)) => Action::Keep,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_open_incident_stays_until_its_cause_is_gone() {
        assert_eq!(act(None, Some(80), false), Action::Keep);
        assert_eq!(act(None, Some(80), true), Action::Resolve);
        assert_eq!(act(Some(80), None, true), Action::Open(80));
    }

    proptest! {
        #[test]
        fn growing_severity_opens_once_and_only_worsens(steps in prop::collection::vec(prop::option::of(1..100_u64), 1..40)) {
            let (mut worst, mut open, mut opened) = (None, None, 0);
            for step in steps {
                worst = worst.max(step);
                match act(worst, open, false) {
                    Action::Open(l) => { opened += 1; open = Some(l); }
                    Action::Worsen(l) => { prop_assert!(Some(l) > open); open = Some(l); }
                    Action::Resolve => prop_assert!(false, "nothing is over"),
                    Action::Keep => {}
                }
            }
            prop_assert!(opened <= 1);
            prop_assert_eq!(open, worst);
        }
    }
}
