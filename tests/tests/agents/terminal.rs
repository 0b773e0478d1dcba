//! A real terminal.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use fleet_tests::world::eventually;

/// A tmux server with one session, in which a program reads lines; gone with the test.
pub(crate) struct Terminal {
    folder: tempfile::TempDir,
    name: &'static str,
}

impl Terminal {
    /// Runs a script of bash in a session of this name.
    pub(crate) fn run(name: &'static str, script: &str) -> Self {
        let private = std::fs::Permissions::from_mode(0o700);
        let folder = tempfile::Builder::new().permissions(private).tempdir();
        let terminal = Self {
            folder: folder.unwrap(),
            name,
        };
        terminal.tmux(&[
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            "100",
            "-y",
            "40",
            "-s",
            name,
            "bash",
            "--norc",
            "-c",
            script,
        ]);
        terminal
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("s")
    }

    pub(crate) fn target(&self) -> String {
        format!("={}:", self.name)
    }

    pub(crate) fn tmux(&self, arguments: &[&str]) -> String {
        let mut tmux = Command::new("tmux");
        let ran = tmux
            .args(["-u", "-S"])
            .arg(self.socket())
            .args(arguments)
            .env_remove("TMUX")
            .output()
            .unwrap();
        assert!(ran.status.success(), "tmux {arguments:?}: {ran:?}");
        String::from_utf8(ran.stdout).unwrap()
    }

    fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-J", "-t", &self.target()])
    }

    /// Waits until it shows a text.
    pub(crate) async fn shows(&self, text: &str) {
        let shown = eventually(text, || async {
            self.screen().contains(text).then_some(())
        });
        shown
            .await
            .unwrap_or_else(|e| panic!("{e}: {}", self.screen()));
    }

    /// Presses keys by name, or types a text with `-l`.
    pub(crate) fn keys(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys", "-t", &self.target()], keys].concat());
    }

    /// How often a text was read as a line.
    pub(crate) fn got(&self, text: &str) -> usize {
        self.screen().matches(&format!("got: {text}")).count()
    }

    pub(crate) async fn gets(&self, text: &str, times: usize) {
        eventually(text, || async { (self.got(text) >= times).then_some(()) })
            .await
            .unwrap();
        assert_eq!(self.got(text), times);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}
