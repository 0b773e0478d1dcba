//! The gateway and what is behind it, asked with the operator's token.

use fleet_client::Gateway;
use fleet_protocol::envelope::Call;
use fleet_protocol::reply::CheckState;
use fleet_protocol::verbs::{agent, fleet as verbs};
use fleet_protocol::{Query, Reply};
use tokio::time::Instant;

use super::hop::Hop;
use crate::error::chain;
use crate::exit::Exit;

const TOKEN: &str = "check operator.token_file";
const VERSIONS: &str = "gateway and shell are of different versions";

/// The gateway and what is behind it.
pub(super) async fn behind(gateway: &Gateway) -> Vec<Hop> {
    let started = Instant::now();
    if let Err(error) = gateway.live().await {
        return vec![Hop::bad(
            "gateway",
            Exit::Gateway,
            chain(&error),
            "start `fleet gateway`; its log says why it ended",
        )];
    }
    let found = format!("answers at {}", gateway.base());
    let mut hops = vec![Hop::good("gateway", found).took(started.elapsed())];
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
            chain: None,
            room: None,
        })
        .await
}

async fn checks(gateway: &Gateway) -> Hop {
    let started = Instant::now();
    let view = match ask(gateway, verbs::Doctor {}).await {
        Ok(Reply::Doctor(view)) => view,
        Ok(_) => {
            return Hop::bad(
                "register",
                Exit::Gateway,
                "an answer of another kind",
                VERSIONS,
            );
        }
        Err(error) => return Hop::bad("register", Exit::Gateway, chain(&error), TOKEN),
    };
    let found = |state: CheckState| {
        let checks = view.checks.iter().filter(move |c| c.state == state);
        checks.map(|c| format!("{}: {}", c.name, c.found))
    };
    if let Some(broken) = view.checks.iter().find(|c| c.state == CheckState::Broken) {
        let all: Vec<_> = found(CheckState::Broken).collect();
        let remedy = broken.remedy.clone().unwrap_or_default();
        return Hop::bad("register", Exit::Register, all.join("; "), remedy);
    }
    let warnings: Vec<_> = found(CheckState::Warning).collect();
    let found = if warnings.is_empty() {
        "sound".to_owned()
    } else {
        warnings.join("; ")
    };
    Hop::good("register", found).took(started.elapsed())
}

async fn agents(gateway: &Gateway) -> Hop {
    let agents = match ask(gateway, agent::List { all: false }).await {
        Ok(Reply::Agents(agents)) => agents,
        Ok(_) => {
            return Hop::bad(
                "agents",
                Exit::Gateway,
                "an answer of another kind",
                VERSIONS,
            );
        }
        Err(error) => return Hop::bad("agents", Exit::Gateway, chain(&error), TOKEN),
    };
    let silent: Vec<_> = agents
        .iter()
        .filter(|a| a.state == "silent")
        .map(|a| a.name.to_string())
        .collect();
    if silent.is_empty() {
        return Hop::good(
            "agents",
            format!("{} registered, none silent", agents.len()),
        );
    }
    Hop::bad(
        "agents",
        Exit::Agents,
        format!("no heartbeat from {}", silent.join(", ")),
        "look at their terminals; restart them, or `fleet agent retire NAME`",
    )
}
