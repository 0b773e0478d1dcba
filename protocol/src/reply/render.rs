//! What people read of an answer. The first line carries the fact.

mod agent;
mod alert;
mod board;
mod budget;
mod card;
mod explain;
mod governance;
mod inbox;
mod minutes;
mod role;
mod spending;
mod task;
mod words;

use words::{by_status, cell, counted, spoken};

use super::{
    Changed, Check, CheckState, DoctorView, HelpView, HushView, IncidentView, MemberView,
    MissionView, PauseView, Reply, StatusView, WhoAmIView, WorkersView,
};
use crate::document::{Document, Span, bold, code, number, text};
use crate::problem::advice;
use crate::time::Reader;

impl Reply {
    /// The answer as people read it, at that moment and in that zone.
    pub fn document(&self, reader: &Reader<'_>) -> Document {
        match self {
            Self::Help(view) => help(view),
            Self::WhoAmI(view) => who_am_i(view),
            Self::Status(view) => status(view, reader),
            Self::Ps(view) => agent::ps(view, reader),
            Self::Agents(all) => agent::agents(all, reader),
            Self::Agent(changed) => agent::agent(changed, reader),
            Self::Item(changed) => inbox::item(changed, reader),
            Self::Items(all) => inbox::items(all, reader),
            Self::Doctor(view) => doctor(view),
            Self::Pause(view) => pause(view, reader),
            Self::Hushed(view) => hushed(view, reader),
            Self::Verbosity(level) => {
                Document::new().paragraph([text("✅ This room is now "), bold(level)])
            }
            Self::Member(changed) => agent::member(changed),
            Self::Members(all) => members(all),
            Self::Mission(changed) => task::mission(changed),
            Self::Missions(all) => missions(all),
            Self::Task(changed) => task::task(changed, reader),
            Self::Tasks(list) => task::tasks(list),
            Self::Spend(view) => budget::spend(view),
            Self::Budget(changed) => budget::window(changed, reader),
            Self::Budgets(all) => budget::windows(all, reader),
            Self::Granted(view) => budget::granted(view),
            Self::Meter(view) => governance::meter(view),
            Self::Explained(view) => explain::explained(view, reader),
            Self::Limits(all) => governance::limits(all, reader),
            Self::Windows(all) => governance::past(all, reader),
            Self::Charts(all) => governance::charts(all, reader),
            Self::Audited(view) => governance::audited(view),
            Self::Ladder(changed) => governance::ladder(changed),
            Self::Exported(toml) => Document::new().code(toml.clone()),
            Self::MissionReport(report) => task::report(report),
            Self::Imported(view) => governance::imported(view),
            Self::Queue(all) => governance::queue(all, reader),
            Self::Subscription(changed) => spending::subscription(changed, reader),
            Self::Subscriptions(all) => spending::subscriptions(all),
            Self::Price(changed) => spending::price(changed),
            Self::Prices(all) => spending::prices(all),
            Self::Alert(changed) => alert::alert(changed, reader),
            Self::Alerts(all) => alert::alerts(all, reader),
            Self::SpendReport(view) => spending::report(view),
            Self::Proposal(changed) => board::proposal(changed, reader),
            Self::Proposals(all) => board::proposals(all, reader),
            Self::Ballot(view) => board::ballot(view),
            Self::BoardSeats(all) => board::seats(all),
            Self::BoardSeat(changed) => board::seat(changed),
            Self::Templates(all) => board::templates(all),
            Self::Personas(all) => board::personas(all),
            Self::Roles(all) => role::roles(all),
            Self::Profiles(all) => role::profiles(all),
            Self::Workers(changed) => workers(changed),
            Self::ChainLimits(changed) => inbox::limits(changed),
            Self::Provisioned(view) => role::provisioned(view),
            Self::Export(export) => minutes::export(export),
            Self::Minutes(view) => minutes::minutes(view, reader),
        }
    }
}

fn help(view: &HelpView) -> Document {
    let document = match &view.topic {
        Some(topic) => Document::new()
            .paragraph([bold(format!("!{topic}")), text(format!(": {}", view.about))]),
        None => Document::new().paragraph([bold(&view.about)]),
    };
    let document = match &view.usage {
        Some(usage) => document.code(usage.clone()),
        None => document,
    };
    let document = view.groups.iter().fold(document, |document, group| {
        let lines = group
            .lines
            .iter()
            .map(|line| vec![code(&line.what), text(format!(": {}", line.about))]);
        document.heading([text(&group.title)]).list(lines)
    });
    let document = words::with_notes(document, &view.notes);
    match &view.more {
        Some(more) => document.paragraph([text("More: "), code(more)]),
        None => document,
    }
}

fn workers(changed: &Changed<WorkersView>) -> Document {
    let view = &changed.now;
    let head = words::subject(changed, "workers")
        .into_iter()
        .chain([text(format!(
            ": at most {} in the fleet and {} of one role hold leases at the same time; {} do now",
            view.fleet, view.role, view.working
        ))]);
    words::with_notes(Document::new().paragraph(head), &changed.notes)
}

fn who_am_i(view: &WhoAmIView) -> Document {
    let roles = match view.roles.as_slice() {
        [] => "no role, so you may not do anything yet".to_owned(),
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
    let document = Document::new()
        .paragraph([
            text("You are "),
            bold(&view.principal),
            text(format!(": {roles}")),
        ])
        .list(facts);
    if view.roles.is_empty() {
        let line = code(format!("!member add {}", view.principal));
        document.paragraph([text("→ an operator lets you in with: "), line])
    } else {
        document
    }
}

fn status(view: &StatusView, reader: &Reader<'_>) -> Document {
    let state = if view.pause.paused {
        "⏸ The fleet is paused"
    } else {
        "▶ The fleet is running"
    };
    let mut document = Document::new().paragraph([bold(state)]);
    if view.pause.paused {
        document = document.paragraph(why(&view.pause, reader));
    }
    let agents = match view.agents {
        0 => "none".to_owned(),
        all => format!("{}, {} of them alive", number(all), number(view.alive)),
    };
    let votes = match view.open_proposals {
        0 => "none open".to_owned(),
        open => format!("{} open", number(open)),
    };
    let waiting = match view.waiting {
        0 => String::new(),
        n => format!("; waiting for budget: {} (!queue)", number(n)),
    };
    document = document.list([
        vec![text(format!(
            "Tasks: {}; ready to be claimed: {}{waiting}",
            by_status(&view.tasks),
            number(view.ready)
        ))],
        vec![text(format!("Agents: {agents}"))],
        vec![text(format!("Votes: {votes}"))],
    ]);
    if !view.incidents.is_empty() {
        document = document
            .heading([text("Needs a look")])
            .list(view.incidents.iter().map(|i| incident(i, reader)));
    }
    document.then(budget::overview(&view.budgets, reader))
}

/// An open incident: `⚠ budget threshold since today 14:05 CET: claude weekly: 95 % spent`.
fn incident(view: &IncidentView, reader: &Reader<'_>) -> Vec<Span> {
    let since = format!(" since {}: ", reader.clock(view.since));
    // Some details name their subject themselves.
    let about = if view.detail.starts_with(&view.subject) {
        view.detail.clone()
    } else {
        format!("{}: {}", view.subject, view.detail)
    };
    let rule = view.rule.as_str().replace(['.', '_'], " ");
    vec![text("⚠ "), bold(rule), text(since), text(about)]
}

fn pause(view: &PauseView, reader: &Reader<'_>) -> Document {
    let fact = match (view.paused, view.already) {
        (true, false) => "⏸ The fleet is paused; votes, reads and heartbeats go on",
        (true, true) => "⏸ The fleet was paused already",
        (false, false) => "▶ The fleet goes on",
        (false, true) => "▶ The fleet was not paused",
    };
    let document = Document::new().paragraph([bold(fact)]);
    if view.paused {
        document
            .paragraph(why(view, reader))
            .paragraph([text("To go on: "), code("!resume")])
    } else {
        document
    }
}

fn hushed(view: &HushView, reader: &Reader<'_>) -> Document {
    let Some(until) = view.until else {
        return Document::text("✅ Agents may speak here again.");
    };
    let fact = format!(
        "🤫 Agents say nothing to each other here; it ends {}",
        reader.moment(until)
    );
    Document::new()
        .paragraph([bold(fact)])
        .paragraph([text("To end it now: "), code("!hush --off")])
}

/// Who paused the fleet, since when, and why: `By @dana:example.org, 5 min ago, today 14:05 CET: release`.
fn why(view: &PauseView, reader: &Reader<'_>) -> Vec<Span> {
    let by = view.by.as_ref().map(|by| format!("By {by}"));
    let since = view.since.map(|at| reader.moment(at));
    let who: Vec<String> = [by, since].into_iter().flatten().collect();
    let reason = view.reason.as_deref().unwrap_or("no reason was given");
    vec![text(format!("{}: {reason}", who.join(", ")))]
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
    let mut spans = vec![
        text(mark),
        bold(&check.name),
        text(format!(": {}", check.found)),
    ];
    if let Some(remedy) = &check.remedy {
        spans.push(text(" "));
        spans.extend(advice(remedy));
    }
    spans
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
            all.iter()
                .map(|m| [vec![Span::User(m.user.clone())], cell(agent::grants(m))]),
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
            cell(spoken(&task::spend_of(m.projected_tokens, m.actual_tokens))),
        ]
    });
    Document::new()
        .paragraph([bold(counted(all.len() as u64, "mission"))])
        .table(["Mission", "Title", "State", "Tasks", "Tokens"], rows)
}
