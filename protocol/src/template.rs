//! Templates of proposals and personas of seats: data files with built-in ones, which a fleet may
//! override by files of its own (doctrine, "Board").

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::record::{Default, Rule, Threshold};
use crate::roster::{self, FileError};
use crate::scalar::{Brief, Name, Note, Percent, Title};
use crate::verbs::board::ProposalKind;
use crate::verbs::words;

/// A template: rule, seats and length of a vote. Its name is the file's stem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// What it is for.
    pub about: Note,
    /// Kinds of proposals that have it unless they name another.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<ProposalKind>,
    /// Whose seats it has.
    pub seats: TemplateSeats,
    /// Share of the weight that must be cast.
    pub quorum: Percent,
    /// Share of the weight for and against that passes.
    pub threshold: Threshold,
    /// What holds without a quorum.
    #[serde(default = "rejected")]
    pub default: Default,
    /// How many different principals must stand behind it.
    #[serde(default = "one")]
    pub principals: u8,
    /// Whether two principals other than the proposer must approve.
    #[serde(default)]
    pub two_keys: bool,
    /// Above this much money in 7 days, in millionths of a US dollar, a person must approve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub human_above: Option<u64>,
    /// How long voting lasts, in hours.
    pub hours: u16,
}

const fn rejected() -> Default {
    Default::Rejected
}

const fn one() -> u8 {
    1
}

/// Whose seats a template has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum TemplateSeats {
    /// Those of a group, each for its holder.
    Group(SeatGroup),
    /// These, each held by who holds the seat of that title on the standing board, or by the agent
    /// of that name.
    Named(Vec<TemplateSeat>),
}

words! {
    /// A group whose members each have a seat.
    SeatGroup {
        /// The standing board; every operator where there is none.
        Standing = "standing",
        /// Every operator.
        Operators = "operators",
    }
}

/// A seat of a template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TemplateSeat {
    /// Title; the persona of that name says what it looks at.
    pub title: Name,
    /// Weight of its ballot, 1 to 1000.
    #[serde(default = "weight")]
    pub weight: u16,
    /// Whether its veto blocks.
    #[serde(default)]
    pub may_veto: bool,
}

const fn weight() -> u16 {
    1
}

impl Template {
    /// How proposals of it are decided.
    pub fn rule(&self) -> Rule {
        Rule {
            quorum: self.quorum.get(),
            threshold: self.threshold,
            default: self.default,
            principals: self.principals,
            two_keys: self.two_keys,
            human_above: self.human_above,
        }
    }

    /// Reads a template file.
    ///
    /// # Errors
    /// With the path of the first key that does not fit.
    pub fn read(yaml: &str) -> Result<Self, FileError> {
        roster::read(yaml)
    }
}

/// A persona: what a seat looks at when it reviews. Its name is the file's stem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Persona {
    /// Title.
    pub title: Title,
    /// What it looks at.
    pub mandate: Brief,
    /// What it asks of every proposal.
    pub questions: Vec<Note>,
}

impl Persona {
    /// Reads a persona file.
    ///
    /// # Errors
    /// With the path of the first key that does not fit.
    pub fn read(yaml: &str) -> Result<Self, FileError> {
        roster::read(yaml)
    }
}

/// Built-in data files of a folder, each with its stem.
macro_rules! files {
    ($folder:literal: $($name:literal),*) => {
        &[$(($name, include_str!(concat!("../data/", $folder, "/", $name, ".yaml")))),*]
    };
}
pub(crate) use files;

const TEMPLATES: &[(&str, &str)] =
    files!("templates": "standing", "money", "authority", "forge", "lenses", "two-key", "lazy");
const PERSONAS: &[(&str, &str)] = files!("personas": "ceo", "cto", "cfo", "coo", "moonshot", "contrarian", "technical", "business", "financial");

/// The built-in templates, by name.
///
/// # Errors
/// None, as a test reads every built-in file.
pub fn templates() -> Result<BTreeMap<Name, Template>, FileError> {
    built_in(TEMPLATES, Template::read)
}

/// The built-in personas, by name.
///
/// # Errors
/// None, as a test reads every built-in file.
pub fn personas() -> Result<BTreeMap<Name, Persona>, FileError> {
    built_in(PERSONAS, Persona::read)
}

/// What built-in files say, by their stems.
pub(crate) fn built_in<T>(
    files: &[(&str, &str)],
    read: impl Fn(&str) -> Result<T, FileError>,
) -> Result<BTreeMap<Name, T>, FileError> {
    let one = |(name, yaml): &(&str, &str)| {
        let name = name.parse().map_err(|e| FileError::At {
            path: (*name).to_owned(),
            cause: format!("{e}"),
        });
        name.and_then(|name| Ok((name, read(yaml)?)))
    };
    files.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_file_is_read_and_every_kind_has_one_template() {
        let templates = templates().unwrap();
        assert_eq!(templates.len(), TEMPLATES.len());
        assert_eq!(personas().unwrap().len(), PERSONAS.len());
        for kind in ProposalKind::ALL {
            let of_kind = templates.values().filter(|t| t.kinds.contains(kind));
            assert_eq!(of_kind.count(), 1, "{kind}");
        }
    }

    #[test]
    fn every_named_seat_has_a_persona() {
        let personas = personas().unwrap();
        for (name, template) in templates().unwrap() {
            if let TemplateSeats::Named(seats) = template.seats {
                for seat in seats {
                    assert!(personas.contains_key(&seat.title), "{name} {}", seat.title);
                }
            }
        }
    }
}
