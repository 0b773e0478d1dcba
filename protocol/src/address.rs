//! Addresses of agents, and the line in front of what one says to another (doctrine, "Names"):
//! `[h1:code-1 -> h2:review-1] text`. An optional class stands inside the bracket, behind the
//! receiver: `[h1:code-1 -> h2:review-1 reaction] text`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::scalar::{Name, UserId};
use crate::verbs::inbox::Class;

/// The machine of somebody who writes from a room instead of a session.
const ROOM: &str = "matrix";

/// The text is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is no address; write an agent like code-1 or h1:code-1, or a role like review")]
pub struct NotAnAddress;

/// Whom something is for, as typed: an agent, on a machine or wherever it runs, or any agent of a role.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    /// The machine, when it is named.
    pub host: Option<Name>,
    /// An agent's name, or a role's.
    pub name: Name,
}

/// One end of an address line: a machine and the session on it, which has the agent's name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Endpoint {
    /// The machine.
    pub host: Name,
    /// The session.
    pub name: Name,
}

impl Endpoint {
    /// Where a person is: in a room. The name is the local part of the user, as far as it is a name.
    pub fn of_person(user: &UserId) -> Option<Self> {
        let local = user.as_str().trim_start_matches('@').split(':').next()?;
        let name: String = local
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') {
                    c
                } else {
                    '-'
                }
            })
            .skip_while(|c| !c.is_ascii_alphanumeric())
            .take(64)
            .collect();
        Some(Self {
            host: ROOM.parse().ok()?,
            name: name.parse().ok()?,
        })
    }
}

/// Who says something to whom, and how it is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressLine {
    /// Who says it.
    pub from: Endpoint,
    /// Who hears it.
    pub to: Endpoint,
    /// How it is meant; what is to be acted upon carries no word.
    pub class: Class,
}

impl AddressLine {
    /// The line of an answer to this one.
    #[must_use]
    pub fn flipped(&self) -> Self {
        Self {
            from: self.to.clone(),
            to: self.from.clone(),
            class: Class::Actionable,
        }
    }

    /// Splits a text into its address line and what follows; `None` when it does not begin with one.
    pub fn split(text: &str) -> Option<(Self, &str)> {
        let (inside, rest) = text.trim_start().strip_prefix('[')?.split_once(']')?;
        let (from, to) = inside.split_once("->")?;
        let mut words = to.split_whitespace();
        let to = words.next()?.parse().ok()?;
        let class = match words.next() {
            Some(word) => Class::from_word(word)?,
            None => Class::Actionable,
        };
        let line = Self {
            from: from.trim().parse().ok()?,
            to,
            class,
        };
        words.next().is_none().then_some((line, rest.trim_start()))
    }
}

impl fmt::Display for AddressLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} -> {}", self.from, self.to)?;
        if self.class != Class::Actionable {
            write!(f, " {}", self.class)?;
        }
        f.write_str("]")
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(host) = &self.host {
            write!(f, "{host}:")?;
        }
        self.name.fmt(f)
    }
}

impl FromStr for Address {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        let (host, name) = match text.split_once(':') {
            Some((host, name)) => (Some(host.parse().map_err(|_| NotAnAddress)?), name),
            None => (None, text),
        };
        let name = name.parse().map_err(|_| NotAnAddress)?;
        Ok(Self { host, name })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.name)
    }
}

impl FromStr for Endpoint {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        let Address { host, name } = text.parse()?;
        Ok(Self {
            host: host.ok_or(NotAnAddress)?,
            name,
        })
    }
}

/// What a typed address has as JSON: its text.
macro_rules! as_text {
    ($($name:ident: $pattern:literal, $description:literal;)*) => {$(
        impl TryFrom<String> for $name {
            type Error = NotAnAddress;

            fn try_from(text: String) -> Result<Self, NotAnAddress> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(address: $name) -> Self {
                address.to_string()
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern, "description": $description })
            }
        }
    )*};
}

as_text! {
    Address: "^([a-z0-9][a-z0-9_.-]*:)?[a-z0-9][a-z0-9_.-]*$", "an agent (code-1, h1:code-1), or a role (review)";
    Endpoint: "^[a-z0-9][a-z0-9_.-]*:[a-z0-9][a-z0-9_.-]*$", "machine and session, h1:code-1";
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Option<(String, String)> {
        AddressLine::split(text).map(|(line, rest)| (line.to_string(), rest.to_owned()))
    }

    #[test]
    fn a_line_is_read_as_it_is_written_and_flips() {
        let typed = "[h1:code-1 -> h2:review-1] look at t3";
        let (read, rest) = AddressLine::split(typed).unwrap();
        assert_eq!((read.class, rest), (Class::Actionable, "look at t3"));
        assert_eq!(format!("{read} {rest}"), typed);
        assert_eq!(read.flipped().to_string(), "[h2:review-1 -> h1:code-1]");
        assert_eq!(read.flipped().flipped(), read);
    }

    #[test]
    fn a_class_stands_inside_the_bracket() {
        for class in Class::ALL {
            let typed = format!("[h1:code-1 -> h2:review-1 {class}] x");
            assert_eq!(AddressLine::split(&typed).unwrap().0.class, *class);
        }
        let same = Some(("[a:b -> c:d]".to_owned(), "x".to_owned()));
        assert_eq!(line("  [a:b->c:d actionable]   x"), same);
    }

    #[test]
    fn what_is_no_address_line_is_none() {
        for text in [
            "",
            "hello",
            "[h1:code-1] x",
            "[code-1 -> h2:x] x",
            "[a:b -> c:d loud] x",
            "[a:b -> c:d human human] x",
            "[a:b -> c:d",
            "[a:b c:d] x",
            "[A B:c -> d:e] x",
        ] {
            assert_eq!(line(text), None, "{text}");
        }
    }

    #[test]
    fn a_person_is_in_a_room() {
        let dana = Endpoint::of_person(&"@dana:example.org".parse().unwrap()).unwrap();
        assert_eq!(dana.to_string(), "matrix:dana");
        let odd = Endpoint::of_person(&"@_d=a/n:example.org".parse().unwrap()).unwrap();
        assert_eq!(odd.to_string(), "matrix:d-a-n");
    }
}
