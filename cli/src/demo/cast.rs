//! Who plays: the operator, two more people on the board, three agents.

use std::time::Duration;

use fleet_agent::command::{AgentIdentity, CommandError, Commands};
use fleet_agent::matrix::{Follow, Matrix};
use fleet_homeserver::Secret;
use fleet_protocol::event::LeaseClaim;
use fleet_protocol::{Reply, Request};
use tokio::time::Instant;

use super::chat::{self, Chat};
use super::progress::Progress;
use crate::command::say;
use crate::error::{CliError, fixed};
use crate::raise::Fleet;
use crate::system;

/// Rooms that everybody must be in.
const ROOMS: &[&str] = &["lobby", "board", "budget"];
/// How long rooms and invitations may take.
const INVITED: Duration = Duration::from_secs(90);
/// How long a receipt may take.
const RECEIPT: Duration = Duration::from_secs(45);

/// Everybody.
pub(crate) struct Cast {
    /// The operator, who also hears everything.
    pub(crate) operator: Chat,
    /// Board members without a chat window of their own: they only vote.
    pub(crate) directors: Vec<Matrix>,
    /// The agents.
    pub(crate) agents: Vec<Agent>,
}

/// An agent, which speaks in structured events.
pub(crate) struct Agent {
    commands: Commands,
    /// Its name.
    pub(crate) name: String,
}

impl Agent {
    /// Sends a request and gives the reply; a refusal is an `Err` of [`CliError::Refused`].
    pub(crate) async fn send(
        &mut self,
        progress: &Progress,
        request: impl Into<Request>,
        lease: Option<LeaseClaim>,
    ) -> Result<Reply, CliError> {
        let request = request.into();
        let id = system::id().to_string();
        let shown = serde_json::to_string(&request).unwrap_or_default();
        progress.transcript(&self.name, &shown)?;
        match self.commands.send(&id, request, lease).await {
            Ok(Some(reply)) => {
                progress.transcript("receipt", &say::read(&reply))?;
                Ok(reply)
            }
            Ok(None) => Err(CliError::Missed("a receipt without a reply".into())),
            Err(CommandError::Refused(problem)) => {
                progress.transcript("receipt", &problem.document().plain())?;
                Err(CliError::Refused(problem))
            }
            Err(CommandError::Matrix(error)) => Err(error.into()),
            Err(error @ CommandError::Malformed(_)) => Err(CliError::Missed(error.to_string())),
        }
    }

    /// Notes the incarnation that the registration returned.
    pub(crate) fn reborn(&mut self, incarnation: u64) {
        self.commands.agent.incarnation = incarnation;
    }
}

/// Makes the accounts, lets them in and waits until all are in their rooms.
pub(crate) async fn assemble(progress: &mut Progress, fleet: &Fleet) -> Result<Cast, CliError> {
    let started = Instant::now();
    let operator = operator(progress, fleet).await;
    let detail = |chat: &Chat| {
        format!(
            "the operator is in {}",
            chat.rooms.keys().cloned().collect::<Vec<_>>().join(", ")
        )
    };
    let mut operator = progress.step(
        "rooms",
        started,
        operator.map(|chat| {
            let d = detail(&chat);
            (chat, d)
        }),
    )?;
    let started = Instant::now();
    let others = others(progress, fleet, &mut operator).await;
    let (directors, agents) = progress.step(
        "members",
        started,
        others.map(|o| (o, "two directors and three agents let in".into())),
    )?;
    Ok(Cast {
        operator,
        directors,
        agents,
    })
}

async fn operator(progress: &Progress, fleet: &Fleet) -> Result<Chat, CliError> {
    let url = fleet.stack.homeserver().url.clone();
    let matrix = Matrix::with_token(url, fleet.operator.session()?.access_token.expose()).await?;
    let rooms = chat::join_rooms(&matrix, ROOMS, INVITED).await?;
    let server = matrix
        .user_id()
        .split_once(':')
        .map(|(_, s)| s.to_owned())
        .unwrap_or_default();
    let bot = format!("@{}:{server}", fleet.settings.bot.localpart);
    progress.transcript(
        "fleet",
        &format!("invited {} to {} rooms", matrix.user_id(), rooms.len()),
    )?;
    Chat::start("operator", matrix, rooms, &bot).await
}

type Others = (Vec<Matrix>, Vec<Agent>);

async fn others(
    progress: &Progress,
    fleet: &Fleet,
    operator: &mut Chat,
) -> Result<Others, CliError> {
    let mut directors = Vec::new();
    for name in ["dana", "kim"] {
        let matrix = account(fleet, name).await?;
        operator
            .ask(
                progress,
                "lobby",
                &format!("!member add {} --role member", matrix.user_id()),
            )
            .await?;
        directors.push(matrix);
    }
    let mut accounts = Vec::new();
    for name in ["code-1", "code-2", "code-3"] {
        let matrix = account(fleet, &format!("agent-{name}-demo")).await?;
        operator
            .ask(
                progress,
                "lobby",
                &format!("!member add {} --role agent", matrix.user_id()),
            )
            .await?;
        accounts.push((name, matrix));
    }
    for director in &directors {
        chat::join_rooms(director, ROOMS, INVITED).await?;
    }
    let mut agents = Vec::new();
    for (name, matrix) in accounts {
        let rooms = chat::join_rooms(&matrix, ROOMS, INVITED).await?;
        let room = rooms
            .get("tasks")
            .or_else(|| rooms.get("lobby"))
            .cloned()
            .unwrap_or_default();
        let identity = AgentIdentity {
            name: fixed(name)?,
            host: fixed("demo")?,
            incarnation: 0,
        };
        let follow = Follow::start(matrix).await?;
        let commands = Commands::new(follow, room, operator.fleet.clone(), identity, RECEIPT);
        agents.push(Agent {
            commands,
            name: name.into(),
        });
    }
    Ok((directors, agents))
}

/// Makes an account and logs in.
async fn account(fleet: &Fleet, name: &str) -> Result<Matrix, CliError> {
    let (accounts, registration) = fleet.accounts()?;
    // The operator's local part begins with what sets this fleet apart from others.
    let own = fleet
        .operator
        .user_id()
        .trim_start_matches('@')
        .split(':')
        .next()
        .unwrap_or_default();
    let prefix = own.strip_suffix(crate::raise::OPERATOR).unwrap_or_default();
    let password = Secret::new(system::id().to_string());
    let session = accounts
        .ensure_account(
            &registration,
            &format!("{prefix}{name}"),
            &password,
            None,
            "fleet demo",
        )
        .await?;
    Ok(Matrix::with_token(
        fleet.stack.homeserver().url.clone(),
        session.access_token.expose(),
    )
    .await?)
}
