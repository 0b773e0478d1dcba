//! Agents in tmux sessions: one session per agent, named as the agent.
//!
//! A message is pasted and sent only where it goes to that very session and disturbs nobody: not over
//! a draft, not while somebody scrolls, and never as keys that a terminal or a program obeys.

mod safety;
mod watch;

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use fleet_protocol::scalar::Name;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::text::{draft, plain};
use super::{Connector, ConnectorError, Doing, Health, Message, Subscription};

pub use safety::{LEGACY_SOCKET, inspect};

/// The socket of a fleet in production (doctrine, "Names").
pub const FLEET_SOCKET: &str = "mosaic-fleet";

const TMUX: &str = "tmux";
/// The longest text that is typed into a terminal, in bytes; what is longer is read from the inbox.
const LONGEST: usize = 16 * 1024;
/// Between two looks at the screen.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long a paste may take to show, and a sent message to leave the line of input.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where the tmux server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Socket(PathBuf);

impl Socket {
    /// A socket by name, in the folder where tmux keeps its sockets; none is tmux's default one.
    pub fn named(name: Option<&str>) -> Self {
        let folder = std::env::var_os("TMUX_TMPDIR")
            .filter(|folder| !folder.is_empty())
            .map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
        let uid = rustix::process::getuid().as_raw();
        Self(
            folder
                .join(format!("tmux-{uid}"))
                .join(name.unwrap_or("default")),
        )
    }

    /// A socket by path.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

/// The connector of one tmux server.
#[derive(Debug, Clone)]
pub struct Tmux {
    socket: Socket,
}

/// The active pane of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pane {
    id: String,
    scrolled: bool,
    ended: bool,
    piped: bool,
    /// Whether what runs there takes a paste as one piece; unknown to tmux before 3.6.
    brackets: bool,
}

/// What a pane shows, with the place of its cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Screen {
    text: String,
    cursor: (usize, usize),
}

impl Screen {
    fn draft(&self) -> Option<String> {
        draft(&self.text, self.cursor.1)
    }
}

impl Tmux {
    /// The server behind a socket.
    pub fn new(socket: Socket) -> Self {
        Self { socket }
    }

    /// The command that puts this terminal into an agent's session, to be run by a person who may type
    /// there. What the session shows meanwhile is recorded in `record`.
    ///
    /// # Errors
    /// Unless the session allows it: `tmux set-option -t NAME @fleet_take_over on`.
    pub async fn take_over(
        &self,
        to: &Name,
        record: &Path,
    ) -> Result<std::process::Command, ConnectorError> {
        self.safe()?;
        let pane = self.pane(to).await?;
        let allowed = self
            .run(
                &[
                    "show-options",
                    "-qv",
                    "-t",
                    &exactly(to),
                    "@fleet_take_over",
                ],
                None,
            )
            .await?;
        if allowed.trim() != "on" {
            return Err(ConnectorError::NotAllowed(to.clone()));
        }
        if pane.piped {
            return Err(ConnectorError::Recorded(to.clone()));
        }
        // tmux hands this line to a shell.
        let path = record
            .as_os_str()
            .as_bytes()
            .iter()
            .fold(String::new(), |mut path, byte| {
                // Writing to a String cannot fail.
                let _ = write!(path, "\\{byte:03o}");
                path
            });
        let pipe = format!("umask 077; exec cat >> \"$(printf '{path}')\"");
        self.run(&["pipe-pane", "-o", "-t", &pane.id, &pipe], None)
            .await?;
        let mut attach = std::process::Command::new(TMUX);
        attach
            .arg("-S")
            .arg(self.socket.path())
            .args(["attach-session", "-t", &exactly(to)])
            .env_remove("TMUX");
        Ok(attach)
    }

    /// Ends the recording that a take-over began.
    ///
    /// # Errors
    /// The program's.
    pub async fn hand_back(&self, to: &Name) -> Result<(), ConnectorError> {
        let pane = self.pane(to).await?;
        self.run(&["pipe-pane", "-t", &pane.id], None)
            .await
            .map(drop)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(TMUX);
        // UTF-8 whatever the locale, and never the server of a terminal that this runs in.
        command
            .arg("-u")
            .arg("-S")
            .arg(self.socket.path())
            .env_remove("TMUX")
            .kill_on_drop(true);
        command
    }

    async fn run(&self, arguments: &[&str], input: Option<&str>) -> Result<String, ConnectorError> {
        let failed = |detail: String| ConnectorError::Program {
            program: TMUX,
            detail,
        };
        let mut command = self.command();
        command
            .args(arguments)
            .stdin(input.map_or_else(Stdio::null, |_| Stdio::piped()))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|e| failed(e.to_string()))?;
        if let (Some(text), Some(mut stdin)) = (input, child.stdin.take()) {
            stdin
                .write_all(text.as_bytes())
                .await
                .map_err(|e| failed(e.to_string()))?;
        }
        let output = child
            .wait_with_output()
            .await
            .map_err(|e| failed(e.to_string()))?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(failed(
                String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            ))
        }
    }

    fn safe(&self) -> Result<(), ConnectorError> {
        match inspect(self.socket.path()).into_iter().next() {
            Some(fault) => Err(ConnectorError::Unsafe(fault)),
            None => Ok(()),
        }
    }

    /// The active pane of the session that has exactly this name; tmux itself would take a prefix.
    async fn pane(&self, to: &Name) -> Result<Pane, ConnectorError> {
        const FORMAT: &str = "#{session_name} #{pane_active} #{pane_id} #{pane_in_mode} #{pane_dead} #{pane_pipe} #{bracket_paste_flag}";
        let target = exactly(to);
        let listed = self
            .run(&["list-panes", "-t", &target, "-F", FORMAT], None)
            .await;
        let listed = match listed {
            Err(ConnectorError::Program { detail, .. }) if detail.contains("can't find") => {
                return Err(ConnectorError::NoSession(to.clone()));
            }
            listed => listed?,
        };
        let pane = |line: &str| {
            let mut words = line.split(' ');
            let mut is = |value: &str| words.next() == Some(value);
            if !is(to.as_str()) || !is("1") {
                return None;
            }
            let id = words.next()?.to_owned();
            let mut is_on = || words.next().is_some_and(|word| !matches!(word, "" | "0"));
            Some(Pane {
                id,
                scrolled: is_on(),
                ended: is_on(),
                piped: is_on(),
                brackets: is_on(),
            })
        };
        listed
            .lines()
            .find_map(pane)
            .ok_or_else(|| ConnectorError::NoSession(to.clone()))
    }

    async fn screen(&self, pane: &Pane) -> Result<Screen, ConnectorError> {
        let text = self
            .run(&["capture-pane", "-e", "-p", "-t", &pane.id], None)
            .await?;
        let format = "#{cursor_x} #{cursor_y}";
        let at = self
            .run(&["display-message", "-p", "-t", &pane.id, format], None)
            .await?;
        let mut numbers = at.split_whitespace().map(|n| n.parse().unwrap_or_default());
        let cursor = (
            numbers.next().unwrap_or_default(),
            numbers.next().unwrap_or_default(),
        );
        Ok(Screen { text, cursor })
    }

    /// Looks at the screen until it is as wanted; `None` when it is not in time.
    async fn until(
        &self,
        pane: &Pane,
        wanted: impl Fn(&Screen) -> bool,
    ) -> Result<Option<Screen>, ConnectorError> {
        let looking = async {
            loop {
                let screen = self.screen(pane).await?;
                if wanted(&screen) {
                    return Ok(screen);
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        match tokio::time::timeout(PATIENCE, looking).await {
            Ok(screen) => screen.map(Some),
            Err(_) => Ok(None),
        }
    }

    async fn deliver(&self, to: &Name, message: &Message) -> Result<(), ConnectorError> {
        self.safe()?;
        let pane = self.pane(to).await?;
        if pane.ended {
            return Err(ConnectorError::Ended(to.clone()));
        }
        if pane.scrolled {
            return Err(ConnectorError::Scrolled(to.clone()));
        }
        let text = cut(plain(&message.text, pane.brackets));
        let before = self.screen(&pane).await?;
        match before.draft() {
            Some(typed) if is_start_of(&typed, &text) => {}
            Some(_) => return Err(ConnectorError::Draft(to.clone())),
            None => self.paste(&pane, &text).await?,
        }
        let not_accepted = || ConnectorError::NotAccepted(to.clone());
        let pasted = if before.draft().is_some() {
            before
        } else {
            let shown = self.until(&pane, |now| *now != before).await?;
            shown.ok_or_else(not_accepted)?
        };
        self.run(&["send-keys", "-t", &pane.id, "Enter"], None)
            .await?;
        let sent = self
            .until(&pane, |now| *now != pasted && now.draft().is_none())
            .await?;
        sent.map(drop).ok_or_else(not_accepted)
    }

    async fn paste(&self, pane: &Pane, text: &str) -> Result<(), ConnectorError> {
        let buffer = format!("fleet-{}", pane.id.trim_start_matches('%'));
        self.run(&["load-buffer", "-b", &buffer, "-"], Some(text))
            .await?;
        let paste = [
            "paste-buffer",
            "-d",
            "-p",
            "-r",
            "-b",
            &buffer,
            "-t",
            &pane.id,
        ];
        self.run(&paste, None).await.map(drop)
    }
}

impl Connector for Tmux {
    fn send<'c>(&'c self, to: &'c Name, message: &'c Message) -> Doing<'c, ()> {
        Box::pin(self.deliver(to, message))
    }

    fn subscribe<'c>(&'c self, to: &'c Name) -> Doing<'c, Box<dyn Subscription>> {
        Box::pin(async move {
            self.safe()?;
            let pane = self.pane(to).await?;
            let watch = watch::Watch::start(self.command(), &exactly(to), &pane.id).await?;
            Ok(Box::new(watch) as Box<dyn Subscription>)
        })
    }

    fn health(&self) -> Doing<'_, Health> {
        Box::pin(async move {
            let path = self.socket.path().display();
            let sessions = self
                .run(&["list-sessions", "-F", "#{session_name}"], None)
                .await;
            let found = match sessions {
                Ok(names) => format!("{} sessions at {path}", names.lines().count()),
                Err(ConnectorError::Program { detail, .. }) => format!("no sessions: {detail}"),
                Err(other) => return Err(other),
            };
            let faults = inspect(self.socket.path());
            Ok(Health { found, faults })
        })
    }
}

/// The target that is this session and no other whose name begins so.
fn exactly(to: &Name) -> String {
    format!("={to}:")
}

/// The text, or as much of it as is typed into a terminal.
fn cut(text: String) -> String {
    if text.len() <= LONGEST {
        return text;
    }
    let end = text.floor_char_boundary(LONGEST);
    let kept = text.get(..end).unwrap_or_default();
    format!("{kept} … (cut; the whole message is in the inbox)")
}

/// Whether what stands in the line of input is this message, pasted before and not sent: the screen
/// breaks lines and pads them, so blanks do not count.
fn is_start_of(typed: &str, text: &str) -> bool {
    let bare = |text: &str| -> String { text.chars().filter(|c| !c.is_whitespace()).collect() };
    let (typed, text) = (bare(typed), bare(text));
    typed.chars().count() >= 8 && text.starts_with(&typed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters_and_says_so() {
        let short = "ä".repeat(10);
        assert_eq!(cut(short.clone()), short);
        let long = cut("ä".repeat(LONGEST));
        assert!(long.ends_with("(cut; the whole message is in the inbox)"));
        assert!(long.len() < LONGEST + 100);
    }

    #[test]
    fn only_its_own_start_is_taken_for_a_message_pasted_before() {
        let text = "[a:code-2 -> b:code-1] do it now";
        assert!(is_start_of("[a:code-2 ->   b:code-1] do", text));
        assert!(!is_start_of("[a:", text));
        assert!(!is_start_of("[a:code-2 -> b:code-1] and that", text));
    }
}
