//! The board: proposals, ballots, decisions (board.md).

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::{args, words};
use crate::ids::ProposalRef;
use crate::language::{Command, Request};
use crate::scalar::{Brief, Name, Note, Percent, Title, UserId};
use crate::time::Moment;

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
        /// Share of the weight that must be cast (default: 50)
        #[arg(long, value_name = "PERCENT")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        quorum: Option<Percent>,
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
        /// The seat you vote for, where you hold several
        #[arg(long = "as", value_name = "SEAT")]
        #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
        seat: Option<Name>,
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
}

/// A command that runs when a proposal passes. Which commands are allowed depends on the kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Effect(pub Box<Command>);

impl FromStr for Effect {
    type Err = EffectError;

    fn from_str(line: &str) -> Result<Self, EffectError> {
        match crate::chat::parse_inner(line) {
            Ok(Request::Command(command)) => Ok(Self(Box::new(command))),
            Ok(Request::Query(_)) => Err(EffectError::ReadsOnly),
            Err(e) => Err(EffectError::Unreadable(e.problem().detail)),
        }
    }
}

/// Why a text is no effect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EffectError {
    /// It is a query.
    #[error("only reads, so there is nothing to run when the proposal passes")]
    ReadsOnly,
    /// It is no command.
    #[error("is not a command: {0}")]
    Unreadable(String),
}

impl JsonSchema for Effect {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Effect".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "description": "a command, as in POST /v1/commands", "maxProperties": 1, "minProperties": 1 })
    }
}

/// Who holds a seat.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Holder {
    /// A person or any account, by Matrix user id.
    User(UserId),
    /// An agent by name; any incarnation of it.
    Agent(Name),
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => user.fmt(f),
            Self::Agent(name) => name.fmt(f),
        }
    }
}

/// A seat at the board: title, holder, weight, whether it may veto.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Seat {
    /// Title, for example `cto`.
    pub title: Name,
    /// Who votes for it.
    pub holder: Holder,
    /// Weight of its ballot, 1 to 1000.
    pub weight: u16,
    /// Whether its veto blocks.
    #[serde(default)]
    pub may_veto: bool,
}

/// The text is no seat.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "is not a seat; write TITLE=HOLDER, for example cto=@dana:example.org, cfo=code-1*2 or ceo=@kim:example.org!veto"
)]
pub struct NotASeat;

impl FromStr for Seat {
    type Err = NotASeat;

    fn from_str(text: &str) -> Result<Self, NotASeat> {
        let (title, rest) = text.split_once('=').ok_or(NotASeat)?;
        let (rest, may_veto) = rest
            .strip_suffix("!veto")
            .map_or((rest, false), |r| (r, true));
        let (holder, weight) = match rest.split_once('*') {
            Some((holder, n)) => (holder, n.parse().map_err(|_| NotASeat)?),
            None => (rest, 1),
        };
        if !(1..=1_000).contains(&weight) {
            return Err(NotASeat);
        }
        let holder = if holder.starts_with('@') {
            Holder::User(holder.parse().map_err(|_| NotASeat)?)
        } else {
            Holder::Agent(holder.parse().map_err(|_| NotASeat)?)
        };
        Ok(Self {
            title: title.parse().map_err(|_| NotASeat)?,
            holder,
            weight,
            may_veto,
        })
    }
}

impl fmt::Display for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.title, self.holder)?;
        if self.weight != 1 {
            write!(f, "*{}", self.weight)?;
        }
        if self.may_veto {
            f.write_str("!veto")
        } else {
            Ok(())
        }
    }
}
