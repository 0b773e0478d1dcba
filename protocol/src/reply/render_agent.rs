//! Agents and members as people read them.

use super::words::{cell, counted, mark, number, or_dash, span, with_notes};
use super::{AgentView, Changed, MemberView};
use crate::document::{Document, Span, bold, code, text};

/// Tokens an agent's context may reach (doctrine 8).
const CONTEXT_CAP: u64 = 200_000;

pub(super) fn agents(all: &[AgentView]) -> Document {
    if all.is_empty() {
        let how = code("!agent register code-1 --role code --host HOST");
        return Document::new().paragraph([text("There are no agents. To register one: "), how]);
    }
    let rows = all.iter().map(|a| {
        [
            vec![code(&a.name)],
            cell(&a.role),
            cell(state(a)),
            or_dash(a.task.as_ref()),
            or_dash(a.context_tokens.map(context)),
            or_dash(a.heartbeat_age.map(|age| format!("{} ago", span(age)))),
        ]
    });
    Document::new()
        .paragraph([bold(counted(all.len() as u64, "agent"))])
        .table(
            ["Agent", "Role", "State", "Task", "Context", "Heartbeat"],
            rows,
        )
}

fn state(agent: &AgentView) -> String {
    let sign = match agent.state.as_str() {
        "working" => "🟢",
        "idle" => "⚪",
        "silent" => "🔴",
        _ => "⚫",
    };
    format!("{sign} {}", agent.state)
}

fn context(tokens: u64) -> String {
    format!(
        "{} ({} %)",
        number(tokens),
        tokens.saturating_mul(100) / CONTEXT_CAP
    )
}

pub(super) fn agent(changed: &Changed<AgentView>) -> Document {
    let agent = &changed.now;
    let change = changed.change.as_deref();
    let verb = match (change, changed.already) {
        (Some(change), true) => format!(" was {change} already"),
        (Some(change), false) => format!(" {change}"),
        (None, _) => String::new(),
    };
    let fact = format!(
        "{verb}: role {}, host {}, incarnation {}, {}",
        agent.role, agent.host, agent.incarnation, agent.state
    );
    let mut facts = vec![vec![text("User: "), Span::User(agent.user.clone())]];
    let mut add = |name: &str, value: Option<String>| {
        facts.extend(value.map(|v| vec![text(format!("{name}: {v}"))]))
    };
    add("Runtime", agent.runtime.as_ref().map(ToString::to_string));
    add(
        "Model ceiling",
        agent.model.as_ref().map(ToString::to_string),
    );
    add("Task", agent.task.clone());
    add("Lease until", agent.lease_until.map(|at| at.to_string()));
    add("Context", agent.context_tokens.map(context));
    add(
        "Heartbeat",
        agent.heartbeat_age.map(|age| format!("{} ago", span(age))),
    );
    let head = [
        text(mark(change, changed.already)),
        bold(&agent.name),
        text(fact),
    ];
    with_notes(Document::new().paragraph(head).list(facts), &changed.notes)
}

pub(super) fn member(changed: &Changed<MemberView>) -> Document {
    let member = &changed.now;
    let change = changed.change.as_deref();
    let verb = match (change, changed.already) {
        (_, true) => " already may: ".to_owned(),
        (Some(change), false) => format!(" {change}; may now: "),
        (None, _) => ": ".to_owned(),
    };
    let head = [
        text(mark(change, changed.already)),
        Span::User(member.user.clone()),
        text(verb),
        bold(grants(member)),
    ];
    with_notes(Document::new().paragraph(head), &changed.notes)
}

/// Roles, each with its room where it counts in one only.
pub(super) fn grants(member: &MemberView) -> String {
    if member.grants.is_empty() {
        return "nothing".to_owned();
    }
    let words = member.grants.iter().map(|g| match &g.room {
        Some(room) => format!("{} in {room}", g.role),
        None => g.role.to_string(),
    });
    words.collect::<Vec<_>>().join(", ")
}
