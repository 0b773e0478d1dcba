//! Runs quality gates where the work is: a command line of the gate's author, in a shell, for a bounded
//! time; what it came to is cut to what the register keeps and free of anything a terminal obeys.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use fleet_protocol::verbs::gate::{Gate, GateOutcome};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;
use tokio::process::Command;

use crate::connector::plain;

/// The exit code of a command that took too long, as `timeout(1)` has it.
const TOO_LONG: u8 = 124;
/// A command that was ended by a signal ends with this and the signal's number, as shells have it.
const SIGNALLED: i32 = 128;
/// How long the rest of the output may take, once nothing is left that writes to it.
const REST: Duration = Duration::from_secs(1);
/// Characters of output that are kept: the end says what went wrong.
const KEPT: usize = 1_500;

/// Why a gate could not be run.
#[derive(Debug, thiserror::Error)]
#[error("{gate} cannot be run: {source}")]
pub struct GateFault {
    /// Which gate.
    gate: String,
    /// Why.
    #[source]
    source: std::io::Error,
}

/// A process group that does not outlive this.
struct Group(Pid);

impl Drop for Group {
    fn drop(&mut self) {
        // Nothing is left of most groups.
        let _ = kill_process_group(self.0, Signal::KILL);
    }
}

/// Runs a gate in a folder. The command goes to `sh -c` as it was written; nothing is put into it. It
/// has no input, and whatever it started ends with it.
///
/// # Errors
/// [`GateFault`] when there is no shell or no such folder.
pub async fn run(gate: &Gate, folder: &Path, limit: Duration) -> Result<GateOutcome, GateFault> {
    let fault = |source| GateFault {
        gate: gate.name.to_string(),
        source,
    };
    let (reader, writer) = std::io::pipe().map_err(fault)?;
    let mut output = Receiver::from_owned_fd(reader.into()).map_err(fault)?;
    let mut child = {
        // Gone before the output is read: else it would hold the other end open.
        let mut command = Command::new("sh");
        command
            .args(["-c", gate.command.as_str()])
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(writer.try_clone().map_err(fault)?)
            .stderr(writer)
            .process_group(0)
            .kill_on_drop(true);
        command.spawn().map_err(fault)?
    };
    let group = child
        .id()
        .and_then(|id| Pid::from_raw(id.cast_signed()))
        .map(Group);
    let mut kept = Vec::new();
    let ended = tokio::time::timeout(limit, async {
        let mut ended = None;
        loop {
            tokio::select! {
                read = tail(&mut output, &mut kept) => if read? == 0 { break },
                status = child.wait(), if ended.is_none() => {
                    ended = Some(status?);
                    break;
                }
            }
        }
        match ended {
            Some(status) => Ok(status),
            None => child.wait().await,
        }
    })
    .await;
    drop(group);
    // What was written before the end is still in the pipe. Who left the group may hold it open.
    let rest = async {
        while tail(&mut output, &mut kept).await? > 0 {}
        Ok(())
    };
    if let Ok(read) = tokio::time::timeout(REST, rest).await {
        read.map_err(fault)?;
    }
    let exit_code = match ended {
        Ok(status) => code(status.map_err(fault)?),
        Err(_) => TOO_LONG,
    };
    Ok(GateOutcome {
        name: gate.name.clone(),
        exit_code,
        output: cut(&kept).parse().ok(),
    })
}

/// Reads on; keeps the end only.
async fn tail(output: &mut Receiver, kept: &mut Vec<u8>) -> std::io::Result<usize> {
    let mut chunk = [0; 8_192];
    let n = output.read(&mut chunk).await?;
    kept.extend(chunk.iter().take(n));
    // Characters have at most four bytes; escape sequences take room too.
    let spare = kept.len().saturating_sub(8 * KEPT);
    kept.drain(..spare);
    Ok(n)
}

fn code(status: ExitStatus) -> u8 {
    let code = status
        .code()
        .or_else(|| status.signal().map(|s| SIGNALLED + s));
    code.and_then(|code| u8::try_from(code).ok())
        .unwrap_or(u8::MAX)
}

/// The end of what was printed, as text.
fn cut(output: &[u8]) -> String {
    let text = plain(&String::from_utf8_lossy(output), true);
    let spare = text.chars().count().saturating_sub(KEPT);
    text.chars().skip(spare).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    async fn ran(command: &str, limit: Duration) -> (u8, String) {
        let folder = tempfile::tempdir().unwrap();
        let gate = format!("check={command}").parse().unwrap();
        let outcome = run(&gate, folder.path(), limit).await.unwrap();
        assert_eq!(outcome.name.as_str(), "check");
        (
            outcome.exit_code,
            outcome.output.map_or_else(String::new, |o| o.to_string()),
        )
    }

    #[tokio::test]
    async fn a_gate_passes_by_ending_with_zero_and_its_output_is_told() {
        assert_eq!(ran("true", LIMIT).await, (0, String::new()));
        assert_eq!(
            ran("echo out; echo err >&2; exit 3", LIMIT).await,
            (3, "out\nerr".into())
        );
        assert_eq!(ran("kill -9 $$", LIMIT).await.0, 137);
        assert_eq!(ran("no-such-program-anywhere", LIMIT).await.0, 127);
        // It has no input that it could wait for.
        assert_eq!(ran("read line", LIMIT).await.0, 1);
    }

    #[tokio::test]
    async fn output_is_cut_at_its_front_and_holds_nothing_that_a_terminal_obeys() {
        let (code, output) = ran("seq 100000; printf '\\033[2J\\007end\\r\\n'", LIMIT).await;
        assert_eq!(code, 0);
        assert!(output.ends_with("100000\nend"), "{output}");
        assert_eq!(output.chars().count(), KEPT);
        assert_eq!(ran("printf '\\377\\000x'", LIMIT).await.1, "\u{fffd}x");
    }

    #[tokio::test]
    async fn what_takes_too_long_is_ended_with_all_that_it_started() {
        // In the background too, and whether its gate took too long or has ended before.
        let slow = ran("sleep 1000 & echo $!; sleep 1000", Duration::from_secs(1)).await;
        let quick = ran("sleep 1000 & echo $!", LIMIT).await;
        assert_eq!((slow.0, quick.0), (TOO_LONG, 0));
        for (_, id) in [slow, quick] {
            let process = std::path::PathBuf::from("/proc").join(&id).join("stat");
            let is_gone = || match std::fs::read_to_string(&process) {
                Ok(stat) => stat.contains(") Z "),
                Err(_) => true,
            };
            let gone = async {
                while !is_gone() {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            tokio::time::timeout(LIMIT, gone).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_folder_that_is_not_there_is_a_fault_and_no_outcome() {
        let gate = "check=true".parse().unwrap();
        let refused = run(&gate, Path::new("/no/such/folder"), LIMIT)
            .await
            .unwrap_err();
        assert!(refused.to_string().starts_with("check cannot be run"));
    }
}
