//! Reading a room back with `/messages`.

use std::time::Duration;

use matrix_sdk::Room;
use matrix_sdk::room::MessagesOptions;
use matrix_sdk::ruma::UInt;

use crate::context::Context;
use crate::event::{Event, events};
use crate::refusal::{Backoff, Refusal, refusal};
use crate::{BotError, counters::Counter};

/// Events asked for at once.
const PAGE: u32 = 100;
/// Longest pause between tries of one page.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How a reading back ended.
#[derive(Debug)]
pub(crate) enum History {
    /// It reached what was looked for; the events are in the room's order and contain it.
    Reached(Vec<Event>),
    /// The pages or the room ended before; the events read, in the room's order.
    Lost(Vec<Event>),
    /// The bot may not read this room (any more), or was asked to stop.
    Denied,
}

/// Reads back from the newest event until `reached` is true of one, at most `pages` pages.
///
/// # Errors
/// [`BotError::SignedOut`].
pub(crate) async fn read_back<F>(
    context: &Context,
    room: &Room,
    pages: usize,
    reached: F,
) -> Result<History, BotError>
where
    F: Fn(&Event) -> bool + Send,
{
    let mut newest_first: Vec<Event> = Vec::new();
    let mut from: Option<String> = None;
    for _ in 0..pages {
        let Some((page, end)) = page(context, room, from.as_deref()).await? else {
            return Ok(History::Denied);
        };
        let done = page.iter().any(&reached);
        newest_first.extend(page);
        if done {
            newest_first.reverse();
            return Ok(History::Reached(newest_first));
        }
        match end {
            // A server that repeats its token has reached the beginning.
            Some(end) if from.as_deref() != Some(end.as_str()) => from = Some(end),
            _ => break,
        }
    }
    newest_first.reverse();
    Ok(History::Lost(newest_first))
}

/// One page, newest first, and the token of the next; tried until the homeserver answers.
async fn page(
    context: &Context,
    room: &Room,
    from: Option<&str>,
) -> Result<Option<(Vec<Event>, Option<String>)>, BotError> {
    let mut backoff = Backoff::up_to(LONGEST_PAUSE);
    loop {
        let mut options = MessagesOptions::backward().from(from);
        options.limit = UInt::from(PAGE);
        let pause = match room.messages(options).await {
            Ok(page) => {
                context.counters.add(Counter::Pages, 1);
                return Ok(Some((events(&page.chunk), page.end)));
            }
            Err(error) => match refusal(&error) {
                Refusal::SignedOut => return Err(context.signed_out()),
                Refusal::Limited(wait) => wait,
                Refusal::Forbidden(why) | Refusal::NotFound(why) | Refusal::Final(why) => {
                    tracing::warn!(room = %room.room_id(), why, "the room cannot be read back");
                    return Ok(None);
                }
                Refusal::TooLarge | Refusal::Passing(_) => {
                    tracing::warn!(room = %room.room_id(), %error, "reading the room back is tried again");
                    backoff.pause()
                }
            },
        };
        if context
            .crew
            .stop
            .run_until_cancelled(tokio::time::sleep(pause))
            .await
            .is_none()
        {
            return Ok(None);
        }
    }
}
