//! The verbs of `spend`.

use fleet_protocol::problem::Code;
use fleet_protocol::verbs::spend as verbs;
use fleet_protocol::{Problem, Reply};

use super::{Exec, Stop};

fn unwritten() -> Stop {
    Problem::new(Code::Internal, "this verb is not executed yet").into()
}

pub(crate) async fn report(_exec: &mut Exec<'_>, _args: &verbs::Report) -> Result<Reply, Stop> {
    Err(unwritten())
}
