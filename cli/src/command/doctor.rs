//! `fleet doctor`: every hop of the fleet in the order of a message, each with what was found and
//! what to do.

use std::path::Path;
use std::time::Duration;

use fleet_client::Gateway;
use fleet_homeserver::health;
use fleet_protocol::envelope::Call;
use fleet_protocol::reply::CheckState;
use fleet_protocol::verbs::{agent, fleet as verbs};
use fleet_protocol::{Query, Reply};
use serde::Serialize;
use tokio::time::Instant;

use super::say;
use crate::Context;
use crate::args::Doctor;
use crate::error::{CliError, chain};
use crate::exit::Exit;
use crate::settings::{self, Settings};

/// One hop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Hop {
    hop: &'static str,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    ms: Option<u64>,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
    #[serde(skip)]
    exit: Exit,
}

impl Hop {
    fn good(hop: &'static str, ms: Option<u64>, found: impl Into<String>) -> Self {
        Self {
            hop,
            ok: true,
            ms,
            found: found.into(),
            remedy: None,
            exit: Exit::Done,
        }
    }

    fn bad(
        hop: &'static str,
        exit: Exit,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            hop,
            ok: false,
            ms: None,
            found: found.into(),
            remedy: Some(remedy.into()),
            exit,
        }
    }
}

/// Walks the hops; the exit code is that of the first broken one.
pub(crate) async fn run(context: &Context, args: &Doctor) -> Result<Exit, CliError> {
    let file = args.data.as_ref().map(|data| data.join(settings::FILE));
    let settings = match &file {
        Some(file) => Settings::load(Some(file.as_path() as &Path))?,
        None => context.settings()?,
    };
    let mut hops = vec![homeserver(&settings).await, bot(&settings).await];
    match say::gateway(&settings) {
        Ok(client) => hops.extend(behind(&client.without_retry()).await),
        Err(error) => hops.push(Hop::bad(
            "gateway",
            Exit::Configuration,
            error.to_string(),
            "set operator.token_file",
        )),
    }
    let exit = hops.iter().find(|h| !h.ok).map_or(Exit::Done, |h| h.exit);
    context.out.answer(&hops, || {
        hops.iter().map(line).collect::<Vec<_>>().join("\n")
    })?;
    Ok(exit)
}

fn line(hop: &Hop) -> String {
    let mark = if hop.ok { "ok    " } else { "BROKEN" };
    let ms = hop.ms.map(|ms| format!(" ({ms} ms)")).unwrap_or_default();
    let remedy = hop
        .remedy
        .as_deref()
        .map(|r| format!("\n         what to do: {r}"))
        .unwrap_or_default();
    format!("{mark} {}: {}{ms}{remedy}", hop.hop, hop.found)
}

fn elapsed(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

async fn homeserver(settings: &Settings) -> Hop {
    let Some(url) = &settings.homeserver.url else {
        return Hop::bad(
            "homeserver",
            Exit::Configuration,
            "homeserver.url is not set",
            "set it, or name the data folder with --data",
        );
    };
    match health::probe(url).await {
        Ok(found) => {
            let ms = u64::try_from(found.latency.as_millis()).ok();
            let version = found.version.unwrap_or_default();
            Hop::good(
                "homeserver",
                ms,
                format!("{:?} {version} at {url}", found.kind),
            )
        }
        Err(error) => Hop::bad(
            "homeserver",
            Exit::Homeserver,
            chain(&error),
            "start it, or correct homeserver.url",
        ),
    }
}

/// The bot's own word: it is ready when its account, its lease and its rooms are as they should be.
async fn bot(settings: &Settings) -> Hop {
    let Some(listen) = settings.bot.listen else {
        return Hop::good("bot", None, "not asked: bot.listen is not set");
    };
    let started = Instant::now();
    let client = match reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(5))
        .build()
    {
        Ok(client) => client,
        Err(error) => {
            return Hop::bad(
                "bot",
                Exit::Internal,
                chain(&error),
                "check the TLS roots of this machine",
            );
        }
    };
    match client.get(format!("http://{listen}/ready")).send().await {
        Ok(answer) if answer.status().is_success() => Hop::good(
            "bot",
            Some(elapsed(started)),
            "account, lease and rooms are as they should be",
        ),
        Ok(answer) => {
            let why = answer.text().await.unwrap_or_default();
            Hop::bad(
                "bot",
                Exit::Rooms,
                format!("runs, but is not ready: {}", why.trim()),
                "its log says which room or account; is it invited?",
            )
        }
        Err(error) => Hop::bad(
            "bot",
            Exit::Bot,
            chain(&error),
            "start `fleet bot`; its log says why it ended",
        ),
    }
}

/// The gateway and what is behind it.
async fn behind(gateway: &Gateway) -> Vec<Hop> {
    let started = Instant::now();
    if let Err(error) = gateway.live().await {
        return vec![Hop::bad(
            "gateway",
            Exit::Gateway,
            chain(&error),
            "start `fleet gateway`; its log says why it ended",
        )];
    }
    let mut hops = vec![Hop::good(
        "gateway",
        Some(elapsed(started)),
        format!("answers at {}", gateway.base()),
    )];
    if let Err(error) = gateway.ready().await {
        hops.push(Hop::bad(
            "register",
            Exit::Register,
            chain(&error),
            "is PostgreSQL running, and migrated (`fleet gateway init`)?",
        ));
        return hops;
    }
    hops.push(checks(gateway).await);
    hops.push(command(gateway).await);
    hops.push(agents(gateway).await);
    hops
}

async fn ask(
    gateway: &Gateway,
    query: impl Into<Query>,
) -> Result<Reply, fleet_client::ClientError> {
    gateway
        .query(&Call {
            request: query.into(),
            agent: None,
            lease: None,
            room: None,
        })
        .await
}

async fn checks(gateway: &Gateway) -> Hop {
    match ask(gateway, verbs::Doctor {}).await {
        Ok(Reply::Doctor(view)) => match view.checks.iter().find(|c| c.state == CheckState::Broken)
        {
            Some(c) => Hop::bad(
                "register",
                Exit::Register,
                format!("{}: {}", c.name, c.found),
                c.remedy.clone().unwrap_or_default(),
            ),
            None => {
                let warnings = view
                    .checks
                    .iter()
                    .filter(|c| c.state == CheckState::Warning);
                let warnings: Vec<_> = warnings
                    .map(|c| format!("{}: {}", c.name, c.found))
                    .collect();
                let found = if warnings.is_empty() {
                    "sound".to_owned()
                } else {
                    warnings.join("; ")
                };
                Hop::good("register", None, found)
            }
        },
        Ok(_) => Hop::bad(
            "register",
            Exit::Gateway,
            "an answer of another kind",
            "gateway and shell are of different versions",
        ),
        Err(error) => Hop::bad(
            "register",
            Exit::Gateway,
            chain(&error),
            "check operator.token_file",
        ),
    }
}

async fn command(gateway: &Gateway) -> Hop {
    let started = Instant::now();
    match ask(gateway, verbs::WhoAmI {}).await {
        Ok(_) => Hop::good(
            "command",
            Some(elapsed(started)),
            "a synthetic `whoami` was answered",
        ),
        Err(error) => Hop::bad(
            "command",
            Exit::Gateway,
            chain(&error),
            "check operator.token_file",
        ),
    }
}

async fn agents(gateway: &Gateway) -> Hop {
    match ask(gateway, agent::List { all: false }).await {
        Ok(Reply::Agents(agents)) => {
            let silent: Vec<_> = agents
                .iter()
                .filter(|a| a.state == "silent")
                .map(|a| a.name.to_string())
                .collect();
            if silent.is_empty() {
                return Hop::good(
                    "agents",
                    None,
                    format!("{} registered, none silent", agents.len()),
                );
            }
            let remedy = "look at their terminals; restart them, or `fleet agent retire NAME`";
            Hop::bad(
                "agents",
                Exit::Agents,
                format!("no heartbeat from {}", silent.join(", ")),
                remedy,
            )
        }
        Ok(_) => Hop::bad(
            "agents",
            Exit::Gateway,
            "an answer of another kind",
            "gateway and shell are of different versions",
        ),
        Err(error) => Hop::bad(
            "agents",
            Exit::Gateway,
            chain(&error),
            "check operator.token_file",
        ),
    }
}
