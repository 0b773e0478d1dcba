//! History, audit and queue as people read them.

use super::words::{cell, counted, or_dash, with_notes};
use crate::document::{Document, bold, code, number, text};
use crate::reply::{
    AuditView, Changed, ChartView, ImportView, LimitView, MeterView, PastWindowView, WaitingView,
};
use crate::scalar::Name;
use crate::time::Reader;

pub(super) fn meter(view: &MeterView) -> Document {
    if view.understood.is_empty() {
        return Document::new().paragraph([
            text("⚠ "),
            bold(&view.provider),
            text(": nothing of it was understood, so its state stays unknown"),
        ]);
    }
    Document::new()
        .paragraph([text("✅ "), bold(&view.provider), text(": read")])
        .list(view.understood.iter().map(|s| vec![text(s)]))
}

pub(super) fn limits(all: &[LimitView], reader: &Reader<'_>) -> Document {
    if all.is_empty() {
        return Document::text("No limit was ever set there.");
    }
    let rows = all.iter().map(|l| {
        let what = match l.until {
            Some(until) => format!(
                "lifted by {} until {}",
                number(l.amount),
                reader.clock(until)
            ),
            None => number(l.amount),
        };
        [
            cell(&l.series),
            cell(format!("{what} {}", l.unit.noun())),
            cell(reader.clock(l.from)),
            cell(&l.by),
        ]
    });
    Document::new().table(["Window", "Limit", "From", "By"], rows)
}

pub(super) fn past(all: &[PastWindowView], reader: &Reader<'_>) -> Document {
    if all.is_empty() {
        return Document::text("There is no window yet.");
    }
    let rows = all.iter().map(|w| {
        [
            cell(&w.series),
            cell(reader.clock(w.starts_at)),
            or_dash(w.resets_at.map(|at| reader.clock(at))),
            cell(format!("{} {}", number(w.spent), w.unit.noun())),
            cell(number(w.presumed)),
        ]
    });
    Document::new().table(["Window", "From", "Until", "Spent", "Presumed"], rows)
}

/// What a picture shows, for who does not see it.
pub(super) fn charts(all: &[ChartView], reader: &Reader<'_>) -> Document {
    if all.is_empty() {
        return Document::new().paragraph([
            text("There is no limit to draw. To set one: "),
            code("!budget set --provider claude --limit 2M --unit tokens --reset-at +7d"),
        ]);
    }
    Document::new().list(all.iter().map(|c| {
        let percent = u128::from(c.spent) * 100 / u128::from(c.limit.max(1));
        let mut facts = format!(
            ": {} of {} {} spent ({percent} %)",
            number(c.spent),
            number(c.limit),
            c.unit.noun()
        );
        if c.held > 0 {
            facts.push_str(&format!(", {} held", number(c.held)));
        }
        if let Some(planned) = c.planned {
            facts.push_str(&format!(", {} planned by now", number(planned)));
        }
        if let Some(at) = c.resets_at {
            facts.push_str(&format!("; resets {}", reader.moment(at)));
        }
        vec![bold(&c.title), text(facts)]
    }))
}

pub(super) fn audited(view: &AuditView) -> Document {
    let looked = format!(
        "{}, {}, {}, {} of the ledger",
        counted(view.series, "series").replace("seriess", "series"),
        counted(view.windows, "window"),
        counted(view.holds, "hold"),
        counted(view.rows, "row")
    );
    if view.differences.is_empty() {
        return Document::text(format!("✅ Every total is the sum of its rows: {looked}"));
    }
    Document::new()
        .paragraph([
            text("❌ "),
            bold(counted(view.differences.len() as u64, "total")),
            text(format!(" differ from the ledger: {looked}")),
        ])
        .list(view.differences.iter().map(|d| vec![text(d)]))
}

pub(super) fn ladder(changed: &Changed<Vec<Name>>) -> Document {
    let names: Vec<_> = changed.now.iter().map(ToString::to_string).collect();
    let mark = if changed.change.is_some() { "✅ " } else { "" };
    let head = Document::new().paragraph([
        text(mark),
        bold("Model ladder"),
        text(format!(": {}", names.join(" → "))),
    ]);
    with_notes(head, &changed.notes)
}

pub(super) fn imported(view: &ImportView) -> Document {
    if view.changes.is_empty() {
        return Document::text("☑ Everything is as the document says.");
    }
    let head = if view.dry_run {
        "Would change:"
    } else {
        "✅ Changed:"
    };
    Document::new()
        .paragraph([bold(head)])
        .list(view.changes.iter().map(|c| vec![text(c)]))
}

pub(super) fn queue(all: &[WaitingView], reader: &Reader<'_>) -> Document {
    if all.is_empty() {
        return Document::text("✅ Nothing waits for budget.");
    }
    let items = all.iter().map(|w| {
        let claim = w
            .claimed_by
            .as_ref()
            .map_or_else(String::new, |by| format!(" for {by}"));
        let eta = w.eta.map_or_else(
            || "no time can be named".to_owned(),
            |at| format!("no later than {}", reader.moment(at)),
        );
        vec![
            text(format!("{}. ", w.place)),
            code(&w.task),
            text(format!(
                " {}{claim}, since {}: {}; {eta} → {}",
                w.title,
                reader.clock(w.since),
                w.reason,
                w.remedy
            )),
        ]
    });
    Document::new()
        .paragraph([
            bold(counted(all.len() as u64, "task")),
            text(if all.len() == 1 {
                " waits for budget"
            } else {
                " wait for budget"
            }),
        ])
        .list(items.collect::<Vec<_>>())
}
