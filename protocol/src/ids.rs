//! References to things in the register.
//!
//! The register keys rows by UUIDv7; people see and type short numbers: `t142`, `m7`, `p12`. A
//! third form, `this`, means the object whose message the command replies to, or in whose thread
//! it stands; in chat it may be left out altogether.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// What a reference points at; the letter that starts its short form, and its noun.
pub trait Kind: Clone + Copy + fmt::Debug + PartialEq + Eq + Send + Sync + 'static {
    /// First letter of the short form.
    const LETTER: char;
    /// Noun used in messages.
    const NOUN: &'static str;
}

macro_rules! kinds {
    ($($(#[$meta:meta])* $kind:ident $reference:ident $letter:literal $noun:literal;)*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $kind;

        impl Kind for $kind {
            const LETTER: char = $letter;
            const NOUN: &'static str = $noun;
        }

        #[doc = concat!("Reference to a ", $noun, ".")]
        pub type $reference = Ref<$kind>;
    )*};
}

kinds! {
    /// A unit of work.
    Task TaskRef 't' "task";
    /// A goal that groups tasks.
    Mission MissionRef 'm' "mission";
    /// Something the board votes on.
    Proposal ProposalRef 'p' "proposal";
    /// Something people must know about.
    Incident IncidentRef 'i' "incident";
    /// Something said to an agent.
    Item ItemRef 'n' "item";
}

/// A reference as typed; the gateway resolves it within the tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ref<K: Kind> {
    /// The object that the command's context points at.
    This,
    /// The number people see.
    Short(u32),
    /// The register's own key.
    Id(Uuid, PhantomData<K>),
}

/// The text is no reference of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "is not a {noun}; write it like {letter}12, or leave it out when replying to the {noun}'s message"
)]
pub struct NotAReference {
    noun: &'static str,
    letter: char,
}

impl<K: Kind> Ref<K> {
    /// Reference by the register's key.
    pub fn id(id: Uuid) -> Self {
        Self::Id(id, PhantomData)
    }
}

impl<K: Kind> FromStr for Ref<K> {
    type Err = NotAReference;

    fn from_str(text: &str) -> Result<Self, NotAReference> {
        let refused = NotAReference {
            noun: K::NOUN,
            letter: K::LETTER,
        };
        if text.eq_ignore_ascii_case("this") {
            return Ok(Self::This);
        }
        if let Ok(id) = Uuid::try_parse(text) {
            return Ok(Self::id(id));
        }
        let digits = text
            .strip_prefix(K::LETTER)
            .or_else(|| text.strip_prefix(K::LETTER.to_ascii_uppercase()))
            .ok_or_else(|| refused.clone())?;
        if !digits.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(refused);
        }
        digits.parse().map(Self::Short).map_err(|_| refused)
    }
}

impl<K: Kind> fmt::Display for Ref<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::This => f.write_str("this"),
            Self::Short(n) => write!(f, "{}{n}", K::LETTER),
            Self::Id(id, _) => id.fmt(f),
        }
    }
}

impl<K: Kind> Serialize for Ref<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, K: Kind> Deserialize<'de> for Ref<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse()
            .map_err(|e: NotAReference| D::Error::custom(format!("\"{text}\" {e}")))
    }
}

impl<K: Kind> JsonSchema for Ref<K> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        K::NOUN.into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": format!("a {}: {}12, its UUID, or \"this\"", K::NOUN, K::LETTER)
        })
    }
}
