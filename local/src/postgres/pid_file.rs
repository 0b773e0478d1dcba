//! `postmaster.pid`: PostgreSQL's own word on whether it runs and is ready.

use std::io;
use std::path::Path;

/// What the file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PidFile {
    /// Line 1.
    pub(super) pid: u32,
    /// Line 8 is `ready`.
    pub(super) ready: bool,
}

impl PidFile {
    /// Reads it; `None` when it is absent or not yet written in full.
    pub(super) fn read(data: &Path) -> io::Result<Option<Self>> {
        match std::fs::read_to_string(data.join("postmaster.pid")) {
            Ok(text) => Ok(Self::parse(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let pid = lines.next()?.trim().parse().ok()?;
        let ready = lines.nth(6).is_some_and(|state| state.trim() == "ready");
        Some(Self { pid, ready })
    }

    /// Whether that process lives and is the postmaster of this folder (it works inside it).
    pub(super) fn is_its_postmaster(self, data: &Path) -> bool {
        let working = std::fs::read_link(format!("/proc/{}/cwd", self.pid));
        working.is_ok_and(|working| data.canonicalize().is_ok_and(|data| working == data))
    }

    /// Whether any process has that id.
    pub(super) fn is_alive(self) -> bool {
        Path::new(&format!("/proc/{}", self.pid)).exists()
    }
}

#[cfg(test)]
mod tests {
    use super::PidFile;

    #[test]
    fn ready_is_line_eight() {
        let file = |state: &str| format!("42\n/data\n1700000000\n5432\n/sock\n\n  1 2\n{state}\n");
        let table = [
            (
                file("ready   "),
                Some(PidFile {
                    pid: 42,
                    ready: true,
                }),
            ),
            (
                file("starting"),
                Some(PidFile {
                    pid: 42,
                    ready: false,
                }),
            ),
            (
                "42\n/data\n".to_owned(),
                Some(PidFile {
                    pid: 42,
                    ready: false,
                }),
            ),
            (String::new(), None),
        ];
        for (text, expected) in table {
            assert_eq!(PidFile::parse(&text), expected, "{text}");
        }
    }
}
