//! The language in a shell: `fleet task add "Write the notes"`.

use fleet_client::Gateway;
use fleet_protocol::envelope::Call;
use fleet_protocol::event::{AgentIdentity, LeaseClaim};
use fleet_protocol::ids::TaskRef;
use fleet_protocol::problem::Code;
use fleet_protocol::verbs::fleet::Help;
use fleet_protocol::{Command, Query, Reader, Receipt, Reply, Request};
use jiff::tz::TimeZone;

use super::mcp;
use crate::args::AgentAddress;
use crate::error::CliError;
use crate::exit::Exit;
use crate::settings::{SecretText, Settings};
use crate::{Context, args, system};

/// Says it to the fleet and prints the answer.
pub(crate) async fn run(context: &Context, request: Request) -> Result<Exit, CliError> {
    if let Request::Query(Query::Help(help)) = &request {
        return explain(context, help);
    }
    if context.global.agent.is_none() && mcp::credentials_file().is_some() {
        return as_agent(context, request).await;
    }
    let gateway = gateway(&context.settings()?)?;
    match request {
        Request::Command(command) => write(context, &gateway, command).await,
        Request::Query(query) => {
            let reply = gateway.query(&call(context, query, None)?).await?;
            context.out.answer(&reply, || read(&reply))?;
            Ok(Exit::Done)
        }
    }
}

/// Asks the fleet something, as whoever this shell speaks for.
pub(crate) async fn ask(context: &Context, query: Query) -> Result<Reply, CliError> {
    if context.global.agent.is_none() && mcp::credentials_file().is_some() {
        let session = mcp::session(context)?.in_room(context.global.in_room.clone());
        let answer = session.ask(query).await;
        return Ok(answer.map_err(|p| CliError::Refused(Box::new(p)))?.reply);
    }
    let gateway = gateway(&context.settings()?)?;
    Ok(gateway.query(&call(context, query, None)?).await?)
}

/// The same as the agent whose credentials the environment names: it knows its own leases.
async fn as_agent(context: &Context, request: Request) -> Result<Exit, CliError> {
    let session = mcp::session(context)?.in_room(context.global.in_room.clone());
    let refused = |problem| CliError::Refused(Box::new(problem));
    match request {
        Request::Query(query) => {
            let answer = session.ask(query).await.map_err(refused)?;
            context.out.answer(&answer.reply, || read(&answer.reply))?;
            Ok(Exit::Done)
        }
        Request::Command(command) => {
            let key = key(context);
            match session.command(command, Some(key.clone())).await {
                Err(problem) if problem.code == Code::Unavailable => {
                    unknown(context, &key);
                    Err(refused(problem))
                }
                Err(problem) => Err(refused(problem)),
                Ok(receipt) => done(context, &receipt),
            }
        }
    }
}

/// One key for this invocation and every repetition of it.
fn key(context: &Context) -> String {
    let given = context.global.idempotency_key.clone();
    given.unwrap_or_else(|| system::id().to_string())
}

fn unknown(context: &Context, key: &str) {
    context.out.progress(&format!(
        "whether it ran is unknown; repeat it with --idempotency-key {key}"
    ));
}

fn done(context: &Context, receipt: &Receipt) -> Result<Exit, CliError> {
    context.out.answer(receipt, || {
        receipt.reply.as_ref().map(read).unwrap_or_default()
    })?;
    if receipt.replayed {
        context
            .out
            .progress("this key had run before; nothing ran again");
    }
    Ok(Exit::Done)
}

/// The gateway with the operator's token.
pub(crate) fn gateway(settings: &Settings) -> Result<Gateway, CliError> {
    let operator = &settings.operator;
    let token = SecretText::required(
        "operator.token",
        operator.token.as_ref(),
        operator.token_file.as_deref(),
    )?;
    Ok(Gateway::new(settings.gateway.url.clone(), token.expose())?)
}

fn call<R>(context: &Context, request: R, task: Option<TaskRef>) -> Result<Call<R>, CliError> {
    let global = &context.global;
    let usage = |text: &str| CliError::Usage(text.to_owned());
    let agent = match &global.agent {
        Some(AgentAddress { name, host }) => Some(AgentIdentity {
            name: name.clone(),
            host: host.clone(),
            incarnation: global.incarnation.unwrap_or(0),
        }),
        None if global.epoch.is_some() => {
            return Err(usage(
                "--epoch is of an agent's lease; say which with --as-agent",
            ));
        }
        None => None,
    };
    let lease = match (global.epoch, task) {
        (Some(epoch), Some(task)) => Some(LeaseClaim { task, epoch }),
        (Some(_), None) => {
            return Err(usage(
                "--epoch is of the lease on a task, and this names none",
            ));
        }
        (None, _) => None,
    };
    Ok(Call {
        request,
        agent,
        lease,
        chain: None,
        room: global.in_room.clone(),
    })
}

async fn write(context: &Context, gateway: &Gateway, command: Command) -> Result<Exit, CliError> {
    let key = key(context);
    let receipt = tell(context, gateway, command, &key).await?;
    done(context, &receipt)
}

/// Says a command under a key; its receipt, when it was done.
pub(crate) async fn tell(
    context: &Context,
    gateway: &Gateway,
    command: Command,
    key: &str,
) -> Result<Receipt, CliError> {
    let task = command.task();
    let call = call(context, command, task)?;
    let receipt: Receipt = match gateway.command(&call, key).await {
        Err(error) if error.is_retryable() => {
            unknown(context, key);
            return Err(error.into());
        }
        answer => answer?,
    };
    match receipt.problem.clone() {
        Some(problem) => Err(CliError::Refused(Box::new(problem))),
        None => Ok(receipt),
    }
}

/// The answer as text, in this machine's time zone.
pub(crate) fn read(reply: &Reply) -> String {
    let zone = TimeZone::system();
    let now = system::clock()();
    reply.document(&Reader { now, zone: &zone }).plain()
}

/// `fleet help task add` needs no gateway.
fn explain(context: &Context, help: &Help) -> Result<Exit, CliError> {
    let mut command = args::command();
    command.build();
    let mut at = &mut command;
    for word in &help.topic {
        at = match at.find_subcommand_mut(word) {
            Some(inner) => inner,
            None => {
                return Err(CliError::Usage(format!(
                    "there is no command `{}`",
                    help.topic.join(" ")
                )));
            }
        };
    }
    let text = at.render_long_help().to_string();
    context
        .out
        .answer(&serde_json::json!({ "help": text }), || {
            text.trim_end().to_owned()
        })?;
    Ok(Exit::Done)
}
