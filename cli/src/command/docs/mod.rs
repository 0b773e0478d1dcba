//! `fleet docs`: the reference pages of the book. Nothing here is written by hand but the headings,
//! so a page that differs from the committed one means that the code has changed.

mod commands;
mod configuration;
mod schema;

use std::path::Path;

use crate::Context;
use crate::error::CliError;
use crate::exit::Exit;

/// The pages: file name and text.
pub(crate) fn pages() -> Result<Vec<(&'static str, String)>, CliError> {
    Ok(vec![
        ("commands.md", commands::page()),
        ("events.md", schema::events()),
        ("files.md", schema::files()),
        ("api.md", schema::api()?),
        ("configuration.md", configuration::page()),
    ])
}

/// Writes the pages.
pub(crate) fn run(context: &Context, out: &Path) -> Result<Exit, CliError> {
    std::fs::create_dir_all(out).map_err(|e| CliError::file(out, e))?;
    let mut written = Vec::new();
    for (name, text) in pages()? {
        let path = out.join(name);
        std::fs::write(&path, text).map_err(|e| CliError::file(&path, e))?;
        written.push(path.display().to_string());
    }
    context.out.answer(&written, || written.join("\n"))?;
    Ok(Exit::Done)
}

/// Text for a cell of a Markdown table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
        .replace('<', "&lt;")
        .replace('\n', " ")
}
