//! The verbs of `member`.

use fleet_protocol::problem::Code;
use fleet_protocol::verbs::member as verbs;
use fleet_protocol::{Problem, Reply};

use super::{Exec, Stop};

fn unwritten() -> Stop {
    Problem::new(Code::Internal, "this verb is not executed yet").into()
}

pub(crate) async fn add(_exec: &mut Exec<'_>, _args: &verbs::Add) -> Result<Reply, Stop> {
    Err(unwritten())
}

pub(crate) async fn grant(_exec: &mut Exec<'_>, _args: &verbs::Grant) -> Result<Reply, Stop> {
    Err(unwritten())
}

pub(crate) async fn revoke(_exec: &mut Exec<'_>, _args: &verbs::Revoke) -> Result<Reply, Stop> {
    Err(unwritten())
}

pub(crate) async fn list(_exec: &mut Exec<'_>, _args: &verbs::List) -> Result<Reply, Stop> {
    Err(unwritten())
}
