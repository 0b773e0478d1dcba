//! Appservice registration files (Application Service API, "Registration").
//!
//! Synapse reads them by path from its configuration; Conduit takes the same YAML by a message in
//! its admin room.

use serde::Serialize;

use crate::Secret;
use crate::config::ConfigError;

/// An appservice as a homeserver must know it.
#[derive(Debug, Clone)]
pub struct AppserviceRegistration {
    /// Unique on the homeserver.
    pub id: String,
    /// Where transactions are pushed; `None` for one that only acts.
    pub url: Option<String>,
    /// What the appservice shows the homeserver.
    pub as_token: Secret,
    /// What the homeserver shows the appservice.
    pub hs_token: Secret,
    /// The appservice's own user.
    pub sender_localpart: String,
    /// Regular expressions of user ids that are its alone. The sender's own id must be matched
    /// too: Conduit lets the appservice act only as users listed here.
    pub users: Vec<String>,
    /// Whether the homeserver's rate limits hold for its users.
    pub rate_limited: bool,
    /// Devices are made by `PUT /devices/{id}` (MSC4190, unstable name).
    pub device_management: bool,
}

#[derive(Serialize)]
struct File<'a> {
    id: &'a str,
    url: Option<&'a str>,
    as_token: &'a str,
    hs_token: &'a str,
    sender_localpart: &'a str,
    rate_limited: bool,
    namespaces: Namespaces<'a>,
    #[serde(
        rename = "io.element.msc4190",
        skip_serializing_if = "std::ops::Not::not"
    )]
    msc4190: bool,
}

#[derive(Serialize)]
struct Namespaces<'a> {
    users: Vec<Namespace<'a>>,
    aliases: [Namespace<'a>; 0],
    rooms: [Namespace<'a>; 0],
}

#[derive(Serialize)]
struct Namespace<'a> {
    exclusive: bool,
    regex: &'a str,
}

impl AppserviceRegistration {
    /// The registration file's YAML; it holds both tokens.
    ///
    /// # Errors
    /// [`ConfigError::Yaml`].
    pub fn render(&self) -> Result<Secret, ConfigError> {
        let users = self
            .users
            .iter()
            .map(|regex| Namespace {
                exclusive: true,
                regex,
            })
            .collect();
        let file = File {
            id: &self.id,
            url: self.url.as_deref(),
            as_token: self.as_token.expose(),
            hs_token: self.hs_token.expose(),
            sender_localpart: &self.sender_localpart,
            rate_limited: self.rate_limited,
            namespaces: Namespaces {
                users,
                aliases: [],
                rooms: [],
            },
            msc4190: self.device_management,
        };
        Ok(serde_norway::to_string(&file)?.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rendering() {
        let registration = AppserviceRegistration {
            id: "fleet".to_owned(),
            url: None,
            as_token: Secret::new("as-secret"),
            hs_token: Secret::new("hs-secret"),
            sender_localpart: "fleet".to_owned(),
            users: vec![
                "@fleet:fleet\\.localhost".to_owned(),
                "@agent-.*:fleet\\.localhost".to_owned(),
            ],
            rate_limited: false,
            device_management: true,
        };
        insta::assert_snapshot!(registration.render().unwrap().expose());
        assert!(!format!("{registration:?}").contains("as-secret"));
    }
}
