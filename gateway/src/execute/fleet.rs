//! The verbs of `fleet`.

use fleet_protocol::problem::Code;
use fleet_protocol::verbs::fleet as verbs;
use fleet_protocol::{Problem, Reply};

use super::{Exec, Stop};

fn unwritten() -> Stop {
    Problem::new(Code::Internal, "this verb is not executed yet").into()
}

pub(crate) async fn pause(_exec: &mut Exec<'_>, _args: &verbs::Pause) -> Result<Reply, Stop> {
    Err(unwritten())
}

pub(crate) async fn resume(_exec: &mut Exec<'_>, _args: &verbs::Resume) -> Result<Reply, Stop> {
    Err(unwritten())
}

pub(crate) async fn verbosity(
    _exec: &mut Exec<'_>,
    _args: &verbs::Verbosity,
) -> Result<Reply, Stop> {
    Err(unwritten())
}

pub(crate) async fn help(_exec: &mut Exec<'_>, _args: &verbs::Help) -> Result<Reply, Stop> {
    Err(unwritten())
}

pub(crate) async fn whoami(_exec: &mut Exec<'_>, _args: &verbs::WhoAmI) -> Result<Reply, Stop> {
    Err(unwritten())
}

pub(crate) async fn status(_exec: &mut Exec<'_>, _args: &verbs::Status) -> Result<Reply, Stop> {
    Err(unwritten())
}

pub(crate) async fn ps(_exec: &mut Exec<'_>, _args: &verbs::Ps) -> Result<Reply, Stop> {
    Err(unwritten())
}

pub(crate) async fn doctor(_exec: &mut Exec<'_>, _args: &verbs::Doctor) -> Result<Reply, Stop> {
    Err(unwritten())
}
