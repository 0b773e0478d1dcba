//! Roles and profiles: the fleet's own files over the built-in ones.

use std::collections::BTreeMap;

use fleet_protocol::problem::Code;
use fleet_protocol::role::{self, Profile, Role};
use fleet_protocol::scalar::Name;
use fleet_protocol::verbs::role as verbs;
use fleet_protocol::{Problem, Reply};

use super::files::{own, unusable};
use super::{Exec, Stop};

pub(crate) async fn list(exec: &mut Exec<'_>, _: &verbs::List) -> Result<Reply, Stop> {
    Ok(Reply::Roles(roles(exec).await?))
}

pub(crate) async fn show(exec: &mut Exec<'_>, args: &verbs::Show) -> Result<Reply, Stop> {
    let all = roles(exec).await?;
    Ok(Reply::Roles(one("role", all, &args.role)?))
}

pub(crate) async fn profiles(exec: &mut Exec<'_>, _: &verbs::Profiles) -> Result<Reply, Stop> {
    Ok(Reply::Profiles(all_profiles(exec).await?))
}

pub(crate) async fn profile(exec: &mut Exec<'_>, args: &verbs::Profile) -> Result<Reply, Stop> {
    let all = all_profiles(exec).await?;
    Ok(Reply::Profiles(one("profile", all, &args.profile)?))
}

/// Every role by name.
pub(super) async fn roles(exec: &mut Exec<'_>) -> Result<BTreeMap<Name, Role>, Stop> {
    let mut all = role::roles().map_err(unusable)?;
    all.extend(own(exec, "role", Role::read).await?);
    Ok(all)
}

async fn all_profiles(exec: &mut Exec<'_>) -> Result<BTreeMap<Name, Profile>, Stop> {
    let mut all = role::profiles().map_err(unusable)?;
    all.extend(own(exec, "profile", Profile::read).await?);
    Ok(all)
}

/// The one of a name, alone.
pub(super) fn one<T>(
    what: &str,
    mut all: BTreeMap<Name, T>,
    name: &Name,
) -> Result<BTreeMap<Name, T>, Problem> {
    match all.remove_entry(name) {
        Some(found) => Ok(BTreeMap::from([found])),
        None => Err(unknown(what, name, all.keys())),
    }
}

/// What is not there, and what is.
pub(super) fn unknown<'a>(
    what: &str,
    name: &Name,
    known: impl Iterator<Item = &'a Name>,
) -> Problem {
    let known: Vec<&str> = known.map(Name::as_str).collect();
    Problem::new(Code::NotFound, format!("there is no {what} {name}"))
        .remedy(format!("there are: {}", known.join(", ")))
}
