//! Roles, profiles, and what a roster changed.

use std::collections::BTreeMap;

use super::super::ProvisionView;
use super::words::{cell, counted, or_dash, with_notes};
use crate::document::{Document, Span, bold, code, text};
use crate::role::{Profile, Role};
use crate::scalar::Name;

/// One role in full, or all in a table.
pub(super) fn roles(all: &BTreeMap<Name, Role>) -> Document {
    if let (Some((name, role)), 1) = (all.first_key_value(), all.len()) {
        return one(name, role);
    }
    let rows = all.iter().map(|(name, role)| {
        [
            vec![code(name)],
            cell(&role.mandate),
            or_dash(role.room.as_ref()),
        ]
    });
    Document::new()
        .paragraph([
            bold(counted(all.len() as u64, "role")),
            text("; one in full: "),
            code("!role show code"),
        ])
        .table(["Role", "What for", "Room"], rows)
}

fn one(name: &Name, role: &Role) -> Document {
    let document = Document::new()
        .heading([text(format!("{} ", role.title)), code(name)])
        .paragraph([text(&role.mandate)])
        .list(role.boundaries.iter().map(|b| vec![text(b)]));
    let document = match &role.persona {
        Some(persona) => document.folded(
            "What an agent of it is told",
            Document::text(persona.as_str()),
        ),
        None => document,
    };
    let mut facts: Vec<Vec<Span>> = Vec::new();
    if let Some(room) = &role.room {
        facts.push(vec![text("Room: "), code(room)]);
    }
    if !role.may_command.is_empty() {
        let who: Vec<String> = role.may_command.iter().map(ToString::to_string).collect();
        facts.push(vec![text(format!(
            "Commands there: {} only",
            who.join(", ")
        ))]);
    }
    document.list(facts)
}

/// One profile in full, or all in a table.
pub(super) fn profiles(all: &BTreeMap<Name, Profile>) -> Document {
    if let (Some((name, profile)), 1) = (all.first_key_value(), all.len()) {
        let rows = profile.roster.iter().map(|post| {
            [
                vec![code(&post.class)],
                cell(post.multiplicity),
                or_dash(post.reports_to.as_ref()),
                or_dash(post.notes.as_ref()),
            ]
        });
        return Document::new()
            .heading([text(format!("{} ", profile.title)), code(name)])
            .paragraph([text(&profile.description)])
            .table(["Role", "Agents", "Reports to", "Notes"], rows);
    }
    let rows = all.iter().map(|(name, profile)| {
        let agents: u64 = profile
            .roster
            .iter()
            .map(|p| u64::from(p.multiplicity))
            .sum();
        [vec![code(name)], cell(&profile.description), cell(agents)]
    });
    Document::new()
        .paragraph([
            bold(counted(all.len() as u64, "profile")),
            text("; one in full: "),
            code("!profile show software-delivery"),
        ])
        .table(["Profile", "What for", "Agents"], rows)
}

pub(super) fn provisioned(view: &ProvisionView) -> Document {
    let document = match (view.changes.is_empty(), view.dry_run) {
        (true, _) => Document::text("☑ Everything is as the roster says."),
        (false, true) => Document::new().paragraph([bold("Would change:")]),
        (false, false) => Document::new().paragraph([bold("✅ Changed:")]),
    };
    let lines = |lines: &[String]| lines.iter().map(|l| vec![text(l)]).collect::<Vec<_>>();
    let document = document.list(lines(&view.changes));
    let document = if view.kept.is_empty() {
        document
    } else {
        document
            .paragraph([
                text("Not in the roster, and kept ("),
                code("--prune"),
                text(" takes agents and seats away):"),
            ])
            .list(lines(&view.kept))
    };
    with_notes(document, &view.notes)
}
