//! `fleet up` as a process: on a homeserver that is there already, and when a part of it is lost.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helper functions too"
)]

use std::path::Path;
use std::process::{ExitStatus, Stdio};

use fleet_agent::matrix::{Matrix, RoomEvent, text};
use fleet_tests::world::{PASSWORD, World, eventually, fleet};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, ChildStdout, Command};

/// A running `fleet up --json`.
struct Up {
    child: Child,
    out: BufReader<ChildStdout>,
    /// What it told once it was up.
    told: Value,
}

impl Up {
    async fn start(folder: &Path, variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(fleet().unwrap());
        command
            .args(["--json", "up", "--data"])
            .arg(folder.join("data"))
            .current_dir(folder)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", std::env::var_os("HOME").unwrap())
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).await.unwrap();
        let told: Value = serde_json::from_str(&line).unwrap();
        assert!(told["user"].is_string(), "{told}");
        Self { child, out, told }
    }

    /// Its end, and what it printed since it was up.
    async fn end(mut self) -> (ExitStatus, String) {
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).await.unwrap();
        (self.child.wait().await.unwrap(), rest)
    }

    async fn interrupt(self) -> (ExitStatus, String) {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        self.end().await
    }
}

async fn answer(person: &Matrix, room: &str, line: &str) -> RoomEvent {
    let sent = person
        .send(room, "m.room.message", &text(line), "up-1")
        .await
        .unwrap();
    eventually("an answer", || async {
        let history = person.history(room, 1_000).await.ok()?;
        history.into_iter().find(|e| e.reply_to() == Some(&sent))
    })
    .await
    .unwrap()
}

/// The process ids of the children that run a verb of the product.
fn children(of: u32, verb: &str) -> Vec<i32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else {
            continue;
        };
        let status = std::fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let is_child = status.contains(&format!("PPid:\t{of}\n"));
        if is_child && line.split(|b| *b == 0).any(|word| word == verb.as_bytes()) {
            found.push(pid);
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn it_uses_the_accounts_it_is_given_and_ends_when_a_part_is_lost() {
    let world = World::raise().await.unwrap();
    let place = tempfile::tempdir().unwrap();
    let tenant = format!("{}-up", world.tenant());
    // Accounts that are there before the fleet comes, as on a homeserver of somebody else.
    let ann = world.person("ann").await.unwrap();
    let bot = world.person("up-bot").await.unwrap();
    let bot_name = format!("{}-up-bot", world.tenant());
    // Neither a registration token nor a shared secret: no account can be made.
    let variables = [
        ("FLEET__TENANT__ID", tenant.as_str()),
        (
            "FLEET__HOMESERVER__URL",
            world.stack.homeserver().url.as_str(),
        ),
        ("FLEET__OPERATOR__USER_ID", ann.user_id()),
        ("FLEET__BOT__LOCALPART", &bot_name),
        ("FLEET__BOT__PASSWORD", PASSWORD),
    ];
    let up = Up::start(place.path(), &variables).await;
    assert_eq!(up.told["user"], ann.user_id());
    assert_eq!(up.told["password_file"], Value::Null);
    let (_, server) = ann.user_id().split_once(':').unwrap();
    let alias = format!("#fleet-{tenant}-lobby:{server}");
    let lobby = eventually("the operator named may join", || async {
        ann.join(&alias).await.ok()
    })
    .await
    .unwrap();
    let answer = answer(&ann, &lobby, "!whoami").await;
    assert_eq!(answer.sender, bot.user_id());
    assert!(answer.body().unwrap().contains("operator"), "{answer:?}");
    let (status, _) = up.interrupt().await;
    assert_eq!(status.code(), Some(0));

    let up = Up::start(place.path(), &variables).await;
    // From now on a gateway that ends cannot start again.
    let config = Path::new(up.told["config"].as_str().unwrap());
    std::fs::write(config, "[gateway]\nlisten = \"nowhere\"\n").unwrap();
    for pid in children(up.child.id().unwrap(), "gateway") {
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }
    let (status, rest) = up.end().await;
    assert_eq!(status.code(), Some(4), "{rest}");
    let error: Value = serde_json::from_str(&rest).unwrap();
    let detail = error["error"]["detail"].as_str().unwrap();
    for part in ["gateway.listen", "gateway.log"] {
        assert!(detail.contains(part), "{detail}");
    }
    world.end().await;
}
