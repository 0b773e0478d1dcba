//! Which user PostgreSQL runs as. It refuses root, so root needs another account for it, and that
//! account must be able to reach the binaries and the data.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use fleet_homeserver::child::RunAs;

/// The user of the cluster's processes and files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    name: Option<String>,
    uid: u32,
    gid: u32,
}

impl Account {
    /// Ourselves, unless we are root: then `postgres` if the machine has that user, else `nobody`.
    ///
    /// # Errors
    /// `/etc/passwd` cannot be read or has neither user.
    pub fn for_cluster() -> io::Result<Self> {
        let uid = rustix::process::geteuid();
        if !uid.is_root() {
            let gid = rustix::process::getegid().as_raw();
            return Ok(Self {
                name: None,
                uid: uid.as_raw(),
                gid,
            });
        }
        let passwd = std::fs::read_to_string("/etc/passwd")?;
        ["postgres", "nobody"]
            .into_iter()
            .find_map(|name| in_passwd(&passwd, name))
            .ok_or_else(|| io::Error::other("no user `postgres` or `nobody` in /etc/passwd"))
    }

    /// The account to switch to; `None` when it is our own.
    #[must_use]
    pub fn run_as(&self) -> Option<RunAs> {
        self.name.as_ref().map(|_| RunAs {
            uid: self.uid,
            gid: self.gid,
        })
    }

    /// For messages.
    #[must_use]
    pub fn label(&self) -> String {
        self.name
            .clone()
            .unwrap_or_else(|| format!("uid {}", self.uid))
    }

    /// The first folder on the way to `path` (itself included) that the account cannot enter.
    /// Parts that do not exist yet are not counted.
    #[must_use]
    pub fn barrier(&self, path: &Path) -> Option<PathBuf> {
        let mut ancestors: Vec<&Path> = path.ancestors().collect();
        ancestors.reverse();
        ancestors
            .into_iter()
            .find(|part| part.metadata().is_ok_and(|m| !self.may_enter(&m)))
            .map(Path::to_owned)
    }

    /// Makes a folder with mode 0700 that belongs to the account; an existing one must already be
    /// exactly that (in a shared place such as `/tmp` somebody else may have made it).
    ///
    /// # Errors
    /// The folder cannot be made, or is not the account's alone.
    pub fn private_folder(&self, path: &Path) -> io::Result<()> {
        use std::os::unix::fs::DirBuilderExt as _;
        match std::fs::DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => std::os::unix::fs::lchown(path, Some(self.uid), Some(self.gid)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let found = path.symlink_metadata()?;
                if found.is_dir() && found.uid() == self.uid && found.mode() & 0o077 == 0 {
                    return Ok(());
                }
                Err(io::Error::other(format!(
                    "exists, but is not a folder of {} alone",
                    self.label()
                )))
            }
            Err(error) => Err(error),
        }
    }

    fn may_enter(&self, metadata: &Metadata) -> bool {
        let bit = if self.uid == 0 {
            return true;
        } else if metadata.uid() == self.uid {
            0o100
        } else if metadata.gid() == self.gid {
            0o010
        } else {
            0o001
        };
        metadata.mode() & bit != 0
    }
}

fn in_passwd(passwd: &str, name: &str) -> Option<Account> {
    passwd
        .lines()
        .find_map(|line| {
            let mut fields = line.split(':');
            let (user, _, uid, gid) = (
                fields.next()?,
                fields.next()?,
                fields.next()?,
                fields.next()?,
            );
            (user == name)
                .then(|| uid.parse().ok().zip(gid.parse().ok()))
                .flatten()
        })
        .map(|(uid, gid)| Account {
            name: Some(name.to_owned()),
            uid,
            gid,
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn users_are_found_by_their_whole_name() {
        let passwd =
            "postgresql:x:9:9::/:\npostgres:x:101:104:PostgreSQL,,,:/var:/bin/sh\nbad:x:y:z\n";
        let found = in_passwd(passwd, "postgres").unwrap();
        assert_eq!((found.uid, found.gid), (101, 104));
        assert_eq!(in_passwd(passwd, "bad"), None);
        assert_eq!(in_passwd(passwd, "nobody"), None);
    }

    #[test]
    fn a_closed_folder_on_the_way_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let closed = folder.path().join("closed");
        std::fs::create_dir(&closed).unwrap();
        let stranger = Account {
            name: None,
            uid: 54_321,
            gid: 54_321,
        };
        let mode = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap()
        };
        mode(folder.path(), 0o711);
        mode(&closed, 0o700);
        assert_eq!(stranger.barrier(&closed.join("data")), Some(closed.clone()));
        mode(&closed, 0o711);
        assert_eq!(stranger.barrier(&closed.join("data")), None);
    }

    #[test]
    fn a_folder_open_to_others_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let us = Account {
            name: None,
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
        };
        let path = folder.path().join("socket");
        us.private_folder(&path).unwrap();
        us.private_folder(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert!(us.private_folder(&path).is_err());
    }
}
