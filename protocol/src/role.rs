//! Roles and profiles (doctrine, "Roles"): data files with built-in ones, which a fleet may override or add to
//! by files of its own. Adding a role is adding a file.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::roster::{self, FileError};
use crate::scalar::{Brief, Name, Note, Title};
use crate::template::{built_in, files};
use crate::verbs::member::GrantRole;

/// A role file; the role's name is the file's stem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// Title.
    pub title: Title,
    /// What it is there for.
    pub mandate: Brief,
    /// What it must not do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub boundaries: Vec<Note>,
    /// What an agent of this role is told about itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persona: Option<Brief>,
    /// Key of its room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<Name>,
    /// Whose commands count in a room of its own; empty means the fleet's usual rules.
    #[serde(default, alias = "mayCommand", skip_serializing_if = "Vec::is_empty")]
    pub may_command: Vec<GrantRole>,
}

/// A profile file: which roles a kind of fleet has; its name is the file's stem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Title.
    pub title: Title,
    /// What such a fleet does.
    pub description: Note,
    /// The role that people speak to.
    pub lead: Name,
    /// Roles of which there is exactly one each (doctrine 3).
    pub floor: Vec<Name>,
    /// Its roles.
    pub roster: Vec<Post>,
}

/// A role in a profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Post {
    /// The role.
    pub class: Name,
    /// The role it reports to; none for the lead.
    #[serde(default, alias = "reportsTo", skip_serializing_if = "Option::is_none")]
    pub reports_to: Option<Name>,
    /// How many agents of it.
    #[serde(default = "one")]
    pub multiplicity: u16,
    /// What else is to be known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<Note>,
}

const fn one() -> u16 {
    1
}

impl Role {
    /// Reads a role file.
    ///
    /// # Errors
    /// With the path of the first key that does not fit.
    pub fn read(yaml: &str) -> Result<Self, FileError> {
        roster::read(yaml)
    }

    /// What an agent of this role is told about itself: mandate, persona, boundaries.
    pub fn told(&self) -> String {
        let mut text = format!("You are the fleet's {}.\n\n{}", self.title, self.mandate);
        if let Some(persona) = &self.persona {
            text.push_str("\n\n");
            text.push_str(persona.as_str());
        }
        if !self.boundaries.is_empty() {
            text.push_str("\n\nWhat you must not do:");
        }
        for boundary in &self.boundaries {
            text.push_str("\n- ");
            text.push_str(boundary.as_str());
        }
        text
    }
}

impl Profile {
    /// Reads a profile file.
    ///
    /// # Errors
    /// With the path of the first key that does not fit; so is a role that reports to one the profile
    /// does not have.
    pub fn read(yaml: &str) -> Result<Self, FileError> {
        let profile: Self = roster::read(yaml)?;
        let has = |role: &Name| profile.roster.iter().any(|post| post.class == *role);
        let named = [("lead".to_owned(), &profile.lead)]
            .into_iter()
            .chain(
                profile
                    .floor
                    .iter()
                    .enumerate()
                    .map(|(n, role)| (format!("floor[{n}]"), role)),
            )
            .chain(profile.roster.iter().enumerate().filter_map(|(n, post)| {
                let to = post.reports_to.as_ref()?;
                Some((format!("roster[{n}].reports_to"), to))
            }));
        for (path, role) in named {
            if !has(role) {
                let cause = format!("there is no {role} in the roster below");
                return Err(FileError::At { path, cause });
            }
        }
        Ok(profile)
    }
}

const ROLES: &[(&str, &str)] = files!("roles": "orchestrator", "planner", "decomposition", "board", "code", "review",
    "security-review", "site-tester", "documentation", "rebase", "merge-gate", "operator", "session-review", "enhancer");
const PROFILES: &[(&str, &str)] = files!("profiles": "software-delivery", "personal-assistant", "research", "business", "marketing");

/// The built-in roles, by name.
///
/// # Errors
/// None, as a test reads every built-in file.
pub fn roles() -> Result<BTreeMap<Name, Role>, FileError> {
    built_in(ROLES, Role::read)
}

/// The built-in role of a name, if there is one.
///
/// # Errors
/// None, as a test reads every built-in file.
pub fn built_in_role(name: &Name) -> Result<Option<Role>, FileError> {
    let file = ROLES.iter().find(|(role, _)| *role == name.as_str());
    file.map(|(_, yaml)| Role::read(yaml)).transpose()
}

/// The built-in profiles, by name.
///
/// # Errors
/// None, as a test reads every built-in file.
pub fn profiles() -> Result<BTreeMap<Name, Profile>, FileError> {
    built_in(PROFILES, Profile::read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_file_is_read_and_a_profile_has_roles_that_exist() {
        let (roles, profiles) = (roles().unwrap(), profiles().unwrap());
        assert_eq!((roles.len(), profiles.len()), (ROLES.len(), PROFILES.len()));
        for (name, profile) in profiles {
            for post in &profile.roster {
                assert!(roles.contains_key(&post.class), "{name}: {}", post.class);
            }
            let floor: Vec<&str> = profile.floor.iter().map(Name::as_str).collect();
            assert_eq!(floor, ["orchestrator", "enhancer"], "{name}");
        }
    }

    #[test]
    fn a_profile_names_only_roles_that_it_has() {
        let base = "title: T\ndescription: D\nlead: a\nfloor: [a]\n";
        for (roster, path) in [
            ("roster: [{ class: b }]", "lead: "),
            (
                "roster: [{ class: a }, { class: b, reportsTo: c }]",
                "roster[1].reports_to: ",
            ),
        ] {
            let error = Profile::read(&format!("{base}{roster}\n"))
                .unwrap_err()
                .to_string();
            assert!(error.starts_with(path), "{error}");
        }
    }
}
