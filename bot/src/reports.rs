//! Incidents on their way to the gateway, which may be away just when there is something to report.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fleet_protocol::api::ReportIncident;
use fleet_protocol::scalar::Name;
use tokio::sync::Notify;

use crate::BotError;
use crate::context::Context;
use crate::refusal::Backoff;
use crate::verdict::{Verdict, verdict};

/// Reports that wait; the oldest gives way to what comes after that many.
const WAITING: usize = 256;
/// Longest pause between tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What is to be reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) rule: Name,
    pub(crate) subject: String,
    pub(crate) detail: String,
    /// It is over.
    pub(crate) mended: bool,
}

impl Report {
    /// Whether the other says the same of the same: the later one is enough.
    fn repeats(&self, other: &Self) -> bool {
        (&self.rule, &self.subject, self.mended) == (&other.rule, &other.subject, other.mended)
    }

    fn is_about(&self, other: &Self) -> bool {
        (&self.rule, &self.subject) == (&other.rule, &other.subject)
    }
}

/// The reports that wait, in order; a repetition takes the place of what it repeats.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reports(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    waiting: Mutex<VecDeque<Report>>,
    came: Notify,
}

impl Reports {
    /// Leaves a report; never waits.
    pub(crate) fn leave(&self, report: Report) {
        let mut waiting = self.waiting();
        let last = waiting
            .iter_mut()
            .rev()
            .find(|known| known.is_about(&report));
        match last.filter(|known| known.repeats(&report)) {
            Some(known) => *known = report,
            None => waiting.push_back(report),
        }
        if waiting.len() > WAITING
            && let Some(lost) = waiting.pop_front()
        {
            tracing::error!(rule = %lost.rule, subject = lost.subject, "too many incidents wait; this one is not reported");
        }
        drop(waiting);
        self.0.came.notify_one();
    }

    fn first(&self) -> Option<Report> {
        self.waiting().front().cloned()
    }

    /// Forgets a report, unless a later one has taken its place meanwhile.
    fn done(&self, report: &Report) {
        let mut waiting = self.waiting();
        if waiting.front() == Some(report) {
            waiting.pop_front();
        }
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Report>> {
        // The queue is consistent after every statement, so a panic elsewhere does not spoil it.
        self.0
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reports until stopped; what waits then is tried once more.
///
/// # Errors
/// [`BotError::LeaseLost`], [`BotError::Gateway`].
pub(crate) async fn run(context: Context) -> Result<(), BotError> {
    let stop = context.crew.stop.clone();
    let mut backoff = Backoff::up_to(LONGEST_PAUSE);
    loop {
        let Some(report) = context.reports.first() else {
            tokio::select! {
                () = context.reports.0.came.notified() => continue,
                // What came with the stop is in the queue already.
                () = stop.cancelled() => match context.reports.first() {
                    Some(_) => continue,
                    None => return Ok(()),
                },
            }
        };
        if tell(&context, &report).await? {
            context.reports.done(&report);
            backoff = Backoff::up_to(LONGEST_PAUSE);
        } else if stop.is_cancelled() {
            tracing::error!("the gateway is away; incidents are left unreported");
            return Ok(());
        } else {
            context.paused(backoff.pause()).await;
        }
    }
}

/// Tells the gateway. False when that is worth another try.
async fn tell(context: &Context, report: &Report) -> Result<bool, BotError> {
    let body = ReportIncident {
        lease: context.lease.claim(),
        rule: report.rule.clone(),
        subject: report.subject.clone(),
        detail: report.detail.clone(),
        mended: report.mended,
    };
    let Err(error) = context.gateway.incident(&body).await else {
        return Ok(true);
    };
    match verdict(&error) {
        Verdict::LeaseLost => Err(context.lease.lost()),
        Verdict::Denied => Err(BotError::Gateway(error)),
        Verdict::Refused | Verdict::Conflict => {
            tracing::error!(%error, rule = %report.rule, subject = report.subject, "the gateway does not take the incident");
            Ok(true)
        }
        Verdict::Retry => {
            tracing::warn!(%error, rule = %report.rule, "the incident is reported again");
            Ok(false)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(subject: &str, detail: &str, mended: bool) -> Report {
        Report {
            rule: "room.not_mended".parse().unwrap(),
            subject: subject.to_owned(),
            detail: detail.to_owned(),
            mended,
        }
    }

    fn left(reports: &Reports) -> Vec<(String, String, bool)> {
        let waiting = reports.waiting();
        waiting
            .iter()
            .map(|r| (r.subject.clone(), r.detail.clone(), r.mended))
            .collect()
    }

    #[test]
    fn a_repetition_takes_the_place_of_what_it_repeats_and_the_order_of_changes_stays() {
        let reports = Reports::default();
        for (subject, detail, mended) in [
            ("!a", "one", false),
            ("!b", "one", false),
            ("!a", "two", false),
            ("!a", "", true),
            ("!a", "three", false),
        ] {
            reports.leave(report(subject, detail, mended));
        }
        let expected = [
            ("!a", "two", false),
            ("!b", "one", false),
            ("!a", "", true),
            ("!a", "three", false),
        ]
        .map(|(s, d, m)| (s.to_owned(), d.to_owned(), m));
        assert_eq!(left(&reports), expected);
    }

    #[test]
    fn a_report_that_was_replaced_while_it_was_sent_is_sent_too() {
        let reports = Reports::default();
        reports.leave(report("!a", "one", false));
        let first = reports.first().unwrap();
        reports.leave(report("!a", "two", false));
        reports.done(&first);
        assert_eq!(left(&reports).len(), 1);
    }

    #[test]
    fn the_oldest_give_way() {
        let reports = Reports::default();
        for n in 0..WAITING + 3 {
            reports.leave(report(&n.to_string(), "", false));
        }
        let left = left(&reports);
        assert_eq!((left.len(), left[0].0.as_str()), (WAITING, "3"));
    }
}
