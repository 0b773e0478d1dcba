//! The gateway: the one door to the register. It admits events and calls, decides who may do what,
//! executes each exactly once, and keeps what is to be said about it.
//!
//! It knows SQL and HTTP, and nothing of Matrix.

mod ambient;
mod answer;
mod bot_lease;
mod calls;
mod combine;
mod db;
mod door;
mod execute;
mod files;
mod floor;
mod follow;
mod http;
mod hub;
mod inbox;
mod incident;
mod init;
mod journal;
mod outbox;
mod plan;
mod rooms;
mod run;
mod serve;
mod settings;
mod settle;
mod submit;
mod sweep;
mod tokens;

pub use ambient::{Clock, Ids, SystemClock, UuidIds};
pub use door::{Door, DoorError};
pub use files::{FilesError, files};
pub use floor::{Commits, Floor, Updates};
pub use http::openapi;
pub use init::{InitError, init};
pub use serve::{ServeError, serve, serve_on};
pub use settings::{InitSettings, Scope, Secret, Settings, TokenFile};
pub use sweep::Sweeper;
pub use tokens::{KnownToken, NewToken, TokenError, Tokens};
