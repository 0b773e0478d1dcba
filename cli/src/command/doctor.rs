//! `fleet doctor`: every hop of the fleet, each with what was found and what to do; with an account
//! at hand also a command typed in a room and timed through all of them.

mod behind;
mod front;
mod hop;
mod limits;
mod person;
mod terminals;
mod typed;

use std::path::Path;

use super::say;
use crate::Context;
use crate::args::Doctor;
use crate::error::{CliError, chain};
use crate::exit::Exit;
use crate::settings::{self, Settings};

use hop::{Hop, State};
use limits::Known;
use person::Person;

/// What to do where an account would tell more.
const ACCOUNT: &str =
    "name an account to type with: operator.password_file, or --access-token-file";

/// Walks the hops; the exit code is that of the first broken one, else of what is unknown.
pub(crate) async fn run(context: &Context, args: &Doctor) -> Result<Exit, CliError> {
    let file = args.data.as_ref().map(|data| data.join(settings::FILE));
    let settings = match &file {
        Some(file) => Settings::load(Some(file.as_path() as &Path))?,
        None => context.settings()?,
    };
    let hops = walk(context, &settings, args.access_token_file.as_deref()).await;
    let lines = || hops.iter().map(Hop::line).collect::<Vec<_>>().join("\n");
    context.out.answer(&hops, lines)?;
    Ok(hop::exit(&hops))
}

async fn walk(context: &Context, settings: &Settings, token_file: Option<&Path>) -> Vec<Hop> {
    context.out.progress("asking homeserver, bot and gateway");
    let homeserver = front::homeserver(settings).await;
    let mut bot = front::bot(settings).await;
    let behind = match say::gateway(settings) {
        Ok(client) => behind::behind(&client.without_retry()).await,
        Err(error) => vec![Hop::bad(
            "gateway",
            Exit::Configuration,
            error.to_string(),
            "set operator.token_file",
        )],
    };
    context.out.progress("typing a command in a room");
    let mut typed = Typed::nobody();
    if homeserver.state == State::Ok {
        match as_person(settings, token_file, bot.waits).await {
            Ok(Some(told)) => typed = told,
            Ok(None) => {}
            Err(error) => typed.command = Hop::unknown("command", chain(&error), ACCOUNT),
        }
    }
    // Whoever answers runs, and has an account; whoever sees the rooms need not ask.
    if typed.command.state == State::Ok {
        for hop in [&mut bot.bot, &mut bot.account] {
            if hop.state == State::Unknown {
                *hop = Hop::good(hop.hop, "not asked, but it answered the command");
            }
        }
    }
    let rooms = match typed.rooms {
        Some(seen) if bot.rooms.state != State::Broken => seen,
        _ => bot.rooms,
    };
    let limits = typed.limits.unwrap_or_else(|| {
        let known = Known {
            bot_waits: bot.waits,
            ..Known::default()
        };
        limits::judge(&known, &settings.bot.localpart)
    });
    let mut hops = vec![homeserver, limits, bot.account, rooms, bot.bot];
    hops.extend(behind);
    hops.push(terminals::terminals());
    hops.push(typed.command);
    hops
}

/// What only somebody with an account finds out.
struct Typed {
    rooms: Option<Hop>,
    limits: Option<Hop>,
    command: Hop,
}

impl Typed {
    fn nobody() -> Self {
        Self {
            rooms: None,
            limits: None,
            command: Hop::unknown(
                "command",
                "nobody is at hand to type one in a room",
                ACCOUNT,
            ),
        }
    }
}

async fn as_person(
    settings: &Settings,
    token_file: Option<&Path>,
    bot_waits: Option<u64>,
) -> Result<Option<Typed>, CliError> {
    let Some(url) = &settings.homeserver.url else {
        return Ok(None);
    };
    let Some(person) = Person::at_hand(settings, url, token_file).await? else {
        return Ok(None);
    };
    let told = look(settings, &person, bot_waits).await;
    person.leave().await?;
    told.map(Some)
}

async fn look(
    settings: &Settings,
    person: &Person,
    bot_waits: Option<u64>,
) -> Result<Typed, CliError> {
    let server = match &settings.homeserver.server_name {
        Some(name) => name,
        None => person.user_id.split_once(':').map_or("", |(_, name)| name),
    };
    let bot = format!("@{}:{server}", settings.bot.localpart);
    let mut typed = Typed::nobody();
    typed.rooms = Some(front::seen(person, settings.tenant.id.as_str(), &bot).await?);
    let mut known = Known {
        bot_waits,
        exempt: person.is_exempt(&bot).await?,
        burst: None,
    };
    match typed::room(person, &bot).await? {
        Ok(room) => {
            typed.command = typed::command(person, &room, &bot).await?;
            // Last: an account that meets a limit has to wait afterwards.
            known.burst = Some(limits::burst(person, &room).await?);
        }
        Err(hop) => typed.command = hop,
    }
    typed.limits = Some(limits::judge(&known, &bot));
    Ok(typed)
}
