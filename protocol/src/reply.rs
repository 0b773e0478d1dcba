//! Answers, as typed values. [`Reply::document`] is what people read of them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::record::Export;
use crate::role::{Profile, Role};
use crate::scalar::Name;
use crate::template::{Persona, Template};
use crate::verbs::fleet::VerbosityLevel;

mod agent;
mod alert;
mod board;
mod budget;
mod dispatch;
mod fleet;
mod inbox;
mod render;
mod spending;
mod work;

pub use agent::{AgentView, PsView, RoleCard};
pub use alert::AlertView;
pub use board::{
    BallotView, BoardSeatView, DecisionView, MinutesView, ProposalView, SeatView, TallyView,
};
pub use budget::{
    AdmissionView, AuditView, ChartPoint, ChartTick, ChartView, ExplainView, GrantedView,
    ImportView, Knowledge, LimitView, MeterView, PastWindowView, SpendView, WaitingView,
    WindowView,
};
pub use dispatch::{Dispatch, Escalation, HandedBack, MissionBrief};
pub use fleet::{
    Check, CheckState, DoctorView, GrantView, HelpGroup, HelpLine, HelpView, HushView,
    IncidentView, MemberView, PauseView, ProvisionView, StatusView, WhoAmIView, WorkersView,
};
pub use inbox::{ChainLimitsView, ItemView};
pub use spending::{CalibrationView, PriceView, SpendReportView, SpendRow, SubscriptionView};
pub use work::{MissionReport, MissionView, TaskEventView, TaskList, TaskView};

/// What a command or a query answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// What can be said.
    Help(HelpView),
    /// Who is asking.
    WhoAmI(WhoAmIView),
    /// The fleet at a glance.
    Status(StatusView),
    /// The agents and the roster.
    Ps(PsView),
    /// The agents.
    Agents(Vec<AgentView>),
    /// One agent, shown or changed.
    Agent(Changed<AgentView>),
    /// One item of an inbox that was sent.
    Item(Changed<ItemView>),
    /// Items of an inbox.
    Items(Vec<ItemView>),
    /// The register's health.
    Doctor(DoctorView),
    /// The pause switch after a change.
    Pause(PauseView),
    /// Until when agents say nothing in the room.
    Hushed(HushView),
    /// How much the room hears now.
    Verbosity(VerbosityLevel),
    /// Grants of a user after a change.
    Member(Changed<MemberView>),
    /// All grants.
    Members(Vec<MemberView>),
    /// One mission, shown or changed.
    Mission(Changed<MissionView>),
    /// Missions.
    Missions(Vec<MissionView>),
    /// One task, shown or changed.
    Task(Changed<TaskView>),
    /// Tasks.
    Tasks(TaskList),
    /// Spend that was recorded.
    Spend(SpendView),
    /// A limit that was set or reset.
    Budget(Changed<WindowView>),
    /// Limits and what is left.
    Budgets(Vec<WindowView>),
    /// A grant of a running task.
    Granted(GrantedView),
    /// What a provider's meter said.
    Meter(MeterView),
    /// Why a task was admitted, lowered, queued or refused.
    Explained(ExplainView),
    /// Limits and lifts a series had.
    Limits(Vec<LimitView>),
    /// Windows a series had.
    Windows(Vec<PastWindowView>),
    /// The burn-down of windows.
    Charts(Vec<ChartView>),
    /// Totals against the ledger.
    Audited(AuditView),
    /// The model ladder, highest first.
    Ladder(Changed<Vec<Name>>),
    /// A document: subscriptions and limits as TOML, tasks or missions as Markdown.
    Exported(String),
    /// Projected and actual spend of a mission.
    MissionReport(MissionReport),
    /// What a document changed.
    Imported(ImportView),
    /// Tasks that wait for budget.
    Queue(Vec<WaitingView>),
    /// One provider account.
    Subscription(Changed<SubscriptionView>),
    /// Provider accounts.
    Subscriptions(Vec<SubscriptionView>),
    /// The price of a model.
    Price(Changed<PriceView>),
    /// Prices.
    Prices(Vec<PriceView>),
    /// One alert.
    Alert(Changed<AlertView>),
    /// Alerts.
    Alerts(Vec<AlertView>),
    /// Sums of spend.
    SpendReport(SpendReportView),
    /// One proposal, shown or changed.
    Proposal(Changed<ProposalView>),
    /// Proposals.
    Proposals(Vec<ProposalView>),
    /// A ballot that was recorded or taken back.
    Ballot(BallotView),
    /// The standing board.
    BoardSeats(Vec<BoardSeatView>),
    /// A seat of the standing board that was changed.
    BoardSeat(Changed<BoardSeatView>),
    /// Templates of proposals, by name.
    Templates(BTreeMap<Name, Template>),
    /// Personas of seats, by name.
    Personas(BTreeMap<Name, Persona>),
    /// Roles, by name.
    Roles(BTreeMap<Name, Role>),
    /// Profiles, by name.
    Profiles(BTreeMap<Name, Profile>),
    /// How many agents work at the same time.
    Workers(Changed<WorkersView>),
    /// How far causal chains go.
    ChainLimits(Changed<ChainLimitsView>),
    /// What a roster changed.
    Provisioned(ProvisionView),
    /// The whole record of a proposal.
    Export(Box<Export>),
    /// What was decided.
    Minutes(MinutesView),
}

impl Reply {
    /// The same, said of something that was only tried.
    #[must_use]
    pub fn only_tried(mut self) -> Self {
        let notes = match &mut self {
            Self::Budget(c) => &mut c.notes,
            Self::Ladder(c) => &mut c.notes,
            Self::Subscription(c) => &mut c.notes,
            Self::Price(c) => &mut c.notes,
            _ => return self,
        };
        notes.push("Only tried: nothing was changed.".to_owned());
        self
    }
}

/// A thing, and what was just done to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Changed<T> {
    /// What was done, as a past participle: `added`, `claimed`; none when it was only shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<String>,
    /// Whether it already was as asked, so that nothing changed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub already: bool,
    /// The thing as it is now.
    pub now: T,
    /// What the reader should know besides, one sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl<T> Changed<T> {
    /// A thing that was only shown.
    pub fn shown(now: T) -> Self {
        Self {
            change: None,
            already: false,
            now,
            notes: Vec::new(),
        }
    }

    /// A thing that was changed.
    pub fn to(change: &str, now: T) -> Self {
        Self {
            change: Some(change.to_owned()),
            already: false,
            now,
            notes: Vec::new(),
        }
    }
}
