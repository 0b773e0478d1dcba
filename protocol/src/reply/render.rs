//! What people read of an answer. The first line carries the fact.

use super::words::{by_status, cell, counted, number, spoken};
use super::{
    Check, CheckState, DoctorView, HelpView, MemberView, MissionView, PauseView, Reply, StatusView,
    WhoAmIView,
};
use super::{render_agent, render_board, render_budget, render_task};
use crate::document::{Document, Span, bold, code, text};

impl Reply {
    /// The answer as people read it.
    pub fn document(&self) -> Document {
        match self {
            Self::Help(view) => help(view),
            Self::WhoAmI(view) => who_am_i(view),
            Self::Status(view) => status(view),
            Self::Agents(all) => render_agent::agents(all),
            Self::Agent(changed) => render_agent::agent(changed),
            Self::Doctor(view) => doctor(view),
            Self::Pause(view) => pause(view),
            Self::Verbosity(level) => {
                Document::new().paragraph([text("✅ This room is now "), bold(level)])
            }
            Self::Member(changed) => render_agent::member(changed),
            Self::Members(all) => members(all),
            Self::Mission(changed) => render_task::mission(changed),
            Self::Missions(all) => missions(all),
            Self::Task(changed) => render_task::task(changed),
            Self::Tasks(list) => render_task::tasks(list),
            Self::Spend(view) => render_budget::spend(view),
            Self::Budget(changed) => render_budget::window(changed),
            Self::Budgets(all) => render_budget::windows(all),
            Self::Proposal(changed) => render_board::proposal(changed),
            Self::Proposals(all) => render_board::proposals(all),
            Self::Ballot(view) => render_board::ballot(view),
        }
    }
}

fn help(view: &HelpView) -> Document {
    let title = view
        .topic
        .as_ref()
        .map_or_else(|| "What you can say".to_owned(), |t| format!("!{t}"));
    Document::new()
        .paragraph([bold(title)])
        .code(view.text.clone())
}

fn who_am_i(view: &WhoAmIView) -> Document {
    let roles = match view.roles.as_slice() {
        [] => {
            "no role, so you may not do anything yet; ask an operator for: !member add".to_owned()
        }
        roles => roles
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", "),
    };
    let mut facts = vec![
        vec![text("Fleet: "), code(&view.tenant)],
        vec![text(format!("Time zone: {}", view.zone))],
    ];
    if let Some(agent) = &view.agent {
        facts.push(vec![text("Agent: "), code(agent)]);
    }
    if let Some(level) = view.power_level {
        facts.push(vec![text(format!("Power level here: {level}"))]);
    }
    Document::new()
        .paragraph([
            text("You are "),
            bold(&view.principal),
            text(format!(": {roles}")),
        ])
        .list(facts)
}

fn status(view: &StatusView) -> Document {
    let state = if view.pause.paused {
        "⏸ paused"
    } else {
        "▶ running"
    };
    let mut document =
        Document::new().paragraph([bold(&view.tenant), text(format!(" is {state}"))]);
    if view.pause.paused {
        document = document.paragraph(why(&view.pause));
    }
    document = document.list([
        vec![text(format!(
            "Work: {}; {} ready to be claimed",
            by_status(&view.tasks),
            number(view.ready)
        ))],
        vec![text(format!(
            "Agents: {}, {} alive",
            number(view.agents),
            number(view.alive)
        ))],
        vec![text(format!(
            "Votes: {}",
            counted(view.open_proposals, "open proposal")
        ))],
    ]);
    document = document.list(view.incidents.iter().map(|i| {
        vec![
            text("⚠ "),
            bold(&i.subject),
            text(format!(" ({}, since {}): {}", i.rule, i.since, i.detail)),
        ]
    }));
    document.then(render_budget::windows(&view.budgets))
}

fn pause(view: &PauseView) -> Document {
    let fact = match (view.paused, view.already) {
        (true, false) => "⏸ The fleet is paused; votes, reads and heartbeats go on",
        (true, true) => "⏸ The fleet was paused already",
        (false, false) => "▶ The fleet goes on",
        (false, true) => "▶ The fleet was not paused",
    };
    let document = Document::new().paragraph([bold(fact)]);
    if view.paused {
        document
            .paragraph(why(view))
            .paragraph([text("To go on: "), code("!resume")])
    } else {
        document
    }
}

/// Who paused the fleet, since when, and why.
fn why(view: &PauseView) -> Vec<Span> {
    let by = view.by.as_ref().map(|by| format!("By {by}"));
    let since = view.since.map(|at| format!("since {at}"));
    let reason = view.reason.as_ref().map(|r| format!("because: {r}"));
    let known: Vec<String> = [by, since, reason].into_iter().flatten().collect();
    vec![text(if known.is_empty() {
        "No reason was given".to_owned()
    } else {
        known.join(", ")
    })]
}

fn doctor(view: &DoctorView) -> Document {
    let count = |state| view.checks.iter().filter(|c| c.state == state).count();
    let fact = match (count(CheckState::Broken), count(CheckState::Warning)) {
        (0, 0) => format!("✅ All {} checks passed", view.checks.len()),
        (0, warnings) => format!("⚠ {warnings} of {} checks need a look", view.checks.len()),
        (broken, _) => format!("❌ {broken} of {} checks failed", view.checks.len()),
    };
    Document::new()
        .paragraph([bold(fact)])
        .list(view.checks.iter().map(check))
}

fn check(check: &Check) -> Vec<Span> {
    let mark = match check.state {
        CheckState::Ok => "✅ ",
        CheckState::Warning => "⚠ ",
        CheckState::Broken => "❌ ",
    };
    let remedy = check
        .remedy
        .as_ref()
        .map_or_else(String::new, |r| format!(" → {r}"));
    vec![
        text(mark),
        bold(&check.name),
        text(format!(": {}{remedy}", check.found)),
    ]
}

fn members(all: &[MemberView]) -> Document {
    if all.is_empty() {
        return Document::new().paragraph([
            text("Nobody has a grant yet. To let somebody in: "),
            code("!member add @name:server"),
        ]);
    }
    Document::new()
        .paragraph([bold(counted(all.len() as u64, "member"))])
        .table(
            ["User", "May"],
            all.iter().map(|m| {
                [
                    vec![Span::User(m.user.clone())],
                    cell(render_agent::grants(m)),
                ]
            }),
        )
}

fn missions(all: &[MissionView]) -> Document {
    if all.is_empty() {
        return Document::new().paragraph([
            text("There are no missions. To open one: "),
            code("!mission new \"What is to be reached\""),
        ]);
    }
    let rows = all.iter().map(|m| {
        [
            vec![code(&m.id)],
            cell(&m.title),
            cell(if m.open { "open" } else { "closed" }),
            cell(by_status(&m.tasks)),
            cell(spoken(&render_task::spend_of(
                m.projected_tokens,
                m.actual_tokens,
            ))),
        ]
    });
    Document::new()
        .paragraph([bold(counted(all.len() as u64, "mission"))])
        .table(["Mission", "Title", "State", "Tasks", "Tokens"], rows)
}
