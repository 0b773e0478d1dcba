//! The board: four seats, four ways to vote, one decision.

use std::time::Duration;

use fleet_agent::matrix::{RoomEvent, reaction, reply};
use fleet_protocol::Command;
use fleet_protocol::problem::Code;
use fleet_protocol::verbs::board;

use super::super::cast::Cast;
use super::super::chat::short_id;
use super::super::progress::Progress;
use super::{ALERT, claim, first_line, is_loud, missed, refused};
use crate::error::{CliError, fixed};

/// How long the board may take to post its decision after the last ballot: a minute's notice, and
/// until the bot tells how far it has read a quiet room.
const DECISION: Duration = Duration::from_secs(180);

/// Four seats, four ways to vote; the decision pauses the fleet, a person resumes it.
pub(super) async fn vote(
    progress: &Progress,
    cast: &mut Cast,
    tasks: &[String],
) -> Result<((), String), CliError> {
    let title = "Pause for the release";
    let (ceo, cto, cfo) = (
        cast.operator.matrix().user_id().to_owned(),
        cast.directors[0].user_id().to_owned(),
        cast.directors[1].user_id().to_owned(),
    );
    let line = format!(
        "!board propose \"{title}\" --effect pause --quorum 100 --seat ceo={ceo} --seat cto={cto} --seat cfo={cfo} --seat coo={}",
        cast.agents[0].name
    );
    let asked = cast.operator.say(progress, "board", &line).await?;
    let fleet = cast.operator.fleet.clone();
    let is_card = |event: &RoomEvent| {
        is_loud(event, &fleet) && event.body().is_some_and(|b| b.contains(title))
    };
    let card = cast
        .operator
        .until(progress, "the proposal's card", ALERT, |seen| {
            is_card(&seen.event)
        })
        .await?;
    let proposal = card
        .body()
        .and_then(|b| short_id(b, 'p'))
        .ok_or_else(|| missed("no proposal on the card"))?;
    progress.transcript("fleet", &format!("(card of {proposal}, answer to {asked})"))?;
    cast.operator
        .ask(
            progress,
            "board",
            &format!("!board vote {proposal} approve because the notes must be read"),
        )
        .await?;
    let room = cast.operator.room("board")?;
    progress.transcript("dana", "(reply) approve because it is quiet anyway")?;
    let by_reply = reply("approve because it is quiet anyway", &card.event_id);
    cast.directors[0]
        .send(&room, "m.room.message", &by_reply, "vote-reply")
        .await?;
    progress.transcript("kim", "(reaction) 👍")?;
    cast.directors[1]
        .send(
            &room,
            "m.reaction",
            &reaction("👍", &card.event_id),
            "vote-reaction",
        )
        .await?;
    let ballot = board::Vote {
        proposal: fixed(&proposal)?,
        verdict: board::Verdict::Reject,
        reason: vec![fixed("I am not tired")?],
        confidence: Some(fixed("60")?),
        concerns: Vec::new(),
        recommendations: Vec::new(),
        key_risks: Vec::new(),
        seat: None,
    };
    cast.agents[0]
        .send(progress, Command::from(ballot), None)
        .await?;
    decision(progress, cast, &proposal, tasks).await
}

async fn decision(
    progress: &Progress,
    cast: &mut Cast,
    proposal: &str,
    tasks: &[String],
) -> Result<((), String), CliError> {
    let fleet = cast.operator.fleet.clone();
    let card = cast.operator.seen.len();
    let is_decision =
        |body: &str| body.contains(proposal) && body.to_lowercase().contains("approved");
    let decided = cast
        .operator
        .until(progress, "the decision", DECISION, |seen| {
            seen.event.sender == fleet
                && seen.event.relates_to("m.replace").is_none()
                && seen.event.body().is_some_and(is_decision)
        });
    let decided = decided.await?;
    let paused = refused(
        claim(progress, cast, 2, &tasks[2]).await,
        Code::Paused,
        "a claim while paused",
    )?;
    cast.operator.ask(progress, "lobby", "!resume").await?;
    let news = cast.operator.seen.len() - card;
    Ok((
        (),
        format!(
            "{}; then: {} ({news} events)",
            first_line(decided.body().unwrap_or_default()),
            paused.detail
        ),
    ))
}
