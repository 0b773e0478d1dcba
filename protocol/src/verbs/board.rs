//! The board: proposals, ballots, decisions (board.md).

use super::{args, words};
use crate::ids::ProposalRef;
use crate::record::{Statement, Threshold};
use crate::scalar::{Brief, Name, Note, Percent, Title};
use crate::time::Moment;

mod effect;
mod seat;

pub use effect::{Effect, EffectError};
pub use seat::{Holder, NotASeat, Seat};

words! {
    /// What a proposal is about; each kind has its rule and its whitelist of effects.
    ProposalKind {
        /// Whether to take a brief on.
        Brief = "brief",
        /// More budget.
        BudgetLift = "budget_lift",
        /// Another budget window.
        WindowChange = "window_change",
        /// Ratify a goal.
        Goal = "goal",
        /// Change a role or a seat.
        RoleChange = "role_change",
        /// Pause or resume the fleet.
        Pause = "pause",
        /// Anything else; without an effect.
        FreeText = "free_text",
    }
}
words! {
    /// A ballot's verdict.
    Verdict {
        /// For it.
        Approve = "approve",
        /// Against it.
        Reject = "reject",
        /// Counts for the quorum only.
        Abstain = "abstain",
        /// Against it, and blocks; only seats that may, and only with a reason.
        Veto = "veto",
        /// For it, if the concerns are met.
        Conditional = "conditional",
    }
}

args! {
    /// Open a proposal and ask the board
    Propose {
        /// The question, in one line
        #[arg(allow_hyphen_values = true)]
        title: Title,
        /// The text in full
        #[arg(long, allow_hyphen_values = true)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<Brief>,
        /// What it is about (default: free_text, or what fits the effect)
        #[arg(long, value_enum)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kind: Option<ProposalKind>,
        /// What runs when it passes, as a command in quotes, for example "pause"
        #[arg(long, value_name = "COMMAND")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        effect: Option<Effect>,
        /// When voting ends (default: +24h)
        #[arg(long, value_name = "TIME")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        closes_at: Option<Moment>,
        /// A seat, TITLE=HOLDER with *WEIGHT and !veto behind; repeat (default: the board's seats)
        #[arg(long = "seat", value_name = "SEAT")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        seats: Vec<Seat>,
        /// Share of the weight that must be cast (default: the template's)
        #[arg(long, value_name = "PERCENT")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        quorum: Option<Percent>,
        /// Share of the weight for and against that passes: majority, or one such as 2/3
        #[arg(long, value_name = "SHARE")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        threshold: Option<Threshold>,
        /// Rule and seats by name; see them with: board templates
        #[arg(long, value_name = "NAME")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        template: Option<Name>,
    }
}
args! {
    /// Close a proposal as superseded and open a changed one in its place; ballots are cast anew
    Amend {
        /// The proposal
        #[arg(value_name = "PROPOSAL")]
        proposal: ProposalRef,
        /// Another title
        #[arg(long, allow_hyphen_values = true)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<Title>,
        /// Another text
        #[arg(long, allow_hyphen_values = true)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<Brief>,
        /// Another effect
        #[arg(long, value_name = "COMMAND", conflicts_with = "no_effect")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        effect: Option<Effect>,
        /// Without an effect
        #[arg(long)]
        #[serde(default)]
        no_effect: bool,
        /// Another end (default: as much time again)
        #[arg(long, value_name = "TIME")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        closes_at: Option<Moment>,
        /// Other seats; repeat
        #[arg(long = "seat", value_name = "SEAT")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        seats: Vec<Seat>,
        /// Why
        #[arg(long, allow_hyphen_values = true)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Note>,
    }
}
args! {
    /// Cast, change or withdraw a ballot
    Vote {
        /// The proposal, for example p12
        #[arg(value_name = "PROPOSAL")]
        proposal: ProposalRef,
        /// The verdict
        #[arg(value_enum)]
        verdict: Verdict,
        /// Why, in your own words; the word "because" may lead
        #[arg(value_name = "REASON", num_args = 0.., allow_hyphen_values = true, trailing_var_arg = true)]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        reason: Vec<Note>,
        /// How sure you are
        #[arg(long, value_name = "PERCENT")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        confidence: Option<Percent>,
        /// What worries you; repeat
        #[arg(long = "concern", value_name = "TEXT", allow_hyphen_values = true)]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        concerns: Vec<Note>,
        /// What you would do; repeat
        #[arg(long = "recommendation", value_name = "TEXT", allow_hyphen_values = true)]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        recommendations: Vec<Note>,
        /// What may go badly wrong; repeat
        #[arg(long = "risk", value_name = "TEXT", allow_hyphen_values = true)]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        key_risks: Vec<Note>,
        /// The seat you vote for, where you hold several
        #[arg(long = "as", value_name = "SEAT")]
        #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
        seat: Option<Name>,
    }
}
args! {
    /// Take a ballot back; the seat has then not voted
    Withdraw {
        /// The proposal
        #[arg(value_name = "PROPOSAL")]
        proposal: ProposalRef,
        /// The seat, where you hold several
        #[arg(long = "as", value_name = "SEAT")]
        #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
        seat: Option<Name>,
    }
}
words! {
    /// What is done to a seat of the standing board.
    SeatChange {
        /// Keep it from voting, on open proposals too.
        Suspend = "suspend",
        /// Let it vote again.
        Restore = "restore",
        /// Make it, or change its holder, weight or veto.
        Set = "set",
        /// Take it away; open proposals keep theirs.
        Remove = "remove",
    }
}
args! {
    /// Change a seat of the standing board: suspend, restore, set or remove it
    ChangeSeat {
        /// What to do
        #[arg(value_enum, value_name = "CHANGE")]
        change: SeatChange,
        /// The seat
        #[arg(value_name = "SEAT")]
        seat: Name,
        /// Who holds it: a Matrix user or an agent's name
        #[arg(long)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        holder: Option<Holder>,
        /// Weight of its ballot, 1 to 1000 (default: 1)
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        weight: Option<u16>,
        /// Its veto blocks
        #[arg(long)]
        #[serde(default)]
        veto: bool,
        /// Why
        #[arg(long, allow_hyphen_values = true)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Note>,
    }
}
args! {
    /// Show the standing board: seats, holders, weights
    Seats {}
}
args! {
    /// List the templates of proposals: rule and seats by name
    Templates {}
}
args! {
    /// Show what a seat is asked to look at
    Personas {
        /// The persona; none lists all
        #[arg(value_name = "PERSONA")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        persona: Option<Name>,
    }
}
args! {
    /// List the open proposals that wait for your ballot
    Mine {}
}
args! {
    /// Give a proposal's whole record, to keep it and to verify it offline
    Export {
        /// The proposal
        #[arg(value_name = "PROPOSAL")]
        proposal: ProposalRef,
    }
}
args! {
    /// List what was decided
    Minutes {
        /// Decided since then (default: 30 days ago)
        #[arg(long, value_name = "TIME")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since: Option<Moment>,
    }
}
args! {
    /// Show a proposal, its ballots and who is missing
    Show {
        /// The proposal
        #[arg(value_name = "PROPOSAL")]
        proposal: ProposalRef,
    }
}
args! {
    /// List open proposals
    List {
        /// Include closed ones
        #[arg(long)]
        #[serde(default)]
        all: bool,
    }
}
args! {
    /// Close a proposal before its time, with the ballots as they stand
    Close {
        /// The proposal
        #[arg(value_name = "PROPOSAL")]
        proposal: ProposalRef,
        /// Why now
        #[arg(long, allow_hyphen_values = true)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Note>,
    }
}

impl Vote {
    /// The reason as one text, without a leading "because".
    pub fn reason_text(&self) -> Option<String> {
        let joined = self
            .reason
            .iter()
            .map(Note::as_str)
            .collect::<Vec<_>>()
            .join(" ");
        let text = joined.strip_prefix("because ").unwrap_or(&joined).trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// Everything the voter wrote.
    pub fn statement(&self) -> Statement {
        let texts = |notes: &[Note]| notes.iter().map(Note::to_string).collect();
        Statement {
            reason: self.reason_text(),
            concerns: texts(&self.concerns),
            recommendations: texts(&self.recommendations),
            key_risks: texts(&self.key_risks),
        }
    }
}
