//! What the operator does with a proposal and its seats.

use fleet_protocol::envelope::Outcome as Answered;
use fleet_protocol::verbs::board::{Amend, ChangeSeat, Close, SeatChange};
use fleet_protocol::{Command, Reply};

use super::Play;
use crate::error::{CliError, fixed};

impl Play<'_> {
    pub(super) async fn suspend(&mut self) -> Result<(), CliError> {
        let (seat, suspends) = (self.dice.usize(0..2), self.dice.bool());
        let change = ChangeSeat {
            change: if suspends {
                SeatChange::Suspend
            } else {
                SeatChange::Restore
            },
            seat: fixed(&format!("s{seat}"))?,
            holder: None,
            weight: None,
            veto: false,
            reason: None,
        };
        let done = self.stage.says("op", Command::from(change)).await?;
        let Some((_, _, reference)) = self.proposals.last_mut() else {
            return Ok(());
        };
        let expected = reference.suspend(seat, suspends);
        if (expected == Answered::Done) != done.is_some() {
            self.differs(format!("a seat's suspension: expected {expected:?}"));
        }
        Ok(())
    }

    pub(super) async fn amend(&mut self) -> Result<(), CliError> {
        let Some((id, _, reference)) = self.proposals.last_mut() else {
            return Ok(());
        };
        let amend = Amend {
            proposal: fixed(id)?,
            title: Some(fixed("Amended")?),
            text: None,
            effect: None,
            no_effect: false,
            closes_at: None,
            seats: Vec::new(),
            reason: None,
        };
        let now = self.stage.now();
        let done = self.stage.says("op", Command::from(amend)).await?;
        match (reference.amend(now), done) {
            (Some(mut next), Some(Reply::Proposal(changed))) => {
                next.ends = now + self.length;
                self.carded(changed.now.id, next).await
            }
            (None, None) => Ok(()),
            (expected, done) => {
                self.differs(format!(
                    "an amendment: expected {}, was {done:?}",
                    expected.is_some()
                ));
                Ok(())
            }
        }
    }

    pub(super) async fn close(&mut self) -> Result<(), CliError> {
        let Some((id, _, reference)) = self.proposals.last_mut() else {
            return Ok(());
        };
        let close = Close {
            proposal: fixed(id)?,
            reason: None,
        };
        reference.close();
        let done = self.stage.says("op", Command::from(close)).await?;
        if done.is_none() {
            self.differs("a proposal could not be closed");
        }
        Ok(())
    }
}
