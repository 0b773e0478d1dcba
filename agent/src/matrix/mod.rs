//! A plain Matrix client: one method per request of the client-server API that an agent, or a test
//! that plays a person, needs.

mod content;
mod error;
mod event;
mod follow;
mod http;

pub use content::{edit, reaction, reply, text, thread};
pub use error::MatrixError;
pub use event::{JoinedRoom, Messages, RoomEvent, Sync, Timeline};
pub use follow::{Follow, Seen};

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use http::Http;

/// Who an access token belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct WhoAmI {
    /// The full user id.
    pub user_id: String,
    /// The device, where the server tells.
    #[serde(default)]
    pub device_id: Option<String>,
}

/// A logged-in account. Cloning is cheap. Its `Debug` output shows no token.
#[derive(Clone)]
pub struct Matrix {
    http: Http,
    user_id: String,
}

impl fmt::Debug for Matrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Matrix")
            .field("user_id", &self.user_id)
            .finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct LoginAnswer {
    user_id: String,
    access_token: String,
}

#[derive(Deserialize)]
struct EventId {
    event_id: String,
}

#[derive(Deserialize)]
struct RoomId {
    room_id: String,
}

#[derive(Deserialize)]
struct JoinedMembers {
    joined: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct JoinedRooms {
    joined_rooms: Vec<String>,
}

impl Matrix {
    /// The account an access token belongs to.
    ///
    /// # Errors
    /// [`MatrixError`]; an ended token is [`MatrixError::Refused`] with status 401.
    pub async fn with_token(homeserver: Url, access_token: &str) -> Result<Self, MatrixError> {
        let http = Http::new(homeserver, Some(access_token))?;
        let me: WhoAmI = http.get("account/whoami", &[], &[]).await?;
        Ok(Self {
            http,
            user_id: me.user_id,
        })
    }

    /// Logs in by password, on a new device.
    ///
    /// # Errors
    /// [`MatrixError`].
    pub async fn login(
        homeserver: Url,
        user: &str,
        password: &str,
        device_name: &str,
    ) -> Result<Self, MatrixError> {
        let body = json!({
            "type": "m.login.password",
            "identifier": { "type": "m.id.user", "user": user },
            "password": password,
            "initial_device_display_name": device_name,
        });
        let http = Http::new(homeserver.clone(), None)?;
        let answer: LoginAnswer = http.call(Method::POST, "login", &[], Some(&body)).await?;
        Ok(Self {
            http: Http::new(homeserver, Some(&answer.access_token))?,
            user_id: answer.user_id,
        })
    }

    /// The full user id.
    pub fn user_id(&self) -> &str {
        &self.user_id
    }

    /// Asks the server who this is.
    ///
    /// # Errors
    /// [`MatrixError`].
    pub async fn whoami(&self) -> Result<WhoAmI, MatrixError> {
        self.http.get("account/whoami", &[], &[]).await
    }

    /// Ends this login; the token stops working.
    ///
    /// # Errors
    /// [`MatrixError`].
    pub async fn logout(&self) -> Result<(), MatrixError> {
        let none = json!({});
        self.http
            .call::<Value>(Method::POST, "logout", &[], Some(&none))
            .await
            .map(drop)
    }

    /// Deactivates this account for good (client-server API, "Deactivating an account"). The password goes with the
    /// request, so that no session of the interactive authentication is needed.
    ///
    /// # Errors
    /// [`MatrixError`]; a wrong password is [`MatrixError::Refused`].
    pub async fn deactivate(&self, password: &str) -> Result<(), MatrixError> {
        let body = json!({ "auth": {
            "type": "m.login.password",
            "identifier": { "type": "m.id.user", "user": self.user_id },
            "password": password,
        } });
        self.http
            .call::<Value>(Method::POST, "account/deactivate", &[], Some(&body))
            .await
            .map(drop)
    }

    /// Whether the homeserver knows a user of its own.
    ///
    /// # Errors
    /// [`MatrixError`].
    pub async fn exists(&self, user: &str) -> Result<bool, MatrixError> {
        match self.http.get::<Value>("", &["profile", user], &[]).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The users that are in a room, which this account is in.
    ///
    /// # Errors
    /// [`MatrixError`].
    pub async fn members(&self, room: &str) -> Result<Vec<String>, MatrixError> {
        self.http
            .get::<JoinedMembers>("", &["rooms", room, "joined_members"], &[])
            .await
            .map(|m| m.joined.into_keys().collect())
    }

    /// Sends an event. The same transaction id sends it once only, so a lost answer is repeated.
    ///
    /// # Errors
    /// [`MatrixError`].
    pub async fn send(
        &self,
        room: &str,
        event_type: &str,
        content: &Value,
        transaction: &str,
    ) -> Result<String, MatrixError> {
        let path = ["rooms", room, "send", event_type, transaction];
        self.http
            .call::<EventId>(Method::PUT, "", &path, Some(content))
            .await
            .map(|e| e.event_id)
    }

    /// Takes an event back.
    ///
    /// # Errors
    /// [`MatrixError`].
    pub async fn redact(
        &self,
        room: &str,
        event: &str,
        reason: Option<&str>,
        transaction: &str,
    ) -> Result<String, MatrixError> {
        let body = reason.map_or_else(|| json!({}), |reason| json!({ "reason": reason }));
        let path = ["rooms", room, "redact", event, transaction];
        self.http
            .call::<EventId>(Method::PUT, "", &path, Some(&body))
            .await
            .map(|e| e.event_id)
    }

    /// One round of sync with a small filter: timelines of 100 events, no presence, no receipts.
    ///
    /// Some servers ignore the filter and always cut timelines to ten events: see [`Follow`].
    ///
    /// # Errors
    /// [`MatrixError`].
    pub async fn sync(&self, since: Option<&str>, wait: Duration) -> Result<Sync, MatrixError> {
        let filter = json!({
            "presence": { "types": [] },
            "account_data": { "types": [] },
            "room": {
                "timeline": { "limit": 100 },
                "state": { "lazy_load_members": true },
                "ephemeral": { "types": [] },
                "account_data": { "types": [] },
            },
        });
        let (filter, wait_ms) = (filter.to_string(), wait.as_millis().to_string());
        let mut query = vec![("filter", filter.as_str()), ("timeout", wait_ms.as_str())];
        query.extend(since.map(|s| ("since", s)));
        self.http.get_within(wait, "sync", &[], &query).await
    }

    /// A page of a room's history, newest first; `from` is where the last page ended.
    ///
    /// # Errors
    /// [`MatrixError`].
    pub async fn messages(
        &self,
        room: &str,
        from: Option<&str>,
        limit: u16,
    ) -> Result<Messages, MatrixError> {
        let limit = limit.to_string();
        let mut query = vec![("dir", "b"), ("limit", limit.as_str())];
        query.extend(from.map(|f| ("from", f)));
        self.http
            .get("", &["rooms", room, "messages"], &query)
            .await
    }

    /// Every event of a room that this account may see, oldest first.
    ///
    /// # Errors
    /// [`MatrixError`]; [`MatrixError::TooLong`] beyond `at_most` events.
    pub async fn history(&self, room: &str, at_most: usize) -> Result<Vec<RoomEvent>, MatrixError> {
        let mut all = Vec::new();
        let mut from: Option<String> = None;
        loop {
            let page = self.messages(room, from.as_deref(), 250).await?;
            let empty = page.chunk.is_empty();
            all.extend(page.chunk);
            if all.len() > at_most {
                return Err(MatrixError::TooLong {
                    room: room.to_owned(),
                    at_most,
                });
            }
            match page.end {
                Some(end) if !empty && Some(&end) != from.as_ref() => from = Some(end),
                _ => break,
            }
        }
        all.reverse();
        Ok(all)
    }

    /// Joins a room by id or alias.
    ///
    /// # Errors
    /// [`MatrixError`].
    pub async fn join(&self, room_or_alias: &str) -> Result<String, MatrixError> {
        self.http
            .call::<RoomId>(Method::POST, "", &["join", room_or_alias], Some(&json!({})))
            .await
            .map(|r| r.room_id)
    }

    /// Invites a user to a room.
    ///
    /// # Errors
    /// [`MatrixError`].
    pub async fn invite(&self, room: &str, user: &str) -> Result<(), MatrixError> {
        let body = json!({ "user_id": user });
        self.http
            .call::<Value>(Method::POST, "", &["rooms", room, "invite"], Some(&body))
            .await
            .map(drop)
    }

    /// Makes a private room with the account as its creator and invites others to it. A lost answer
    /// may leave a second room behind.
    ///
    /// # Errors
    /// [`MatrixError`].
    pub async fn create_room(&self, name: &str, invite: &[&str]) -> Result<String, MatrixError> {
        let body = json!({ "preset": "private_chat", "name": name, "invite": invite });
        self.http
            .call::<RoomId>(Method::POST, "createRoom", &[], Some(&body))
            .await
            .map(|r| r.room_id)
    }

    /// The room an alias stands for.
    ///
    /// # Errors
    /// [`MatrixError`]; an unknown alias is [`MatrixError::Refused`] with status 404.
    pub async fn resolve(&self, alias: &str) -> Result<String, MatrixError> {
        self.http
            .get::<RoomId>("", &["directory", "room", alias], &[])
            .await
            .map(|r| r.room_id)
    }

    /// Rooms this account is in.
    ///
    /// # Errors
    /// [`MatrixError`].
    pub async fn joined_rooms(&self) -> Result<Vec<String>, MatrixError> {
        self.http
            .get::<JoinedRooms>("joined_rooms", &[], &[])
            .await
            .map(|r| r.joined_rooms)
    }

    /// Content of a state event.
    ///
    /// # Errors
    /// [`MatrixError`]; absent state is [`MatrixError::Refused`] with status 404.
    pub async fn state(
        &self,
        room: &str,
        event_type: &str,
        state_key: &str,
    ) -> Result<Value, MatrixError> {
        self.http
            .get("", &["rooms", room, "state", event_type, state_key], &[])
            .await
    }

    /// One event of a room.
    ///
    /// # Errors
    /// [`MatrixError`].
    pub async fn event(&self, room: &str, event: &str) -> Result<RoomEvent, MatrixError> {
        self.http
            .get("", &["rooms", room, "event", event], &[])
            .await
    }
}
