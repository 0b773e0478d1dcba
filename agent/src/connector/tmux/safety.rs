//! Whether only its owner can reach a tmux server: whoever reaches the socket can type as the agent.

use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use crate::connector::Fault;

/// The socket of the fleet's first canary, out of use (doctrine, "Names").
pub const LEGACY_SOCKET: &str = "mosaic-factory";

/// What is wrong with a socket and the folder it is in; a socket that is not there is not wrong.
pub fn inspect(socket: &Path) -> Vec<Fault> {
    let mine = rustix::process::getuid().as_raw();
    let mut faults = Vec::new();
    if let Some(folder) = socket.parent()
        && let Ok(found) = std::fs::metadata(folder)
    {
        let mode = found.mode() & 0o777;
        if found.uid() != mine {
            faults.push(Fault {
                found: format!("{} belongs to user {}", folder.display(), found.uid()),
                remedy: "stop the server, and start it as the user who runs the agents".into(),
            });
        } else if mode & 0o077 != 0 {
            faults.push(Fault {
                found: format!(
                    "{} has mode {mode:04o}: others could reach its sockets",
                    folder.display()
                ),
                remedy: format!("chmod 700 {}", folder.display()),
            });
        }
    }
    if let Ok(found) = std::fs::symlink_metadata(socket) {
        let mode = found.mode() & 0o777;
        let shown = socket.display();
        if !found.file_type().is_socket() {
            faults.push(Fault {
                found: format!("{shown} is no socket"),
                remedy: "remove it, and start the server anew".into(),
            });
        } else if found.uid() != mine {
            faults.push(Fault {
                found: format!("{shown} belongs to user {}", found.uid()),
                remedy: "stop the server, and start it as the user who runs the agents".into(),
            });
        } else if mode & 0o007 != 0 {
            faults.push(Fault {
                found: format!("{shown} has mode {mode:04o}: anybody may type as the agents"),
                remedy: format!("chmod 660 {shown}"),
            });
        }
    }
    let legacy = socket.with_file_name(LEGACY_SOCKET);
    if std::fs::symlink_metadata(&legacy).is_ok() {
        faults.push(Fault {
            found: format!("{} is a socket of the former fleet", legacy.display()),
            remedy: format!(
                "move what runs there, then: tmux -S {} kill-server",
                legacy.display()
            ),
        });
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::net::UnixListener;

    fn mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn what_others_could_reach_is_found_and_what_is_private_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("mosaic-fleet");
        mode(folder.path(), 0o700);
        assert_eq!(inspect(&socket), []);
        let listener = UnixListener::bind(&socket).unwrap();
        mode(&socket, 0o660);
        assert_eq!(inspect(&socket), []);
        mode(&socket, 0o666);
        assert!(inspect(&socket)[0].found.contains("mode 0666"));
        mode(&socket, 0o660);
        mode(folder.path(), 0o750);
        assert!(inspect(&socket)[0].remedy.contains("chmod 700"));
        mode(folder.path(), 0o700);
        let legacy = UnixListener::bind(folder.path().join(LEGACY_SOCKET)).unwrap();
        assert!(inspect(&socket)[0].found.contains("former fleet"));
        drop((listener, legacy));
        std::fs::remove_file(&socket).unwrap();
        std::fs::write(&socket, "").unwrap();
        assert!(inspect(&socket)[0].found.contains("no socket"));
    }
}
