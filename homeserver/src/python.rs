//! Private Python environments: made by the product, pinned by hash, shared between runs.
//!
//! An environment is named by its lock file's hash, so a new lock file is a new environment and
//! nothing is ever upgraded in place. A virtual environment cannot be moved (its scripts name
//! their own path), so it is built where it stays: under a file lock, with a marker written last.
//! Two processes that start at once make it once; a build that was interrupted is thrown away.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};

use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

/// The oldest and newest minor version of Python 3 that the lock files have wheels for.
const SUPPORTED: std::ops::RangeInclusive<u32> = 11..=13;

/// Written last: an environment without it is not complete.
const MARKER: &str = ".complete";

/// Told what is going on, one short line at a time.
pub type Progress<'a> = &'a (dyn Fn(&str) + Send + Sync);

/// Why there is no environment.
#[derive(Debug, thiserror::Error)]
pub enum PythonError {
    /// No interpreter of a supported version.
    #[error(
        "no Python 3.11, 3.12 or 3.13 found (tried {tried}); install one, e.g. `apt install python3 python3-venv`"
    )]
    NoInterpreter {
        /// What was tried, and the version found there.
        tried: String,
    },
    /// The interpreter comes without the modules that make virtual environments.
    #[error(
        "{interpreter} cannot make virtual environments; install its venv module, e.g. `apt install python3-venv`"
    )]
    NoVenv {
        /// The interpreter's path or name.
        interpreter: String,
    },
    /// `venv` or `pip` failed.
    #[error("{step} failed: {detail}; check the network and the free space, then try again")]
    Failed {
        /// What was being done.
        step: &'static str,
        /// The tool's last lines.
        detail: String,
    },
    /// Neither `XDG_CACHE_HOME` nor `HOME` is set.
    #[error("no cache folder: set HOME or XDG_CACHE_HOME")]
    NoCacheFolder,
    /// A file could not be used.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
}

/// What an environment contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Requirements {
    /// A short name for folders and messages.
    pub name: &'static str,
    /// A pip requirements file: every package with its version and hashes, dependencies included.
    pub lock: &'static str,
}

impl Requirements {
    /// The environment's folder name.
    #[must_use]
    pub fn folder_name(&self) -> String {
        let digest = Sha256::digest(self.lock.as_bytes());
        let hash: String = digest
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!("{}-{hash}", self.name)
    }
}

/// A complete environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    root: PathBuf,
}

impl Environment {
    /// The interpreter.
    #[must_use]
    pub fn python(&self) -> PathBuf {
        self.root.join("bin/python")
    }

    /// The folder of installed packages.
    ///
    /// # Errors
    /// [`PythonError::Io`] when the environment was damaged.
    pub fn site_packages(&self) -> Result<PathBuf, PythonError> {
        let lib = self.root.join("lib");
        let failed = |source| PythonError::Io {
            action: "read",
            path: lib.clone(),
            source,
        };
        for entry in std::fs::read_dir(&lib).map_err(failed)? {
            let candidate = entry.map_err(failed)?.path().join("site-packages");
            if candidate.is_dir() {
                return Ok(candidate);
            }
        }
        Err(failed(io::ErrorKind::NotFound.into()))
    }
}

/// The folder for environments of this user: `$XDG_CACHE_HOME/mosaic-fleet/venvs`, or the same
/// under `~/.cache`.
///
/// # Errors
/// [`PythonError::NoCacheFolder`] when neither variable is set.
pub fn default_cache() -> Result<PathBuf, PythonError> {
    let variable = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|p| p.is_absolute())
    };
    variable("XDG_CACHE_HOME")
        .or_else(|| variable("HOME").map(|home| home.join(".cache")))
        .map(|cache| cache.join("mosaic-fleet/venvs"))
        .ok_or(PythonError::NoCacheFolder)
}

/// Gives the environment for `requirements` in the folder `cache`, made if it is not there.
///
/// # Errors
/// [`PythonError`]: no usable interpreter, a failed download, an unusable folder.
pub async fn environment(
    requirements: &Requirements,
    cache: &Path,
    progress: Progress<'_>,
) -> Result<Environment, PythonError> {
    let root = cache.join(requirements.folder_name());
    let environment = Environment { root: root.clone() };
    if is_complete(&root).await {
        return Ok(environment);
    }
    create_folder(cache).await?;
    let _guard = lock(&root.with_extension("lock"), progress).await?;
    if is_complete(&root).await {
        return Ok(environment);
    }
    remove_folder(&root).await?;
    let interpreter = interpreter().await?;
    build(requirements, &interpreter, &root, progress).await?;
    let marker = root.join(MARKER);
    tokio::fs::write(&marker, interpreter.as_bytes())
        .await
        .map_err(|source| PythonError::Io {
            action: "write",
            path: marker,
            source,
        })?;
    Ok(environment)
}

/// The marker alone is not enough: the interpreter behind the link may have been uninstalled.
async fn is_complete(root: &Path) -> bool {
    tokio::fs::try_exists(root.join(MARKER))
        .await
        .unwrap_or(false)
        && tokio::fs::try_exists(root.join("bin/python"))
            .await
            .unwrap_or(false)
}

async fn create_folder(path: &Path) -> Result<(), PythonError> {
    tokio::fs::create_dir_all(path)
        .await
        .map_err(|source| PythonError::Io {
            action: "make",
            path: path.to_owned(),
            source,
        })
}

async fn remove_folder(path: &Path) -> Result<(), PythonError> {
    match tokio::fs::remove_dir_all(path).await {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(PythonError::Io {
            action: "remove",
            path: path.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}

/// An exclusive lock, released when the file is dropped (also by the death of the process).
async fn lock(path: &Path, progress: Progress<'_>) -> Result<File, PythonError> {
    let path = path.to_owned();
    let failed = |source| PythonError::Io {
        action: "lock",
        path: path.clone(),
        source,
    };
    let file = File::create(&path).map_err(failed)?;
    if file.try_lock().is_ok() {
        return Ok(file);
    }
    progress("waiting for another process that is preparing the same environment");
    tokio::task::spawn_blocking(move || file.lock().map(|()| file))
        .await
        .map_err(|e| failed(io::Error::other(e)))?
        .map_err(failed)
}

/// The first interpreter of a supported version that can make environments.
async fn interpreter() -> Result<String, PythonError> {
    const PROBE: &str = "import sys\nprint(*sys.version_info[:2])\nimport venv, ensurepip";
    let mut tried = Vec::new();
    let mut without_venv = None;
    for name in ["python3", "python3.13", "python3.12", "python3.11"] {
        let probe = Command::new(name)
            .args(["-c", PROBE])
            .stdin(Stdio::null())
            .output()
            .await;
        let Ok(probe) = probe else {
            tried.push(format!("{name}: absent"));
            continue;
        };
        let version = String::from_utf8_lossy(&probe.stdout)
            .trim()
            .replace(' ', ".");
        if !is_supported(&version) {
            tried.push(format!("{name}: {version}"));
        } else if probe.status.success() {
            return Ok(name.to_owned());
        } else {
            without_venv.get_or_insert(name);
        }
    }
    Err(match without_venv {
        Some(name) => PythonError::NoVenv {
            interpreter: name.to_owned(),
        },
        None => PythonError::NoInterpreter {
            tried: tried.join(", "),
        },
    })
}

fn is_supported(version: &str) -> bool {
    version
        .strip_prefix("3.")
        .and_then(|minor| minor.parse().ok())
        .is_some_and(|minor| SUPPORTED.contains(&minor))
}

async fn build(
    requirements: &Requirements,
    interpreter: &str,
    root: &Path,
    progress: Progress<'_>,
) -> Result<(), PythonError> {
    progress(&format!(
        "making a Python environment for {}",
        requirements.name
    ));
    let mut venv = Command::new(interpreter);
    venv.args(["-m", "venv"]).arg(root);
    run("python -m venv", venv, &|_| {}).await?;

    let lock = root.join("requirements.txt");
    tokio::fs::write(&lock, requirements.lock)
        .await
        .map_err(|source| PythonError::Io {
            action: "write",
            path: lock.clone(),
            source,
        })?;
    let mut pip = Command::new(root.join("bin/python"));
    pip.args([
        "-m",
        "pip",
        "install",
        "--no-input",
        "--disable-pip-version-check",
    ])
    .args([
        "--progress-bar",
        "off",
        "--only-binary",
        ":all:",
        "--no-deps",
        "--require-hashes",
    ])
    .arg("-r")
    .arg(&lock);
    let packages = requirements.lock.matches("==").count();
    let seen = AtomicUsize::new(0);
    run("pip install", pip, &|line| {
        tell(line, packages, &seen, progress)
    })
    .await
}

/// What pip's line means to the one who waits.
fn tell(line: &str, packages: usize, seen: &AtomicUsize, progress: Progress<'_>) {
    if let Some(package) = line.strip_prefix("Collecting ") {
        let number = seen.fetch_add(1, Ordering::Relaxed) + 1;
        let package = package.split_whitespace().next().unwrap_or(package);
        progress(&format!("{number} of {packages}: {package}"));
    } else if line.starts_with("Installing") {
        progress(&format!("installing {packages} packages"));
    }
}

/// Runs a tool to its end, handing on its lines; keeps the last ones for the error.
async fn run(
    step: &'static str,
    mut command: Command,
    on_line: &(dyn Fn(&str) + Send + Sync),
) -> Result<(), PythonError> {
    const KEPT: usize = 12;
    let failed = |detail: String| PythonError::Failed { step, detail };
    // The tool writes errors to stderr, and a Debian `venv` to stdout: both matter, in order.
    let (reader, writer) = io::pipe().map_err(|e| failed(e.to_string()))?;
    let other = writer.try_clone().map_err(|e| failed(e.to_string()))?;
    command
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(other)
        .kill_on_drop(true);
    let mut child = command.spawn().map_err(|e| failed(e.to_string()))?;
    drop(command); // holds the pipe's writing end: without this the lines never end
    let file = File::from(std::os::fd::OwnedFd::from(reader));
    let mut lines = BufReader::new(tokio::fs::File::from_std(file)).lines();
    let mut kept = std::collections::VecDeque::new();
    while let Some(line) = lines.next_line().await.map_err(|e| failed(e.to_string()))? {
        on_line(line.trim());
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(line);
    }
    let status = child.wait().await.map_err(|e| failed(e.to_string()))?;
    if status.success() {
        return Ok(());
    }
    Err(failed(format!("{status}: {}", Vec::from(kept).join("\n"))))
}

#[cfg(test)]
mod tests;
