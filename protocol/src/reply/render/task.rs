//! Tasks and missions as people read them.

use super::words::{
    bar, by_status, cell, counted, or_dash, spoken, state_after, subject, with_notes,
};
use crate::document::{Document, Span, bold, code, number, text};
use crate::reply::{Changed, MissionReport, MissionView, TaskEventView, TaskList, TaskView};
use crate::time::Reader;

pub(super) fn task(changed: &Changed<TaskView>, reader: &Reader<'_>) -> Document {
    let task = &changed.now;
    let state = state_after(changed, task.status.as_str()).map(|s| format!("{s}, "));
    let head = subject(changed, &task.id).into_iter().chain([text(format!(
        ": {} ({}role {}, priority {})",
        task.title,
        state.unwrap_or_default(),
        task.role,
        task.priority
    ))]);
    let mut document = Document::new().paragraph(head).list(facts(task, reader));
    for (_, part) in task.told() {
        document = document.quote(part);
    }
    for result in task.gate_results.iter().filter(|r| !r.is_passed()) {
        if let Some(output) = &result.output {
            let title = format!("What {} printed", result.name);
            document = document.folded(title, Document::new().quote(output.to_string()));
        }
    }
    if !task.history.is_empty() {
        let title = format!("History ({})", task.history.len());
        document = document.folded(
            title,
            Document::new().list(task.history.iter().map(|e| event(e, reader))),
        );
    }
    with_notes(document, &changed.notes)
}

fn facts(task: &TaskView, reader: &Reader<'_>) -> Vec<Vec<Span>> {
    let mut facts = Vec::new();
    let mut add = |name: &str, value: Option<String>| {
        facts.extend(value.map(|v| vec![text(format!("{name}: {v}"))]))
    };
    let lease = task.lease_until.map_or_else(String::new, |until| {
        let epoch = task
            .epoch
            .map_or_else(String::new, |e| format!(", epoch {e}"));
        format!("; lease ends {}{epoch}", reader.moment(until))
    });
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
    let gates: Vec<_> = task
        .gates()
        .map(|(gate, result)| gate.told(result))
        .collect();
    add("Gates", (!gates.is_empty()).then(|| gates.join(", ")));
    add("Mission", task.mission.clone());
    add(
        "Reserved for",
        task.reserved_for.as_ref().map(ToString::to_string),
    );
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

fn event(event: &TaskEventView, reader: &Reader<'_>) -> Vec<Span> {
    let note = event
        .note
        .as_ref()
        .map_or_else(String::new, |n| format!(": {n}"));
    let what = event.event.strip_prefix("task.").unwrap_or(&event.event);
    vec![
        text(format!("{}: ", reader.clock(event.at))),
        bold(spoken(what)),
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
    match (task.percent, task.waits_for.as_slice(), &task.reserved_for) {
        (_, [_, ..], _) => format!("{state}, waits for {}", task.waits_for.join(", ")),
        (Some(percent), ..) => format!("{state} {percent} %"),
        (.., Some(agent)) => format!("{state}, for {agent}"),
        _ => state,
    }
}

pub(super) fn mission(changed: &Changed<MissionView>) -> Document {
    let mission = &changed.now;
    let head = subject(changed, &mission.id)
        .into_iter()
        .chain([text(format!(": {}", mission.title))]);
    let mut facts = vec![
        vec![text(format!("Tasks: {}", by_status(&mission.tasks)))],
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

/// Projected and actual spend of a mission, and of each of its tasks.
pub(super) fn report(report: &MissionReport) -> Document {
    let mission = &report.mission;
    let head = [
        bold(&mission.id),
        text(format!(
            ": {}: {} tokens",
            mission.title,
            spend_of(mission.projected_tokens, mission.actual_tokens)
        )),
    ];
    let rows = report.tasks.iter().map(|task| {
        let beyond = task
            .projected_tokens
            .map(|projected| i128::from(task.actual_tokens) - i128::from(projected));
        [
            vec![code(&task.id)],
            cell(&task.title),
            cell(spoken(task.status.as_str())),
            or_dash(task.projected_tokens.map(number)),
            cell(number(task.actual_tokens)),
            or_dash(beyond.map(|n| format!("{n:+}"))),
        ]
    });
    Document::new().paragraph(head).table(
        [
            "Task",
            "Title",
            "State",
            "Projected",
            "Actual",
            "Difference",
        ],
        rows,
    )
}
