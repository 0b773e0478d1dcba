//! What an agent's terminal shows, for reading only: a client in tmux's control mode.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::TMUX;
use crate::connector::text::plain;
use crate::connector::{ConnectorError, Hearing, Subscription};

/// The longest line that is put together, in bytes; what is longer comes in pieces.
const LONGEST: usize = 64 * 1024;

/// A client that only reads. Its end of standard input stays open and unused: closing it ends it.
#[derive(Debug)]
pub(super) struct Watch {
    _child: Child,
    _input: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
    pane: String,
    /// What the pane has written since its last line break.
    begun: Vec<u8>,
    /// Whole lines that nobody has read yet.
    whole: std::collections::VecDeque<String>,
}

impl Watch {
    /// Attaches, and returns when nothing that is shown from then on is missed.
    pub(super) async fn start(
        mut tmux: Command,
        target: &str,
        pane: &str,
    ) -> Result<Self, ConnectorError> {
        let failed = |detail: String| ConnectorError::Program {
            program: TMUX,
            detail,
        };
        tmux.args(["-C", "attach-session", "-r", "-t", target])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = tmux.spawn().map_err(|e| failed(e.to_string()))?;
        let output = child.stdout.take();
        let output = output.ok_or_else(|| failed("has no output".into()))?;
        let mut watch = Self {
            _input: child.stdin.take(),
            _child: child,
            lines: BufReader::new(output).lines(),
            pane: pane.to_owned(),
            begun: Vec::new(),
            whole: std::collections::VecDeque::new(),
        };
        while let Ok(Some(line)) = watch.lines.next_line().await {
            if line.starts_with("%session-changed") {
                return Ok(watch);
            }
        }
        Err(failed(
            "the session ended before it could be watched".into(),
        ))
    }

    async fn hear(&mut self) -> Option<String> {
        loop {
            if let Some(line) = self.whole.pop_front() {
                return Some(line);
            }
            let line = self.lines.next_line().await.ok()??;
            if line.starts_with("%exit") {
                return None;
            }
            let written = line
                .strip_prefix("%output ")
                .and_then(|rest| rest.strip_prefix(self.pane.as_str()))
                .and_then(|rest| rest.strip_prefix(' '));
            if let Some(written) = written {
                self.take(written);
            }
        }
    }

    fn take(&mut self, written: &str) {
        for byte in unescaped(written) {
            if byte == b'\n' || self.begun.len() >= LONGEST {
                let line = std::mem::take(&mut self.begun);
                let line = plain(&String::from_utf8_lossy(&line), false);
                if !line.is_empty() {
                    self.whole.push_back(line);
                }
            }
            if byte != b'\n' {
                self.begun.push(byte);
            }
        }
    }
}

impl Subscription for Watch {
    fn next(&mut self) -> Hearing<'_> {
        Box::pin(self.hear())
    }
}

/// tmux writes what is no printable character, and the backslash, as a backslash and three octal digits.
fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let octal = after
            .get(..3)
            .filter(|_| *first == b'\\')
            .and_then(|digits| {
                let digits = std::str::from_utf8(digits).ok()?;
                u8::from_str_radix(digits, 8).ok()
            });
        match octal {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tmux_escapes_is_read_as_the_bytes_it_was() {
        assert_eq!(unescaped("a\\033[31mb\\015\\012"), b"a\x1b[31mb\r\n");
        assert_eq!(unescaped("back\\134slash"), b"back\\slash");
        assert_eq!(unescaped("ä \\9 \\"), "ä \\9 \\".as_bytes());
    }
}
