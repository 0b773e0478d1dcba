//! Commands that run when a proposal passes.

use std::borrow::Cow;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::language::{Command, Request};

/// A command that runs when a proposal passes. Which commands are allowed depends on the kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Effect(pub Box<Command>);

impl FromStr for Effect {
    type Err = EffectError;

    fn from_str(line: &str) -> Result<Self, EffectError> {
        match crate::chat::parse_inner(line) {
            Ok(Request::Command(command)) => Ok(Self(Box::new(command))),
            Ok(Request::Query(_)) => Err(EffectError::ReadsOnly),
            Err(e) => Err(EffectError::Unreadable(e.problem().detail)),
        }
    }
}

/// Why a text is no effect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EffectError {
    /// It is a query.
    #[error("only reads, so there is nothing to run when the proposal passes")]
    ReadsOnly,
    /// It is no command.
    #[error("is not a command: {0}")]
    Unreadable(String),
}

impl JsonSchema for Effect {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Effect".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "description": "a command, as in POST /v1/commands", "maxProperties": 1, "minProperties": 1 })
    }
}
