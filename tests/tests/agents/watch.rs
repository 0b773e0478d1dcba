//! The fleet, watched in a terminal.

use fleet_tests::terminal::Terminal;
use fleet_tests::world::{GATEWAY, World, fleet};

use crate::{join, shell};

/// The session in which somebody watches.
const DESK: &str = "desk";

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_live_and_leaves_the_terminal_as_it_was() {
    let world = World::raise().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (one, _) = join(&world, folder.path(), &["--name", "code-1", "--no-matrix"]).await;
    // As lines for programs, and once where there is no terminal.
    let line = shell(&world, &[], &["watch", "--once"]).await.unwrap();
    assert_eq!(line["ps"]["agents"][0]["name"], "code-1");
    assert!(
        line["at"].is_string() && line["budgets"].is_array() && line["queue"].is_array(),
        "{line}"
    );
    let text = world.fleet(&["watch"], &[]).await.unwrap();
    assert!(text.status.success());
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(
        text.contains("code-1") && !text.contains('\u{1b}'),
        "{text}"
    );

    let terminal = Terminal::start(&[(DESK, "exec bash --norc --noprofile -i")]);
    terminal.shows(DESK, "bash-").await;
    let watch = format!(
        "FLEET_AGENT_CREDENTIALS='{}' NO_COLOR=1 '{}' watch --every 1s; echo ended with $?",
        one.display(),
        fleet().unwrap().display()
    );
    terminal.keys(DESK, &["-l", &watch]);
    terminal.keys(DESK, &["Enter"]);
    terminal.shows(DESK, "Mosaic Fleet, ").await;
    let flags = || {
        let format = "#{alternate_on}#{cursor_flag}";
        terminal.tmux(&["display-message", "-p", "-t", "=desk:", format])
    };
    assert_eq!(flags().trim(), "10");
    // It changes by itself, and says when it cannot know.
    join(&world, folder.path(), &["--name", "code-2", "--no-matrix"]).await;
    terminal.shows(DESK, "code-2").await;
    world.stack.processes().stop(GATEWAY).await.unwrap();
    terminal.shows(DESK, "NOT NOW").await;
    terminal.shows(DESK, "code-2").await;
    terminal.keys(DESK, &["C-c"]);
    terminal.shows(DESK, "ended with 0").await;
    assert_eq!(flags().trim(), "01");
    world.end().await;
}
