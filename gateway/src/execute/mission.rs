//! The verbs of `mission`.

use fleet_protocol::problem::Code;
use fleet_protocol::verbs::mission as verbs;
use fleet_protocol::{Problem, Reply};

use super::{Exec, Stop};

fn unwritten() -> Stop {
    Problem::new(Code::Internal, "this verb is not executed yet").into()
}

pub(crate) async fn new(_exec: &mut Exec<'_>, _args: &verbs::New) -> Result<Reply, Stop> {
    Err(unwritten())
}

pub(crate) async fn close(_exec: &mut Exec<'_>, _args: &verbs::Close) -> Result<Reply, Stop> {
    Err(unwritten())
}

pub(crate) async fn list(_exec: &mut Exec<'_>, _args: &verbs::List) -> Result<Reply, Stop> {
    Err(unwritten())
}

pub(crate) async fn show(_exec: &mut Exec<'_>, _args: &verbs::Show) -> Result<Reply, Stop> {
    Err(unwritten())
}
