//! Exit codes: part of the interface, listed in `fleet --help` and in the book.

/// Why the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// What was asked is done.
    Done,
    /// The fleet refused; nothing was changed.
    Refused,
    /// The command line cannot be understood.
    Usage,
    /// A service could not be reached. A write may have run: repeat it with the same idempotency key.
    Unreachable,
    /// A fault of the product.
    Internal,
    /// The configuration is wrong or incomplete.
    Configuration,
    /// A demonstration, or a strict measurement, missed what it must reach.
    Missed,
    /// `doctor`: the homeserver does not answer as it should.
    Homeserver,
    /// `doctor`: the bot's account, or its rooms.
    Rooms,
    /// `doctor`: the bot.
    Bot,
    /// `doctor`: the gateway.
    Gateway,
    /// `doctor`: the register behind the gateway.
    Register,
    /// `doctor`: the agents.
    Agents,
    /// `doctor`: nothing is broken, but something could not be looked at.
    Unknown,
}

impl Exit {
    /// Every code with its meaning, for help and documentation.
    pub const ALL: &[(Self, &str)] = &[
        (Self::Done, "done"),
        (Self::Refused, "refused by the fleet, nothing was changed"),
        (Self::Usage, "the command line cannot be understood"),
        (
            Self::Unreachable,
            "a service cannot be reached; repeat with the same --idempotency-key",
        ),
        (Self::Internal, "a fault of the product"),
        (
            Self::Configuration,
            "the configuration is wrong or incomplete",
        ),
        (
            Self::Missed,
            "a demonstration, a strict measurement or a quality gate missed what it must reach; a comparison found a difference",
        ),
        (Self::Homeserver, "doctor: the homeserver"),
        (Self::Rooms, "doctor: the account or the rooms"),
        (Self::Bot, "doctor: the bot"),
        (Self::Gateway, "doctor: the gateway"),
        (Self::Register, "doctor: the register"),
        (Self::Agents, "doctor: the agents"),
        (
            Self::Unknown,
            "doctor: nothing is broken, but something could not be looked at",
        ),
    ];

    /// The process's exit code.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Refused => 1,
            Self::Usage => 2,
            Self::Unreachable => 3,
            Self::Internal => 4,
            Self::Configuration => 5,
            Self::Missed => 6,
            Self::Homeserver => 10,
            Self::Rooms => 11,
            Self::Bot => 12,
            Self::Gateway => 13,
            Self::Register => 14,
            Self::Agents => 15,
            Self::Unknown => 16,
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}
