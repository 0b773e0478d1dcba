//! The first person: an account that we make, or one that is there.

use std::path::PathBuf;

use fleet_homeserver::accounts::Session;
use fleet_local::stack::Stack;
use fleet_protocol::scalar::UserId;

use super::{OPERATOR, accounts, secret_path};
use crate::error::CliError;
use crate::settings::{self, SettingsError};

/// The name of the device on which we act for the operator.
const DEVICE: &str = "FLEETUP";
/// The secret with the password of an account that we made.
pub(super) const PASSWORD: &str = "operator-password";

/// The first person.
#[derive(Debug)]
pub(crate) enum Operator {
    /// An account that we made.
    Made {
        /// Its login.
        session: Session,
        /// The file with its password.
        password_file: PathBuf,
    },
    /// An account of somebody else's homeserver, named by `operator.user_id`.
    Named(UserId),
}

impl Operator {
    /// Makes the account where it is ours to make: on a homeserver of our own, which calls itself
    /// `own_name`, and on any homeserver when nobody is named.
    pub(super) async fn of(
        stack: &Stack,
        wanted: &settings::Operator,
        prefix: &str,
        own_name: Option<&str>,
    ) -> Result<Self, CliError> {
        let localpart = match (&wanted.user_id, own_name) {
            (Some(user), None) => return Ok(Self::Named(user.clone())),
            (Some(user), Some(own_name)) => local_part(user, own_name)?.to_owned(),
            (None, _) => format!("{prefix}{OPERATOR}"),
        };
        let folder = stack.folder();
        let password = folder
            .secret(PASSWORD)
            .map_err(|e| CliError::service("the data folder", &e))?;
        let (accounts, registration) = accounts(stack)?;
        let session = accounts
            .ensure_account(
                &registration,
                &localpart,
                &password,
                Some(DEVICE),
                "fleet up",
            )
            .await?;
        Ok(Self::Made {
            session,
            password_file: secret_path(folder, PASSWORD)?,
        })
    }

    /// The whole user id.
    pub(crate) fn user_id(&self) -> &str {
        match self {
            Self::Made { session, .. } => &session.user_id,
            Self::Named(user) => user.as_str(),
        }
    }

    /// The login of an account that we made.
    pub(crate) fn session(&self) -> Result<&Session, CliError> {
        match self {
            Self::Made { session, .. } => Ok(session),
            Self::Named(user) => Err(CliError::Internal(format!(
                "{user} is not an account of this program"
            ))),
        }
    }

    /// The file with the password of an account that we made.
    pub(crate) fn password_file(&self) -> Option<&PathBuf> {
        match self {
            Self::Made { password_file, .. } => Some(password_file),
            Self::Named(_) => None,
        }
    }
}

/// The local part of a user of our own homeserver.
fn local_part<'a>(user: &'a UserId, own_name: &str) -> Result<&'a str, SettingsError> {
    let parts = user
        .as_str()
        .strip_prefix('@')
        .and_then(|u| u.split_once(':'));
    match parts {
        Some((local_part, server)) if server == own_name => Ok(local_part),
        _ => Err(SettingsError::Key {
            key: "operator.user_id".into(),
            detail: format!(
                "{user} is no user of {own_name}, which is what the homeserver here calls itself; \
                 give --server-name with the part behind the colon, or set homeserver.url"
            ),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_operator_must_be_of_our_own_homeserver() {
        let user: UserId = "@ann:fleet.example".parse().unwrap();
        assert_eq!(local_part(&user, "fleet.example").unwrap(), "ann");
        let error = local_part(&user, "fleet.localhost").unwrap_err();
        assert!(error.to_string().contains("--server-name"), "{error}");
    }
}
