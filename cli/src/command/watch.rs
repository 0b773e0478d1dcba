//! `fleet watch`: agents, what waits and budgets, looked at again and again. It only reads.

mod screen;

use std::io::IsTerminal as _;
use std::time::Duration;

use fleet_protocol::verbs::{budget, fleet};
use fleet_protocol::{Query, Reply, Timestamp};
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use self::screen::{Screen, Size};
use super::{say, stop_signal};
use crate::args::Watch;
use crate::error::{CliError, chain};
use crate::exit::Exit;
use crate::{Context, system};

/// Between two looks unless another length is named.
const EVERY: Duration = Duration::from_secs(2);

/// What one look has found.
struct Look {
    at: Timestamp,
    parts: Vec<Reply>,
}

/// Looks until it is stopped: on a terminal as a page that changes, in JSON as a line for each look.
/// Anywhere else it looks once.
pub(crate) async fn run(context: &Context, args: &Watch) -> Result<Exit, CliError> {
    let stop = stop_signal()?;
    let is_page = std::io::stdout().is_terminal() && !context.out.is_json() && !args.once;
    let is_once = args.once || !is_page && !context.out.is_json();
    let every = args
        .every
        .map_or(EVERY, |l| Duration::from_secs(l.seconds().max(1).into()));
    let mut resized = signal(SignalKind::window_change())
        .map_err(|e| CliError::Internal(format!("signals cannot be received: {e}")))?;
    let mut page = if is_page {
        Some(Screen::enter()?)
    } else {
        None
    };
    // What was last seen stays on the page when the gateway is away.
    let mut seen = None;
    loop {
        let looked = tokio::select! {
            looked = look(context) => looked,
            () = stop.cancelled() => return Ok(Exit::Done),
        };
        let fault = match looked {
            Ok(look) => {
                seen = Some(look);
                None
            }
            Err(error) if is_once => return Err(error),
            Err(error) => Some(chain(&error)),
        };
        match &mut page {
            Some(page) => page.show(&text(seen.as_ref(), fault.as_deref(), Size::of_terminal()))?,
            None => print(context, seen.as_ref(), fault.as_deref())?,
        }
        if is_once {
            return Ok(Exit::Done);
        }
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            _ = resized.recv() => {}
            () = stop.cancelled() => return Ok(Exit::Done),
        }
    }
}

async fn look(context: &Context) -> Result<Look, CliError> {
    let queries: [Query; 3] = [
        fleet::Ps {}.into(),
        budget::Queue {}.into(),
        budget::Status { provider: None }.into(),
    ];
    let mut parts = Vec::with_capacity(queries.len());
    for query in queries {
        parts.push(say::ask(context, query).await?);
    }
    let at = system::clock()();
    Ok(Look { at, parts })
}

fn print(context: &Context, seen: Option<&Look>, fault: Option<&str>) -> Result<(), CliError> {
    let value = match (fault, seen) {
        (Some(fault), _) => json!({ "at": system::clock()(), "error": fault }),
        (None, Some(look)) => {
            let mut value = json!({ "at": look.at });
            for part in &look.parts {
                if let (Value::Object(all), Value::Object(part)) = (&mut value, json!(part)) {
                    all.extend(part);
                }
            }
            value
        }
        (None, None) => return Ok(()),
    };
    context
        .out
        .answer(&value, || text(seen, fault, Size::ENDLESS).join("\n"))
}

/// The page as lines that fit: when it was, what is wrong, then each part.
fn text(seen: Option<&Look>, fault: Option<&str>, size: Size) -> Vec<String> {
    let mut blocks = Vec::new();
    if let Some(look) = seen {
        let at = look.at.0.to_zoned_datetime(TimeZone::system());
        blocks.push(format!(
            "Mosaic Fleet, {}",
            at.strftime("%Y-%m-%d %H:%M:%S")
        ));
    }
    if let Some(fault) = fault {
        let seen = if seen.is_some() {
            "; what was last seen:"
        } else {
            ""
        };
        blocks.push(format!("NOT NOW: {fault}{seen}"));
    }
    blocks.extend(seen.iter().flat_map(|look| &look.parts).map(say::read));
    screen::fit(&blocks, size)
}
