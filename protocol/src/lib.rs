//! The fleet's language: everything that a person, an agent or a program can say to the fleet, and
//! everything it answers, as plain values.
//!
//! This crate knows no socket, no SQL and no clock. Other crates parse into, and render from, the
//! types here, so that a chat line, a shell command, an HTTP body and a Matrix event are one value.

pub mod address;
pub mod api;
pub mod brief;
pub mod chat;
pub mod document;
pub mod envelope;
pub mod event;
pub mod ids;
pub mod language;
pub mod manifest;
pub mod outbox;
pub mod problem;
pub mod record;
pub mod reply;
pub mod role;
pub mod roster;
pub mod scalar;
pub mod template;
pub mod time;
pub mod verbs;

pub use document::Document;
pub use envelope::{Envelope, Receipt};
pub use ids::{IncidentRef, ItemRef, MissionRef, ProposalRef, TaskRef};
pub use language::{Command, Query, Request};
pub use outbox::Post;
pub use problem::Problem;
pub use reply::Reply;
pub use time::{Moment, Reader, Timestamp};
