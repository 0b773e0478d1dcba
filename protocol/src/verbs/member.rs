//! Who may do what: grants of roles to Matrix users.

use super::{args, words};
use crate::scalar::{Name, UserId};

args! {
    /// Let a person or an agent's account into the fleet
    Add {
        /// Matrix user id, for example @dana:example.org
        #[arg(value_name = "USER")]
        user: UserId,
        /// Role to grant (default: member)
        #[arg(long, value_enum)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        role: Option<GrantRole>,
    }
}
args! {
    /// Grant a further role, in the whole fleet or in one room
    Grant {
        /// Matrix user id
        #[arg(value_name = "USER")]
        user: UserId,
        /// Role to grant
        #[arg(value_enum)]
        role: GrantRole,
        /// Only in the room with this key, for example: board
        #[arg(long)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        room: Option<Name>,
    }
}
args! {
    /// Take a role back, or all of them
    Revoke {
        /// Matrix user id
        #[arg(value_name = "USER")]
        user: UserId,
        /// The role to take back (default: all)
        #[arg(long, value_enum)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        role: Option<GrantRole>,
    }
}
args! {
    /// List who may do what
    List {}
}

words! {
    /// What a grant allows; from least to most.
    GrantRole {
        /// May read.
        Viewer = "viewer",
        /// An agent's account: claims, reports, spends as itself.
        Agent = "agent",
        /// May add and steer work, propose and vote with a seat.
        Member = "member",
        /// May do everything.
        Operator = "operator",
    }
}
