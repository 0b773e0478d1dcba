//! Tokens: whose they are and what they may be used for.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::extract::FromRequestParts;
use axum::http::{header, request::Parts};
use fleet_protocol::Problem;
use fleet_protocol::Timestamp;
use fleet_protocol::problem::Code;
use fleet_protocol::scalar::{Name, UserId};
use fleet_protocol::verbs::member::GrantRole;
use jiff::SignedDuration;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::App;
use super::problem::Failure;
use crate::Scope;
use crate::db;
use crate::execute::Stop;
use crate::run::Core;

/// How long a token is trusted before the register is asked again: the longest that a revoked one works.
const TRUSTED: SignedDuration = SignedDuration::from_secs(5);
/// Tokens remembered at once.
const REMEMBERED: usize = 1024;

/// What is said of a token that the register does not have.
const REVOKED: &str = "the token is not known here, or was revoked";

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) tenant: Name,
    /// The token's name.
    pub(crate) name: Name,
    /// For whom it acts.
    pub(crate) user: Option<UserId>,
    scopes: Vec<Scope>,
    /// SHA-256 of the token; none for who is in this process.
    digest: Option<[u8; 32]>,
}

impl Caller {
    /// A user who is known without a token: whoever calls is in this process.
    pub(crate) fn of_user(tenant: Name, user: UserId) -> Self {
        Self {
            name: tenant.clone(),
            tenant,
            user: Some(user),
            scopes: vec![Scope::Operator, Scope::Agent],
            digest: None,
        }
    }

    /// Whose grants count: the user's, or the token itself.
    pub(crate) fn principal(&self) -> &str {
        self.user
            .as_ref()
            .map_or(self.name.as_str(), UserId::as_str)
    }

    /// Of the roles of its user, those that count with this token: one made for agents commands nobody.
    pub(crate) fn roles(&self, granted: &[GrantRole]) -> Vec<GrantRole> {
        let commands = self.scopes.contains(&Scope::Operator);
        let counts = |role: &&GrantRole| commands || **role < GrantRole::Operator;
        granted.iter().filter(counts).copied().collect()
    }

    /// Refuses unless the token has one of the scopes.
    pub(crate) fn needs(&self, scopes: &[Scope]) -> Result<(), Problem> {
        if scopes.iter().any(|s| self.scopes.contains(s)) {
            return Ok(());
        }
        let words: Vec<_> = scopes.iter().map(|s| s.as_str()).collect();
        Err(Problem::new(
            Code::WrongScope,
            format!(
                "this needs a token with the scope {}; {} has none",
                words.join(" or "),
                self.name
            ),
        ))
    }
}

/// Tokens that were looked up a moment ago, by their SHA-256.
#[derive(Default)]
pub(crate) struct Tokens(Mutex<HashMap<[u8; 32], (Caller, Timestamp)>>);

impl Tokens {
    async fn caller(&self, core: &Core, token: &str) -> Result<Option<Caller>, Stop> {
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let now = core.clock.now();
        if let Some(known) = self.remembered(&digest, now) {
            return Ok(Some(known));
        }
        let found = look(core, &digest).await?;
        if let Some(caller) = &found {
            self.remember(digest, caller.clone(), now);
        }
        Ok(found)
    }

    /// Refuses a caller whose token was revoked since it was looked up.
    ///
    /// # Errors
    /// [`Code::Unauthenticated`], or the register's.
    pub(crate) async fn check(&self, core: &Core, caller: &Caller) -> Result<(), Failure> {
        let Some(digest) = &caller.digest else {
            return Ok(());
        };
        if look(core, digest).await?.is_some() {
            return Ok(());
        }
        self.known().remove(digest);
        Err(unknown(REVOKED).into())
    }

    fn known(&self) -> MutexGuard<'_, HashMap<[u8; 32], (Caller, Timestamp)>> {
        // A panic elsewhere leaves nothing half written here.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remembered(&self, digest: &[u8; 32], now: Timestamp) -> Option<Caller> {
        self.known()
            .get(digest)
            .filter(|(_, at)| now.0.duration_since(at.0) < TRUSTED && now >= *at)
            .map(|(caller, _)| caller.clone())
    }

    fn remember(&self, digest: [u8; 32], caller: Caller, now: Timestamp) {
        let mut known = self.known();
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(digest, (caller, now));
    }
}

async fn look(core: &Core, digest: &[u8; 32]) -> Result<Option<Caller>, Stop> {
    let found = sqlx::query!(
        r#"SELECT tenant_id AS "tenant_id!", id AS "id!" FROM fleet.find_token($1)"#,
        &digest[..]
    )
    .fetch_optional(&core.pool)
    .await?;
    let Some(found) = found else { return Ok(None) };
    let decode = |e: fleet_protocol::scalar::ScalarError| sqlx::Error::Decode(e.into());
    let tenant: Name = found.tenant_id.parse().map_err(decode)?;
    let mut tx = db::begin(&core.pool, &tenant).await?;
    let row = sqlx::query!(
        "SELECT sha256, name, user_id, scopes FROM fleet.tokens WHERE tenant_id = $1 AND id = $2",
        tenant.as_str(),
        found.id
    )
    .fetch_one(&mut *tx)
    .await?;
    if !bool::from(row.sha256.as_slice().ct_eq(&digest[..])) {
        return Ok(None);
    }
    let user = row
        .user_id
        .as_deref()
        .map(str::parse)
        .transpose()
        .map_err(decode)?;
    let scopes = row
        .scopes
        .iter()
        .filter_map(|s| Scope::from_word(s))
        .collect();
    Ok(Some(Caller {
        tenant,
        name: row.name.parse().map_err(decode)?,
        user,
        scopes,
        digest: Some(*digest),
    }))
}

fn unknown(detail: &str) -> Problem {
    Problem::new(Code::Unauthenticated, detail).remedy(
        "send `Authorization: Bearer TOKEN` with a token of this fleet; an agent gets one by: fleet agent join",
    )
}

impl FromRequestParts<App> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        let token = parts
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|v| v.to_str().ok())
            .and_then(|v| v.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim());
        let token = token.ok_or_else(|| unknown("the request has no token"))?;
        app.tokens
            .caller(&app.core, token)
            .await?
            .ok_or_else(|| unknown(REVOKED).into())
    }
}
