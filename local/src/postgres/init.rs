//! A new data folder: all or nothing. It is made beside its place and renamed when the database
//! is in it, so an interrupted start leaves nothing that looks finished.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::account::Account;
use super::binaries::Binaries;
use super::{OWNER, PostgresError};

/// The major version that made the folder; `None` when there is no cluster yet.
pub(super) fn made_by(data: &Path) -> Result<Option<u32>, PostgresError> {
    let io = |source| PostgresError::Io {
        action: "read",
        path: data.to_owned(),
        source,
    };
    let version = data.join("PG_VERSION");
    if version.exists() {
        let text = std::fs::read_to_string(version).map_err(io)?;
        let number = text
            .trim()
            .parse()
            .map_err(|_| PostgresError::NotACluster {
                data: data.to_owned(),
            })?;
        return Ok(Some(number));
    }
    if data.exists() && std::fs::read_dir(data).map_err(io)?.next().is_some() {
        return Err(PostgresError::NotACluster {
            data: data.to_owned(),
        });
    }
    Ok(None)
}

/// Makes the cluster and its database.
pub(super) async fn make(
    binaries: &Binaries,
    account: &Account,
    data: &Path,
    database: &str,
    throwaway: bool,
) -> Result<(), PostgresError> {
    let building = with_suffix(data, ".init");
    let io = |action| {
        let path = building.clone();
        move |source| PostgresError::Io {
            action,
            path,
            source,
        }
    };
    if building.exists() {
        std::fs::remove_dir_all(&building).map_err(io("remove"))?;
    }
    account.private_folder(&building).map_err(io("make"))?;
    let mut initdb = command(binaries, account, "initdb");
    initdb
        .arg("-D")
        .arg(&building)
        .args(["-U", OWNER, "--locale=C", "-E", "UTF8"]);
    // No password: the only way in is a socket in a folder that is closed to other users.
    initdb.args([
        "--auth-local=trust",
        "--auth-host=reject",
        "--no-instructions",
    ]);
    if throwaway {
        initdb.arg("--no-sync");
    }
    run("initdb", initdb, "").await?;
    let mut single = command(binaries, account, "postgres");
    single.arg("--single").arg("-D").arg(&building);
    single
        .args(["-c", "exit_on_error=on"])
        .args(if throwaway { &["-F"][..] } else { &[] })
        .arg("postgres");
    run(
        "create database",
        single,
        &format!("CREATE DATABASE \"{database}\"\n"),
    )
    .await?;
    std::fs::rename(&building, data).map_err(io("rename"))
}

/// A program of the cluster, as its user, with nothing of our environment.
fn command(binaries: &Binaries, account: &Account, program: &str) -> Command {
    let mut command = Command::new(binaries.program(program));
    command
        .env_clear()
        .env("LC_ALL", "C")
        .env("TZ", "UTC")
        .current_dir("/")
        .kill_on_drop(true);
    if let Some(run_as) = account.run_as() {
        command.uid(run_as.uid).gid(run_as.gid);
    }
    command
}

async fn run(step: &'static str, mut command: Command, input: &str) -> Result<(), PostgresError> {
    let failed = |detail: String| PostgresError::InitFailed { step, detail };
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|e| failed(e.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ended early says why below; the broken pipe would only hide it.
        let written = stdin.write_all(input.as_bytes()).await;
        written.unwrap_or_else(|error| tracing::debug!(step, %error, "input not read"));
    }
    let output = child
        .wait_with_output()
        .await
        .map_err(|e| failed(e.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = text.lines().collect();
    let tail = lines[lines.len().saturating_sub(6)..].join("\n");
    Err(failed(format!("{}: {tail}", output.status)))
}

pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
