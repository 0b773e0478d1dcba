//! The fleet's own data files, which override the built-in ones by name.

use fleet_protocol::roster::FileError;
use fleet_protocol::scalar::Name;

use super::{Exec, Stop};

/// The fleet's own files of a kind, by name.
pub(super) async fn own<T>(
    exec: &mut Exec<'_>,
    kind: &str,
    of: impl Fn(&str) -> Result<T, FileError>,
) -> Result<Vec<(Name, T)>, Stop> {
    let rows = sqlx::query!(
        "SELECT name, yaml FROM fleet.files WHERE tenant_id = $1 AND kind = $2 ORDER BY name",
        exec.tenant.as_str(),
        kind
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    rows.into_iter()
        .map(|r| {
            let name: Name = r.name.parse().map_err(|_| odd("a file's name"))?;
            Ok((name, of(&r.yaml).map_err(unusable)?))
        })
        .collect()
}

/// A file that was checked on its way in and cannot be read now.
pub(super) fn unusable(error: FileError) -> Stop {
    sqlx::Error::Decode(error.into()).into()
}

fn odd(what: &str) -> Stop {
    sqlx::Error::Decode(format!("{what} is not as it was written").into()).into()
}
