//! Where on this machine the credentials of its agents are.

use std::fs::File;
use std::path::{Path, PathBuf};

use fleet_protocol::scalar::Name;

use crate::args::AgentJoin;
use crate::error::CliError;

/// The name of this machine.
pub(super) fn this_machine() -> Result<Name, CliError> {
    const FILE: &str = "/proc/sys/kernel/hostname";
    let name = std::fs::read_to_string(FILE).map_err(|e| CliError::file(FILE, e))?;
    name.trim()
        .parse()
        .map_err(|e| CliError::Usage(format!("this machine's name {e}; give it with --host")))
}

/// The file of an agent that joined here before: the one that is named, else the first of the role.
pub(super) fn known(args: &AgentJoin, host: &Name) -> Result<Option<PathBuf>, CliError> {
    if let Some(path) = &args.credentials {
        return Ok(path.exists().then(|| path.clone()));
    }
    let folder = folder()?;
    if let Some(name) = &args.name {
        let path = folder.join(file_name(name, host));
        return Ok(path.exists().then_some(path));
    }
    let first = format!("{}-", args.role);
    let last = format!("@{host}.json");
    let number = |path: &PathBuf| -> Option<u32> {
        let name = path.file_name()?.to_str()?;
        name.strip_prefix(&first)?.strip_suffix(&last)?.parse().ok()
    };
    let files = match std::fs::read_dir(&folder) {
        Ok(files) => files,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(CliError::file(folder, e)),
    };
    Ok(files
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| number(path).is_some())
        .min_by_key(number))
}

/// The file of a new agent; its folder exists.
pub(super) fn file(args: &AgentJoin, name: &Name, host: &Name) -> Result<PathBuf, CliError> {
    let path = match &args.credentials {
        Some(path) => path.clone(),
        None => folder()?.join(file_name(name, host)),
    };
    make_folder(&path)?;
    Ok(path)
}

fn make_folder(file: &Path) -> Result<(), CliError> {
    match file.parent().filter(|p| !p.as_os_str().is_empty()) {
        Some(folder) => std::fs::create_dir_all(folder).map_err(|e| CliError::file(folder, e)),
        None => Ok(()),
    }
}

fn file_name(name: &Name, host: &Name) -> String {
    format!("{name}@{host}.json")
}

/// `$XDG_STATE_HOME/fleet/agents` (XDG Base Directory Specification).
fn folder() -> Result<PathBuf, CliError> {
    let set = |name| std::env::var_os(name).filter(|v| !v.is_empty());
    let state = match (set("XDG_STATE_HOME"), set("HOME")) {
        (Some(state), _) => PathBuf::from(state),
        (None, Some(home)) => Path::new(&home).join(".local/state"),
        (None, None) => {
            return Err(CliError::Usage(
                "neither XDG_STATE_HOME nor HOME is set; name the file with --credentials".into(),
            ));
        }
    };
    Ok(state.join("fleet/agents"))
}

/// Held while a process joins as an agent of a role here, as which one is not known yet.
pub(super) fn lock_role(args: &AgentJoin, host: &Name) -> Result<File, CliError> {
    let file = match &args.credentials {
        Some(path) => path.with_extension("join"),
        None => folder()?.join(format!("{}@{host}.join", args.role)),
    };
    make_folder(&file)?;
    hold(file)
}

/// Held while a process joins with a file or changes it.
pub(super) fn lock(path: &Path) -> Result<File, CliError> {
    hold(path.with_extension("lock"))
}

fn hold(lock: PathBuf) -> Result<File, CliError> {
    let fault = |e| CliError::file(&lock, e);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&lock)
        .map_err(fault)?;
    file.lock().map_err(fault)?;
    Ok(file)
}
