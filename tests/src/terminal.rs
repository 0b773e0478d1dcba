//! A real tmux, on a socket of its own.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, in what it stands on too"
)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Once;

use crate::world::eventually;

/// A machine without tmux gets it, as `.ci/run system` does; without the right to do so the test says
/// what is missing.
fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if Command::new("tmux").arg("-V").output().is_ok() {
            return;
        }
        let script = "apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends tmux";
        let installed = Command::new("sh").args(["-c", script]).output().unwrap();
        assert!(
            installed.status.success(),
            "tmux is missing; install it, e.g. `apt install tmux`: {installed:?}"
        );
    });
}

/// A tmux server with sessions in a folder that only its owner may enter; gone with the test.
#[derive(Debug)]
pub struct Terminal {
    folder: tempfile::TempDir,
}

impl Terminal {
    /// Runs a script of bash in a session of each name.
    pub fn start(sessions: &[(&str, &str)]) -> Self {
        install();
        let private = std::fs::Permissions::from_mode(0o700);
        let folder = tempfile::Builder::new().permissions(private).tempdir();
        let terminal = Self {
            folder: folder.unwrap(),
        };
        for (name, script) in sessions {
            let new = ["-f", "/dev/null", "new-session", "-d", "-x", "100", "-y"];
            let shell = ["40", "-s", name, "bash", "--norc", "-c", script];
            terminal.tmux(&[&new[..], &shell[..]].concat());
        }
        terminal
    }

    /// Where its socket is.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.folder().join("s")
    }

    /// Runs a tmux command that must succeed; what it prints.
    pub fn tmux(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert!(ran.status.success(), "tmux {arguments:?}: {ran:?}");
        String::from_utf8(ran.stdout).unwrap()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut tmux = Command::new("tmux");
        tmux.args(["-u", "-S"]).arg(self.socket()).args(arguments);
        tmux.env_remove("TMUX").output().unwrap()
    }

    /// What a session shows.
    pub fn screen(&self, session: &str) -> String {
        self.tmux(&["capture-pane", "-p", "-J", "-t", &format!("={session}:")])
    }

    /// Waits until a session shows a text; all that it shows then.
    pub async fn shows(&self, session: &str, text: &str) -> String {
        let shown = eventually(text, || async {
            Some(self.screen(session)).filter(|screen| screen.contains(text))
        });
        match shown.await {
            Ok(screen) => screen,
            Err(e) => panic!("{e}: {}", self.screen(session)),
        }
    }

    /// Presses keys by name, or types a text with `-l`.
    pub fn keys(&self, session: &str, keys: &[&str]) {
        self.tmux(&[&["send-keys", "-t", &format!("={session}:")], keys].concat());
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.run(&["kill-server"]);
    }
}
