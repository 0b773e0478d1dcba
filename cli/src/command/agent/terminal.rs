//! `fleet agent watch`: an agent's terminal, for reading; for typing only where that is allowed, and
//! then recorded.

use std::fs::OpenOptions;
use std::io::{IsTerminal as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use fleet_agent::connector::tmux::{Socket, Tmux};
use fleet_agent::connector::{Connector as _, ConnectorError};
use fleet_protocol::Timestamp;
use serde_json::json;

use crate::args::AgentWatch;
use crate::command::stop_signal;
use crate::error::CliError;
use crate::exit::Exit;
use crate::{Context, system};

/// Shows what an agent's terminal shows, until it ends or Ctrl-C.
pub(crate) async fn watch(context: &Context, args: &AgentWatch) -> Result<Exit, CliError> {
    let tmux = Tmux::new(socket(args.socket.as_deref()));
    if let Some(reason) = args.take_over.as_deref() {
        return take_over(context, args, &tmux, reason).await;
    }
    let stop = stop_signal()?;
    let mut shown = tmux.subscribe(&args.name).await?;
    loop {
        let line = tokio::select! {
            line = shown.next() => line,
            () = stop.cancelled() => None,
        };
        let Some(line) = line else {
            return Ok(Exit::Done);
        };
        context
            .out
            .answer(&json!({ "line": line }), || line.clone())?;
    }
}

/// A socket by name, or by path when it holds a slash.
pub(crate) fn socket(name: Option<&str>) -> Socket {
    match name {
        Some(path) if path.contains('/') => Socket::at(path),
        Some("default") => Socket::named(None),
        name => Socket::named(name.or(Some(fleet_agent::connector::tmux::FLEET_SOCKET))),
    }
}

async fn take_over(
    context: &Context,
    args: &AgentWatch,
    tmux: &Tmux,
    reason: &str,
) -> Result<Exit, CliError> {
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        return Err(CliError::Usage(
            "taking over is typing: run it in a terminal; without --take-over it only watches"
                .into(),
        ));
    }
    let now = system::clock()();
    let record = record(args, reason, now)?;
    let mut attach = tmux.take_over(&args.name, &record).await?;
    context
        .out
        .progress(&format!("recorded in {}", record.display()));
    let status = attach.status().map_err(|e| ConnectorError::Program {
        program: "tmux",
        detail: e.to_string(),
    })?;
    // The session may have ended meanwhile: then there is nothing to hand back.
    match tmux.hand_back(&args.name).await {
        Ok(()) | Err(ConnectorError::NoSession(_) | ConnectorError::Program { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    if status.success() {
        Ok(Exit::Done)
    } else {
        Err(CliError::Missed(format!("tmux ended with {status}")))
    }
}

/// A new file that begins with who took what over, when and why.
fn record(args: &AgentWatch, reason: &str, now: Timestamp) -> Result<PathBuf, CliError> {
    let folder = state_folder()?.join("mosaic-fleet/take-overs");
    let fault = |path: &Path| {
        let path = path.to_owned();
        move |e| CliError::file(path, e)
    };
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .map_err(fault(&folder))?;
    let file = folder.join(format!("{}-{}.log", args.name, now.as_millis()));
    let header = json!({
        "agent": args.name,
        "at": now,
        "by": std::env::var("USER").unwrap_or_default(),
        "reason": reason,
    });
    OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&file)
        .and_then(|mut new| writeln!(new, "{header}"))
        .map_err(fault(&file))?;
    Ok(file)
}

fn state_folder() -> Result<PathBuf, CliError> {
    let variable = |name| {
        std::env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    };
    variable("XDG_STATE_HOME")
        .or_else(|| variable("HOME").map(|home| home.join(".local/state")))
        .ok_or_else(|| CliError::Usage("no folder for the record: set HOME".into()))
}
