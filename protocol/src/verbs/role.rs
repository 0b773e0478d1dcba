//! Roles and profiles: what agents are for.

use super::args;
use crate::scalar::Name;

args! {
    /// List the roles that an agent can have
    List {}
}
args! {
    /// Show a role: what it is for, what it must not do, its room
    Show {
        /// The role
        role: Name,
    }
}
args! {
    /// List the profiles: which roles a kind of fleet has
    Profiles {}
}
args! {
    /// Show a profile and its roles
    Profile {
        /// The profile
        profile: Name,
    }
}
