//! The verbs of `board`.

use fleet_protocol::problem::Code;
use fleet_protocol::verbs::board as verbs;
use fleet_protocol::{Problem, Reply};

use super::{Exec, Stop};

fn unwritten() -> Stop {
    Problem::new(Code::Internal, "this verb is not executed yet").into()
}

pub(crate) async fn propose(_exec: &mut Exec<'_>, _args: &verbs::Propose) -> Result<Reply, Stop> {
    Err(unwritten())
}

pub(crate) async fn vote(_exec: &mut Exec<'_>, _args: &verbs::Vote) -> Result<Reply, Stop> {
    Err(unwritten())
}

pub(crate) async fn close(_exec: &mut Exec<'_>, _args: &verbs::Close) -> Result<Reply, Stop> {
    Err(unwritten())
}

pub(crate) async fn show(_exec: &mut Exec<'_>, _args: &verbs::Show) -> Result<Reply, Stop> {
    Err(unwritten())
}

pub(crate) async fn list(_exec: &mut Exec<'_>, _args: &verbs::List) -> Result<Reply, Stop> {
    Err(unwritten())
}

/// Records a ballot that is a reply or a reaction; none when it does not point at a proposal's card.
pub(crate) async fn ballot(
    _exec: &mut Exec<'_>,
    _target: &str,
    _verdict: verbs::Verdict,
    _reason: Option<&str>,
    _via: fleet_protocol::envelope::BallotInput,
) -> Result<Option<Reply>, Stop> {
    Err(unwritten())
}

/// Closes a proposal whose time has come; called by the sweep.
pub(crate) async fn close_due(_exec: &mut Exec<'_>, _id: uuid::Uuid) -> Result<(), Stop> {
    Err(unwritten())
}
