//! The starter plan: the rooms that a new tenant gets.

/// A planned room: key, name, topic.
pub(crate) const ROOMS: &[(&str, &str, &str)] = &[
    ("lobby", "Lobby", "Say !help to see what can be said"),
    ("ops", "Operations", "Incidents and what needs an operator"),
    ("board", "Board", "Proposals, votes and decisions"),
    ("budget", "Budget", "Limits, spend and alerts"),
    (
        "tasks",
        "Tasks",
        "Work that is done, failed or needs somebody",
    ),
];

/// Key of the space that holds them.
pub(crate) const SPACE: &str = "space";

/// Local part of a room's alias: `fleet-lobby`, or `fleet-TENANT-lobby` where a homeserver may hold
/// several tenants.
pub(crate) fn alias(tenant: &str, key: &str) -> String {
    let prefix = if tenant == "default" {
        "fleet".to_owned()
    } else {
        format!("fleet-{tenant}")
    };
    if key == SPACE {
        prefix
    } else {
        format!("{prefix}-{key}")
    }
}
