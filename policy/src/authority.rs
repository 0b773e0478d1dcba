//! Authority: who may say which verb, and where.
//!
//! Deny by default. In a room a sender must be joined, hold a grant whose role fits the verb, and
//! have the power level the verb needs; outside a room the grant alone decides (the scope of a
//! token is checked where the token is read). A write that the table does not list is refused for
//! everybody.

use fleet_protocol::Problem;
use fleet_protocol::problem::Code;
use fleet_protocol::verbs::member::GrantRole;

/// The power level of a moderator (Matrix spec, `m.room.power_levels`), needed to steer the fleet.
pub const MODERATOR: i64 = 50;

/// A request, as far as authority is concerned.
#[derive(Debug, Clone)]
pub struct Ask<'a> {
    /// The verb's dotted name.
    pub verb: &'a str,
    /// Whether it changes the register.
    pub writes: bool,
    /// The roles that count here: those of the whole fleet and those of this room.
    pub roles: &'a [GrantRole],
    /// Whether the sender is joined to the room; `None` outside a room.
    pub joined: Option<bool>,
    /// The sender's power level in the room; `None` outside a room.
    pub power_level: Option<i64>,
    /// Whose commands count in the room, as the file of its role says; empty: everybody's whose grant fits.
    pub may_command: &'a [GrantRole],
    /// Whether the account belongs to an agent.
    pub is_agent_account: bool,
    /// Whether it came as a chat line, not as a structured event or an HTTP call.
    pub via_chat: bool,
}

/// What a verb needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Anybody who is joined.
    Open,
    /// Any role.
    Viewer,
    /// An agent working as itself, or whoever may do a member's work.
    Agent,
    /// A member or an operator.
    Member,
    /// A member or an operator, with the given power level in the room.
    MemberWithPower(i64),
    /// An operator, with the given power level in the room.
    Operator(i64),
}

impl Need {
    /// The least role that satisfies the need; `None` when no role is needed.
    pub fn least_role(self) -> Option<GrantRole> {
        match self {
            Self::Open => None,
            Self::Viewer => Some(GrantRole::Viewer),
            Self::Agent => Some(GrantRole::Agent),
            Self::Member | Self::MemberWithPower(_) => Some(GrantRole::Member),
            Self::Operator(_) => Some(GrantRole::Operator),
        }
    }

    /// The least power level in a room.
    pub fn least_power(self) -> i64 {
        match self {
            Self::MemberWithPower(n) | Self::Operator(n) => n,
            Self::Open | Self::Viewer | Self::Agent | Self::Member => 0,
        }
    }
}

/// What a verb needs; `None` for a write that nobody may do.
///
/// Roles are ordered from least to most, and a role may do all that a lesser one may.
pub fn need(verb: &str, writes: bool) -> Option<Need> {
    if !writes {
        return Some(if matches!(verb, "help" | "whoami") {
            Need::Open
        } else {
            Need::Viewer
        });
    }
    match verb {
        "pause"
        | "resume"
        | "member.add"
        | "member.grant"
        | "member.revoke"
        | "agent.retire"
        | "agent.revoke"
        | "budget.set"
        | "budget.reset"
        | "budget.lift"
        | "budget.reopen"
        | "budget.ladder.set"
        | "budget.import"
        | "subscription.add"
        | "subscription.pool"
        | "subscription.retire"
        | "price.set"
        | "task.start"
        | "board.close"
        | "board.seat"
        | "provision"
        | "workers.set"
        | "chain.limits.set" => Some(Need::Operator(MODERATOR)),
        "verbosity" => Some(Need::MemberWithPower(MODERATOR)),
        "mission.new" | "mission.close" | "task.add" | "task.unblock" | "task.cancel"
        | "task.retry" | "task.answer" | "task.depend" | "task.priority" | "spend.settle"
        | "alert.ack" | "hush" | "tell" => Some(Need::Member),
        "task.claim" | "task.renew" | "task.progress" | "task.check" | "task.complete"
        | "task.fail" | "task.block" | "task.release" | "task.escalate" | "agent.register"
        | "agent.heartbeat" | "agent.send" | "agent.reply" | "agent.broadcast"
        | "agent.delegate" | "agent.ack" | "agent.token" | "spend.report" | "spend.hold"
        | "spend.top-up" | "spend.commit" | "spend.release" | "budget.close" | "budget.reading"
        | "budget.headers" | "board.propose" | "board.amend" | "board.vote" | "board.withdraw" => {
            Some(Need::Agent)
        }
        _ => None,
    }
}

/// Decides whether a request is allowed.
///
/// # Errors
/// [`Code::NotInRoom`], [`Code::AgentChat`], [`Code::NoGrant`], [`Code::WrongRole`] or
/// [`Code::PowerTooLow`], each with a remedy that names who can do what about it.
pub fn decide(ask: &Ask<'_>) -> Result<(), Problem> {
    if ask.joined == Some(false) {
        return Err(not_in_room());
    }
    if ask.is_agent_account && ask.via_chat {
        return Err(agent_chat());
    }
    let Some(need) = need(ask.verb, ask.writes) else {
        return Err(
            Problem::new(Code::WrongRole, format!("nobody may do \"{}\"", ask.verb))
                .remedy("type: !help"),
        );
    };
    let Some(least) = need.least_role() else {
        return Ok(());
    };
    let Some(highest) = ask.roles.iter().max() else {
        return Err(no_grant(least));
    };
    if *highest < least {
        return Err(wrong_role(ask.verb, *highest, least));
    }
    if is_others_room(ask, *highest) {
        return Err(others_room(ask.may_command));
    }
    match ask.power_level {
        Some(level) if level < need.least_power() => {
            Err(power_too_low(ask.verb, level, need.least_power()))
        }
        _ => Ok(()),
    }
}

/// Whether the room takes commands from others only. An operator commands everywhere, and a vote is no
/// command.
fn is_others_room(ask: &Ask<'_>, highest: GrantRole) -> bool {
    let is_vote = matches!(ask.verb, "board.vote" | "board.withdraw");
    ask.joined.is_some()
        && ask.writes
        && !is_vote
        && !ask.may_command.is_empty()
        && highest != GrantRole::Operator
        && !ask.roles.iter().any(|role| ask.may_command.contains(role))
}

fn others_room(may: &[GrantRole]) -> Problem {
    let may: Vec<String> = may.iter().map(ToString::to_string).collect();
    let detail = format!(
        "this room takes commands from these only: {}",
        may.join(", ")
    );
    Problem::new(Code::WrongRole, detail)
        .remedy("say it in another room, for example the lobby, or ask one of them")
}

fn not_in_room() -> Problem {
    Problem::new(Code::NotInRoom, "you are not joined to this room")
        .remedy("ask somebody in the room to invite you, join it, then send the command again")
}

fn agent_chat() -> Problem {
    Problem::new(Code::AgentChat, "an agent's account gives no chat commands")
        .remedy("an agent sends a dev.mosaicstack.fleet.command event instead; a person types the line from their own account")
}

fn no_grant(least: GrantRole) -> Problem {
    Problem::new(Code::NoGrant, "you have no role in this fleet").remedy(format!(
        "an operator can type: !member add @you:server --role {least}"
    ))
}

fn wrong_role(verb: &str, highest: GrantRole, least: GrantRole) -> Problem {
    let words = verb.replace('.', " ");
    Problem::new(
        Code::WrongRole,
        format!("\"{words}\" needs the role {least}; your highest role here is {highest}"),
    )
    .remedy(format!(
        "an operator can type: !member grant @you:server {least}"
    ))
}

fn power_too_low(verb: &str, level: i64, least: i64) -> Problem {
    let words = verb.replace('.', " ");
    Problem::new(Code::PowerTooLow, format!("\"{words}\" needs power level {least} in this room; yours is {level}"))
        .remedy(format!(
            "somebody with power level {least} can raise yours in the room's settings, or type the command in a room where you have it"
        ))
}

#[cfg(test)]
mod tests;
