//! Causal chains: everything that is said because of what one message, task or person began. A chain
//! ends at its limits, so that a loop of any length and slowness ends by itself (doctrine 10).

use std::fmt;

/// How far chains go in a fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Messages one behind the other.
    pub hops: u32,
    /// Messages in all.
    pub messages: u32,
    /// Tokens spent by agents while they act in it.
    pub tokens: u64,
}

/// How far a chain would go with what is about to be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// How many messages came before in the line.
    pub hop: u32,
    /// Messages in all, with those about to be said.
    pub messages: u32,
    /// Tokens spent so far.
    pub tokens: u64,
}

/// The limit that a chain has reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// So many messages one behind the other.
    Hops(u32),
    /// So many messages in all.
    Messages(u32),
    /// So many tokens.
    Tokens(u64),
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hops(n) => write!(f, "{n} messages one behind the other"),
            Self::Messages(n) => write!(f, "{n} messages in all"),
            Self::Tokens(n) => write!(f, "{n} tokens"),
        }
    }
}

impl Limits {
    /// Whether something more may be said.
    ///
    /// # Errors
    /// The first limit that is reached.
    pub fn admit(self, extent: Extent) -> Result<(), Limit> {
        if extent.hop >= self.hops {
            return Err(Limit::Hops(self.hops));
        }
        if extent.messages > self.messages {
            return Err(Limit::Messages(self.messages));
        }
        if extent.tokens >= self.tokens {
            return Err(Limit::Tokens(self.tokens));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_is_reached_by_itself() {
        let limits = Limits {
            hops: 3,
            messages: 5,
            tokens: 100,
        };
        for (hop, messages, tokens, wanted) in [
            (0, 1, 0, Ok(())),
            (2, 5, 99, Ok(())),
            (3, 4, 0, Err(Limit::Hops(3))),
            (0, 6, 0, Err(Limit::Messages(5))),
            (1, 2, 100, Err(Limit::Tokens(100))),
        ] {
            let extent = Extent {
                hop,
                messages,
                tokens,
            };
            assert_eq!(limits.admit(extent), wanted, "{extent:?}");
        }
    }
}
