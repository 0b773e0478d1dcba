//! Bodies and paths of the gateway's HTTP API.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::envelope::{BotLease, Mark};
use crate::outbox::{OutboxRow, Settlement};
use crate::scalar::{Name, UserId};
use crate::time::Timestamp;

/// Header that makes a write exactly once: 1 to 128 visible ASCII characters.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// The port the gateway listens on unless told otherwise (doctrine, "Names").
pub const DEFAULT_PORT: u16 = 14242;
/// Media type of a problem document (RFC 9457).
pub const PROBLEM_JSON: &str = "application/problem+json";

/// Paths of the API.
pub mod path {
    /// `POST`: [`crate::envelope::Submit`] to [`crate::envelope::Submitted`]; scope `bot`.
    pub const SUBMIT: &str = "/v1/submit";
    /// `POST`: [`crate::envelope::Call`] of a command to [`crate::Receipt`]; any principal.
    pub const COMMANDS: &str = "/v1/commands";
    /// `POST`: [`crate::envelope::Call`] of a query to [`crate::Reply`]; any principal.
    pub const QUERIES: &str = "/v1/queries";
    /// `GET ?wait=SECONDS`: [`super::Outbox`]; scope `bot`.
    pub const OUTBOX: &str = "/v1/outbox";
    /// `POST`: [`super::Attempts`]; scope `bot`.
    pub const ATTEMPTS: &str = "/v1/outbox/attempts";
    /// `POST`: [`super::Settlements`]; scope `bot`.
    pub const SETTLEMENTS: &str = "/v1/outbox/settlements";
    /// `POST`: [`super::LeaseRequest`] to [`super::LeaseGrant`]; scope `bot`.
    pub const BOT_LEASE: &str = "/v1/bot/lease";
    /// `GET`: [`super::Rooms`]; scope `bot`.
    pub const ROOMS: &str = "/v1/rooms";
    /// `PUT /v1/rooms/{room_id}`: [`super::BindRoom`]; scope `bot`.
    pub const ROOM: &str = "/v1/rooms/{room_id}";
    /// `POST`: [`super::ReportIncident`]; scope `bot`.
    pub const INCIDENTS: &str = "/v1/incidents";
    /// `GET`: the OpenAPI description; no token.
    pub const OPENAPI: &str = "/v1/openapi.json";
}

/// Asks for, or keeps, the right to act for a Matrix account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LeaseRequest {
    /// The bot's Matrix account.
    pub account: UserId,
    /// A random id of this process.
    pub holder: Uuid,
    /// The epoch held so far, to keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// Give the lease back instead.
    #[serde(default)]
    pub release: bool,
}

/// The right to act, until it expires.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeaseGrant {
    /// The lease.
    pub lease: BotLease,
    /// When it ends unless kept.
    pub expires_at: Timestamp,
    /// Seconds until then, so that clocks need not agree.
    pub expires_in: u32,
}

/// The tenant's rooms, as they should be and as they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rooms {
    /// The tenant.
    pub tenant: Name,
    /// The space that holds the rooms.
    pub space: RoomPlan,
    /// The rooms.
    pub rooms: Vec<RoomPlan>,
    /// Rooms the bot is in without a plan: direct messages, and rooms of a foreign fleet.
    pub others: Vec<OtherRoom>,
    /// People who may bring the bot into a room of theirs: accounts with a grant that are no agent's.
    pub hosts: Vec<UserId>,
    /// Open incidents about rooms and the bot, which it reports as mended when they are over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub incidents: Vec<OpenIncident>,
}

/// An incident that is not over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OpenIncident {
    /// What kind, for example `room.not_mended`.
    pub rule: Name,
    /// What it is about.
    pub subject: String,
}

/// A room as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoomPlan {
    /// Its key, for example `lobby`, `board`, `budget`, `ops`.
    pub key: Name,
    /// Its display name.
    pub name: String,
    /// Its topic.
    pub topic: String,
    /// Local part of its alias.
    pub alias: String,
    /// Its id, once made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room_id: Option<String>,
    /// How far it has been read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<Mark>,
    /// Events that stay pinned in it: the cards of open proposals.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pinned: Vec<String>,
    /// Who belongs in it: the accounts with a grant for the whole fleet or for this room.
    #[serde(default)]
    pub members: Vec<RoomMember>,
    /// Accounts whose grants were revoked and of which none is left that counts in it: they leave.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revoked: Vec<UserId>,
}

/// A room without a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OtherRoom {
    /// Its id.
    pub room_id: String,
    /// How far it has been read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<Mark>,
}

/// Somebody who belongs in a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoomMember {
    /// The user.
    pub user: UserId,
    /// The power level the grants that count there call for: 90 operator, 50 member, 0 others. An
    /// operator stays below the bot (100), which otherwise could not take the level back.
    pub power_level: i64,
}

/// Tells the register which Matrix room a plan has become, or that a direct room exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BindRoom {
    /// The bot's lease.
    pub lease: BotLease,
    /// The plan's key; none for a room without a plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Name>,
    /// Where reading starts: the bot's own join. Kept if the room has a mark already.
    pub mark: Mark,
    /// The room it replaces after an upgrade (tombstone); its outbox rows move over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
}

/// `GET /v1/outbox`: every unsettled row of the bot's rooms that can be sent now, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Outbox {
    /// At most 500 rows.
    pub rows: Vec<OutboxRow>,
}

/// Says that a device is about to send rows for the first time, or took them over from another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Attempts {
    /// The bot's lease.
    pub lease: BotLease,
    /// The device.
    pub device: String,
    /// The rows; at most 500.
    pub rows: Vec<Uuid>,
}

/// Says what became of rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settlements {
    /// The bot's lease.
    pub lease: BotLease,
    /// The rows; at most 500. Settling a settled row again changes nothing.
    pub rows: Vec<Settled>,
}

/// What became of one row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Settled {
    /// The row.
    pub row: Uuid,
    /// What became of it.
    pub settlement: Settlement,
}

/// Something a person must know about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportIncident {
    /// The bot's lease.
    pub lease: BotLease,
    /// What kind, for example `room.mark_lost`, `event.quarantined`, `outbox.dead`.
    pub rule: Name,
    /// What it is about, for example a room id; one open incident per rule and subject.
    pub subject: String,
    /// What happened and what to do.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// It is over: what is open is resolved, and its message says so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mended: bool,
}
