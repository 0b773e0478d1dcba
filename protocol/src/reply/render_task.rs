//! Tasks and missions as people read them.

use super::words::{by_status, cell, counted, mark, number, or_dash, spoken, with_notes};
use super::{Changed, MissionView, TaskEventView, TaskList, TaskView};
use crate::document::{Document, Span, bold, code, text};

/// How often something happened and to what: `t142 added`, `t142 was added already`, `t142`.
fn subject<T>(changed: &Changed<T>, id: &str) -> [Span; 3] {
    let change = changed.change.as_deref();
    let verb = match (change, changed.already) {
        (Some(change), true) => format!(" was {change} already"),
        (Some(change), false) => format!(" {change}"),
        (None, _) => String::new(),
    };
    [text(mark(change, changed.already)), bold(id), text(verb)]
}

pub(super) fn task(changed: &Changed<TaskView>) -> Document {
    let task = &changed.now;
    let state = format!(
        "({}, role {}, priority {})",
        spoken(task.status.as_str()),
        task.role,
        task.priority
    );
    let head = subject(changed, &task.id)
        .into_iter()
        .chain([text(format!(": {} {state}", task.title))]);
    let mut document = Document::new().paragraph(head).list(facts(task));
    if let Some(brief) = &task.brief {
        document = document.quote(brief.clone());
    }
    if !task.history.is_empty() {
        let title = format!("History ({})", task.history.len());
        document = document.folded(title, Document::new().list(task.history.iter().map(event)));
    }
    with_notes(document, &changed.notes)
}

fn facts(task: &TaskView) -> Vec<Vec<Span>> {
    let mut facts = Vec::new();
    let mut add = |name: &str, value: Option<String>| {
        facts.extend(value.map(|v| vec![text(format!("{name}: {v}"))]))
    };
    let lease = match (task.lease_until, task.epoch) {
        (Some(until), Some(epoch)) => format!(", lease until {until}, epoch {epoch}"),
        (Some(until), None) => format!(", lease until {until}"),
        (None, _) => String::new(),
    };
    add(
        "Held by",
        task.holder.as_ref().map(|h| format!("{h}{lease}")),
    );
    add(
        "Progress",
        task.percent.map(|p| format!("{} {p} %", bar(p))),
    );
    add("Note", task.note.clone());
    add(
        "Waits for",
        (!task.waits_for.is_empty()).then(|| task.waits_for.join(", ")),
    );
    add("Mission", task.mission.clone());
    add(
        "Attempts",
        (task.attempts > 0).then(|| format!("{} of {}", task.attempts, task.max_attempts)),
    );
    add("Paid by", task.provider.as_ref().map(ToString::to_string));
    add("Granted tokens", task.granted_tokens.map(number));
    let spent = task.actual_tokens > 0 || task.projected_tokens.is_some();
    add(
        "Tokens",
        spent.then(|| spend_of(task.projected_tokens, task.actual_tokens)),
    );
    facts
}

/// `41,200 of 50,000 projected`.
pub(super) fn spend_of(projected: Option<u64>, actual: u64) -> String {
    match projected {
        Some(projected) => format!("{} of {} projected", number(actual), number(projected)),
        None => number(actual),
    }
}

/// Ten cells, one for each tenth.
pub(super) fn bar(percent: u8) -> String {
    let full = usize::from(percent.min(100) / 10);
    format!("{}{}", "▓".repeat(full), "░".repeat(10 - full))
}

fn event(event: &TaskEventView) -> Vec<Span> {
    let note = event
        .note
        .as_ref()
        .map_or_else(String::new, |n| format!(": {n}"));
    vec![
        text(format!("{} ", event.at)),
        code(&event.event),
        text(format!(" by {}{note}", event.by)),
    ]
}

pub(super) fn tasks(list: &TaskList) -> Document {
    if list.tasks.is_empty() {
        let how = code("!task add \"What is to be done\"");
        return Document::new().paragraph([text("No task fits. To add one: "), how]);
    }
    let rows = list.tasks.iter().map(|t| {
        [
            vec![code(&t.id)],
            cell(&t.title),
            cell(state(t)),
            cell(&t.role),
            cell(t.priority),
            or_dash(t.holder.as_ref()),
        ]
    });
    let document = Document::new()
        .paragraph([bold(counted(list.total, "task"))])
        .table(
            ["Task", "Title", "State", "Role", "Priority", "Held by"],
            rows,
        );
    let hidden = list.total.saturating_sub(list.tasks.len() as u64);
    if hidden == 0 {
        return document;
    }
    document.paragraph([
        text(format!("{} more, use ", number(hidden))),
        code("!task list --limit 200"),
    ])
}

fn state(task: &TaskView) -> String {
    let state = spoken(task.status.as_str());
    match (task.percent, task.waits_for.as_slice()) {
        (_, [_, ..]) => format!("{state}, waits for {}", task.waits_for.join(", ")),
        (Some(percent), _) => format!("{state} {percent} %"),
        _ => state,
    }
}

pub(super) fn mission(changed: &Changed<MissionView>) -> Document {
    let mission = &changed.now;
    let state = if mission.open { "open" } else { "closed" };
    let head = subject(changed, &mission.id)
        .into_iter()
        .chain([text(format!(": {} ({state})", mission.title))]);
    let mut facts = vec![
        vec![text(format!("Work: {}", by_status(&mission.tasks)))],
        vec![text(format!(
            "Tokens: {}",
            spend_of(mission.projected_tokens, mission.actual_tokens)
        ))],
    ];
    facts.extend(
        mission
            .summary
            .as_ref()
            .map(|s| vec![text(format!("Result: {s}"))]),
    );
    let document = Document::new().paragraph(head).list(facts);
    let document = match &mission.goal {
        Some(goal) => document.quote(goal.clone()),
        None => document,
    };
    with_notes(document, &changed.notes)
}
