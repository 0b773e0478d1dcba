//! What voters and moderators do: ballots in the room and over HTTP, withdrawals, redactions.

use fleet_protocol::envelope::{BallotInput, Body, Outcome as Answered};
use fleet_protocol::verbs::board::{Verdict, Vote, Withdraw};
use fleet_protocol::{Command, Request};

use super::super::reference::Sent;
use super::super::stage::{PEOPLE, Waiting};
use super::{Play, Said};
use crate::error::{CliError, fixed};

impl Play<'_> {
    fn sent(&mut self, by_event: bool) -> (&'static str, Sent) {
        let who = self.dice.choice(PEOPLE).unwrap_or("v0");
        let verdict = self
            .dice
            .choice(Verdict::ALL)
            .copied()
            .unwrap_or(Verdict::Abstain);
        let named = !by_event && self.dice.bool();
        let seat = named.then(|| format!("s{}", self.dice.usize(0..6)));
        let sent = Sent {
            who: format!("@{who}:sim"),
            seat,
            verdict,
            reasoned: self.dice.bool(),
            by_event,
        };
        (who, sent)
    }

    fn wait(&mut self, sender: String, body: Body, said: Said) {
        let event = Waiting {
            key: self.stage.key("$e"),
            sender,
            at: self.stage.now(),
            body,
        };
        self.waiting.push((event, said));
    }

    /// A ballot in the room: reaction, reply or line.
    pub(super) fn room_vote(&mut self) -> Result<(), CliError> {
        let index = self.target();
        let way = self.dice.u8(0..3);
        let (_, mut sent) = self.sent(way < 2);
        let Some((id, card, _)) = self.proposals.get(index).cloned() else {
            return Ok(());
        };
        sent.reasoned &= way > 0;
        let body = if way < 2 {
            Body::Ballot {
                target: card,
                verdict: sent.verdict,
                reason: sent.reasoned.then(|| "so it is".to_owned()),
                via: if way == 0 {
                    BallotInput::Reaction
                } else {
                    BallotInput::Reply
                },
            }
        } else {
            Body::Line {
                line: format!("!board vote {id}"),
                request: Request::Command(Command::from(vote(&id, &sent)?)),
            }
        };
        self.wait(sent.who.clone(), body, Said::Vote(index, sent));
        Ok(())
    }

    /// A ballot over HTTP.
    pub(super) async fn call_vote(&mut self) -> Result<(), CliError> {
        let index = self.target();
        let (who, sent) = self.sent(false);
        let Some(id) = self.proposals.get(index).map(|p| p.0.clone()) else {
            return Ok(());
        };
        let now = self.stage.now();
        let done = self
            .stage
            .says(who, Command::from(vote(&id, &sent)?))
            .await?;
        let Some((_, _, reference)) = self.proposals.get_mut(index) else {
            return Ok(());
        };
        let expected = reference.vote(&sent, None, now, now);
        if (expected == Answered::Done) != done.is_some() {
            self.differs(format!(
                "a call to vote on {id}: expected {expected:?}, {sent:?}"
            ));
        }
        Ok(())
    }

    pub(super) fn room_withdraw(&mut self) -> Result<(), CliError> {
        let index = self.target();
        let who = format!("@{}:sim", self.dice.choice(PEOPLE).unwrap_or("v0"));
        let Some(id) = self.proposals.get(index).map(|p| p.0.clone()) else {
            return Ok(());
        };
        let withdraw = Withdraw {
            proposal: fixed(&id)?,
            seat: None,
        };
        let body = Body::Line {
            line: format!("!board withdraw {id}"),
            request: Request::Command(Command::from(withdraw)),
        };
        self.wait(who.clone(), body, Said::Withdraw(index, who));
        Ok(())
    }

    /// A redaction, by the sender or a moderator, of an event that came or is still to come.
    pub(super) fn room_redact(&mut self) -> Result<(), CliError> {
        let came = self.handed.iter().map(|(e, _)| e);
        let known: Vec<Waiting> = came
            .chain(self.waiting.iter().map(|(e, _)| e))
            .cloned()
            .collect();
        let Some(event) = self.dice.choice(&known).cloned() else {
            return Ok(());
        };
        let who = if self.dice.u8(0..4) == 0 {
            "@op:sim".to_owned()
        } else {
            event.sender
        };
        let body = Body::Redaction {
            target: event.key.clone(),
        };
        self.wait(who.clone(), body, Said::Redact(who, event.key));
        // Now and then it overtakes what it redacts.
        let last = self.waiting.len().saturating_sub(1);
        if last > 0 && self.dice.u8(0..4) == 0 {
            self.waiting.swap(last, last - 1);
        }
        Ok(())
    }
}

fn vote(id: &str, sent: &Sent) -> Result<Vote, CliError> {
    let reason = if sent.reasoned {
        vec![fixed("so it is")?]
    } else {
        Vec::new()
    };
    Ok(Vote {
        proposal: fixed(id)?,
        verdict: sent.verdict,
        reason,
        confidence: None,
        concerns: Vec::new(),
        recommendations: Vec::new(),
        key_risks: Vec::new(),
        seat: sent.seat.as_deref().map(fixed).transpose()?,
    })
}
