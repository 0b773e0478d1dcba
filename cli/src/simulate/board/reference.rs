//! The board as its rules say, without SQL: each seat's versions on a stack of its own, and every
//! instant a number of milliseconds.

use std::collections::BTreeSet;

use fleet_policy::board::{outcome, settled, stand, tally};
use fleet_protocol::Timestamp;
use fleet_protocol::envelope::Outcome as Answered;
use fleet_protocol::record::{Act, Ballot, Entry, FrozenSeat, Outcome, Rule, Via};
use fleet_protocol::verbs::board::Verdict;

/// One minute's notice of an early end, and ten minutes of patience with an unread room.
const NOTICE: i64 = 60_000;
const PATIENCE: i64 = 600_000;

/// A version of a ballot.
#[derive(Debug, Clone)]
struct Version {
    event: Option<String>,
    by: String,
    verdict: Verdict,
    reasoned: bool,
    gone: bool,
}

/// One proposal.
#[derive(Debug, Clone)]
pub(super) struct Reference {
    rule: Rule,
    seats: Vec<FrozenSeat>,
    versions: Vec<Vec<Version>>,
    suspended: BTreeSet<usize>,
    told: BTreeSet<String>,
    opened: i64,
    pub(super) ends: i64,
    early: Option<i64>,
    is_extended: bool,
    /// The outcome, once there is one.
    pub(super) ended: Option<Outcome>,
    /// Ballots that were recorded.
    pub(super) cast: u64,
}

/// A ballot as somebody sent it.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    pub(super) who: String,
    pub(super) seat: Option<String>,
    pub(super) verdict: Verdict,
    pub(super) reasoned: bool,
    /// Whether it is a reply or a reaction: who has no seat is then told once.
    pub(super) by_event: bool,
}

impl Reference {
    pub(super) fn open(rule: Rule, seats: Vec<FrozenSeat>, opened: i64, ends: i64) -> Self {
        Self {
            rule,
            versions: vec![Vec::new(); seats.len()],
            seats,
            suspended: BTreeSet::new(),
            told: BTreeSet::new(),
            opened,
            ends,
            early: None,
            is_extended: false,
            ended: None,
            cast: 0,
        }
    }

    /// The ballots that count, as entries.
    fn counted(&self) -> Vec<Entry> {
        let one = |(index, versions): (usize, &Vec<Version>)| {
            let version = versions.iter().rev().find(|v| !v.gone)?;
            let ballot = Ballot {
                seat: self.seats.get(index)?.title.clone(),
                verdict: version.verdict,
                via: Via::Command,
                incarnation: None,
                confidence: None,
                reasoned: version.reasoned,
                statement_hash: None,
                statement: None,
            };
            Some(Entry {
                sequence: index as u64 + 1,
                at: Timestamp::from_millis(0),
                by: version.by.clone(),
                event: None,
                act: Act::Cast(ballot),
            })
        };
        self.versions.iter().enumerate().filter_map(one).collect()
    }

    fn tally(&self) -> fleet_policy::board::Tally {
        tally(&self.seats, &stand(&self.seats, &self.counted()))
    }

    /// Weights for, with conditions, against, abstained.
    pub(super) fn weights(&self) -> [u32; 4] {
        let t = self.tally();
        [t.approve, t.conditional, t.reject, t.abstain]
    }

    fn now_outcome(&self) -> Outcome {
        outcome(&self.tally(), &self.rule, false).outcome
    }

    fn look(&mut self, now: i64) {
        match settled(&self.tally(), &self.rule, false) {
            None => self.early = None,
            Some(_) => self.early = self.early.or(Some(now + NOTICE)),
        }
    }

    /// What time does, when the room was read up to `read`.
    pub(super) fn sweep(&mut self, now: i64, read: i64) {
        if self.ended.is_some() {
            return;
        }
        if now >= self.ends && read >= self.ends {
            self.ended = Some(self.now_outcome());
        } else if self
            .early
            .is_some_and(|early| now >= early && read >= early)
        {
            let ends = self.now_outcome();
            if settled(&self.tally(), &self.rule, false) == Some(ends) {
                self.ended = Some(ends);
            } else {
                self.look(now);
            }
        } else if now >= self.ends + PATIENCE {
            self.ends = now + PATIENCE;
        }
    }

    fn is_open(&self, at: i64) -> bool {
        self.ended.is_none() && at < self.ends
    }

    /// The seat somebody may vote for; else how they are answered.
    fn seat(&mut self, who: &str, named: Option<&str>, by_event: bool) -> Result<usize, Answered> {
        let held: Vec<usize> = self
            .seats
            .iter()
            .enumerate()
            .filter(|(_, s)| s.holder.to_string() == who)
            .filter(|(_, s)| named.is_none_or(|n| s.title.as_str() == n))
            .map(|(i, _)| i)
            .collect();
        match held.as_slice() {
            [one] if !self.suspended.contains(one) => Ok(*one),
            [] | [_] if by_event && !self.told.insert(who.to_owned()) => Err(Answered::Skipped),
            _ => Err(Answered::Refused),
        }
    }

    /// A ballot, sent at `at` and admitted `now`.
    pub(super) fn vote(&mut self, sent: &Sent, event: Option<&str>, at: i64, now: i64) -> Answered {
        let at = at.min(now);
        if !self.is_open(at) {
            return Answered::Refused;
        }
        let seat = match self.seat(&sent.who, sent.seat.as_deref(), sent.by_event) {
            Ok(seat) => seat,
            Err(answered) => return answered,
        };
        let may_veto = self.seats.get(seat).is_some_and(|s| s.may_veto);
        if sent.verdict == Verdict::Veto && !(may_veto && sent.reasoned) {
            return Answered::Refused;
        }
        let had_quorum = self.tally().has_quorum(&self.rule);
        let version = Version {
            event: event.map(str::to_owned),
            by: sent.who.clone(),
            verdict: sent.verdict,
            reasoned: sent.reasoned,
            gone: false,
        };
        if let Some(versions) = self.versions.get_mut(seat) {
            versions.push(version);
        }
        self.cast += 1;
        let last_tenth = (self.ends - self.opened) / 10;
        let reached = !had_quorum && self.tally().has_quorum(&self.rule);
        if reached && !self.is_extended && last_tenth > 0 && at >= self.ends - last_tenth {
            self.ends += last_tenth;
            self.is_extended = true;
        }
        self.look(now);
        Answered::Done
    }

    /// A seat's ballot taken back as a whole.
    pub(super) fn withdraw(&mut self, who: &str, at: i64, now: i64) -> Answered {
        if !self.is_open(at.min(now)) {
            return Answered::Refused;
        }
        let Ok(seat) = self.seat(who, None, false) else {
            return Answered::Refused;
        };
        let Some(versions) = self.versions.get_mut(seat) else {
            return Answered::Refused;
        };
        if versions.iter().all(|v| v.gone) {
            return Answered::Refused;
        }
        versions.iter_mut().for_each(|v| v.gone = true);
        self.look(now);
        Answered::Done
    }

    /// A redaction of an event that was a ballot here; none when it was none.
    pub(super) fn redact(
        &mut self,
        who: &str,
        target: &str,
        at: i64,
        now: i64,
    ) -> Option<Answered> {
        let is_open = self.is_open(at.min(now));
        let mut all = self.versions.iter_mut().flatten();
        let version = all.find(|v| v.event.as_deref() == Some(target))?;
        if version.by != who || !is_open {
            return Some(Answered::Skipped);
        }
        version.gone = true;
        self.look(now);
        Some(Answered::Done)
    }

    /// A seat that must not vote, or may again.
    pub(super) fn suspend(&mut self, seat: usize, suspends: bool) -> Answered {
        if self.ended.is_some() {
            return Answered::Refused;
        }
        if suspends {
            self.suspended.insert(seat);
        } else {
            self.suspended.remove(&seat);
        }
        Answered::Done
    }

    /// Ends with the ballots as they stand.
    pub(super) fn close(&mut self) {
        if self.ended.is_none() {
            self.ended = Some(self.now_outcome());
        }
    }

    /// Gives way to a changed proposal, with the same rule, seats and length.
    pub(super) fn amend(&mut self, now: i64) -> Option<Self> {
        if self.ended.is_some() {
            return None;
        }
        self.ended = Some(Outcome::Superseded);
        Some(Self::open(self.rule, self.seats.clone(), now, 0))
    }
}
