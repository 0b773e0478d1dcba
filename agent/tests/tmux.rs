//! The tmux connector against a real tmux, on a socket of its own.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helper functions too"
)]

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};
use std::sync::Once;
use std::time::Duration;

use fleet_agent::connector::tmux::{Socket, Tmux};
use fleet_agent::connector::{Connector as _, ConnectorError, Message, Ways, of};
use fleet_protocol::roster::ConnectorKind;
use fleet_protocol::scalar::Name;

/// An agent of a kind: it reads a line at a prompt and says what it got.
const READER: &str =
    r#"while IFS= read -r -p '> ' line; do printf 'got: %s\n' "$line" | cat -v; done"#;

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

/// A tmux server with sessions, gone with the test.
struct Server {
    folder: tempfile::TempDir,
}

impl Server {
    fn start(sessions: &[(&str, &str)]) -> Self {
        install();
        let private = std::fs::Permissions::from_mode(0o700);
        let folder = tempfile::Builder::new()
            .permissions(private)
            .tempdir()
            .unwrap();
        let server = Self { folder };
        for (name, script) in sessions {
            let new = [
                "-f",
                "/dev/null",
                "new-session",
                "-d",
                "-x",
                "100",
                "-y",
                "20",
                "-s",
                name,
            ];
            let shell = ["bash", "--norc", "-c", script];
            let made = server.tmux(&[&new[..], &shell[..]].concat());
            assert!(made.status.success(), "{made:?}");
        }
        server
    }

    fn socket(&self) -> std::path::PathBuf {
        self.folder.path().join("s")
    }

    fn connector(&self) -> Tmux {
        Tmux::new(Socket::at(self.socket()))
    }

    fn tmux(&self, arguments: &[&str]) -> Output {
        Command::new("tmux")
            .arg("-u")
            .arg("-S")
            .arg(self.socket())
            .args(arguments)
            .env_remove("TMUX")
            .output()
            .unwrap()
    }

    fn screen(&self, session: &str) -> String {
        let shown = self.tmux(&["capture-pane", "-p", "-J", "-t", &format!("={session}:")]);
        String::from_utf8(shown.stdout).unwrap()
    }

    /// Waits until a session shows a text; returns all it shows.
    async fn shows(&self, session: &str, text: &str) -> String {
        let looking = async {
            loop {
                let screen = self.screen(session);
                if screen.contains(text) {
                    return screen;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        match tokio::time::timeout(Duration::from_secs(20), looking).await {
            Ok(screen) => screen,
            Err(_) => panic!("{text:?} in vain: {}", self.screen(session)),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn message(text: &str) -> Message {
    Message {
        key: "n1".into(),
        text: text.to_owned(),
        thread: None,
    }
}

#[tokio::test]
async fn a_message_reaches_exactly_the_session_it_names_as_text_and_nothing_else() {
    let server = Server::start(&[("code-10", READER), ("code-1", READER)]);
    server.shows("code-1", ">").await;
    let tmux = server.connector();
    let said =
        "[a:code-2 -> b:code-1] fix\u{1b}[201~\u{3} it\nthen $(touch x); rm 👍 -- #{pane_id}";
    tmux.send(&name("code-1"), &message(said)).await.unwrap();
    let screen = server.shows("code-1", "got:").await;
    let kept = "got: [a:code-2 -> b:code-1] fix it M-bM-^OM-^N then $(touch x); rm M-pM-^_M-^QM-^M -- #{pane_id}";
    assert!(screen.contains(kept), "{screen}");
    assert!(!server.screen("code-10").contains("got"));

    for absent in ["code", "code-2", "code-100"] {
        let refused = tmux.send(&name(absent), &message("x")).await.unwrap_err();
        assert!(
            matches!(refused, ConnectorError::NoSession(_)),
            "{absent}: {refused}"
        );
    }
    let health = tmux.health().await.unwrap();
    assert_eq!(health.faults, []);
    assert!(health.found.starts_with("2 sessions"), "{}", health.found);
}

#[tokio::test]
async fn a_draft_is_left_alone_and_a_message_pasted_before_is_not_pasted_twice() {
    let server = Server::start(&[("code-1", READER)]);
    server.shows("code-1", ">").await;
    let tmux = server.connector();
    server.tmux(&["send-keys", "-t", "=code-1:", "-l", "half a thought"]);
    server.shows("code-1", "half a thought").await;
    let refused = tmux
        .send(&name("code-1"), &message("[a:b -> c:code-1] now"))
        .await;
    assert!(
        matches!(refused, Err(ConnectorError::Draft(_))),
        "{refused:?}"
    );
    server.tmux(&["send-keys", "-t", "=code-1:", "Enter"]);
    let screen = server.shows("code-1", "got: half a thought").await;
    assert!(!screen.contains("now"), "{screen}");

    // As if the process had died between paste and Enter.
    let text = "[a:b -> c:code-1] now";
    server.tmux(&["send-keys", "-t", "=code-1:", "-l", text]);
    server.shows("code-1", text).await;
    tmux.send(&name("code-1"), &message(text)).await.unwrap();
    let screen = server.shows("code-1", &format!("got: {text}")).await;
    assert_eq!(
        screen.matches(&format!("got: {text}")).count(),
        1,
        "{screen}"
    );
    assert!(!screen.contains(&format!("{text}{text}")), "{screen}");
}

#[tokio::test]
async fn who_scrolls_is_not_disturbed_and_what_takes_nothing_has_not_accepted() {
    let mute = "stty -echo; sleep 1000";
    let server = Server::start(&[("code-1", READER), ("code-2", mute), ("code-3", "exit 3")]);
    let tmux = server.connector();
    server.shows("code-1", ">").await;
    server.tmux(&["copy-mode", "-t", "=code-1:"]);
    let refused = tmux.send(&name("code-1"), &message("x")).await;
    assert!(
        matches!(refused, Err(ConnectorError::Scrolled(_))),
        "{refused:?}"
    );
    let refused = tmux.send(&name("code-2"), &message("x")).await;
    assert!(
        matches!(refused, Err(ConnectorError::NotAccepted(_))),
        "{refused:?}"
    );
    let refused = tmux.send(&name("code-3"), &message("x")).await;
    assert!(
        matches!(refused, Err(ConnectorError::NoSession(_))),
        "{refused:?}"
    );
    server.tmux(&["set-option", "-t", "=code-2:", "remain-on-exit", "on"]);
    server.tmux(&["respawn-pane", "-k", "-t", "=code-2:", "exit 0"]);
    server.shows("code-2", "Pane is dead").await;
    let refused = tmux.send(&name("code-2"), &message("x")).await;
    assert!(
        matches!(refused, Err(ConnectorError::Ended(_))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_watcher_reads_what_is_shown_and_can_write_nothing() {
    let server = Server::start(&[("code-1", READER)]);
    server.shows("code-1", ">").await;
    let tmux = server.connector();
    let mut watched = tmux.subscribe(&name("code-1")).await.unwrap();
    let clients = server.tmux(&[
        "list-clients",
        "-F",
        "#{client_readonly} #{client_control_mode}",
    ]);
    assert_eq!(String::from_utf8(clients.stdout).unwrap().trim(), "1 1");
    tmux.send(&name("code-1"), &message("hello")).await.unwrap();
    let heard = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            let line = watched.next().await.unwrap();
            if line.starts_with("got") {
                return line;
            }
        }
    });
    assert_eq!(heard.await.unwrap(), "got: hello");
    server.tmux(&["kill-session", "-t", "=code-1:"]);
    let ended = tokio::time::timeout(Duration::from_secs(20), async {
        while watched.next().await.is_some() {}
    });
    ended.await.unwrap();
}

#[tokio::test]
async fn taking_over_is_opt_in_and_recorded() {
    let server = Server::start(&[("code-1", READER)]);
    server.shows("code-1", ">").await;
    let tmux = server.connector();
    let record = server.folder.path().join("it's \"recorded\" $HOME.log");
    let refused = tmux.take_over(&name("code-1"), &record).await;
    assert!(
        matches!(refused, Err(ConnectorError::NotAllowed(_))),
        "{refused:?}"
    );
    server.tmux(&["set-option", "-t", "=code-1:", "@fleet_take_over", "on"]);
    tmux.take_over(&name("code-1"), &record).await.unwrap();
    let again = tmux.take_over(&name("code-1"), &record).await;
    assert!(
        matches!(again, Err(ConnectorError::Recorded(_))),
        "{again:?}"
    );
    server.tmux(&["send-keys", "-t", "=code-1:", "by hand", "Enter"]);
    let recorded = tokio::time::timeout(Duration::from_secs(20), async {
        while !std::fs::read_to_string(&record)
            .unwrap_or_default()
            .contains("got: by hand")
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    recorded.await.unwrap();
    let mode = std::fs::metadata(&record).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    tmux.hand_back(&name("code-1")).await.unwrap();
    tmux.take_over(&name("code-1"), &record).await.unwrap();
}

#[tokio::test]
async fn nothing_is_typed_where_others_could_listen_and_other_kinds_say_that_they_are_not_made() {
    let server = Server::start(&[("code-1", READER)]);
    let folder = server.folder.path();
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    let refused = server
        .connector()
        .send(&name("code-1"), &message("x"))
        .await;
    assert!(
        matches!(refused, Err(ConnectorError::Unsafe(_))),
        "{refused:?}"
    );

    let ways = || Ways {
        socket: Socket::named(None),
        room: None,
    };
    let other = of(ConnectorKind::Discord, ways()).unwrap_err();
    assert!(
        other.to_string().contains("discord are not implemented"),
        "{other}"
    );
    let nobody = of(ConnectorKind::Matrix, ways()).unwrap_err();
    assert!(matches!(nobody, ConnectorError::NoAccount), "{nobody}");
}
