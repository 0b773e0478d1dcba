//! The verbs of `task`.

use fleet_protocol::problem::Code;
use fleet_protocol::verbs::task as verbs;
use fleet_protocol::{Problem, Reply};

use super::{Exec, Stop};

fn unwritten() -> Stop {
    Problem::new(Code::Internal, "this verb is not executed yet").into()
}

pub(crate) async fn add(_exec: &mut Exec<'_>, _args: &verbs::Add) -> Result<Reply, Stop> {
    Err(unwritten())
}

pub(crate) async fn claim(_exec: &mut Exec<'_>, _args: &verbs::Claim) -> Result<Reply, Stop> {
    Err(unwritten())
}

pub(crate) async fn renew(_exec: &mut Exec<'_>, _args: &verbs::Renew) -> Result<Reply, Stop> {
    Err(unwritten())
}

pub(crate) async fn progress(_exec: &mut Exec<'_>, _args: &verbs::Progress) -> Result<Reply, Stop> {
    Err(unwritten())
}

pub(crate) async fn complete(_exec: &mut Exec<'_>, _args: &verbs::Complete) -> Result<Reply, Stop> {
    Err(unwritten())
}

pub(crate) async fn fail(_exec: &mut Exec<'_>, _args: &verbs::Fail) -> Result<Reply, Stop> {
    Err(unwritten())
}

pub(crate) async fn block(_exec: &mut Exec<'_>, _args: &verbs::Block) -> Result<Reply, Stop> {
    Err(unwritten())
}

pub(crate) async fn unblock(_exec: &mut Exec<'_>, _args: &verbs::Unblock) -> Result<Reply, Stop> {
    Err(unwritten())
}

pub(crate) async fn release(_exec: &mut Exec<'_>, _args: &verbs::Release) -> Result<Reply, Stop> {
    Err(unwritten())
}

pub(crate) async fn cancel(_exec: &mut Exec<'_>, _args: &verbs::Cancel) -> Result<Reply, Stop> {
    Err(unwritten())
}

pub(crate) async fn retry(_exec: &mut Exec<'_>, _args: &verbs::Retry) -> Result<Reply, Stop> {
    Err(unwritten())
}

pub(crate) async fn depend(_exec: &mut Exec<'_>, _args: &verbs::Depend) -> Result<Reply, Stop> {
    Err(unwritten())
}

pub(crate) async fn list(_exec: &mut Exec<'_>, _args: &verbs::List) -> Result<Reply, Stop> {
    Err(unwritten())
}

pub(crate) async fn show(_exec: &mut Exec<'_>, _args: &verbs::Show) -> Result<Reply, Stop> {
    Err(unwritten())
}

/// Ends the lease of a task if it has run out; called by the sweep.
pub(crate) async fn expire(_exec: &mut Exec<'_>, _id: uuid::Uuid) -> Result<(), Stop> {
    Err(unwritten())
}
