//! Agents and members as people read them.

use super::words::{cell, counted, mark, or_dash, subject, with_notes};
use crate::document::{Document, Span, bold, code, number, text};
use crate::reply::{AgentView, Changed, MemberView, PsView, RoleCard};
use crate::time::{Reader, Timestamp, span};

/// Tokens an agent's context may reach (doctrine 8).
const CONTEXT_CAP: u64 = 200_000;

pub(super) fn ps(view: &PsView, reader: &Reader<'_>) -> Document {
    let document = agents(&view.agents, reader);
    if view.drift.is_empty() {
        return document;
    }
    document
        .paragraph([text("⚠ Not as the roster says:")])
        .list(view.drift.iter().map(|line| vec![text(line)]))
}

pub(super) fn agents(all: &[AgentView], reader: &Reader<'_>) -> Document {
    if all.is_empty() {
        let how =
            code("!agent register code-1 --role code --host HOST --user @agent-code-1-HOST:SERVER");
        return Document::new().paragraph([text("There are no agents. To register one: "), how]);
    }
    let rows = all.iter().map(|a| {
        [
            vec![code(&a.name)],
            cell(&a.role),
            cell(format!("{} #{}", a.host, a.incarnation)),
            cell(state(a)),
            or_dash(
                a.task
                    .as_ref()
                    .map(|task| holding(task, a.lease_until, reader)),
            ),
            or_dash(a.context_tokens.map(context)),
            cell(number(a.spent_today)),
            cell(number(a.unread)),
            or_dash(a.heartbeat_age.map(|age| format!("{} ago", span(age)))),
        ]
    });
    Document::new()
        .paragraph([bold(counted(all.len() as u64, "agent"))])
        .table(
            [
                "Agent",
                "Role",
                "Host",
                "State",
                "Task",
                "Context",
                "Spent today",
                "Inbox",
                "Heartbeat",
            ],
            rows,
        )
}

impl RoleCard {
    /// The card. It tells no ages and no distances: it changes when something changes, not because time goes by.
    pub fn card(&self) -> Document {
        let mut head = vec![
            text("📌 "),
            bold(self.role.as_str()),
            text(format!(
                ": {}, {} waiting, {} running",
                counted(self.agents.len() as u64, "agent"),
                number(self.waiting),
                number(self.running)
            )),
        ];
        if self.stuck > 0 {
            let need = if self.stuck == 1 { "needs" } else { "need" };
            let stuck = counted(self.stuck, "task");
            head.push(text(format!(" – ⚠ {stuck} {need} a person")));
        }
        if self.agents.is_empty() {
            return Document::new().paragraph(head);
        }
        let rows = self.agents.iter().map(|a| {
            [
                vec![code(&a.name)],
                cell(state(a)),
                or_dash(a.task.as_ref()),
                or_dash(a.context_tokens.map(share)),
                cell(number(a.spent_today)),
            ]
        });
        Document::new()
            .paragraph(head)
            .table(["Agent", "State", "Task", "Context", "Spent today"], rows)
    }
}

/// What it holds and for how long: `t142, lease ends in 12 min`.
fn holding(task: &str, until: Option<Timestamp>, reader: &Reader<'_>) -> String {
    until.map_or_else(
        || task.to_owned(),
        |at| format!("{task}, lease ends {}", reader.distance(at)),
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
    format!("{} ({})", number(tokens), share(tokens))
}

/// How full a context is.
fn share(tokens: u64) -> String {
    format!("{} %", tokens.saturating_mul(100) / CONTEXT_CAP)
}

pub(super) fn agent(changed: &Changed<AgentView>, reader: &Reader<'_>) -> Document {
    let agent = &changed.now;
    let fact = format!(
        ": role {}, host {}, incarnation {}, {}",
        agent.role, agent.host, agent.incarnation, agent.state
    );
    let head = subject(changed, &agent.name)
        .into_iter()
        .chain([text(fact)]);
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
    add("Lease ends", agent.lease_until.map(|at| reader.moment(at)));
    add("Context", agent.context_tokens.map(context));
    add(
        "Heartbeat",
        agent.heartbeat_age.map(|age| format!("{} ago", span(age))),
    );
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
