//! Alerts in words.

use fleet_policy::budget::watch::Alarm;
use fleet_protocol::Document;
use fleet_protocol::document::{Span, bold, code, number, text};
use fleet_protocol::outbox::{Attention, Message};

use super::super::gauge::Gauged;
use super::super::status;
use super::{ASK, Rule, TAKE};
use crate::execute::{Exec, Stop};

/// `96,000 of 100,000 tokens spent (96 %)`.
pub(super) fn share(gauged: &Gauged) -> String {
    let spent = gauged.spent();
    let percent = u128::from(spent) * 100 / u128::from(gauged.limit.max(1));
    format!(
        "{} of {} {} spent ({percent} %)",
        number(spent),
        number(gauged.limit),
        gauged.series.unit.noun()
    )
}

/// What the incident keeps: nothing that another moment or reader would put in other words.
pub(super) fn detail(exec: &Exec<'_>, gauged: &Gauged, alarm: Option<&Alarm>) -> String {
    let consequence = match alarm {
        Some(Alarm::Reached(100)) => {
            "; no new work is admitted before the reset or a higher limit".to_owned()
        }
        Some(Alarm::WillNotRun(tasks)) => {
            format!("; about {tasks} waiting tasks will not run before the reset")
        }
        Some(Alarm::BurnRate(at)) => format!(
            "; at this rate the limit is reached at {}",
            at.in_zone(exec.zone)
        ),
        Some(Alarm::WillCross(p90)) => format!(
            "; by the reset it is at most {} nine times in ten, and no meter holds running work to the limit",
            number(*p90)
        ),
        Some(Alarm::Stale(at)) => format!(
            "; its meter was last read at {}, so what it shows now is unknown",
            at.in_zone(exec.zone)
        ),
        Some(Alarm::Reached(_)) | None => String::new(),
    };
    format!("{}{consequence}", share(gauged))
}

pub(super) async fn said(
    exec: &mut Exec<'_>,
    gauged: &Gauged,
    rule: Rule,
    severity: u64,
    detail: &str,
) -> Result<Message, Stop> {
    let mark = match (rule, severity) {
        (_, 0) => "✅ ",
        (Rule::Threshold, 100..) => "⛔ ",
        _ => "⚠ ",
    };
    let reset = gauged.window().resets_at.map_or_else(
        || "no reset is known".to_owned(),
        |at| format!("resets {}", exec.reader().moment(at)),
    );
    let title = gauged.series.title();
    let document = Document::new().paragraph([
        text(mark),
        bold(&title),
        text(format!(": {detail}; {reset}")),
    ]);
    let document = document.paragraph(remedy(gauged, rule, severity));
    let window = status::view_of_gauged(exec, gauged).await?;
    let twin = serde_json::json!({ "alert": { "rule": rule.as_str(), "severity": severity, "window": window } });
    Ok(Message {
        attention: Attention::Loud,
        document,
        mentions: Vec::new(),
        twin,
    })
}

/// What to do about an alert, with the line to copy.
fn remedy(gauged: &Gauged, rule: Rule, severity: u64) -> Vec<Span> {
    let options = gauged.series.options();
    let mut spans = match (rule, severity) {
        (_, 0) => return vec![text("It is over.")],
        (Rule::Stale, _) => vec![
            text("To say what the meter shows: "),
            code(format!("!budget reading {options} --used N")),
        ],
        (_, 100..) => vec![
            text("To raise the limit for a time: "),
            code(format!("!budget lift {options} --amount N --until +3h")),
        ],
        _ => vec![text("To see all limits: "), code("!budget status")],
    };
    spans.push(text(format!(
        ". Tap {TAKE} to say that you take care of it"
    )));
    if rule == Rule::Threshold {
        spans.push(text(format!(
            ", or {ASK} to ask the board for half as much again"
        )));
    }
    spans.push(text("."));
    spans
}
