//! Seats and who holds them.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scalar::{Name, ScalarError, UserId};

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

impl FromStr for Holder {
    type Err = ScalarError;

    fn from_str(text: &str) -> Result<Self, ScalarError> {
        if text.starts_with('@') {
            text.parse().map(Self::User)
        } else {
            text.parse().map(Self::Agent)
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
        Ok(Self {
            title: title.parse().map_err(|_| NotASeat)?,
            holder: holder.parse().map_err(|_| NotASeat)?,
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
