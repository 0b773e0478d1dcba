//! `fleet config`.

use serde_json::json;

use crate::Context;
use crate::args::{Config, ConfigAction};
use crate::error::CliError;
use crate::exit::Exit;
use crate::settings::keys;

/// Checks or shows the configuration.
pub(crate) fn run(context: &Context, args: &Config) -> Result<Exit, CliError> {
    match args.action {
        ConfigAction::Check => check(context),
        ConfigAction::Show => {
            let settings = context.settings()?;
            let text = settings.shown()?;
            context
                .out
                .answer(&settings, || text.trim_end().to_owned())?;
            Ok(Exit::Done)
        }
        ConfigAction::Keys => {
            let keys = keys();
            context.out.answer(&keys, || {
                let lines = keys.iter().map(|k| {
                    let default = k
                        .default
                        .as_deref()
                        .map(|d| format!(" (default: {d})"))
                        .unwrap_or_default();
                    format!("{}  {}\n    {}{default}", k.key, k.variable, k.meaning)
                });
                lines.collect::<Vec<_>>().join("\n")
            })?;
            Ok(Exit::Done)
        }
    }
}

fn check(context: &Context) -> Result<Exit, CliError> {
    let faults: Vec<String> = match context.settings() {
        Ok(settings) => settings.faults().iter().map(ToString::to_string).collect(),
        Err(error) => vec![error.to_string()],
    };
    let ok = faults.is_empty();
    context
        .out
        .answer(&json!({ "ok": ok, "faults": faults }), || {
            if ok {
                "the configuration is sound".into()
            } else {
                faults.join("\n")
            }
        })?;
    Ok(if ok { Exit::Done } else { Exit::Configuration })
}
