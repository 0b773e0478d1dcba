//! `fleet gateway token`.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use fleet_gateway::{KnownToken, NewToken, Scope, Secret, SystemClock, Tokens, UuidIds};
use serde_json::json;

use crate::args::{TokenAction, TokenScope};
use crate::error::CliError;
use crate::output::Output;
use crate::settings::Settings;

/// Makes, lists or revokes, as the register's owner.
pub(super) async fn run(
    out: Output,
    settings: &Settings,
    action: &TokenAction,
) -> Result<(), CliError> {
    let owner = Secret::new(settings.database.owner()?.expose());
    let mut tokens = Tokens::open(&owner, settings.tenant.id.clone()).await?;
    match action {
        TokenAction::New {
            name,
            scope,
            user,
            out: file,
        } => {
            let new = NewToken {
                name: name.clone(),
                scopes: vec![self::scope(*scope)],
                user: user.clone(),
            };
            match file {
                Some(file) => into_file(out, &mut tokens, &new, file).await,
                None => shown(out, &mut tokens, &new).await,
            }
        }
        TokenAction::List => {
            let known = tokens.list().await?;
            out.answer(&known, || table(&known))
        }
        TokenAction::Revoke { which } => {
            let revoked = tokens.revoke(which, &SystemClock).await?;
            out.answer(&json!({ "revoked": revoked }), || {
                format!("revoked: {revoked}; a running gateway forgets it within seconds")
            })
        }
    }
}

async fn shown(out: Output, tokens: &mut Tokens, new: &NewToken) -> Result<(), CliError> {
    let token = tokens.make(new, &SystemClock, &UuidIds).await?;
    out.progress("keep it in a file that only its user can read; it is not shown again");
    let token = token.reveal();
    let answer = json!({ "name": new.name, "user": new.user, "token": token });
    out.answer(&answer, || token.to_owned())
}

/// The file comes first: a token that cannot be kept is not made.
async fn into_file(
    out: Output,
    tokens: &mut Tokens,
    new: &NewToken,
    path: &Path,
) -> Result<(), CliError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut file = options.open(path).map_err(|e| CliError::file(path, e))?;
    let made = tokens.make(new, &SystemClock, &UuidIds).await;
    let made = made.map_err(CliError::from);
    let kept = match made {
        Ok(token) => match write(&mut file, token.reveal()) {
            Ok(()) => Ok(()),
            Err(error) => {
                tokens.revoke(new.name.as_str(), &SystemClock).await?;
                Err(CliError::file(path, error))
            }
        },
        Err(error) => Err(error),
    };
    if let Err(error) = kept {
        std::fs::remove_file(path).map_err(|e| CliError::file(path, e))?;
        return Err(error);
    }
    let answer = json!({ "name": new.name, "user": new.user, "file": path });
    out.answer(&answer, || {
        format!("the token {} is in {}", new.name, path.display())
    })
}

fn write(file: &mut File, token: &str) -> std::io::Result<()> {
    writeln!(file, "{token}")?;
    file.sync_all()
}

fn table(known: &[KnownToken]) -> String {
    let lines = known.iter().map(|t| {
        let user = t.user.as_deref().unwrap_or("-");
        let state = t
            .revoked_at
            .map_or_else(|| "in use".to_owned(), |at| format!("revoked {}", at.0));
        let scopes = t.scopes.join(",");
        format!("{}  {:<16}  {scopes:<8}  {user}  {state}", t.id, t.name)
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn scope(scope: TokenScope) -> Scope {
    match scope {
        TokenScope::Agent => Scope::Agent,
        TokenScope::Operator => Scope::Operator,
        TokenScope::Metrics => Scope::Metrics,
        TokenScope::Bot => Scope::Bot,
    }
}
