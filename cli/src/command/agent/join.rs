//! `fleet agent join`: an agent becomes part of the fleet, or comes back, in one command.
//!
//! The agent's token is made here, and the gateway is told its SHA-256: the file is the only place
//! that holds it. The file is written before the fleet knows the token, so that a join that was cut
//! off goes on where it was.

pub(super) mod account;
mod place;

use std::path::{Path, PathBuf};

use fleet_agent::credentials::Credentials;
use fleet_client::Gateway;
use fleet_gateway::{Ids as _, UuidIds};
use fleet_protocol::event::AgentIdentity;
use fleet_protocol::problem::Code;
use fleet_protocol::reply::AgentView;
use fleet_protocol::scalar::{Name, Sha256, UserId};
use fleet_protocol::verbs::member::GrantRole;
use fleet_protocol::verbs::{agent, fleet, member};
use fleet_protocol::{Command, Problem, Reply};
use serde_json::json;
use sha2::Digest as _;

use crate::Context;
use crate::args::{AgentJoin, AgentRotate};
use crate::command::call::{ask, write};
use crate::command::say;
use crate::error::CliError;
use crate::exit::Exit;

/// Names that are tried, where others take them at the same moment.
const TRIES: u32 = 8;

/// Joins as a new agent, or comes back as a new incarnation of one that has joined here.
pub(crate) async fn run(context: &Context, args: &AgentJoin) -> Result<Exit, CliError> {
    let host = match &args.host {
        Some(host) => host.clone(),
        None => place::this_machine()?,
    };
    // One at a time: the second process that joins as an agent is the newer incarnation of the same.
    let _lock = place::lock_role(args, &host)?;
    let joined = match place::known(args, &host)? {
        Some(path) => {
            let _lock = place::lock(&path)?;
            let credentials = resume(context, args, &path).await?;
            (path, credentials)
        }
        None => new(context, args, &host).await?,
    };
    warn_if_exposed(context, &joined.1)?;
    let (
        path,
        Credentials {
            agent,
            role,
            matrix,
            ..
        },
    ) = joined;
    let user = matrix.map(|m| m.user_id);
    let answer = json!({ "agent": agent, "role": role, "credentials": path, "user": user });
    context.out.answer(&answer, || {
        let file = path.display();
        format!(
            "{} joined as incarnation {}; its credentials are in {file}\nexport FLEET_AGENT_CREDENTIALS={file}",
            agent.name, agent.incarnation
        )
    })?;
    Ok(Exit::Done)
}

/// Says that the token travels where others may read it.
fn warn_if_exposed(context: &Context, credentials: &Credentials) -> Result<(), CliError> {
    let gateway = Gateway::new(credentials.gateway.clone(), credentials.token.as_str())?;
    if gateway.is_exposed() {
        context.out.progress(&format!(
            "{} is on another machine and has no TLS: whoever is on the way reads the agent's token. Put TLS in front of it, \
             name its https address in gateway.url, and join again",
            gateway.base()
        ));
    }
    Ok(())
}

/// Goes on with the credentials that an agent has here.
async fn resume(context: &Context, args: &AgentJoin, path: &Path) -> Result<Credentials, CliError> {
    let credentials = Credentials::read(path)?;
    check_role(args, &credentials)?;
    match credentials.agent.incarnation {
        0 => enter(context, args, credentials, path).await,
        _ => back(context, credentials, path).await,
    }
}

fn check_role(args: &AgentJoin, credentials: &Credentials) -> Result<(), CliError> {
    if credentials.role == args.role {
        return Ok(());
    }
    Err(CliError::Usage(format!(
        "{} has the role {}; join with --role {}, or as another agent with --name",
        credentials.agent.name, credentials.role, credentials.role
    )))
}

/// Makes a new agent. Where another machine takes its name at the same moment, it gets the next one, unless
/// the name was asked for.
async fn new(
    context: &Context,
    args: &AgentJoin,
    host: &Name,
) -> Result<(PathBuf, Credentials), CliError> {
    let operator = say::gateway(&context.settings()?)?;
    let mut left = TRIES;
    loop {
        left -= 1;
        let name = match &args.name {
            Some(name) => free(&operator, name).await?,
            None => next_of_role(&operator, &args.role).await?,
        };
        match make(context, &operator, args, name, host).await {
            Err(error) if is_taken(&error) && args.name.is_none() && left > 0 => {}
            made => return made,
        }
    }
}

fn is_taken(error: &CliError) -> bool {
    error.problem().is_some_and(|p| p.code == Code::Exists)
}

/// Makes an agent of a name: its account, its token.
async fn make(
    context: &Context,
    operator: &Gateway,
    args: &AgentJoin,
    name: Name,
    host: &Name,
) -> Result<(PathBuf, Credentials), CliError> {
    let settings = context.settings()?;
    let user: UserId = format!("@agent-{name}-{host}:{}", server(operator).await?)
        .parse()
        .map_err(|e| CliError::Usage(format!("the user of {name} on {host} {e}")))?;
    let path = place::file(args, &name, host)?;
    let _lock = place::lock(&path)?;
    let credentials = Credentials {
        v: 1,
        gateway: settings.gateway.url.clone(),
        token: fresh(),
        agent: AgentIdentity {
            name,
            host: host.clone(),
            incarnation: 0,
        },
        joined_as: 0,
        role: args.role.clone(),
        matrix: match args.no_matrix {
            true => None,
            false => account::ensure(&settings, &user).await?,
        },
    };
    credentials.store(&path)?;
    let admitted = admit(context, operator, args, credentials, &user, &path).await;
    if admitted.as_ref().is_err_and(is_taken) {
        // The name is another's: nothing is left here to go on with.
        std::fs::remove_file(&path).map_err(|e| CliError::file(&path, e))?;
    }
    Ok((path, admitted?))
}

/// Goes on with a join that was cut off.
async fn enter(
    context: &Context,
    args: &AgentJoin,
    credentials: Credentials,
    path: &Path,
) -> Result<Credentials, CliError> {
    let operator = say::gateway(&context.settings()?)?;
    let AgentIdentity { name, host, .. } = &credentials.agent;
    let user = match &credentials.matrix {
        Some(account) => account.user_id.clone(),
        None => format!("@agent-{name}-{host}:{}", server(&operator).await?)
            .parse()
            .map_err(|e| CliError::Usage(format!("the user of {name} {e}")))?,
    };
    admit(context, &operator, args, credentials, &user, path).await
}

/// Lets the fleet know the agent of a credentials file.
async fn admit(
    context: &Context,
    operator: &Gateway,
    args: &AgentJoin,
    credentials: Credentials,
    user: &UserId,
    path: &Path,
) -> Result<Credentials, CliError> {
    let AgentIdentity { name, host, .. } = credentials.agent.clone();
    let register = agent::Register {
        name,
        role: credentials.role.clone(),
        host,
        runtime: args.runtime.clone(),
        model: args.model.clone(),
        user: Some(user.clone()),
    };
    let agent = enroll(operator, register, &credentials.token).await?;
    if credentials.matrix.is_some() {
        let said = "the bot invites the agent's account to the rooms of its grants";
        context.out.progress(said);
    }
    keep(credentials, agent.incarnation, path)
}

/// Lets the fleet know an agent: its grant, its name, its token's SHA-256. Each step may be repeated.
pub(crate) async fn enroll(
    operator: &Gateway,
    register: agent::Register,
    token: &str,
) -> Result<AgentIdentity, CliError> {
    let (name, host) = (register.name.clone(), register.host.clone());
    let user = register.user.clone();
    // First of all: where the name is another's, nothing else is done.
    let incarnation = incarnation(write(operator, None, register.into()).await?)?;
    if let Some(user) = user {
        let role = Some(GrantRole::Agent);
        write(operator, None, member::Add { user, role }.into()).await?;
    }
    let token = agent::Token {
        name: name.clone(),
        sha256: sha256(token)?,
    };
    write(operator, None, token.into()).await?;
    Ok(AgentIdentity {
        name,
        host,
        incarnation,
    })
}

/// Comes back: a new incarnation with the token it has.
async fn back(
    context: &Context,
    mut credentials: Credentials,
    path: &Path,
) -> Result<Credentials, CliError> {
    let gateway = Gateway::new(credentials.gateway.clone(), credentials.token.as_str())?;
    if let Some(lost) = account::lost(context, &credentials).await? {
        credentials.matrix = lost;
    }
    let register = agent::Register {
        name: credentials.agent.name.clone(),
        role: credentials.role.clone(),
        host: credentials.agent.host.clone(),
        runtime: None,
        model: None,
        user: None,
    };
    let registered = write(&gateway, Some(&credentials.agent), register.into()).await?;
    keep(credentials, incarnation(registered)?, path)
}

fn incarnation(registered: Reply) -> Result<u64, CliError> {
    match registered {
        Reply::Agent(changed) => Ok(changed.now.incarnation),
        _ => Err(CliError::Internal("a registration answers no agent".into())),
    }
}

fn keep(
    mut credentials: Credentials,
    incarnation: u64,
    path: &Path,
) -> Result<Credentials, CliError> {
    credentials.agent.incarnation = incarnation;
    credentials.joined_as = incarnation;
    credentials.store(path)?;
    Ok(credentials)
}

/// Changes the agent's token. The new one is in a file of its own until the fleet knows it.
pub(crate) async fn rotate(context: &Context, args: &AgentRotate) -> Result<Exit, CliError> {
    let path = &args.credentials;
    let _lock = place::lock(path)?;
    let before = Credentials::read(path)?;
    let pending = path.with_extension("next");
    let after = match pending.exists() {
        // Cut off before: whether the fleet knows it, it is the one to go on with.
        true => Credentials::read(&pending)?,
        false => Credentials {
            token: fresh(),
            ..before.clone()
        },
    };
    after.store(&pending)?;
    let token = || -> Result<Command, CliError> {
        Ok(agent::Token {
            name: before.agent.name.clone(),
            sha256: sha256(&after.token)?,
        }
        .into())
    };
    let old = Gateway::new(before.gateway.clone(), before.token.as_str())?;
    match write(&old, Some(&before.agent), token()?).await {
        Err(error)
            if error
                .problem()
                .is_some_and(|p| p.code == Code::Unauthenticated) =>
        {
            let new = Gateway::new(after.gateway.clone(), after.token.as_str())?;
            write(&new, Some(&before.agent), token()?).await?;
        }
        answer => {
            answer?;
        }
    }
    std::fs::rename(&pending, path).map_err(|e| CliError::file(path, e))?;
    let name = &before.agent.name;
    context.out.answer(&json!({ "rotated": name }), || {
        format!("{name} has a new token; the one before stops working within seconds")
    })?;
    Ok(Exit::Done)
}

/// A name that nobody has.
async fn free(operator: &Gateway, name: &Name) -> Result<Name, CliError> {
    if agents(operator).await?.iter().all(|a| a.name != *name) {
        return Ok(name.clone());
    }
    Err(CliError::Refused(Box::new(
        Problem::new(
            Code::Exists,
            format!("there is an agent {name}, which did not join from here"),
        )
        .remedy("choose another name, or leave --name out"),
    )))
}

/// `code-1`, or the first number that is free.
async fn next_of_role(operator: &Gateway, role: &Name) -> Result<Name, CliError> {
    let taken = agents(operator).await?;
    let free = (1_u32..)
        .map(|n| format!("{role}-{n}"))
        .find(|name| taken.iter().all(|a| a.name.as_str() != name))
        .and_then(|name| name.parse().ok());
    free.ok_or_else(|| CliError::Usage(format!("the role {role} is too long for a name")))
}

/// Every agent of the register, the retired ones too.
pub(super) async fn agents(operator: &Gateway) -> Result<Vec<AgentView>, CliError> {
    match ask(operator, None, agent::List { all: true }.into()).await? {
        Reply::Agents(all) => Ok(all),
        _ => Err(CliError::Internal("a list of agents is no list".into())),
    }
}

/// What stands behind the colon of the fleet's users.
pub(crate) async fn server(operator: &Gateway) -> Result<String, CliError> {
    let server = match ask(operator, None, fleet::WhoAmI {}.into()).await? {
        Reply::WhoAmI(me) => me
            .principal
            .split_once(':')
            .map(|(_, server)| server.to_owned()),
        _ => None,
    };
    server.ok_or_else(|| {
        CliError::Usage("the operator's token acts for no Matrix user; make one with --user".into())
    })
}

/// A token that nobody can guess (doctrine 16).
pub(crate) fn fresh() -> String {
    let random: String = UuidIds
        .secret()
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    format!("magt_{random}")
}

fn sha256(token: &str) -> Result<Sha256, CliError> {
    let hex: String = sha2::Sha256::digest(token.as_bytes())
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    hex.parse()
        .map_err(|e| CliError::Internal(format!("a SHA-256 {e}")))
}
