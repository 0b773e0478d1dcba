//! A fleet to measure, an echo bot beside it, and a person with rooms for both.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fleet_agent::matrix::{Matrix, text};
use fleet_gateway::{Floor, Secret};
use fleet_homeserver::health;
use fleet_protocol::api::DEFAULT_PORT;
use serde_json::Value;
use tokio::time::Instant;

use super::ears::Ears;
use crate::error::CliError;
use crate::raise::{self, Fleet, LOOPBACK, ready, secret_path, service};
use crate::settings;

/// Name of the echo bot among the processes, and of its log.
const ECHO: &str = "echo";
/// How long a bot may take to accept an invitation.
const INVITED: Duration = Duration::from_secs(90);
/// How often it is looked whether it did.
const LOOK: Duration = Duration::from_millis(200);

/// One of the two bots, and its rooms with the person.
#[derive(Debug, Clone)]
pub(crate) struct Side {
    /// What it is called in progress and in transaction ids.
    pub(crate) name: &'static str,
    /// The bot's account.
    pub(crate) user: String,
    /// The rooms.
    pub(crate) rooms: Vec<String>,
}

/// The person and both bots.
#[derive(Debug)]
pub(crate) struct Rooms {
    /// The person's client.
    pub(crate) human: Matrix,
    /// What it hears.
    pub(crate) ears: Ears,
    /// The fleet.
    pub(crate) ours: Side,
    /// The echo bot.
    pub(crate) echo: Side,
}

/// The floor in the fleet's own database, with so many connections at once.
pub(crate) async fn floor(fleet: &Fleet, connections: u32) -> Result<Floor, CliError> {
    let database = &fleet.settings.database;
    let (owner, app) = (database.owner()?, database.app_url()?);
    let (owner, app) = (Secret::new(owner.expose()), Secret::new(app.expose()));
    let prepared = Floor::prepare(&owner, &app, connections).await;
    prepared.map_err(|e| CliError::service("the database", &e))
}

/// A command of always the same length.
pub(crate) fn line(n: u32) -> Value {
    text(&format!("!task add \"Measure {n:06}\""))
}

/// Software and version of the homeserver.
pub(crate) async fn homeserver(fleet: &Fleet) -> Result<String, CliError> {
    let found = health::probe(&fleet.stack.homeserver().url).await?;
    let name = match found.kind {
        health::Kind::Synapse => "Synapse".to_owned(),
        health::Kind::Conduit => "Conduit".to_owned(),
        health::Kind::Other(name) => name,
    };
    let version = found.version.unwrap_or_default();
    Ok(format!("{name} {version}").trim_end().to_owned())
}

impl Rooms {
    /// Makes `count` rooms for each bot. The echo bot then answers with what the fleet answered.
    pub(crate) async fn make(fleet: &Fleet, count: usize) -> Result<Self, CliError> {
        let url = fleet.stack.homeserver().url.clone();
        let human =
            Matrix::with_token(url, fleet.operator.session()?.access_token.expose()).await?;
        let server = human.user_id().split_once(':').map(|(_, s)| s.to_owned());
        let user = |localpart: &str| format!("@{localpart}:{}", server.as_deref().unwrap_or(""));
        let ours = side("ours", user(&fleet.settings.bot.localpart), &human, count).await?;
        let mut ears = Ears::open(human.clone()).await?;
        let mut answer = Value::Null;
        // One command in every room: what is made at first use is made.
        for (n, room) in (0..).zip(&ours.rooms) {
            let sent = human
                .send(room, "m.room.message", &line(n), &format!("first-{n}"))
                .await?;
            let heard = ears.answer(room, &ours.user, &sent).await?;
            answer = human.event(room, &heard.event_id).await?.content;
        }
        let localpart = start_echo(fleet, &answer).await?;
        let echo = side("echo", user(&localpart), &human, count).await?;
        for (n, room) in (0..).zip(&echo.rooms) {
            let sent = human
                .send(room, "m.room.message", &line(n), &format!("echo-{n}"))
                .await?;
            ears.answer(room, &echo.user, &sent).await?;
        }
        Ok(Self {
            human,
            ears,
            ours,
            echo,
        })
    }
}

/// Makes rooms, invites a bot and waits until it is in all of them.
async fn side(
    name: &'static str,
    user: String,
    human: &Matrix,
    count: usize,
) -> Result<Side, CliError> {
    let mut rooms = Vec::with_capacity(count);
    for n in 1..=count {
        let room = format!("Bench {name} {n}");
        rooms.push(human.create_room(&room, &[&user]).await?);
    }
    for room in &rooms {
        joined(human, room, &user).await?;
    }
    Ok(Side { name, user, rooms })
}

async fn joined(human: &Matrix, room: &str, user: &str) -> Result<(), CliError> {
    let deadline = Instant::now() + INVITED;
    while Instant::now() < deadline {
        let member = human.state(room, "m.room.member", user).await?;
        if member["membership"] == "join" {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
    Err(CliError::Missed(format!(
        "{user} did not accept an invitation within {} s",
        INVITED.as_secs()
    )))
}

/// Starts the echo bot with a configuration of its own; its local part.
async fn start_echo(fleet: &Fleet, answer: &Value) -> Result<String, CliError> {
    let folder = fleet.stack.folder();
    let failed =
        |e: fleet_local::data_folder::DataFolderError| CliError::service("the data folder", &e);
    let own = fleet.operator.user_id();
    let own = own.trim_start_matches('@').split(':').next().unwrap_or("");
    let prefix = own.strip_suffix(raise::OPERATOR).unwrap_or_default();
    let localpart = format!("{prefix}{ECHO}");
    folder.secret("echo-password").map_err(failed)?;
    let port = folder.port(ECHO, LOOPBACK, None, DEFAULT_PORT + 2).await;
    let listen = SocketAddr::new(LOOPBACK, port.map_err(failed)?);
    let mut settings = fleet.settings.clone();
    settings.bot = settings::Bot {
        localpart: localpart.clone(),
        password_file: Some(secret_path(folder, "echo-password")?),
        store: folder.path().join(ECHO),
        listen: Some(listen),
        device_name: "Mosaic Fleet echo".into(),
        ..settings.bot
    };
    let config = write(folder.path().join("echo.toml"), &settings.shown()?)?;
    let answer = write(folder.path().join("answer.json"), &answer.to_string())?;
    let answer = answer.display().to_string();
    let words = ["bench", "echo-bot", "--answer", answer.as_str()];
    let spec = service(ECHO, &words, &config, ready(listen)?)?;
    let started = fleet.stack.run(spec).await;
    started.map_err(|e| CliError::service("the echo bot", &e))?;
    Ok(localpart)
}

fn write(path: PathBuf, text: &str) -> Result<PathBuf, CliError> {
    std::fs::write(&path, text).map_err(|e| CliError::file(&path, e))?;
    Ok(path)
}

/// The answer that the echo bot gives.
pub(crate) fn read_answer(path: &Path) -> Result<Value, CliError> {
    let text = std::fs::read_to_string(path).map_err(|e| CliError::file(path, e))?;
    serde_json::from_str(&text).map_err(|e| CliError::Internal(format!("{}: {e}", path.display())))
}
