//! The verbs of `agent`.

use fleet_protocol::problem::Code;
use fleet_protocol::verbs::agent as verbs;
use fleet_protocol::{Problem, Reply};

use super::{Exec, Stop};

fn unwritten() -> Stop {
    Problem::new(Code::Internal, "this verb is not executed yet").into()
}

pub(crate) async fn register(_exec: &mut Exec<'_>, _args: &verbs::Register) -> Result<Reply, Stop> {
    Err(unwritten())
}

pub(crate) async fn heartbeat(
    _exec: &mut Exec<'_>,
    _args: &verbs::Heartbeat,
) -> Result<Reply, Stop> {
    Err(unwritten())
}

pub(crate) async fn retire(_exec: &mut Exec<'_>, _args: &verbs::Retire) -> Result<Reply, Stop> {
    Err(unwritten())
}

pub(crate) async fn list(_exec: &mut Exec<'_>, _args: &verbs::List) -> Result<Reply, Stop> {
    Err(unwritten())
}

pub(crate) async fn show(_exec: &mut Exec<'_>, _args: &verbs::Show) -> Result<Reply, Stop> {
    Err(unwritten())
}
