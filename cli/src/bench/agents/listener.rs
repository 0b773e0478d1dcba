//! The memory of a process that listens.

use fleet_protocol::verbs::inbox::Send;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::member::Member;
use crate::bench::measure::{Figure, Target};
use crate::bench::memory;
use crate::error::{CliError, fixed};

/// Listeners that are measured: the kernel maps what is near to what a process touches, by what of the program's file lies together
/// in memory just then.
const LISTENERS: usize = 5;

/// Measures some, one after the other; the median counts.
pub(super) async fn memory(one: &Member, two: &Member) -> Result<Figure, CliError> {
    let mut resident = Vec::with_capacity(LISTENERS);
    for _ in 0..LISTENERS {
        resident.push(listen(one, two).await?);
    }
    resident.sort_by(f64::total_cmp);
    Ok(Figure {
        name: "rss_listener_mb",
        unit: "MB",
        value: resident[LISTENERS / 2],
        floor: None,
        target: Some(Target::Below(15.0)),
    })
}

/// What a listener has in memory when it has printed an item, in MB.
async fn listen(one: &Member, two: &Member) -> Result<f64, CliError> {
    let fault = |e| CliError::file("the listener's folder", e);
    let folder = tempfile::tempdir().map_err(fault)?;
    let mut listener = two.start(folder.path(), &["agent", "listen"])?;
    let stdout = listener.stdout.take();
    let stdout = stdout.ok_or_else(|| CliError::Internal("a listener without output".into()))?;
    one.say(Send {
        to: two.address()?,
        text: fixed("measure")?,
        class: None,
    })
    .await?;
    let line = BufReader::new(stdout).lines().next_line().await;
    line.map_err(|e| CliError::file("the listener's output", e))?
        .ok_or_else(|| CliError::Missed("the listener ended".into()))?;
    let pid = listener.id().unwrap_or_default();
    let value = memory::resident(pid)?;
    listener
        .kill()
        .await
        .map_err(|e| CliError::file("the listener", e))?;
    Ok(value)
}
