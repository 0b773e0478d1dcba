//! What went wrong, for a program (a stable code) and for a person (cause and remedy).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod render;

pub(crate) use render::advice;

/// A refusal or failure. Over HTTP it is an RFC 9457 problem document; in a room it is rendered
/// with the caret under the wrong word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// Stable code, for example `task.not_found`.
    pub code: Code,
    /// What happened, one sentence, names the cause.
    pub detail: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// Where in the input it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Place>,
    /// A line to copy that does what was probably meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
    /// Finds the log line and the journal row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// Where in the input a problem is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// A word of a chat line.
    Word {
        /// The line as understood.
        line: String,
        /// First character of the word, counted in characters.
        start: u32,
        /// Characters of the word, at least 1.
        len: u32,
    },
    /// A path in a JSON document, for example `command."task.add".title`.
    Path(String),
}

impl Problem {
    /// A problem with a code and a cause.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            remedy: None,
            at: None,
            suggestion: None,
            reference: None,
        }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// Adds where in the input it is.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.at = Some(place);
        self
    }

    /// Adds a line that does what was probably meant.
    #[must_use]
    pub fn suggest(mut self, line: impl Into<String>) -> Self {
        self.suggestion = Some(line.into());
        self
    }

    /// Adds what finds the log line.
    #[must_use]
    pub fn reference(mut self, reference: impl Into<String>) -> Self {
        self.reference = Some(reference.into());
        self
    }
}

/// Defines the stable codes with the HTTP status each has.
macro_rules! codes {
    ($($(#[$meta:meta])* $variant:ident = $code:literal, $status:literal;)*) => {
        /// Stable codes of problems; the dotted word is the wire form and never changes meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum Code {
            $($(#[$meta])* #[serde(rename = $code)] $variant,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The wire form.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// HTTP status of the problem document.
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }
        }
    };
}

codes! {
    /// The first word is no command.
    UnknownCommand = "line.unknown_command", 400;
    /// An argument is missing, unknown or wrong.
    BadArgument = "line.bad_argument", 400;
    /// A quote is never closed.
    UnclosedQuote = "line.unclosed_quote", 400;
    /// Two commands in one message.
    TwoCommands = "line.two_commands", 400;
    /// The line is too long.
    LineTooLong = "line.too_long", 413;
    /// A structured event or body is malformed; the path says where.
    Malformed = "event.malformed", 400;
    /// A version this fleet does not speak.
    UnknownVersion = "event.unknown_version", 400;
    /// The event could not be decrypted within its time.
    Undecryptable = "event.undecryptable", 400;
    /// The command came too late and was not run.
    TooLate = "event.too_late", 409;
    /// An executed command was edited; edits never run.
    Edited = "event.edited", 409;
    /// An agent's account wrote a chat command.
    AgentChat = "event.agent_chat", 403;
    /// The same key came with another body.
    KeyReused = "key.reused", 409;
    /// A write came without an idempotency key.
    KeyMissing = "key.missing", 400;
    /// No valid token.
    Unauthenticated = "auth.unauthenticated", 401;
    /// The sender is no member of the room.
    NotInRoom = "auth.not_in_room", 403;
    /// The sender has no grant.
    NoGrant = "auth.no_grant", 403;
    /// The grant does not allow this.
    WrongRole = "auth.wrong_role", 403;
    /// The power level in the room is too low.
    PowerTooLow = "auth.power_too_low", 403;
    /// The token's scope does not allow this.
    WrongScope = "auth.wrong_scope", 403;
    /// Somebody tried to act as another.
    NotYourself = "auth.not_yourself", 403;
    /// The fleet is paused.
    Paused = "fleet.paused", 409;
    /// No such thing in this tenant.
    NotFound = "register.not_found", 404;
    /// `this` has no message to refer to.
    NothingReferred = "register.nothing_referred", 400;
    /// The thing exists already.
    Exists = "register.exists", 409;
    /// A value contradicts another or the register.
    Invalid = "register.invalid", 422;
    /// The thing's state does not allow this.
    WrongState = "register.wrong_state", 409;
    /// Dependencies are not done, or would form a circle.
    Dependency = "task.dependency", 409;
    /// Somebody else holds the task.
    Held = "task.held", 409;
    /// The task was given to another agent and is kept for it.
    Reserved = "task.reserved", 409;
    /// A quality gate of the task has not passed under the lease in force.
    GateOpen = "task.gate_open", 409;
    /// Nothing is ready to be claimed.
    NothingReady = "task.nothing_ready", 404;
    /// The worker bound is reached (doctrine 9).
    WorkerBound = "task.worker_bound", 409;
    /// The lease's epoch is not the current one (doctrine 11).
    StaleEpoch = "lease.stale_epoch", 409;
    /// The incarnation is not the current one.
    StaleIncarnation = "agent.stale_incarnation", 409;
    /// The context is full; a fresh incarnation is needed (doctrine 8).
    ContextFull = "agent.context_full", 409;
    /// The inbox holds as many items as it may; they must be acknowledged first.
    InboxFull = "agent.inbox_full", 409;
    /// The causal chain has reached one of its limits (doctrine 10).
    ChainStopped = "chain.stopped", 409;
    /// Agents are silenced in the room for a time.
    Hushed = "room.hushed", 409;
    /// The budget's cap is reached.
    BudgetCap = "budget.cap_reached", 409;
    /// The budget makes it wait for another reason than the cap: pacing, the queue, a provider, not knowing.
    BudgetWait = "budget.wait", 409;
    /// No reset can help: the budget never admits it as it is.
    BudgetNever = "budget.never", 409;
    /// The budget's state could not be checked (doctrine 19).
    BudgetCheckFailed = "budget.check_failed", 503;
    /// The voter has no seat.
    NoSeat = "board.no_seat", 403;
    /// The voter holds several seats and named none.
    AmbiguousSeat = "board.ambiguous_seat", 400;
    /// Voting has ended.
    Closed = "board.closed", 409;
    /// A veto without a reason, or from a seat that may not.
    BadVeto = "board.bad_veto", 400;
    /// The effect is not allowed for the kind of proposal.
    BadEffect = "board.bad_effect", 422;
    /// Another live bot holds the account.
    BotLeaseHeld = "bot.lease_held", 409;
    /// The bot's lease was taken over.
    BotLeaseLost = "bot.lease_lost", 409;
    /// The input is larger than the limit.
    TooLarge = "http.too_large", 413;
    /// The route or method does not exist.
    NoRoute = "http.no_route", 404;
    /// Too many requests wait.
    Busy = "http.busy", 503;
    /// The register cannot be reached now; safe to send again.
    Unavailable = "register.unavailable", 503;
    /// A fault of the product; the reference finds its log line.
    Internal = "internal", 500;
}
