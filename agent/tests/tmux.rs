//! The tmux connector against a real tmux, on a socket of its own.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helper functions too"
)]

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use fleet_agent::connector::tmux::{Socket, Tmux};
use fleet_agent::connector::{Connector as _, ConnectorError, Message, Ways, of};
use fleet_protocol::roster::ConnectorKind;
use fleet_protocol::scalar::Name;
use fleet_tests::terminal::Terminal;

/// An agent of a kind: it reads a line at a prompt and says what it got.
const READER: &str =
    r#"while IFS= read -r -p '> ' line; do printf 'got: %s\n' "$line" | cat -v; done"#;

fn connector(terminal: &Terminal) -> Tmux {
    Tmux::new(Socket::at(terminal.socket()))
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
    let terminal = Terminal::start(&[("code-10", READER), ("code-1", READER)]);
    terminal.shows("code-1", ">").await;
    let tmux = connector(&terminal);
    let said =
        "[a:code-2 -> b:code-1] fix\u{1b}[201~\u{3} it\nthen $(touch x); rm 👍 -- #{pane_id}";
    tmux.send(&name("code-1"), &message(said)).await.unwrap();
    let screen = terminal.shows("code-1", "got:").await;
    let kept = "got: [a:code-2 -> b:code-1] fix it M-bM-^OM-^N then $(touch x); rm M-pM-^_M-^QM-^M -- #{pane_id}";
    assert!(screen.contains(kept), "{screen}");
    assert!(!terminal.screen("code-10").contains("got"));

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
    let terminal = Terminal::start(&[("code-1", READER)]);
    terminal.shows("code-1", ">").await;
    let tmux = connector(&terminal);
    terminal.keys("code-1", &["-l", "half a thought"]);
    terminal.shows("code-1", "half a thought").await;
    let refused = tmux
        .send(&name("code-1"), &message("[a:b -> c:code-1] now"))
        .await;
    assert!(
        matches!(refused, Err(ConnectorError::Draft(_))),
        "{refused:?}"
    );
    terminal.keys("code-1", &["Enter"]);
    let screen = terminal.shows("code-1", "got: half a thought").await;
    assert!(!screen.contains("now"), "{screen}");

    // As if the process had died between paste and Enter.
    let text = "[a:b -> c:code-1] now";
    terminal.keys("code-1", &["-l", text]);
    terminal.shows("code-1", text).await;
    tmux.send(&name("code-1"), &message(text)).await.unwrap();
    let screen = terminal.shows("code-1", &format!("got: {text}")).await;
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
    let terminal = Terminal::start(&[("code-1", READER), ("code-2", mute), ("code-3", "exit 3")]);
    let tmux = connector(&terminal);
    terminal.shows("code-1", ">").await;
    terminal.tmux(&["copy-mode", "-t", "=code-1:"]);
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
    terminal.tmux(&["set-option", "-t", "=code-2:", "remain-on-exit", "on"]);
    terminal.tmux(&["respawn-pane", "-k", "-t", "=code-2:", "exit 0"]);
    terminal.shows("code-2", "Pane is dead").await;
    let refused = tmux.send(&name("code-2"), &message("x")).await;
    assert!(
        matches!(refused, Err(ConnectorError::Ended(_))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_watcher_reads_what_is_shown_and_can_write_nothing() {
    let terminal = Terminal::start(&[("code-1", READER)]);
    terminal.shows("code-1", ">").await;
    let tmux = connector(&terminal);
    let mut watched = tmux.subscribe(&name("code-1")).await.unwrap();
    let clients = terminal.tmux(&[
        "list-clients",
        "-F",
        "#{client_readonly} #{client_control_mode}",
    ]);
    assert_eq!(clients.trim(), "1 1");
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
    terminal.tmux(&["kill-session", "-t", "=code-1:"]);
    let ended = tokio::time::timeout(Duration::from_secs(20), async {
        while watched.next().await.is_some() {}
    });
    ended.await.unwrap();
}

#[tokio::test]
async fn taking_over_is_opt_in_and_recorded() {
    let terminal = Terminal::start(&[("code-1", READER)]);
    terminal.shows("code-1", ">").await;
    let tmux = connector(&terminal);
    let record = terminal.folder().join("it's \"recorded\" $HOME.log");
    let refused = tmux.take_over(&name("code-1"), &record).await;
    assert!(
        matches!(refused, Err(ConnectorError::NotAllowed(_))),
        "{refused:?}"
    );
    terminal.tmux(&["set-option", "-t", "=code-1:", "@fleet_take_over", "on"]);
    tmux.take_over(&name("code-1"), &record).await.unwrap();
    let again = tmux.take_over(&name("code-1"), &record).await;
    assert!(
        matches!(again, Err(ConnectorError::Recorded(_))),
        "{again:?}"
    );
    terminal.keys("code-1", &["by hand", "Enter"]);
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
    let terminal = Terminal::start(&[("code-1", READER)]);
    let folder = terminal.folder();
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    let refused = connector(&terminal)
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
