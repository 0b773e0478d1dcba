//! The fleet, watched in a terminal.

use fleet_tests::world::{GATEWAY, World, fleet};

use crate::terminal::Terminal;
use crate::{join, shell};

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

    let terminal = Terminal::run("desk", "exec bash --norc --noprofile -i");
    terminal.shows("bash-").await;
    let watch = format!(
        "FLEET_AGENT_CREDENTIALS='{}' NO_COLOR=1 '{}' watch --every 1s; echo ended with $?",
        one.display(),
        fleet().unwrap().display()
    );
    terminal.keys(&["-l", &watch]);
    terminal.keys(&["Enter"]);
    terminal.shows("Mosaic Fleet, ").await;
    let flags = || {
        let format = "#{alternate_on}#{cursor_flag}";
        terminal.tmux(&["display-message", "-p", "-t", &terminal.target(), format])
    };
    assert_eq!(flags().trim(), "10");
    // It changes by itself, and says when it cannot know.
    join(&world, folder.path(), &["--name", "code-2", "--no-matrix"]).await;
    terminal.shows("code-2").await;
    world.stack.processes().stop(GATEWAY).await.unwrap();
    terminal.shows("NOT NOW").await;
    terminal.shows("code-2").await;
    terminal.keys(&["C-c"]);
    terminal.shows("ended with 0").await;
    assert_eq!(flags().trim(), "01");
    world.end().await;
}
