//! The terminals of agents on this machine: who else could type there.

use fleet_agent::connector::tmux::{FLEET_SOCKET, Socket, inspect};

use super::hop::Hop;
use crate::exit::Exit;

/// Looks at the sockets of the fleet's tmux server and of the default one.
pub(super) fn terminals() -> Hop {
    let sockets = [Socket::named(Some(FLEET_SOCKET)), Socket::named(None)];
    let mut faults: Vec<_> = sockets.iter().flat_map(|s| inspect(s.path())).collect();
    faults.dedup();
    if let Some(first) = faults.first() {
        let all: Vec<&str> = faults.iter().map(|f| f.found.as_str()).collect();
        return Hop::bad(
            "terminals",
            Exit::Agents,
            all.join("; "),
            first.remedy.clone(),
        );
    }
    let there = sockets.iter().filter(|s| s.path().exists());
    let shown: Vec<String> = there.map(|s| s.path().display().to_string()).collect();
    if shown.is_empty() {
        Hop::good("terminals", "no tmux server of this user runs here")
    } else {
        Hop::good(
            "terminals",
            format!("only this user reaches {}", shown.join(", ")),
        )
    }
}
