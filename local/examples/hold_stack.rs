//! Starts PostgreSQL and a homeserver in the folder given as argument, prints the homeserver's
//! address and the two process ids, and waits for ever: to see what a killed process leaves.

use std::io::Write as _;
use std::sync::Arc;

use fleet_homeserver::process::Software;
use fleet_local::postgres::Source;
use fleet_local::stack::{Database, HOMESERVER, HomeserverChoice, POSTGRES, Stack, StackSettings};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os()
        .nth(1)
        .ok_or("usage: hold_stack FOLDER")?;
    let mut homeserver = HomeserverChoice::embedded("fleet.localhost");
    if let HomeserverChoice::Embedded {
        software,
        fast_hashing,
        ..
    } = &mut homeserver
    {
        *software = Software::Synapse;
        *fast_hashing = true;
    }
    let database = Database::Embedded(Source::of_tests()?);
    let settings = StackSettings {
        folder: folder.into(),
        database,
        homeserver,
        throwaway: true,
    };
    let stack = Stack::start(settings, Arc::new(|_| {})).await?;
    let mut output = std::io::stdout();
    writeln!(output, "{}", stack.homeserver().url)?;
    for name in [POSTGRES, HOMESERVER] {
        writeln!(output, "{}", stack.processes().ready(name).await?)?;
    }
    output.flush()?;
    std::future::pending::<()>().await;
    Ok(())
}
