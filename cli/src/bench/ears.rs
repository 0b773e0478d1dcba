//! What a person's client hears: a sync that is always open, and when each answer came by it.

use std::collections::HashSet;
use std::time::Duration;

use fleet_agent::matrix::{Matrix, MatrixError, RoomEvent};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::error::CliError;

/// How long one poll is held open.
const POLL: Duration = Duration::from_secs(10);
/// Answers that wait for the measurement.
const WAITING: usize = 8_192;
/// After this silence the room itself is looked at: some homeservers miss wake-ups.
const SILENCE: Duration = Duration::from_secs(2);
/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// An answer, and when it came.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    /// The answer's event.
    pub(crate) event_id: String,
    /// Who answered.
    pub(crate) sender: String,
    /// What it replies to, or changes.
    pub(crate) to: String,
    /// Whether it changes an earlier message.
    pub(crate) is_edit: bool,
    /// When the client had it.
    pub(crate) at: Instant,
}

/// Hears the replies in all rooms of an account.
#[derive(Debug)]
pub(crate) struct Ears {
    matrix: Matrix,
    heard: mpsc::Receiver<Result<Heard, MatrixError>>,
    known: HashSet<String>,
    /// The listener; it ends with this.
    _listening: JoinSet<()>,
}

impl Ears {
    /// Hears everything from now on.
    pub(crate) async fn open(matrix: Matrix) -> Result<Self, CliError> {
        let first = matrix.sync(None, Duration::ZERO).await?;
        let (told, heard) = mpsc::channel(WAITING);
        let mut listening = JoinSet::new();
        listening.spawn(listen(matrix.clone(), first.next_batch, told));
        Ok(Self {
            matrix,
            heard,
            known: HashSet::new(),
            _listening: listening,
        })
    }

    /// The next answer, each once; none after some seconds of silence.
    pub(crate) async fn next(&mut self) -> Result<Option<Heard>, CliError> {
        loop {
            match tokio::time::timeout(SILENCE, self.heard.recv()).await {
                Err(_) => return Ok(None),
                Ok(None) => return Err(CliError::Missed("the client stopped listening".into())),
                Ok(Some(heard)) => {
                    let heard = heard?;
                    if self.known.insert(heard.event_id.clone()) {
                        return Ok(Some(heard));
                    }
                }
            }
        }
    }

    /// Looks for answers in the newest events of a room that the open sync did not bring.
    pub(crate) async fn look(&mut self, room: &str) -> Result<Vec<Heard>, CliError> {
        let page = self.matrix.messages(room, None, 250).await?;
        let at = Instant::now();
        let missed = page.chunk.iter().filter_map(|event| heard(event, at));
        let missed: Vec<_> = missed
            .filter(|h| self.known.insert(h.event_id.clone()))
            .collect();
        Ok(missed)
    }

    /// Waits for the answer to one message.
    pub(crate) async fn answer(
        &mut self,
        room: &str,
        sender: &str,
        to: &str,
    ) -> Result<Heard, CliError> {
        self.wait(room, sender, to, false).await
    }

    /// Waits for a change of one message.
    pub(crate) async fn edit(
        &mut self,
        room: &str,
        sender: &str,
        of: &str,
    ) -> Result<Heard, CliError> {
        self.wait(room, sender, of, true).await
    }

    async fn wait(
        &mut self,
        room: &str,
        sender: &str,
        to: &str,
        is_edit: bool,
    ) -> Result<Heard, CliError> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let heard = match self.next().await? {
                Some(heard) => vec![heard],
                None => self.look(room).await?,
            };
            let answer = heard
                .into_iter()
                .find(|h| h.to == to && h.sender == sender && h.is_edit == is_edit);
            if let Some(answer) = answer {
                return Ok(answer);
            }
        }
        Err(CliError::Missed(format!(
            "{sender} did not answer within {} s",
            PATIENCE.as_secs()
        )))
    }
}

fn heard(event: &RoomEvent, at: Instant) -> Option<Heard> {
    event.body()?;
    let changed = event.relates_to("m.replace");
    let to = match changed {
        Some(changed) => changed,
        None => event.reply_to()?,
    };
    Some(Heard {
        event_id: event.event_id.clone(),
        sender: event.sender.clone(),
        to: to.to_owned(),
        is_edit: changed.is_some(),
        at,
    })
}

/// Syncs until nobody hears any more. A timeline that is cut is read back for one page.
async fn listen(matrix: Matrix, since: String, told: mpsc::Sender<Result<Heard, MatrixError>>) {
    let mut since = since;
    loop {
        let synced = poll(&matrix, &since).await;
        let (next, heard) = match synced {
            Ok(synced) => synced,
            Err(error) => {
                // When nobody hears, nobody is left to tell.
                let _ = told.send(Err(error)).await;
                return;
            }
        };
        for answer in heard {
            if told.send(Ok(answer)).await.is_err() {
                return;
            }
        }
        since = next;
    }
}

async fn poll(matrix: &Matrix, since: &str) -> Result<(String, Vec<Heard>), MatrixError> {
    let sync = matrix.sync(Some(since), POLL).await?;
    let at = Instant::now();
    let mut all = Vec::new();
    for (id, room) in sync.rooms.join {
        all.extend(room.timeline.events.iter().filter_map(|e| heard(e, at)));
        if room.timeline.limited {
            let page = matrix.messages(&id, None, 250).await?;
            let at = Instant::now();
            all.extend(page.chunk.iter().filter_map(|e| heard(e, at)));
        }
    }
    Ok((sync.next_batch, all))
}
