//! The one table of everything that can be said: which verb, on which surface, with which arguments.
//!
//! A verb has a dotted name (`task.add`). The name is the external tag in JSON
//! (`{"task.add": {"title": "..."}}`), the path in a shell and in chat (`task add`), the name of the
//! tool for a model, the label in metrics. Its arguments are one `clap::Args` struct in
//! [`crate::verbs`]. [`Command`]s write, [`Query`]s read; both share one tree of words.

use clap::{ArgMatches, Args, FromArgMatches};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::ids::TaskRef;
use crate::verbs::{
    agent, alert, board, budget, chain, export, fleet, gate, inbox, member, mission, price, report,
    role, spend, subscription, task, workers,
};

mod tree;

pub use tree::{augment, from_matches, groups, is_group};

/// What one verb is, apart from its arguments.
pub struct Verb {
    /// Dotted name, stable for ever.
    pub name: &'static str,
    /// Whether it writes (a [`Command`]) or reads (a [`Query`]).
    pub writes: bool,
    /// Adds the verb's arguments, and its description, to a clap command.
    pub augment: fn(clap::Command) -> clap::Command,
    /// Reads the verb's arguments from clap's matches.
    pub from_matches: fn(&ArgMatches) -> Result<Request, clap::Error>,
    /// JSON schema of the arguments.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
}

/// Defines an enum of verbs: serde tags, names, and the table rows for the other surfaces.
macro_rules! verbs {
    ($(#[$meta:meta])* $kind:ident writes $writes:literal {
        $($variant:ident($args:ty) = $name:literal,)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        pub enum $kind {
            $(
                #[doc = concat!("`", $name, "`")]
                #[serde(rename = $name)]
                $variant($args),
            )*
        }

        impl $kind {
            /// Every verb of this kind, in the order in which help lists them.
            pub const VERBS: &[Verb] = &[$(Verb {
                name: $name,
                writes: $writes,
                augment: <$args as Args>::augment_args,
                from_matches: |m| <$args as FromArgMatches>::from_arg_matches(m).map(|a| Request::$kind($kind::$variant(a))),
                schema: <$args as JsonSchema>::json_schema,
            },)*];

            /// The verb's dotted name.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $name,)*
                }
            }

            /// Reads the arguments of the verb called `name`; `None` when it is not of this kind.
            fn read_args<'de, A: MapAccess<'de>>(name: &str, map: &mut A) -> Option<Result<Self, A::Error>> {
                match name {
                    $($name => Some(map.next_value::<$args>().map(Self::$variant)),)*
                    _ => None,
                }
            }
        }

        $(
            impl From<$args> for $kind {
                fn from(args: $args) -> Self {
                    Self::$variant(args)
                }
            }
        )*
    };
}

verbs! {
    /// What changes the register.
    Command writes true {
        Pause(fleet::Pause) = "pause",
        Resume(fleet::Resume) = "resume",
        Verbosity(fleet::Verbosity) = "verbosity",
        Provision(fleet::Provision) = "provision",
        Hush(fleet::Hush) = "hush",
        Tell(inbox::Tell) = "tell",
        MemberAdd(member::Add) = "member.add",
        MemberGrant(member::Grant) = "member.grant",
        MemberRevoke(member::Revoke) = "member.revoke",
        MissionNew(mission::New) = "mission.new",
        MissionClose(mission::Close) = "mission.close",
        TaskAdd(task::Add) = "task.add",
        TaskClaim(task::Claim) = "task.claim",
        TaskStart(task::Start) = "task.start",
        TaskRenew(task::Renew) = "task.renew",
        TaskProgress(task::Progress) = "task.progress",
        TaskCheck(gate::Check) = "task.check",
        TaskComplete(task::Complete) = "task.complete",
        TaskFail(task::Fail) = "task.fail",
        TaskBlock(task::Block) = "task.block",
        TaskUnblock(task::Unblock) = "task.unblock",
        TaskRelease(task::Release) = "task.release",
        TaskEscalate(task::Escalate) = "task.escalate",
        TaskAnswer(task::Answer) = "task.answer",
        TaskCancel(task::Cancel) = "task.cancel",
        TaskRetry(task::Retry) = "task.retry",
        TaskDepend(task::Depend) = "task.depend",
        TaskPriority(task::SetPriority) = "task.priority",
        AgentRegister(agent::Register) = "agent.register",
        AgentHeartbeat(agent::Heartbeat) = "agent.heartbeat",
        AgentRetire(agent::Retire) = "agent.retire",
        WorkersSet(workers::Set) = "workers.set",
        ChainLimitsSet(chain::Set) = "chain.limits.set",
        AgentToken(agent::Token) = "agent.token",
        AgentRevoke(agent::Revoke) = "agent.revoke",
        AgentSend(inbox::Send) = "agent.send",
        AgentReply(inbox::Reply) = "agent.reply",
        AgentBroadcast(inbox::Broadcast) = "agent.broadcast",
        AgentDelegate(inbox::Delegate) = "agent.delegate",
        AgentAck(inbox::Ack) = "agent.ack",
        SpendReport(spend::Report) = "spend.report",
        SpendHold(spend::Hold) = "spend.hold",
        SpendTopUp(spend::TopUp) = "spend.top-up",
        SpendCommit(spend::Commit) = "spend.commit",
        SpendRelease(spend::Release) = "spend.release",
        SpendSettle(spend::Settle) = "spend.settle",
        BudgetSet(budget::Set) = "budget.set",
        BudgetReset(budget::Reset) = "budget.reset",
        BudgetLift(budget::Lift) = "budget.lift",
        BudgetClose(budget::Close) = "budget.close",
        BudgetReopen(budget::Reopen) = "budget.reopen",
        BudgetReading(budget::Reading) = "budget.reading",
        BudgetHeaders(budget::Headers) = "budget.headers",
        BudgetLadderSet(budget::LadderSet) = "budget.ladder.set",
        BudgetImport(budget::Import) = "budget.import",
        SubscriptionAdd(subscription::Add) = "subscription.add",
        SubscriptionPool(subscription::Pool) = "subscription.pool",
        SubscriptionRetire(subscription::Retire) = "subscription.retire",
        PriceSet(price::Set) = "price.set",
        AlertAck(alert::Ack) = "alert.ack",
        BoardPropose(board::Propose) = "board.propose",
        BoardVote(board::Vote) = "board.vote",
        BoardWithdraw(board::Withdraw) = "board.withdraw",
        BoardAmend(board::Amend) = "board.amend",
        BoardClose(board::Close) = "board.close",
        BoardSeat(board::ChangeSeat) = "board.seat",
    }
}

verbs! {
    /// What only reads the register.
    Query writes false {
        Help(fleet::Help) = "help",
        WhoAmI(fleet::WhoAmI) = "whoami",
        Status(fleet::Status) = "status",
        Ps(fleet::Ps) = "ps",
        Doctor(fleet::Doctor) = "doctor",
        RoleList(role::List) = "role.list",
        RoleShow(role::Show) = "role.show",
        ProfileList(role::Profiles) = "profile.list",
        ProfileShow(role::Profile) = "profile.show",
        MemberList(member::List) = "member.list",
        MissionList(mission::List) = "mission.list",
        MissionShow(mission::Show) = "mission.show",
        TaskList(task::List) = "task.list",
        TaskShow(task::Show) = "task.show",
        AgentList(agent::List) = "agent.list",
        AgentShow(agent::Show) = "agent.show",
        WorkersShow(workers::Show) = "workers.show",
        ChainLimitsShow(chain::Show) = "chain.limits.show",
        AgentNext(inbox::Next) = "agent.next",
        AgentInbox(inbox::Inbox) = "agent.inbox",
        BudgetStatus(budget::Status) = "budget.status",
        BudgetExplain(budget::Explain) = "budget.explain",
        BudgetHistory(budget::History) = "budget.history",
        BudgetWindows(budget::Windows) = "budget.windows",
        BudgetChart(budget::Chart) = "budget.chart",
        BudgetAudit(budget::Audit) = "budget.audit",
        BudgetLadderShow(budget::LadderShow) = "budget.ladder.show",
        BudgetExport(budget::Export) = "budget.export",
        Queue(budget::Queue) = "queue",
        SubscriptionList(subscription::List) = "subscription.list",
        SubscriptionShow(subscription::Show) = "subscription.show",
        PriceList(price::List) = "price.list",
        AlertList(alert::List) = "alert.list",
        AlertShow(alert::Show) = "alert.show",
        ReportSpend(report::Spend) = "report.spend",
        ReportMission(report::Mission) = "report.mission",
        ExportTasks(export::Tasks) = "export.tasks",
        ExportManifest(export::Manifest) = "export.manifest",
        BoardShow(board::Show) = "board.show",
        BoardList(board::List) = "board.list",
        BoardMine(board::Mine) = "board.mine",
        BoardSeats(board::Seats) = "board.seats",
        BoardTemplates(board::Templates) = "board.templates",
        BoardPersonas(board::Personas) = "board.personas",
        BoardExport(board::Export) = "board.export",
        BoardMinutes(board::Minutes) = "board.minutes",
    }
}

impl Command {
    /// The task on which its sender may hold a lease, so that the write must name the lease's epoch
    /// (doctrine 11).
    pub fn task(&self) -> Option<TaskRef> {
        match self {
            Self::TaskRenew(a) => Some(a.task),
            Self::TaskProgress(a) => Some(a.task),
            Self::TaskCheck(a) => Some(a.task),
            Self::TaskComplete(a) => Some(a.task),
            Self::TaskFail(a) => Some(a.task),
            Self::TaskBlock(a) => Some(a.task),
            Self::TaskUnblock(a) => Some(a.task),
            Self::TaskRelease(a) => Some(a.task),
            Self::TaskEscalate(a) => Some(a.task),
            Self::SpendReport(a) => Some(a.task),
            _ => None,
        }
    }
}

/// A command or a query, where it does not yet matter which.
///
/// Its JSON is that of the command or query itself, `{"task.add": {...}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Request {
    /// Writes.
    Command(Command),
    /// Reads.
    Query(Query),
}

impl Request {
    /// The verb's dotted name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Command(c) => c.name(),
            Self::Query(q) => q.name(),
        }
    }
}

impl<'de> Deserialize<'de> for Request {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RequestVisitor)
    }
}

/// Reads the one entry of a request, so that an error keeps its path in the document.
struct RequestVisitor;

impl<'de> Visitor<'de> for RequestVisitor {
    type Value = Request;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object with one entry, the verb, such as {\"task.add\": {...}}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Request, A::Error> {
        let name: String = map
            .next_key()?
            .ok_or_else(|| A::Error::custom("no verb; expected one such as \"task.add\""))?;
        let read = match Command::read_args(&name, &mut map) {
            Some(command) => command.map(Request::Command),
            None => match Query::read_args(&name, &mut map) {
                Some(query) => query.map(Request::Query),
                None => Err(A::Error::custom(unknown_verb(&name))),
            },
        }?;
        match map.next_key::<String>()? {
            None => Ok(read),
            Some(second) => Err(A::Error::custom(format!(
                "a second verb \"{second}\"; send one at a time"
            ))),
        }
    }
}

fn unknown_verb(name: &str) -> String {
    let nearest = verbs()
        .map(|v| v.name)
        .min_by_key(|v| strsim::damerau_levenshtein(v, name));
    match nearest {
        Some(v) if strsim::damerau_levenshtein(v, name) <= 3 => {
            format!("unknown verb \"{name}\"; did you mean \"{v}\"?")
        }
        _ => format!("unknown verb \"{name}\""),
    }
}

impl From<Command> for Request {
    fn from(c: Command) -> Self {
        Self::Command(c)
    }
}

impl From<Query> for Request {
    fn from(q: Query) -> Self {
        Self::Query(q)
    }
}

/// Every verb: queries about the fleet first, as a newcomer reads them.
pub fn verbs() -> impl Iterator<Item = &'static Verb> {
    Query::VERBS.iter().chain(Command::VERBS)
}

/// The verb with this dotted name.
pub fn verb(name: &str) -> Option<&'static Verb> {
    verbs().find(|v| v.name == name)
}
