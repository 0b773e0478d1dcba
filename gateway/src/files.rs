//! The fleet's own data files - templates, personas, roles, profiles - of a folder: checked, and put into the
//! register.

use std::path::{Path, PathBuf};

use fleet_protocol::role::{Profile, Role};
use fleet_protocol::roster::FileError;
use fleet_protocol::scalar::Name;
use fleet_protocol::template::{Persona, Template};
use sqlx::{Connection as _, PgConnection};

use crate::{Secret, db};

/// Why the files were not taken; then the register keeps what it has.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// The database refused or cannot be reached.
    #[error("the register: {0}")]
    Database(#[from] sqlx::Error),
    /// A folder or file could not be read.
    #[error("{path}: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A file's name is no name.
    #[error("{0}: call it by a name such as forge.yaml, of a-z, 0-9, '-' and '_'")]
    Name(PathBuf),
    /// A file is larger than 64 KiB.
    #[error("{0} is larger than 64 KiB")]
    TooLarge(PathBuf),
    /// A file does not say what it must.
    #[error("{path}: {source}")]
    Content {
        /// Which.
        path: PathBuf,
        /// The key that does not fit.
        source: FileError,
    },
}

/// The largest file, in bytes.
const LARGEST: usize = 64 * 1024;

/// Takes `templates/*.yaml`, `personas/*.yaml`, `roles/*.yaml` and `profiles/*.yaml` of a folder for a tenant, in
/// the place of those it had. A folder that is missing has none. Each overrides the built-in one of its name.
///
/// # Errors
/// [`FilesError`]; nothing is changed then.
pub async fn files(owner_url: &Secret, tenant: &Name, folder: &Path) -> Result<usize, FilesError> {
    let mut files = read(folder, "template", |yaml| Template::read(yaml).map(drop))?;
    files.extend(read(folder, "persona", |y| Persona::read(y).map(drop))?);
    files.extend(read(folder, "role", |y| Role::read(y).map(drop))?);
    files.extend(read(folder, "profile", |y| Profile::read(y).map(drop))?);
    let mut owner = PgConnection::connect_with(&db::options(owner_url.reveal())?).await?;
    let mut tx = owner.begin().await?;
    sqlx::query("SELECT set_config('fleet.tenant', $1, true)")
        .bind(tenant.as_str())
        .execute(&mut *tx)
        .await?;
    sqlx::query!(
        "DELETE FROM fleet.files WHERE tenant_id = $1",
        tenant.as_str()
    )
    .execute(&mut *tx)
    .await?;
    for (kind, name, yaml) in &files {
        sqlx::query!(
            "INSERT INTO fleet.files (tenant_id, kind, name, yaml) VALUES ($1, $2, $3, $4)",
            tenant.as_str(),
            kind,
            name.as_str(),
            yaml
        )
        .execute(&mut *tx)
        .await?;
    }
    tx.commit().await?;
    owner.close().await?;
    Ok(files.len())
}

fn read(
    folder: &Path,
    kind: &'static str,
    check: impl Fn(&str) -> Result<(), FileError>,
) -> Result<Vec<(&'static str, Name, String)>, FilesError> {
    let folder = folder.join(format!("{kind}s"));
    let fault = |path: &Path, source| FilesError::Read {
        path: path.to_owned(),
        source,
    };
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(fault(&folder, e)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| fault(&folder, e))?.path();
        if path.extension().is_none_or(|e| e != "yaml") {
            continue;
        }
        let stem = path.file_stem().and_then(|s| s.to_str());
        let name = stem.and_then(|s| s.parse::<Name>().ok());
        let name = name.ok_or_else(|| FilesError::Name(path.clone()))?;
        let yaml = std::fs::read_to_string(&path).map_err(|e| fault(&path, e))?;
        if yaml.len() > LARGEST {
            return Err(FilesError::TooLarge(path));
        }
        check(&yaml).map_err(|source| FilesError::Content { path, source })?;
        files.push((kind, name, yaml));
    }
    Ok(files)
}
