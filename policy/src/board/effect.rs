//! Effects: which kind may run which command, and when a person must approve.

use fleet_protocol::Command;
use fleet_protocol::record::Rule;
use fleet_protocol::verbs::board::{Effect, ProposalKind};

/// The kind a proposal has when none was given: the one its effect belongs to.
pub fn kind_of(effect: Option<&Effect>) -> ProposalKind {
    match effect.map(|e| e.0.as_ref()) {
        Some(Command::Pause(_) | Command::Resume(_)) => ProposalKind::Pause,
        Some(Command::BudgetSet(_)) => ProposalKind::BudgetLift,
        Some(Command::BudgetReset(_)) => ProposalKind::WindowChange,
        Some(
            Command::MemberAdd(_)
            | Command::MemberGrant(_)
            | Command::MemberRevoke(_)
            | Command::BoardSeat(_),
        ) => ProposalKind::RoleChange,
        Some(Command::MissionNew(_) | Command::MissionClose(_)) => ProposalKind::Goal,
        Some(Command::TaskAdd(_) | Command::TaskPriority(_) | Command::TaskCancel(_)) => {
            ProposalKind::Brief
        }
        _ => ProposalKind::FreeText,
    }
}

/// Whether a kind of proposal may run an effect: the kind's whitelist.
pub fn may_run(kind: ProposalKind, effect: &Effect) -> bool {
    let also = match kind {
        ProposalKind::WindowChange => matches!(*effect.0, Command::BudgetSet(_)),
        // A brief's go is a mission or a task.
        ProposalKind::Brief => {
            matches!(*effect.0, Command::MissionNew(_) | Command::MissionClose(_))
        }
        _ => false,
    };
    kind != ProposalKind::FreeText && (also || kind_of(Some(effect)) == kind)
}

/// Whether a default may run an effect: never one that moves money or authority (board.md, "Rule").
pub fn runs_by_default(effect: &Effect) -> bool {
    matches!(
        kind_of(Some(effect)),
        ProposalKind::Brief | ProposalKind::Goal
    )
}

/// The money an effect moves, in millionths of a US dollar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Money {
    /// It moves none.
    None,
    /// So much.
    Known(u64),
    /// The price is not known: above every limit.
    Unknown,
}

/// Whether a person must approve: the effect's money, with what passed without a person on the same
/// provider account in 7 days, is above the rule's limit.
pub fn human_required(rule: &Rule, money: Money, passed_without: u64) -> bool {
    match (rule.human_above, money) {
        (None, _) | (_, Money::None) => false,
        (Some(_), Money::Unknown) => true,
        (Some(limit), Money::Known(amount)) => amount.saturating_add(passed_without) > limit,
    }
}
