//! Which process listens on a port: another program that already has the port would answer in
//! place of a child that is about to fail because of it.

use std::collections::HashSet;
use std::fs;

/// Whether the child `pid`, or a process it started (its process group), listens on the TCP port.
#[must_use]
pub fn listens_on(pid: u32, port: u16) -> bool {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"]
        .map(|path| fs::read_to_string(path).unwrap_or_default());
    let sockets: HashSet<String> = tables
        .iter()
        .flat_map(|table| listening(table, port))
        .collect();
    !sockets.is_empty() && group(pid).into_iter().any(|member| holds(member, &sockets))
}

/// The listening sockets of a port in the format of `/proc/net/tcp` (proc_net_tcp in the kernel's
/// documentation), as `/proc/*/fd` names them.
fn listening(table: &str, port: u16) -> Vec<String> {
    const LISTEN: &str = "0A";
    let wanted = format!(":{port:04X}");
    let socket = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let found = fields.get(1)?.ends_with(&wanted) && *fields.get(3)? == LISTEN;
        found
            .then(|| fields.get(9).map(|inode| format!("socket:[{inode}]")))
            .flatten()
    };
    table.lines().skip(1).filter_map(socket).collect()
}

/// The processes of a group. A child leads its own, so the group's id is the child's.
fn group(leader: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|pid| group_of(*pid) == Some(leader)).collect()
}

fn group_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // After the name in parentheses (which may hold anything): state, parent, group.
    stat.rsplit_once(')')?
        .1
        .split_whitespace()
        .nth(2)?
        .parse()
        .ok()
}

fn holds(pid: u32, sockets: &HashSet<String>) -> bool {
    let open = fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten()
        .flatten();
    open.filter_map(|entry| fs::read_link(entry.path()).ok())
        .any(|target| {
            target
                .to_str()
                .is_some_and(|target| sockets.contains(target))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listening_sockets_of_the_port_count() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt uid timeout inode\n\
            0: 0100007F:1F48 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 4242 1 x\n\
            1: 0100007F:1F48 0100007F:9999 01 00000000:00000000 00:00000000 00000000 0 0 4243 1 x\n\
            2: 0100007F:1F49 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 4244 1 x\n";
        assert_eq!(listening(table, 8008), ["socket:[4242]"]);
        assert!(listening(table, 80).is_empty());
    }

    #[test]
    fn a_listener_of_another_group_does_not_count() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let us = group_of(std::process::id()).unwrap();
        assert!(listens_on(us, port));
        assert!(!listens_on(1, port));
        drop(listener);
        assert!(!listens_on(us, port));
    }
}
