//! What `fleet agent` does beside the language: it configures what runs an agent.

pub(crate) mod deliver;
pub(crate) mod gate;
pub(crate) mod join;
pub(crate) mod listen;
pub(crate) mod reconcile;
pub(crate) mod revoke;
pub(crate) mod terminal;

use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use fleet_agent::credentials::{Credentials, VARIABLE};
use fleet_agent::hook;
use serde_json::{Value, json};

use super::mcp;
use crate::args::{AgentConfig, AgentRuntime};
use crate::error::CliError;
use crate::exit::Exit;
use crate::{Context, system};

/// A file of the runtime's, and what belongs into it.
struct Snippet {
    file: &'static str,
    text: String,
}

/// Prints what a runtime needs so that its model has the fleet's tools.
pub(crate) fn config(context: &Context, args: &AgentConfig) -> Result<Exit, CliError> {
    let credentials = args
        .credentials
        .canonicalize()
        .map_err(|e| CliError::file(&args.credentials, e))?;
    Credentials::read(&credentials)?;
    let fleet = std::env::current_exe()
        .map_err(|e| CliError::Internal(format!("this program does not know its path: {e}")))?;
    let snippets = match args.runtime {
        AgentRuntime::ClaudeCode => claude_code(&fleet, &credentials)?,
        AgentRuntime::Codex => codex(&fleet, &credentials),
    };
    let value: Vec<Value> = snippets
        .iter()
        .map(|s| json!({ "file": s.file, "text": s.text }))
        .collect();
    context.out.answer(&value, || {
        let blocks = snippets
            .iter()
            .map(|s| format!("# {}\n{}", s.file, s.text.trim_end()));
        blocks.collect::<Vec<_>>().join("\n\n")
    })?;
    Ok(Exit::Done)
}

/// The longest a hook keeps the model's turn waiting.
const PATIENCE: Duration = Duration::from_secs(8);
/// The largest input of a hook, in bytes.
const LARGEST: u64 = 16 * 1024 * 1024;

/// Reports what a runtime's hook is about. It never fails the model's turn: what is wrong goes to
/// standard error, and the exit code is 0.
pub(crate) async fn hook(context: &Context) -> Exit {
    match tokio::time::timeout(PATIENCE, report(context)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => context.out.progress(&crate::error::chain(&error)),
        Err(_) => context.out.progress(&format!(
            "the fleet did not answer within {} s; nothing waits for it",
            PATIENCE.as_secs()
        )),
    }
    Exit::Done
}

async fn report(context: &Context) -> Result<(), CliError> {
    let mut text = String::new();
    std::io::stdin()
        .take(LARGEST)
        .read_to_string(&mut text)
        .map_err(|e| CliError::file("standard input", e))?;
    let input = hook::Input::read(&text)
        .map_err(|e| CliError::Usage(format!("standard input is no input of a hook: {e}")))?;
    let file = mcp::credentials_file()
        .ok_or_else(|| CliError::Usage(format!("name the credentials file in {VARIABLE}")))?;
    let session = mcp::session(context)?;
    let journal = file.with_extension("hooks.json");
    let said = hook::run(&session, &input, &journal, system::clock()())
        .await
        .map_err(|problem| CliError::Refused(Box::new(problem)))?;
    match said {
        Some(text) => context.out.line(&text),
        None => Ok(()),
    }
}

fn pretty(value: &Value) -> Result<String, CliError> {
    serde_json::to_string_pretty(value)
        .map_err(|e| CliError::Internal(format!("a configuration is no JSON: {e}")))
}

fn claude_code(fleet: &Path, credentials: &Path) -> Result<Vec<Snippet>, CliError> {
    let server = json!({
        "mcpServers": { "fleet": {
            "type": "stdio",
            "command": fleet,
            "args": ["mcp"],
            "env": { VARIABLE: credentials },
        } },
    });
    let command = format!(
        "{VARIABLE}={} {} agent hook",
        shell(credentials),
        shell(fleet)
    );
    let hook = json!([{ "type": "command", "command": command, "timeout": 10 }]);
    let of = |events: &[&str]| -> serde_json::Map<String, Value> {
        let all = events
            .iter()
            .map(|e| ((*e).to_owned(), json!([{ "hooks": hook }])));
        all.collect()
    };
    let mut hooks = of(&["SessionStart", "UserPromptSubmit", "Stop", "SessionEnd"]);
    hooks.insert(
        "PreToolUse".into(),
        json!([{ "matcher": "mcp__fleet__task_(complete|release|fail)", "hooks": hook }]),
    );
    hooks.insert(
        "PostToolUse".into(),
        json!([{ "matcher": "*", "hooks": hook }]),
    );
    Ok(vec![
        Snippet {
            file: ".mcp.json",
            text: pretty(&server)?,
        },
        Snippet {
            file: ".claude/settings.json",
            text: pretty(&json!({ "hooks": hooks }))?,
        },
    ])
}

/// A path as one word of a shell.
fn shell(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', "'\\''"))
}

fn codex(fleet: &Path, credentials: &Path) -> Vec<Snippet> {
    let quoted = |path: &Path| toml::Value::String(path.display().to_string()).to_string();
    vec![Snippet {
        file: "~/.codex/config.toml",
        text: format!(
            "[mcp_servers.fleet]\ncommand = {}\nargs = [\"mcp\"]\nenv = {{ {VARIABLE} = {} }}\n",
            quoted(fleet),
            quoted(credentials)
        ),
    }]
}
