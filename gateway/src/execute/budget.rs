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
