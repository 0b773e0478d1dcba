//! The verbs of `budget`.

use fleet_protocol::problem::Code;
use fleet_protocol::verbs::budget as verbs;
use fleet_protocol::{Problem, Reply};

use super::{Exec, Stop};

fn unwritten() -> Stop {
    Problem::new(Code::Internal, "this verb is not executed yet").into()
}

pub(crate) async fn set(_exec: &mut Exec<'_>, _args: &verbs::Set) -> Result<Reply, Stop> {
    Err(unwritten())
}

pub(crate) async fn reset(_exec: &mut Exec<'_>, _args: &verbs::Reset) -> Result<Reply, Stop> {
    Err(unwritten())
}

pub(crate) async fn status(_exec: &mut Exec<'_>, _args: &verbs::Status) -> Result<Reply, Stop> {
    Err(unwritten())
}

/// What an admission granted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Granted {
    /// Tokens held for the attempt; none where no limit governs it.
    pub(crate) granted_tokens: Option<i64>,
    /// What the claimer should know, one sentence each.
    pub(crate) notes: Vec<String>,
}

/// How an attempt's hold ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Settle {
    /// What was reported is the actual.
    Actual,
    /// The actual is unknown, for this reason: the whole grant is charged.
    Unknown(String),
    /// The actual in tokens, in all.
    Tokens(i64),
    /// The lease ended without a report.
    Presume,
    /// The work was handed back.
    Release,
}

/// Checks the budget before an attempt starts, and takes the hold.
pub(crate) async fn admit(
    _exec: &mut Exec<'_>,
    _task: uuid::Uuid,
    _attempt: i32,
    _provider: Option<&fleet_protocol::scalar::Name>,
    _projected_tokens: Option<i64>,
) -> Result<Granted, Stop> {
    Err(unwritten())
}

/// Ends an attempt's hold; the notes say what that did to the budget.
pub(crate) async fn settle(
    _exec: &mut Exec<'_>,
    _task: uuid::Uuid,
    _attempt: i32,
    _how: Settle,
) -> Result<Vec<String>, Stop> {
    Err(unwritten())
}
