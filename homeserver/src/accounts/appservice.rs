//! Accounts by an application service (Application Service API, "Registration"; client-server API, "Appservice
//! Login"): made and logged in to with the service's token, without passwords.
//!
//! Each account gets a device and a token of its own. Acting as it with the service's token would do for sending, but a
//! homeserver then tells transactions of two accounts apart by their ids alone, and Conduit fails on such a sync.

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;
use url::form_urlencoded;

use super::{AccountError, Accounts, LoginAnswer, Session};
use crate::Secret;

const BY_SERVICE: &str = "m.login.application_service";

/// What of a registration file accounts need; what else stands there is the homeserver's.
#[derive(Deserialize)]
struct File {
    as_token: String,
}

/// The service's token in its registration file.
///
/// # Errors
/// The file is no YAML, or has no `as_token`.
pub fn token(yaml: &str) -> Result<Secret, serde_norway::Error> {
    let file: File = serde_norway::from_str(yaml)?;
    Ok(file.as_token.into())
}

impl Accounts {
    pub(super) async fn register_by_service(
        &self,
        token: &Secret,
        localpart: &str,
    ) -> Result<(), AccountError> {
        let body = json!({"type": BY_SERVICE, "username": localpart, "inhibit_login": true});
        let answer = self
            .call_as(
                Some(token),
                "make an account as an application service",
                Method::POST,
                "/_matrix/client/v3/register",
                Some(&body),
            )
            .await?;
        match answer.error().errcode.as_str() {
            "M_EXCLUSIVE" => Err(AccountError::OutsideNamespace(localpart.to_owned())),
            _ => answer.account_made(localpart),
        }
    }

    /// Logs in to an account of the service. With `device_id` an existing device is taken over.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn login_by_service(
        &self,
        token: &Secret,
        localpart: &str,
        device_id: Option<&str>,
        device_name: &str,
    ) -> Result<Session, AccountError> {
        let mut body = json!({
            "type": BY_SERVICE,
            "identifier": {"type": "m.id.user", "user": localpart},
            "initial_device_display_name": device_name,
        });
        if let Some(device_id) = device_id {
            body["device_id"] = device_id.into();
        }
        let answer: LoginAnswer = self
            .call_as(
                Some(token),
                "log in as an application service",
                Method::POST,
                "/_matrix/client/v3/login",
                Some(&body),
            )
            .await?
            .accepted()?;
        Ok(answer.into())
    }

    /// Deactivates an account of the service for good.
    ///
    /// # Errors
    /// [`AccountError`]; not every homeserver lets a service do it.
    pub async fn deactivate_by_service(
        &self,
        token: &Secret,
        user_id: &str,
    ) -> Result<(), AccountError> {
        let user: String = form_urlencoded::byte_serialize(user_id.as_bytes()).collect();
        let path = format!("/_matrix/client/v3/account/deactivate?user_id={user}");
        let answer = self
            .call_as(
                Some(token),
                "deactivate an account as an application service",
                Method::POST,
                &path,
                Some(&json!({"erase": false})),
            )
            .await?;
        answer.accepted::<serde_json::Value>().map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::token;

    #[test]
    fn a_registration_file_has_a_token_and_much_else() {
        let yaml = "id: fleet\nurl: null\nas_token: open sesame\nhs_token: x\nsender_localpart: fleet\nrate_limited: false\n\
                    namespaces:\n  users:\n    - exclusive: true\n      regex: '@agent-.*'\n";
        assert_eq!(token(yaml).unwrap().expose(), "open sesame");
        for wrong in ["", "id: fleet", "[", "as_token: [1]"] {
            assert!(token(wrong).is_err(), "{wrong}");
        }
    }
}
