//! `fleet budget chart --out FILE.png`: the picture that the room gets, into a file.

use std::path::Path;

use fleet_protocol::{Reply, Request};
use serde_json::json;

use super::say;
use crate::Context;
use crate::error::CliError;
use crate::exit::Exit;

/// Asks for the figures and draws them.
pub(crate) async fn run(
    context: &Context,
    request: Request,
    file: &Path,
) -> Result<Exit, CliError> {
    let Request::Query(query) = request else {
        return Err(CliError::Internal("a chart is a query".into()));
    };
    let reply = say::ask(context, query).await?;
    let Reply::Charts(charts) = &reply else {
        return Err(CliError::Internal("a chart was answered otherwise".into()));
    };
    let picture = fleet_chart::picture(charts).map_err(|e| CliError::Missed(e.to_string()))?;
    std::fs::write(file, &picture.png).map_err(|e| CliError::file(file, e))?;
    let shown = json!({
        "file": file, "width": picture.width, "height": picture.height,
        "charts": charts.len().min(fleet_chart::MOST),
    });
    context.out.answer(&shown, || {
        format!("{}\n{}", file.display(), say::read(&reply))
    })?;
    Ok(Exit::Done)
}
