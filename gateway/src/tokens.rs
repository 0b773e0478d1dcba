//! Tokens, as whoever holds the owner's address makes, lists and revokes them.
//!
//! A token is shown once, when it is made; the register keeps its SHA-256 only (doctrine 16). The
//! role that serves may read that table and not write it.

use fleet_protocol::Timestamp;
use fleet_protocol::scalar::{Name, UserId};
use sha2::{Digest as _, Sha256};
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use crate::{Clock, Ids, Scope, Secret, db};

/// Fewer characters can be guessed.
const SHORTEST: usize = 32;

/// Why a token was not made, listed or revoked.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The database refused or cannot be reached.
    #[error("the register: {0}")]
    Database(#[from] sqlx::Error),
    /// The tenant is unknown.
    #[error("the register has no tenant {0}; make it with `fleet gateway init`")]
    NoTenant(Name),
    /// A token of that name is in use.
    #[error("a token named {0} is in use; revoke it first, or choose another name")]
    NameTaken(Name),
    /// An agent's token must say whose it is.
    #[error("a token for an agent acts for the agent's Matrix user; name it with --user")]
    NoUser,
    /// Nothing to revoke.
    #[error("there is no token in use that is named {0}, or has that id")]
    Unknown(String),
}

/// A token to be made.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// Its name, unique among the tenant's tokens in use.
    pub name: Name,
    /// What it may be used for.
    pub scopes: Vec<Scope>,
    /// The Matrix user for whom it acts; whose grants then decide.
    pub user: Option<UserId>,
}

/// A token as the register knows it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct KnownToken {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// What it may be used for.
    pub scopes: Vec<String>,
    /// The Matrix user for whom it acts.
    pub user: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// The tokens of a tenant.
#[derive(Debug)]
pub struct Tokens {
    owner: PgConnection,
    tenant: Name,
}

impl Tokens {
    /// Connects as the register's owner.
    ///
    /// # Errors
    /// [`TokenError::Database`].
    pub async fn open(owner_url: &Secret, tenant: Name) -> Result<Self, TokenError> {
        let owner = PgConnection::connect_with(&db::options(owner_url.reveal())?).await?;
        Ok(Self { owner, tenant })
    }

    /// Makes a token and gives it: it cannot be shown again.
    ///
    /// # Errors
    /// [`TokenError::NameTaken`], [`TokenError::NoUser`], [`TokenError::NoTenant`].
    pub async fn make(
        &mut self,
        new: &NewToken,
        clock: &dyn Clock,
        ids: &dyn Ids,
    ) -> Result<Secret, TokenError> {
        if new.scopes.contains(&Scope::Agent) && new.user.is_none() {
            return Err(TokenError::NoUser);
        }
        let mut tx = self.owner.begin().await?;
        within(&mut tx, &self.tenant).await?;
        // One after the other: two of the same name at once would both find it free.
        let tenant = sqlx::query_scalar!(
            "SELECT tenant_id FROM fleet.tenants WHERE tenant_id = $1 FOR UPDATE",
            self.tenant.as_str()
        );
        if tenant.fetch_optional(&mut *tx).await?.is_none() {
            return Err(TokenError::NoTenant(self.tenant.clone()));
        }
        let taken = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM fleet.tokens WHERE tenant_id = $1 AND name = $2 AND revoked_at IS NULL) AS "taken!""#,
            self.tenant.as_str(),
            new.name.as_str()
        );
        if taken.fetch_one(&mut *tx).await? {
            return Err(TokenError::NameTaken(new.name.clone()));
        }
        let token = fresh(&new.scopes, ids);
        register(&mut tx, &self.tenant, new, &token, clock, ids).await?;
        tx.commit().await?;
        Ok(Secret::new(token))
    }

    /// Every token, revoked ones too, the oldest first.
    ///
    /// # Errors
    /// [`TokenError::Database`].
    pub async fn list(&mut self) -> Result<Vec<KnownToken>, TokenError> {
        let rows = sqlx::query!(
            r#"SELECT id, name, user_id, scopes, created_at, revoked_at
               FROM fleet.tokens WHERE tenant_id = $1 ORDER BY created_at, id"#,
            self.tenant.as_str()
        );
        let rows = rows.fetch_all(&mut self.owner).await?;
        let known = rows.into_iter().map(|r| KnownToken {
            id: r.id,
            name: r.name,
            scopes: r.scopes,
            user: r.user_id,
            created_at: db::instant(r.created_at),
            revoked_at: r.revoked_at.map(db::instant),
        });
        Ok(known.collect())
    }

    /// Revokes what has a name, or an id; how many. A gateway trusts a token for a few seconds more.
    ///
    /// # Errors
    /// [`TokenError::Unknown`] when nothing in use is called so.
    pub async fn revoke(&mut self, which: &str, clock: &dyn Clock) -> Result<u64, TokenError> {
        let mut tx = self.owner.begin().await?;
        within(&mut tx, &self.tenant).await?;
        let revoked = sqlx::query!(
            "UPDATE fleet.tokens SET revoked_at = $3 WHERE tenant_id = $1 AND (name = $2 OR id::text = $2) AND revoked_at IS NULL",
            self.tenant.as_str(),
            which,
            db::time(clock.now())
        );
        let revoked = revoked.execute(&mut *tx).await?.rows_affected();
        if revoked == 0 {
            return Err(TokenError::Unknown(which.to_owned()));
        }
        tx.commit().await?;
        Ok(revoked)
    }
}

/// Row-level security binds the owner too: it writes in the tenant that is set.
async fn within(tx: &mut PgConnection, tenant: &Name) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT set_config('fleet.tenant', $1, true)")
        .bind(tenant.as_str())
        .execute(tx)
        .await
        .map(drop)
}

/// A token that nobody can guess; what begins with `magt_` is an agent's (doctrine 16).
pub(crate) fn fresh(scopes: &[Scope], ids: &dyn Ids) -> String {
    let prefix = if scopes == [Scope::Agent] {
        "magt_"
    } else {
        "msvc_"
    };
    let random: String = ids.secret().iter().map(|b| format!("{b:02x}")).collect();
    format!("{prefix}{random}")
}

/// Whether a text may be a token.
pub(crate) fn is_token(text: &str) -> bool {
    text.len() >= SHORTEST && text.bytes().all(|b| b.is_ascii_graphic())
}

/// Stores a token's SHA-256; whether it was unknown.
pub(crate) async fn register(
    tx: &mut PgConnection,
    tenant: &Name,
    new: &NewToken,
    token: &str,
    clock: &dyn Clock,
    ids: &dyn Ids,
) -> Result<bool, sqlx::Error> {
    let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
    let scopes = words(&new.scopes);
    let stored = sqlx::query!(
        r#"INSERT INTO fleet.tokens (tenant_id, id, sha256, name, user_id, scopes, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
           ON CONFLICT (sha256) DO NOTHING"#,
        tenant.as_str(),
        ids.next(),
        &digest[..],
        new.name.as_str(),
        new.user.as_ref().map(UserId::as_str),
        &scopes,
        db::time(clock.now()),
    );
    Ok(stored.execute(tx).await?.rows_affected() == 1)
}

/// What a stored token says otherwise than a wanted one; `None` when it is as wanted.
pub(crate) async fn difference(
    tx: &mut PgConnection,
    tenant: &Name,
    wanted: &NewToken,
    token: &str,
) -> Result<Option<String>, sqlx::Error> {
    let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
    let known = sqlx::query!(
        r#"SELECT tenant_id, user_id, scopes, revoked_at IS NOT NULL AS "revoked!" FROM fleet.tokens WHERE sha256 = $1"#,
        &digest[..]
    );
    let known = known.fetch_one(tx).await?;
    let user = wanted.user.as_ref().map(UserId::as_str);
    let nobody = "nobody";
    Ok(if known.tenant_id != tenant.as_str() {
        Some(format!(
            "is one of the tenant {}, not of {tenant}",
            known.tenant_id
        ))
    } else if known.revoked {
        Some("was revoked".to_owned())
    } else if known.user_id.as_deref() != user {
        let (is, wanted) = (known.user_id.as_deref(), user);
        Some(format!(
            "acts for {}, not for {}",
            is.unwrap_or(nobody),
            wanted.unwrap_or(nobody)
        ))
    } else if known.scopes != words(&wanted.scopes) {
        Some(format!("has the scopes {}", known.scopes.join(", ")))
    } else {
        None
    })
}

fn words(scopes: &[Scope]) -> Vec<String> {
    scopes.iter().map(|s| s.as_str().to_owned()).collect()
}
