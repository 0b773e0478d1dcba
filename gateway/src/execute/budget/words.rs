//! Why a task waits or is refused, in words, and what to do about it.

use fleet_policy::budget::ladder::{Binding, Gauge, Need, Reason};
use fleet_protocol::Problem;
use fleet_protocol::document::number;
use fleet_protocol::problem::Code;

use super::admission::of_limit;
use super::gauge::{Gauged, Medians};
use super::status;
use crate::execute::Exec;

/// The problem a claimer gets; says why and until when.
pub(super) fn problem(
    exec: &Exec<'_>,
    gauged: &Gauged,
    gauge: &Gauge,
    need: &Need,
    binding: &Binding,
    medians: &Medians,
) -> Problem {
    let title = gauged.series.title();
    let eta = binding
        .eta
        .map(|at| format!("; no later than {}", exec.reader().moment(at)))
        .unwrap_or_default();
    let unit = gauged.series.unit;
    let (code, detail, remedy) = match binding.reason {
        Reason::Cap => return cap(exec, gauged, gauge, need),
        Reason::Pacing | Reason::Behind => {
            let (_, allowance) = status::plan(gauged, medians, exec.now);
            let used = gauge.spent.saturating_add(gauge.in_flight);
            let ahead = if binding.reason == Reason::Behind {
                " and what waits in front of it goes first"
            } else {
                ""
            };
            let detail = format!(
                "{title}: {} of {} {} allowed by now are spent or in flight{ahead}; this task needs {}{eta}",
                number(used),
                number(allowance.unwrap_or(gauge.limit)),
                unit.noun(),
                number(need.p50)
            );
            (
                Code::BudgetWait,
                detail,
                "it starts by itself; to let it go first: !task start TASK --now",
            )
        }
        Reason::Closed => (
            Code::BudgetWait,
            format!("{title} is closed by its provider{eta}"),
            "it starts by itself; if it is open again: !budget reopen",
        ),
        Reason::Unknown => (
            Code::BudgetWait,
            format!("the state of {title} is unknown, so one task at a time runs on it"),
            "it starts by itself; to make the state known: !budget reading",
        ),
        Reason::StrictUnknown => (
            Code::BudgetNever,
            format!("the state of {title} is unknown, and its policy is to refuse then"),
            "make the state known: !budget reading",
        ),
        Reason::Unpriced => (
            Code::BudgetNever,
            format!(
                "{title} counts {}, and the price of this task's model is unknown",
                unit.noun()
            ),
            "set it: !price set MODEL --input N --output N --source ...",
        ),
        Reason::NeverFits => (
            Code::BudgetNever,
            format!(
                "{title}: this task needs {} of a limit of {} {}, so no reset can help",
                number(need.p50),
                number(gauge.limit),
                unit.noun()
            ),
            "make the task smaller, or raise the limit: !budget set",
        ),
        Reason::CheckFailed => (
            Code::BudgetCheckFailed,
            format!("the windows of {title} could not be determined, so nothing is admitted"),
            "look at its rule and at the clock: !budget windows; set the limit anew",
        ),
    };
    Problem::new(code, detail).remedy(remedy)
}

/// The cap, which says why and until when.
fn cap(exec: &Exec<'_>, gauged: &Gauged, gauge: &Gauge, need: &Need) -> Problem {
    let used = gauge.spent.saturating_add(gauge.held);
    let mut detail = format!(
        "{}: {} used",
        gauged.series.title(),
        of_limit(used, gauge.limit, gauged.series.unit)
    );
    if gauge.held > 0 {
        detail.push_str(&format!(
            " ({} of them held by running tasks)",
            number(gauge.held)
        ));
    }
    detail.push_str(&format!(
        "; this task needs {}",
        number(need.grant.unwrap_or(1).max(1))
    ));
    if gauge.kept_free > 0 {
        detail.push_str(&format!(
            "; {} are kept free for running tasks",
            number(gauge.kept_free)
        ));
    }
    let lift;
    let remedy = match gauge.window.resets_at {
        Some(at) => {
            detail.push_str(&format!("; resets {}", exec.reader().moment(at)));
            lift = format!(
                "it starts by itself after the reset; to raise the limit until then: !budget lift {} --amount {} --until +5h",
                gauged.series.options(),
                need.grant.unwrap_or(1).max(1)
            );
            lift.as_str()
        }
        None => {
            detail.push_str("; no reset is known");
            lift = format!(
                "to say when it resets: !budget reset {} --reset-at +5h",
                gauged.series.options()
            );
            lift.as_str()
        }
    };
    Problem::new(Code::BudgetCap, detail).remedy(remedy)
}

/// What would free a waiting task, in a line of the queue.
pub(super) fn what_frees(reason: Reason) -> &'static str {
    match reason {
        Reason::Cap => "a reset, a release, or !budget lift",
        Reason::Pacing | Reason::Behind => "time, or !task start TASK --now",
        Reason::Closed => "the provider, or !budget reopen",
        Reason::Unknown | Reason::StrictUnknown => "!budget reading",
        Reason::Unpriced => "!price set",
        Reason::NeverFits => "!budget set with a higher limit",
        Reason::CheckFailed => "!budget set with a rule that can be read",
    }
}
