//! How the agents that live differ from those that the roster names.

use fleet_protocol::reply::AgentView;
use fleet_protocol::scalar::Name;

/// An agent as the roster names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// Its name.
    pub name: Name,
    /// Its role.
    pub role: Name,
    /// The machine it should run on; none: any.
    pub host: Option<Name>,
}

/// One line for each difference: who is missing, who is another than named, who is not named at all. Without a
/// roster there is nothing to differ from.
pub fn drift(roster: &[Expected], live: &[AgentView]) -> Vec<String> {
    if roster.is_empty() {
        return Vec::new();
    }
    let mut lines = Vec::new();
    for expected in roster {
        let name = &expected.name;
        let on = expected
            .host
            .as_ref()
            .map(|h| format!(" on {h}"))
            .unwrap_or_default();
        let Some(agent) = live.iter().find(|a| a.name == *name) else {
            lines.push(format!("{name} has not joined ({}{on})", expected.role));
            continue;
        };
        if agent.role != expected.role {
            lines.push(format!(
                "{name} has the role {}, not {}",
                agent.role, expected.role
            ));
        }
        if let Some(host) = expected.host.as_ref().filter(|h| **h != agent.host) {
            lines.push(format!("{name} runs on {}, not on {host}", agent.host));
        }
    }
    let strangers = live
        .iter()
        .filter(|a| !roster.iter().any(|e| e.name == a.name));
    lines.extend(
        strangers.map(|a| format!("{} is not in the roster ({} on {})", a.name, a.role, a.host)),
    );
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(name: &str, role: &str, host: Option<&str>) -> Expected {
        Expected {
            name: name.parse().unwrap(),
            role: role.parse().unwrap(),
            host: host.map(|h| h.parse().unwrap()),
        }
    }

    fn live(name: &str, role: &str, host: &str) -> AgentView {
        serde_json::from_value(serde_json::json!({
            "name": name, "role": role, "host": host, "user": format!("@{name}:test"), "incarnation": 1, "state": "idle"
        }))
        .unwrap()
    }

    #[test]
    fn who_is_missing_other_or_strange_is_told() {
        let roster = [
            expected("code-1", "code", Some("a")),
            expected("code-2", "code", None),
            expected("review-1", "review", Some("a")),
        ];
        let agents = [
            live("code-1", "review", "b"),
            live("code-2", "code", "b"),
            live("x-1", "code", "c"),
        ];
        assert_eq!(
            drift(&roster, &agents),
            [
                "code-1 has the role review, not code",
                "code-1 runs on b, not on a",
                "review-1 has not joined (review on a)",
                "x-1 is not in the roster (code on c)",
            ]
        );
        assert_eq!(drift(&[], &agents), Vec::<String>::new());
        assert_eq!(drift(&roster[1..2], &agents[1..2]), Vec::<String>::new());
    }
}
