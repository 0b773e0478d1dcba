//! Making the register ready: migrations, the tenant, its rooms, the first operator, tokens.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use fleet_protocol::scalar::Name;
use sqlx::{Connection as _, PgConnection};

use crate::tokens::{self, NewToken};
use crate::{Clock, Ids, InitSettings, TokenFile, db, plan};

/// Why the register is not ready.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The database refused or cannot be reached.
    #[error("the register: {0}")]
    Database(#[from] sqlx::Error),
    /// A migration failed, or one that ran before was changed since.
    #[error("the register's migrations: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// The zone is unknown.
    #[error("{0} is not the name of a time zone; write it like Europe/Berlin or UTC")]
    Zone(String),
    /// A token's file could not be read or written.
    #[error("the token's file {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A token's file holds something else.
    #[error("{0} holds no token; remove it, and a new one is made")]
    NoToken(PathBuf),
    /// A token's file can be read by others.
    #[error("{0} can be read by others; chmod 600 it")]
    Open(PathBuf),
    /// A token's file holds a token of another user, tenant or use.
    #[error(
        "the token in {path} {difference}; remove the file, and a new one is made \
         (the old one stays until `fleet gateway token revoke` ends it)"
    )]
    OtherToken {
        /// The file.
        path: PathBuf,
        /// How the token in it differs from the one wanted.
        difference: String,
    },
}

/// Migrates the register and makes what a tenant needs. What is there already stays; so it may run
/// before every start.
///
/// # Errors
/// [`InitError`]; what a failed run has made is completed by the next.
pub async fn init(
    settings: &InitSettings,
    clock: &dyn Clock,
    ids: &dyn Ids,
) -> Result<(), InitError> {
    if jiff::tz::TimeZone::get(&settings.zone).is_err() {
        return Err(InitError::Zone(settings.zone.clone()));
    }
    let mut owner = PgConnection::connect_with(&db::options(settings.owner_url.reveal())?).await?;
    db::MIGRATOR.run(&mut owner).await?;
    // The gateway's role tells from this table whether it is ready.
    sqlx::raw_sql("GRANT SELECT ON fleet._sqlx_migrations TO fleet_app")
        .execute(&mut owner)
        .await?;
    let mut tx = owner.begin().await?;
    sqlx::query("SELECT set_config('fleet.tenant', $1, true)")
        .bind(settings.tenant.as_str())
        .execute(&mut *tx)
        .await?;
    tenant(&mut tx, settings).await?;
    rooms(&mut tx, &settings.tenant, ids).await?;
    operator(&mut tx, settings, clock).await?;
    for file in &settings.tokens {
        token(&mut tx, &settings.tenant, file, clock, ids).await?;
    }
    tx.commit().await?;
    Ok(owner.close().await?)
}

async fn tenant(tx: &mut PgConnection, settings: &InitSettings) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"INSERT INTO fleet.tenants (tenant_id, zone) VALUES ($1, $2)
           ON CONFLICT (tenant_id) DO UPDATE SET zone = excluded.zone"#,
        settings.tenant.as_str(),
        settings.zone
    )
    .execute(&mut *tx)
    .await
    .map(drop)
}

async fn rooms(tx: &mut PgConnection, tenant: &Name, ids: &dyn Ids) -> Result<(), sqlx::Error> {
    let space = [(plan::SPACE, "Fleet", "The fleet's rooms")];
    for (i, (key, name, topic)) in space.iter().chain(plan::ROOMS).enumerate() {
        sqlx::query!(
            r#"INSERT INTO fleet.rooms (tenant_id, id, kind, key, name, topic, alias) VALUES ($1, $2, $3, $4, $5, $6, $7)
               ON CONFLICT (tenant_id, key) DO NOTHING"#,
            tenant.as_str(),
            ids.next(),
            if i == 0 { "space" } else { "plan" },
            key,
            name,
            topic,
            plan::alias(tenant.as_str(), key),
        )
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

async fn operator(
    tx: &mut PgConnection,
    settings: &InitSettings,
    clock: &dyn Clock,
) -> Result<(), sqlx::Error> {
    let Some(user) = &settings.operator else {
        return Ok(());
    };
    sqlx::query!(
        r#"INSERT INTO fleet.grants (tenant_id, user_id, role, granted_by, granted_at) VALUES ($1, $2, 'operator', 'init', $3)
           ON CONFLICT DO NOTHING"#,
        settings.tenant.as_str(),
        user.as_str(),
        db::time(clock.now()),
    )
    .execute(&mut *tx)
    .await
    .map(drop)
}

/// Registers the token in a file, after making both if there is no file yet. The file comes first:
/// if this run ends before its commit, the next one finds the file and registers it.
async fn token(
    tx: &mut PgConnection,
    tenant: &Name,
    file: &TokenFile,
    clock: &dyn Clock,
    ids: &dyn Ids,
) -> Result<(), InitError> {
    let fault = |source| InitError::File {
        path: file.path.clone(),
        source,
    };
    let token = match std::fs::read_to_string(&file.path) {
        Ok(text) => {
            private(&file.path)
                .map_err(fault)?
                .then_some(())
                .ok_or_else(|| InitError::Open(file.path.clone()))?;
            text.trim().to_owned()
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let token = tokens::fresh(&file.scopes, ids);
            write(&file.path, &token).map_err(fault)?;
            token
        }
        Err(e) => return Err(fault(e)),
    };
    if !tokens::is_token(&token) {
        return Err(InitError::NoToken(file.path.clone()));
    }
    let wanted = NewToken {
        name: file.name.clone(),
        scopes: file.scopes.clone(),
        user: file.user.clone(),
    };
    if tokens::register(tx, tenant, &wanted, &token, clock, ids).await? {
        return Ok(());
    }
    match tokens::difference(tx, tenant, &wanted, &token).await? {
        None => Ok(()),
        Some(difference) => Err(InitError::OtherToken {
            path: file.path.clone(),
            difference,
        }),
    }
}

/// Whether only the owner can read a file.
fn private(path: &Path) -> std::io::Result<bool> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(std::fs::metadata(path)?.permissions().mode() & 0o077 == 0)
}

fn write(path: &Path, token: &str) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    writeln!(file, "{token}")?;
    file.sync_all()
}
