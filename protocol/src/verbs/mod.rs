//! Arguments of every verb, one module per group of the language.
//!
//! Rules that keep one struct good for JSON, clap and schemas: `deny_unknown_fields`; no `flatten`;
//! no clap defaults (an absent value is `None` and is filled once, in the gateway); free text and
//! numbers allow a leading hyphen.

pub mod agent;
pub mod alert;
pub mod board;
pub mod budget;
pub mod chain;
pub mod export;
pub mod fleet;
pub mod gate;
pub mod hand_back;
pub mod inbox;
pub mod member;
pub mod mission;
pub mod price;
pub mod report;
pub mod role;
pub mod spend;
pub mod subscription;
pub mod task;
pub mod workers;

/// Declares a struct of arguments with the derives and serde rules all verbs share.
macro_rules! args {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $ty:ty,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, clap::Args, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $ty,)*
        }
    };
}

/// Declares an enum of words with the derives that every surface needs.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize, schemars::JsonSchema, clap::ValueEnum)]
        pub enum $name {
            $($(#[$variant_meta])* #[serde(rename = $word)] #[value(name = $word)] $variant,)*
        }

        impl $name {
            /// All the words, in order.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The word, as typed and as stored.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// The variant of a stored word.
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

pub(crate) use {args, words};
