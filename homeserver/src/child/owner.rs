//! The thread that starts all children, waits for them, and sends them signals.

use std::io;
use std::process::ExitStatus;
use std::sync::OnceLock;

use tokio::process::Command;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::{Child, ChildError, DROP_GRACE, Signal};

pub(super) struct Job {
    pub(super) command: Command,
    pub(super) death_signal: Signal,
    pub(super) reply: oneshot::Sender<io::Result<Child>>,
}

/// The thread that owns all children of this process, started on first use.
pub(super) fn host() -> Result<&'static mpsc::Sender<Job>, ChildError> {
    static HOST: OnceLock<Result<mpsc::Sender<Job>, String>> = OnceLock::new();
    HOST.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| e.to_string())?;
        let (jobs, queue) = mpsc::channel(16);
        std::thread::Builder::new()
            .name("children".to_owned())
            .spawn(move || runtime.block_on(own_children(queue)))
            .map_err(|e| e.to_string())?;
        Ok(jobs)
    })
    .as_ref()
    .map_err(|why| ChildError::Host(why.clone()))
}

async fn own_children(mut queue: mpsc::Receiver<Job>) {
    let mut children = JoinSet::new();
    loop {
        tokio::select! {
            job = queue.recv() => match job {
                Some(job) => start(job, &mut children),
                None => return, // the sender lives in a static: not while the process lives
            },
            Some(ended) = children.join_next() => if let Err(error) = ended {
                tracing::error!(%error, "the task that waits for a child failed");
            },
        }
    }
}

fn start(mut job: Job, children: &mut JoinSet<()>) {
    let spawned = job.command.kill_on_drop(true).spawn();
    let result = spawned.and_then(|process| {
        let pid = process
            .id()
            .ok_or_else(|| io::Error::other("ended at once"))?;
        let (exit_sender, exit) = watch::channel(None);
        let (signals, signal_queue) = mpsc::channel(8);
        children.spawn(own_child(
            process,
            job.death_signal,
            signal_queue,
            exit_sender,
        ));
        Ok(Child { pid, exit, signals })
    });
    // A caller that has gone away drops the handle, and with it the child.
    drop(job.reply.send(result));
}

/// Signals and reaping are in one task, so a signal never goes to an id that was reaped and
/// given to another process.
async fn own_child(
    mut process: tokio::process::Child,
    death_signal: Signal,
    mut signals: mpsc::Receiver<Signal>,
    exit: watch::Sender<Option<ExitStatus>>,
) {
    let status = loop {
        tokio::select! {
            status = process.wait() => break status,
            signal = signals.recv() => match signal {
                Some(signal) => send(&process, signal),
                None => {
                    send(&process, death_signal);
                    match tokio::time::timeout(DROP_GRACE, process.wait()).await {
                        Ok(status) => break status,
                        Err(_) => send(&process, Signal::Kill),
                    }
                    break process.wait().await;
                }
            },
        }
    };
    match status {
        Ok(status) => drop(exit.send_replace(Some(status))),
        Err(error) => tracing::error!(%error, "lost the exit status of a child"),
    }
}

fn send(process: &tokio::process::Child, signal: Signal) {
    let Some(pid) = process.id().and_then(pid_of) else {
        return;
    };
    if let Err(error) = rustix::process::kill_process(pid, signal.number()) {
        tracing::warn!(%error, ?signal, "signal not delivered");
    }
}

fn pid_of(id: u32) -> Option<rustix::process::Pid> {
    i32::try_from(id)
        .ok()
        .and_then(rustix::process::Pid::from_raw)
}
