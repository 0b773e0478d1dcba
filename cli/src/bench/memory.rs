//! Memory and processor time of bot and gateway, as the kernel counts them.

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

use super::measure::{Figure, Target};
use crate::error::CliError;
use crate::output::Output;
use crate::raise::{BOT, Fleet, GATEWAY};

/// Clock ticks per second in `/proc`: fixed in the kernel's interface with programs (`USER_HZ`).
const TICKS: f64 = 100.0;
/// How long work after the last answer (settlements, marks) may take.
const SETTLED: Duration = Duration::from_secs(5);

/// Measures memory now and processor time over `idle`.
pub(crate) async fn measure(
    out: Output,
    fleet: &Fleet,
    idle: Duration,
) -> Result<Vec<Figure>, CliError> {
    let (bot, gateway) = (pid(fleet, BOT)?, pid(fleet, GATEWAY)?);
    let figure = |name, unit, value, limit| Figure {
        name,
        unit,
        value,
        floor: None,
        target: Some(Target::Below(limit)),
    };
    let mut figures = vec![
        figure("rss_bot_mb", "MB", resident(bot)?, 150.0),
        figure("rss_gateway_mb", "MB", resident(gateway)?, 60.0),
    ];
    out.progress(&format!("nothing happens for {} s", idle.as_secs()));
    tokio::time::sleep(SETTLED).await;
    let (before, began) = (ticks(bot)? + ticks(gateway)?, Instant::now());
    tokio::time::sleep(idle).await;
    let spent = ticks(bot)? + ticks(gateway)? - before;
    let percent = spent / TICKS / began.elapsed().as_secs_f64() * 100.0;
    figures.push(figure("idle_cpu", "% of a core", percent, 1.0));
    Ok(figures)
}

fn pid(fleet: &Fleet, name: &'static str) -> Result<u32, CliError> {
    let pid = fleet.stack.processes().pid(name);
    pid.map_err(|e| CliError::service("a process to measure", &e))?
        .ok_or_else(|| CliError::Missed(format!("{name} does not run")))
}

fn read(pid: u32, file: &str) -> Result<String, CliError> {
    let path = PathBuf::from(format!("/proc/{pid}/{file}"));
    std::fs::read_to_string(&path).map_err(|e| CliError::file(path, e))
}

/// Resident memory in MB.
pub(super) fn resident(pid: u32) -> Result<f64, CliError> {
    resident_in(&read(pid, "status")?)
        .ok_or_else(|| CliError::Internal("the kernel tells no resident memory".into()))
}

fn resident_in(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1_024.0 / 1_000_000.0)
}

/// Ticks of processor time, in user and kernel mode.
fn ticks(pid: u32) -> Result<f64, CliError> {
    ticks_in(&read(pid, "stat")?)
        .ok_or_else(|| CliError::Internal("the kernel tells no processor time".into()))
}

/// The name of a process may hold anything, so the fields are counted from behind its bracket:
/// `utime` is the 14th, `stime` the 15th.
fn ticks_in(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let utime: f64 = fields.next()?.parse().ok()?;
    let stime: f64 = fields.next()?.parse().ok()?;
    Some(utime + stime)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says_is_read() {
        assert_eq!(
            resident_in("Name:\tfleet\nVmRSS:\t   50000 kB\n"),
            Some(51.2)
        );
        assert_eq!(resident_in("Name:\tfleet\n"), None);
        let stat = "12 (a ) b) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0";
        assert_eq!(ticks_in(stat), Some(300.0));
        assert_eq!(ticks_in("12 (x"), None);
    }

    #[test]
    fn this_process_has_memory_and_has_worked() {
        let own = std::process::id();
        assert!(resident(own).unwrap() > 0.1);
        assert!(ticks(own).is_ok());
        assert!(resident(u32::MAX).is_err());
    }
}
