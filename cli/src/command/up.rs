//! `fleet up`.

use std::net::IpAddr;
use std::sync::Arc;

use fleet_homeserver::child;
use fleet_homeserver::process::Software;
use fleet_local::postgres::Source;
use fleet_local::stack::{
    Database, HomeserverChoice, Progress, ProgressState, Report, StackSettings,
};
use fleet_local::supervisor::SupervisorError;
use serde_json::json;
use url::Url;

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
    if !child::dies_with_parent() {
        context.out.progress(
            "setpriv (util-linux) is not installed: what is started here outlives a SIGKILL of this process",
        );
    }
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
    let told = tell(context.out, &fleet, args);
    let ended = tokio::select! {
        () = shutdown.cancelled() => told,
        Some(error) = fleet.stack.processes().given_up() => Err(given_up(&fleet, &error)),
    };
    context.out.progress("stopping");
    fleet.stop().await;
    ended.map(|()| Exit::Done)
}

/// A part that does not come back: without it the fleet is none.
fn given_up(fleet: &Fleet, error: &SupervisorError) -> CliError {
    let cause = match error {
        SupervisorError::Failed { name, .. } => {
            let log = fleet.stack.folder().log(name);
            format!("{error}\nits log: {}", log.display())
        }
        other => other.to_string(),
    };
    CliError::Service {
        what: "the fleet is stopped, as a part of it does not come back",
        cause,
    }
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

/// Where people connect, and what other devices need besides.
#[derive(Debug, PartialEq, Eq)]
struct Door {
    address: Url,
    hint: Option<String>,
}

impl Door {
    /// `local` is the homeserver's address on this machine; an existing homeserver listens nowhere
    /// of ours.
    fn of(local: &Url, listen: Option<IpAddr>, public: Option<&Url>) -> Self {
        let Some(listen) = listen else {
            return Self {
                address: local.clone(),
                hint: None,
            };
        };
        let port = local.port_or_known_default().unwrap_or_default();
        let hint = match public {
            Some(public) if public.scheme() == "https" => {
                let at = if listen.is_unspecified() {
                    local.authority().to_owned()
                } else {
                    std::net::SocketAddr::new(listen, port).to_string()
                };
                Some(format!(
                    "{public} must be a proxy that does TLS and passes on to http://{at}"
                ))
            }
            Some(public) => Some(format!(
                "{public} is not https: Element on another device refuses it; put a proxy with TLS in front"
            )),
            None if listen.is_loopback() => None,
            None => Some(format!(
                "port {port} is open to other devices without TLS, and Element there refuses plain http; \
                 put a proxy with TLS in front and name it: --public-url https://..."
            )),
        };
        Self {
            address: public.unwrap_or(local).clone(),
            hint,
        }
    }
}

fn tell(out: Output, fleet: &Fleet, args: &Up) -> Result<(), CliError> {
    let local = &fleet.stack.homeserver().url;
    let listen = fleet.has_own_homeserver.then_some(args.listen);
    let door = Door::of(local, listen, args.public_url.as_ref());
    let user = fleet.operator.user_id();
    let password = fleet.operator.password_file();
    let told = json!({
        "homeserver": door.address,
        "local": local,
        "hint": door.hint,
        "user": user,
        "password_file": password,
        "gateway": fleet.settings.gateway.url,
        "config": fleet.config,
        "bot": fleet.settings.bot.localpart,
    });
    out.answer(&told, || {
        let password = password.map_or_else(
            || "the one you have".to_owned(),
            |file| format!("in {}", file.display()),
        );
        let hint = door.hint.as_ref();
        let hint = hint.map(|h| format!("  note        {h}\n")).unwrap_or_default();
        format!(
            "The fleet is up.\n\n\
             Log in with Element:\n  homeserver  {homeserver}\n{hint}  user        {user}\n  password    {password}\n\n\
             Accept the invite to the space, open the lobby and type: !help\n\n\
             From a shell:  fleet --config {config} status\n\
             Logs:          {logs}\n\
             Ctrl-C stops everything; the next `fleet up` resumes.",
            homeserver = door.address,
            config = fleet.config.display(),
            logs = fleet.stack.folder().path().join("logs").display(),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_devices_are_told_the_address_they_can_reach_and_what_it_lacks() {
        let public = "https://fleet.example.org";
        let table = [
            (
                "http://127.0.0.1:8008/",
                "127.0.0.1",
                None,
                "http://127.0.0.1:8008/",
                None,
            ),
            (
                "http://192.0.2.10:8008/",
                "192.0.2.10",
                None,
                "http://192.0.2.10:8008/",
                Some("--public-url"),
            ),
            (
                "http://127.0.0.1:8008/",
                "0.0.0.0",
                None,
                "http://127.0.0.1:8008/",
                Some("port 8008"),
            ),
            (
                "http://192.0.2.10:8008/",
                "192.0.2.10",
                Some(public),
                "https://fleet.example.org/",
                Some("http://192.0.2.10:8008"),
            ),
            (
                "http://127.0.0.1:8008/",
                "0.0.0.0",
                Some(public),
                "https://fleet.example.org/",
                Some("http://127.0.0.1:8008"),
            ),
            (
                "http://127.0.0.1:8008/",
                "127.0.0.1",
                Some("http://box.lan"),
                "http://box.lan/",
                Some("not https"),
            ),
        ];
        for (local, listen, public, address, hint) in table {
            let public: Option<Url> = public.map(|p| p.parse().unwrap());
            let door = Door::of(
                &local.parse().unwrap(),
                Some(listen.parse().unwrap()),
                public.as_ref(),
            );
            assert_eq!(door.address.as_str(), address);
            match hint {
                Some(part) => assert!(door.hint.as_ref().unwrap().contains(part), "{door:?}"),
                None => assert_eq!(door.hint, None),
            }
        }
        let existing: Url = "https://matrix.example.org".parse().unwrap();
        assert_eq!(Door::of(&existing, None, None).hint, None);
    }
}
