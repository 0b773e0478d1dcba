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
    /// The bot may not read this room (any more).
    Denied,
    /// The bot was asked to stop: nothing is known.
    Stopped,
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
    let mut walk = Walk::back(context, room);
    for _ in 0..pages {
        let page = match walk.next().await? {
            Page::Events(page) => page,
            Page::Over => break,
            Page::Denied(_) => return Ok(History::Denied),
            Page::Stopped => return Ok(History::Stopped),
        };
        let done = page.iter().any(&reached);
        newest_first.extend(page);
        if done {
            newest_first.reverse();
            return Ok(History::Reached(newest_first));
        }
    }
    newest_first.reverse();
    Ok(History::Lost(newest_first))
}

/// What one step back found.
#[derive(Debug)]
pub(crate) enum Page {
    /// Events, newest first.
    Events(Vec<Event>),
    /// Nothing is older than what was read.
    Over,
    /// The homeserver does not let the bot read here; its reason.
    Denied(String),
    /// The bot was asked to stop.
    Stopped,
}

/// A walk back through a room, from its newest event, one page at a time.
pub(crate) struct Walk<'a> {
    context: &'a Context,
    room: &'a Room,
    from: Option<String>,
    is_over: bool,
}

impl<'a> Walk<'a> {
    /// Starts at the newest event.
    pub(crate) fn back(context: &'a Context, room: &'a Room) -> Self {
        Self {
            context,
            room,
            from: None,
            is_over: false,
        }
    }

    /// The next page; tried until the homeserver answers.
    ///
    /// # Errors
    /// [`BotError::SignedOut`].
    pub(crate) async fn next(&mut self) -> Result<Page, BotError> {
        if self.is_over {
            return Ok(Page::Over);
        }
        let (context, room) = (self.context, self.room);
        let mut backoff = Backoff::up_to(LONGEST_PAUSE);
        loop {
            let mut options = MessagesOptions::backward().from(self.from.as_deref());
            options.limit = UInt::from(PAGE);
            let pause = match room.messages(options).await {
                Ok(page) => {
                    context.counters.add(Counter::Pages, 1);
                    self.go_on_from(page.end);
                    return Ok(Page::Events(events(&page.chunk)));
                }
                Err(error) => match refusal(&error) {
                    Refusal::SignedOut => return Err(context.signed_out()),
                    Refusal::Limited(wait) => wait,
                    Refusal::Forbidden(why) | Refusal::NotFound(why) | Refusal::Final(why) => {
                        tracing::warn!(room = %room.room_id(), why, "the room cannot be read back");
                        return Ok(Page::Denied(why));
                    }
                    Refusal::TooLarge | Refusal::Passing(_) => {
                        tracing::warn!(room = %room.room_id(), %error, "reading the room back is tried again");
                        backoff.pause()
                    }
                },
            };
            if context.paused(pause).await.is_none() {
                return Ok(Page::Stopped);
            }
        }
    }

    /// A server that repeats its token, or gives none, has reached the beginning.
    fn go_on_from(&mut self, end: Option<String>) {
        self.is_over = end.is_none() || end == self.from;
        self.from = end;
    }
}
