//! Why a task was admitted, lowered, queued or refused: in a sentence or two, and then the figures.

use serde_json::Value;

use super::words::spoken;
use crate::document::{Document, Span, bold, code, number, text};
use crate::reply::{AdmissionView, ExplainView};
use crate::time::Reader;

pub(super) fn explained(view: &ExplainView, reader: &Reader<'_>) -> Document {
    let Some((newest, older)) = view.decisions.split_first() else {
        return Document::new().paragraph([
            bold(&view.task),
            text(": nothing was decided yet; it has not been claimed"),
        ]);
    };
    let mut why = format!(" {}.", verdict(newest, reader));
    if let Some(evidence) = evidence(newest) {
        why.push_str(&format!(" {evidence}."));
    }
    let document = Document::new()
        .paragraph([bold(&view.task), text(why)])
        .list(figures(newest));
    if older.is_empty() {
        return document;
    }
    let before = older
        .iter()
        .map(|d| vec![text(format!("It {}", verdict(d, reader)))])
        .collect::<Vec<_>>();
    document.folded("Before that", Document::new().list(before))
}

/// `waits since today 14:05 CET: claude weekly is ahead of plan; it starts by itself, no later than in 3 h`.
fn verdict(d: &AdmissionView, reader: &Reader<'_>) -> String {
    let at = reader.clock(d.at);
    let on = match (&d.subscription, &d.model) {
        (Some(account), Some(model)) => format!(" on {account} with {model}"),
        (Some(account), None) => format!(" on {account}"),
        (None, _) => String::new(),
    };
    let done = match d.outcome.as_str() {
        "queued" => format!("waits since {at}{on}"),
        "downgraded" => {
            let asked = d.inputs.get("asked").and_then(Value::as_str);
            let from = asked.map_or_else(String::new, |model| format!(" from {model}"));
            format!("was lowered{from} {at}{on}")
        }
        outcome => format!("was {} {at}{on}", spoken(outcome)),
    };
    let why = d
        .reason
        .as_ref()
        .map_or_else(String::new, |r| format!(": {}", r.trim_end_matches('.')));
    let eta = d.eta.map_or_else(String::new, |at| {
        format!("; it starts by itself, no later than {}", reader.moment(at))
    });
    format!("{done}{why}{eta}")
}

/// What a series was decided on.
fn series(d: &AdmissionView) -> impl Iterator<Item = &Value> {
    let all = d.inputs.get("series").and_then(Value::as_array);
    all.into_iter().flatten()
}

fn figure(series: &Value, name: &str) -> Option<u64> {
    series.get(name).and_then(Value::as_u64)
}

/// How full a series is with the task, in millionths of its limit.
fn fullness(series: &Value) -> u128 {
    let n = |name| u128::from(figure(series, name).unwrap_or_default());
    let used = n("spent") + n("held") + n("grant");
    used * 1_000_000 / n("limit").max(1)
}

/// The series that had the least room, in words: what was wanted, and what there was.
fn evidence(d: &AdmissionView) -> Option<String> {
    let tight = series(d).max_by_key(|s| fullness(s))?;
    let name = tight.get("series")?.as_str()?;
    let (spent, limit) = (figure(tight, "spent")?, figure(tight, "limit")?);
    let is_in = matches!(d.outcome.as_str(), "admitted" | "downgraded");
    let wanted = figure(tight, "grant").map_or_else(String::new, |grant| match is_in {
        true => format!("It fits with {} granted: ", number(grant)),
        false => format!("It asks for {}: ", number(grant)),
    });
    let held = figure(tight, "held").filter(|held| *held > 0);
    let held = held.map_or_else(String::new, |n| format!(", {} held", number(n)));
    let allowed = figure(tight, "allowance");
    let allowed = allowed.map_or_else(String::new, |n| format!(", {} allowed by then", number(n)));
    Some(format!(
        "{wanted}{name} had {} of {} spent{held}{allowed}",
        number(spent),
        number(limit)
    ))
}

/// Each series with what it was decided on: `claude weekly: limit 2,000,000, spent 500,000`.
fn figures(d: &AdmissionView) -> Vec<Vec<Span>> {
    let lines = series(d).filter_map(|s| {
        let figures: Vec<String> = s
            .as_object()?
            .iter()
            .filter(|(key, _)| *key != "series")
            .filter_map(|(key, n)| n.as_u64().map(|n| format!("{} {}", spoken(key), number(n))))
            .collect();
        let name = s.get("series")?.as_str()?;
        Some(vec![code(name), text(format!(": {}", figures.join(", ")))])
    });
    lines.collect()
}
