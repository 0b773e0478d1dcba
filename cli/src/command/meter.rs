//! `fleet agent meter`: a runtime's transcripts as the spend of a task, on the agent's host.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fleet_agent::meter::{self, Runtime, Transcript, Usage};
use fleet_client::Gateway;
use fleet_protocol::scalar::{Count, Name};
use fleet_protocol::verbs::spend::{Meter, Report};
use fleet_protocol::{Command, Moment, Receipt};
use serde_json::json;

use super::{say, stop_signal};
use crate::Context;
use crate::args::AgentMeter;
use crate::error::CliError;
use crate::exit::Exit;

/// Between two looks at the transcripts.
const EVERY: Duration = Duration::from_secs(15);

/// What was reported of a session and model, so that only what is new is.
type Told = BTreeMap<(Name, Name), Usage>;

/// Reports until it is stopped, or once. What one look cannot read or report is told and tried again with the next.
pub(crate) async fn run(context: &Context, args: &AgentMeter) -> Result<Exit, CliError> {
    let gateway = say::gateway(&context.settings()?)?;
    let stop = stop_signal()?;
    let mut told = Told::new();
    loop {
        let looked = look(context, &gateway, args, &mut told).await;
        if args.once {
            return looked.map(|()| Exit::Done);
        }
        if let Err(error) = looked {
            context.out.progress(&error.to_string());
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(Exit::Done),
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// One look at all transcripts. One that says nothing keeps nothing from the others; the first such is the error.
async fn look(
    context: &Context,
    gateway: &Gateway,
    args: &AgentMeter,
    told: &mut Told,
) -> Result<(), CliError> {
    let mut first = None;
    let mut totals: BTreeMap<(Name, Name), (Usage, Option<String>)> = BTreeMap::new();
    for path in &args.paths {
        match read(path, args.runtime.into()) {
            Ok(transcript) => gather(context, path, transcript, &mut totals),
            Err(error) => first = first.or(Some(error)),
        }
    }
    for (of, (usage, at)) in totals {
        if told.get(&of) == Some(&usage) {
            continue;
        }
        report(context, gateway, args, &of, usage, at).await?;
        told.insert(of, usage);
    }
    first.map_or(Ok(()), Err)
}

fn read(path: &Path, runtime: Runtime) -> Result<Transcript, CliError> {
    let file = File::open(path).map_err(|e| CliError::file(path, e))?;
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    let session = stem.and_then(meter::name).ok_or_else(|| {
        CliError::Usage(format!("{} is no transcript of a session", path.display()))
    })?;
    meter::read(runtime, &session, BufReader::new(file))
        .map_err(|e| CliError::Missed(format!("{}: {e}", path.display())))
}

/// Adds what a transcript says. One session may be written down in several files, each with messages of its own.
fn gather(
    context: &Context,
    path: &Path,
    transcript: Transcript,
    totals: &mut BTreeMap<(Name, Name), (Usage, Option<String>)>,
) {
    if transcript.passed_over > 0 {
        context.out.progress(&format!(
            "{}: {} lines were not understood, so that its totals are at least what is reported",
            path.display(),
            transcript.passed_over
        ));
    }
    for (of, usage) in transcript.totals {
        let (sum, at) = totals.entry(of).or_default();
        sum.add(usage);
        *at = transcript.last.clone().max(at.take());
    }
}

/// Reports the totals of one session and model. The same totals have the same key: however often they are
/// reported, they count once.
async fn report(
    context: &Context,
    gateway: &Gateway,
    args: &AgentMeter,
    (session, model): &(Name, Name),
    usage: Usage,
    at: Option<String>,
) -> Result<(), CliError> {
    let count = |n: u64| {
        Count::try_from(n)
            .map_err(|e| CliError::Missed(format!("{n} tokens cannot be reported: {e}")))
    };
    let report = Report {
        task: args.task,
        input_tokens: Some(count(usage.input)?),
        output_tokens: Some(count(usage.output)?),
        cache_write_tokens: Some(count(usage.cache_write)?),
        cache_read_tokens: Some(count(usage.cache_read)?),
        cash_usd_micro: None,
        messages: None,
        credits: None,
        compute_seconds: None,
        model: Some(model.clone()),
        provider: args.provider.clone(),
        session: Some(session.clone()),
        meter: Some(Meter::Transcript),
        attempt: args.attempt,
        // A time of another form is no reason to lose a fact: it counts as spent now.
        spent_at: at.and_then(|at| at.parse::<Moment>().ok()),
    };
    let attempt = args.attempt.map_or_else(String::new, |n| n.to_string());
    let Usage {
        input,
        output,
        cache_write,
        cache_read,
    } = usage;
    let key = format!(
        "meter {} {attempt} {session} {model} {input} {output} {cache_write} {cache_read}",
        args.task
    );
    let receipt = say::tell(context, gateway, Command::SpendReport(report), &key).await?;
    told(context, session, model, &receipt)
}

fn told(
    context: &Context,
    session: &Name,
    model: &Name,
    receipt: &Receipt,
) -> Result<(), CliError> {
    let shown = json!({ "session": session, "model": model, "receipt": receipt });
    context.out.answer(&shown, || {
        let said = receipt.reply.as_ref().map(say::read).unwrap_or_default();
        format!("{session}, {model}: {said}")
    })
}

/// Files are named one by one: a folder holds the sessions of other work as well.
pub(crate) fn file(word: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(word);
    match path.is_dir() {
        true => Err(
            "a folder holds the sessions of other work as well; name the transcripts of this task"
                .into(),
        ),
        false => Ok(path),
    }
}
