//! `fleet up`.

use std::sync::Arc;

use fleet_homeserver::process::Software;
use fleet_local::postgres::Source;
use fleet_local::stack::{
    Database, HomeserverChoice, Progress, ProgressState, Report, StackSettings,
};
use serde_json::json;

use crate::args::Up;
use crate::command;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::Output;
use crate::raise::{Fleet, Plan, secret};
use crate::settings::Settings;
use crate::{Context, log};

/// Raises the fleet, tells how to log in, and waits for the signal to stop.
pub(crate) async fn run(context: &Context, args: &Up) -> Result<Exit, CliError> {
    let base = context.settings()?;
    log::start(&crate::settings::Log {
        filter: "warn".into(),
        ..base.log.clone()
    })?;
    let shutdown = command::stop_signal()?;
    let stack = StackSettings {
        folder: args.data.clone(),
        database: database(&base)?,
        homeserver: homeserver(&base, args)?,
        throwaway: false,
    };
    let plan = Plan {
        stack,
        base,
        prefix: String::new(),
    };
    let raising = Fleet::raise(plan, report(context.out));
    let fleet = tokio::select! {
        fleet = raising => fleet?,
        () = shutdown.cancelled() => return Ok(Exit::Done),
    };
    let told = tell(context.out, &fleet);
    shutdown.cancelled().await;
    context.out.progress("stopping");
    fleet.stop().await;
    told.map(|()| Exit::Done)
}

/// The configured database, else one of our own.
pub(crate) fn database(settings: &Settings) -> Result<Database, CliError> {
    let d = &settings.database;
    if d.url.is_some() || d.url_file.is_some() {
        return Ok(Database::Url(secret(&d.owner()?)));
    }
    Ok(Database::Embedded(
        d.bin_dir.clone().map_or(Source::Auto, Source::BinDir),
    ))
}

fn homeserver(settings: &Settings, args: &Up) -> Result<HomeserverChoice, CliError> {
    if let Some(url) = settings.homeserver.url.clone() {
        return Ok(HomeserverChoice::Existing {
            url,
            registration: command::bot::registration(&settings.homeserver)?,
        });
    }
    Ok(HomeserverChoice::Embedded {
        software: settings
            .homeserver
            .conduit
            .clone()
            .map_or(Software::Auto, Software::Conduit),
        server_name: settings
            .homeserver
            .server_name
            .clone()
            .unwrap_or_else(|| args.server_name.clone()),
        ip: args.listen,
        port: None,
        public_url: args.public_url.clone(),
        fast_hashing: false,
    })
}

/// Progress on standard error: a line per step, as JSON where the answers are.
pub(crate) fn report(out: Output) -> Report {
    Arc::new(move |progress: Progress| {
        if out.is_json() {
            if let Ok(line) = serde_json::to_string(&progress) {
                out.progress(&line);
            }
            return;
        }
        let text = match progress.state {
            ProgressState::Started => format!("{} ...", progress.step),
            ProgressState::Working => format!("{}: {}", progress.step, progress.detail),
            ProgressState::Done { ms } => format!("{}: ready after {ms} ms", progress.step),
            ProgressState::Failed => format!("{}: failed: {}", progress.step, progress.detail),
        };
        out.progress(&text);
    })
}

fn tell(out: Output, fleet: &Fleet) -> Result<(), CliError> {
    let homeserver = fleet.stack.homeserver().url.as_str();
    let told = json!({
        "homeserver": homeserver,
        "user": fleet.operator.user_id,
        "password_file": fleet.operator_password,
        "gateway": fleet.settings.gateway.url,
        "config": fleet.config,
        "bot": fleet.settings.bot.localpart,
    });
    out.answer(&told, || {
        format!(
            "The fleet is up.\n\n\
             Log in with Element:\n  homeserver  {homeserver}\n  user        {user}\n  password    in {password}\n\n\
             Accept the invite to the space, open the lobby and type: !help\n\n\
             From a shell:  fleet --config {config} status\n\
             Logs:          {logs}\n\
             Ctrl-C stops everything; the next `fleet up` resumes.",
            user = fleet.operator.user_id,
            password = fleet.operator_password.display(),
            config = fleet.config.display(),
            logs = fleet.stack.folder().path().join("logs").display(),
        )
    })
}
