//! Resources: what the register says of a task, a mission or a room, to be read into a context.

use fleet_protocol::ids::{MissionRef, TaskRef};
use fleet_protocol::problem::Code;
use fleet_protocol::verbs::{alert, board, budget, fleet, mission, task};
use fleet_protocol::{Problem, Query};
use rmcp::model::{Resource, ResourceTemplate};

const TASK: &str = "fleet://task/";
const MISSION: &str = "fleet://mission/";
const ROOM: &str = "fleet://room/";

/// The rooms that every fleet has, and what a digest of each says.
const ROOMS: &[(&str, &str)] = &[
    (
        "lobby",
        "The fleet at a glance, and what is ready to be claimed",
    ),
    (
        "board",
        "Proposals that are open, and what was decided of late",
    ),
    ("budget", "Limits, what is left of them, and who waits"),
    ("ops", "Alerts, and the register's health"),
];

/// Resources with an address of their own.
pub(super) fn resources() -> Vec<Resource> {
    ROOMS
        .iter()
        .map(|(room, about)| {
            Resource::new(format!("{ROOM}{room}"), format!("room {room}"))
                .with_description(*about)
                .with_mime_type("text/plain")
        })
        .collect()
}

/// Resources with an address to fill in.
pub(super) fn templates() -> Vec<ResourceTemplate> {
    [
        (
            "task",
            format!("{TASK}{{id}}"),
            "A task with its brief and history; id is for example t142",
        ),
        (
            "mission",
            format!("{MISSION}{{id}}"),
            "A mission with its goal and spend; id is for example m7",
        ),
        (
            "room",
            format!("{ROOM}{{key}}"),
            "A digest of a room: lobby, board, budget or ops",
        ),
    ]
    .into_iter()
    .map(|(name, address, about)| {
        ResourceTemplate::new(address, name)
            .with_description(about)
            .with_mime_type("text/plain")
    })
    .collect()
}

/// The queries whose answers a resource consists of.
///
/// # Errors
/// [`Code::NotFound`] for an address that is none, with those that are.
pub(super) fn queries(uri: &str) -> Result<Vec<Query>, Problem> {
    let unknown = || {
        Problem::new(Code::NotFound, format!("there is no resource {uri}")).remedy(format!(
            "read {TASK}t1, {MISSION}m1, or one of {ROOM}lobby, board, budget and ops"
        ))
    };
    if let Some(id) = uri.strip_prefix(TASK) {
        let task: TaskRef = id.parse().map_err(|_| unknown())?;
        return Ok(vec![task::Show { task }.into()]);
    }
    if let Some(id) = uri.strip_prefix(MISSION) {
        let mission: MissionRef = id.parse().map_err(|_| unknown())?;
        return Ok(vec![mission::Show { mission }.into()]);
    }
    match uri.strip_prefix(ROOM) {
        Some("lobby") => Ok(vec![
            fleet::Status {}.into(),
            task::List {
                status: None,
                mission: None,
                ready: true,
                mine: false,
                limit: None,
            }
            .into(),
        ]),
        Some("board") => Ok(vec![
            board::List { all: false }.into(),
            board::Minutes { since: None }.into(),
        ]),
        Some("budget") => Ok(vec![
            budget::Status { provider: None }.into(),
            budget::Queue {}.into(),
        ]),
        Some("ops") => Ok(vec![
            alert::List { all: false }.into(),
            fleet::Doctor {}.into(),
        ]),
        _ => Err(unknown()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_resource_can_be_read_and_no_other() {
        for resource in resources() {
            assert!(
                !queries(&resource.uri).unwrap().is_empty(),
                "{}",
                resource.uri
            );
        }
        for uri in ["fleet://task/t142", "fleet://mission/m7"] {
            assert_eq!(queries(uri).unwrap().len(), 1, "{uri}");
        }
        for uri in [
            "fleet://task/",
            "fleet://task/p1",
            "fleet://room/other",
            "file:///etc/passwd",
            "",
        ] {
            let problem = queries(uri).unwrap_err();
            assert_eq!(problem.code, Code::NotFound, "{uri}");
            assert!(problem.remedy.is_some());
        }
    }
}
